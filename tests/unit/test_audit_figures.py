"""DORA's four figures: of an environment, of each model there, and what holds of them whatever happened."""

import json
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.audit.deployments import Deployment, Ledger
from gitops.audit.figures import MOST_DAYS, Figures, Selection, Window, figures_of, measure, to_plain
from gitops.errors import InputError
from tests.support.audit_log import START
from tests.support.deployed import Life, Told, measured, read

IRIS, CHURN = Life(), Life(model="churn", source=3, deploy=4)
DAY = 24 * 60
WINDOW = Window(START, START + timedelta(days=28))


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def made(*leads: float | None, failed: int = 0, restored: float | None = None) -> list[Deployment]:
    """Return deployments of these lead times in minutes, the first ones failed."""
    found = [
        Deployment("production", "iris", str(at), START, lead=None if lead is None else minutes(lead))
        for at, lead in enumerate(leads)
    ]
    for one in found[:failed]:
        one.failed_from = START
        one.restored = None if restored is None else minutes(restored)
    return found


# ---------------------------------------------------------------- one set of figures


def test_without_a_deployment_nothing_is_known() -> None:
    assert figures_of([], WINDOW, since=START) == Figures(0, None, None, 0, 0, None, None, 0)


def test_frequency_is_told_by_the_week() -> None:
    assert figures_of(made(1, 1, 1, 1, 1, 1), WINDOW, since=START).per_week == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("window", "known", "per_week"),
    [(30, 2, 10), (30, 7, 10), (30, 14, 5), (30, 28, 2.5), (28, 90, 2.5), (2, 90, 10)],
    ids=str,
)
def test_frequency_is_of_the_time_that_is_known_and_of_a_week_at_least(
    window: int, known: int, per_week: float
) -> None:
    end = START + timedelta(days=100)
    figures = figures_of(made(*[1] * 10), Window.last(window, until=end), since=end - timedelta(days=known))
    assert figures.per_week == pytest.approx(per_week)


def test_frequency_of_a_log_that_begins_after_its_window_by_a_clock_set_back_is_of_a_week() -> None:
    late = WINDOW.end + timedelta(days=1)
    assert figures_of(made(1, 1), WINDOW, since=late).per_week == pytest.approx(2)


@pytest.mark.parametrize(
    ("leads", "median", "most"),
    [
        ([7], 7, 7),
        ([3, 1], 2, 3),
        ([5, 1, 3], 3, 5),
        (list(range(1, 11)), 5.5, 9),
        (list(range(1, 12)), 6, 10),
        ([1, None, 2, None], 1.5, 2),
    ],
)
def test_lead_time_is_the_middle_and_what_nine_of_ten_do_not_exceed(
    leads: list[float | None], median: float, most: float
) -> None:
    spread = figures_of(made(*leads), WINDOW, since=START).lead_time
    assert spread is not None
    assert (spread.median, spread.most) == (minutes(median), minutes(most))
    assert spread.count == sum(lead is not None for lead in leads)


def test_lead_time_is_absent_where_none_is_on_record() -> None:
    assert figures_of(made(None, None), WINDOW, since=START).lead_time is None


def test_failure_rate_is_the_part_that_failed_and_who_is_down_has_no_time_to_restore() -> None:
    figures = figures_of(made(1, 1, 1, 1, failed=1), WINDOW, since=START)
    assert (figures.failed, figures.failure_rate, figures.time_to_restore, figures.down) == (1, 0.25, None, 1)
    restored = figures_of(made(1, 1, failed=2, restored=8), WINDOW, since=START)
    assert restored.time_to_restore is not None
    assert (restored.time_to_restore.median, restored.down) == (minutes(8), 0)


# ---------------------------------------------------------------- a report


def test_report_has_a_row_for_each_environment_and_one_for_each_model_there() -> None:
    staging = Life(env="staging")
    report = measured(
        IRIS.rolled("1", minute=0).kept(1),
        CHURN.rolled("1", minute=5).kept(6),
        CHURN.rolled("2", minute=9).kept(10),
        staging.rolled("1", minute=20).kept(21),
    )
    assert [(row.environment, row.figures.deployments) for row in report.fleet] == [("production", 3), ("staging", 1)]
    assert [(row.model, row.figures.deployments) for row in report.models_of("production")] == [
        ("churn", 2),
        ("iris", 1),
    ]


def test_window_takes_its_end_and_not_its_start() -> None:
    ledger = read(IRIS.rolled("1", minute=0).kept(1), IRIS.rolled("2", minute=DAY).kept(DAY))
    (row,) = measure(ledger, Window(START, START + timedelta(days=1))).fleet
    assert row.figures.deployments == 1


def test_model_that_was_deployed_before_the_window_alone_has_a_row_without_figures() -> None:
    ledger = read(IRIS.rolled("1", minute=0).kept(1))
    report = measure(ledger, Window.last(7, until=START + timedelta(days=30)))
    assert report.is_empty
    assert [row.figures for row in (*report.fleet, *report.models)] == [Figures(), Figures()]
    assert measure(ledger, Window(START - timedelta(days=9), START - timedelta(days=1))).fleet == ()


def test_deployment_is_judged_by_what_came_after_the_window_too() -> None:
    deployed = IRIS.rolled("1", minute=0).kept(1), IRIS.rolled("2", minute=60).kept(61)
    back = IRIS.rolled("1", minute=5 * DAY, back_from="2").kept(5 * DAY)
    (row,) = measured(*deployed, back, days=1).fleet
    assert (row.figures.deployments, row.figures.failed, row.figures.down) == (2, 1, 0)


def test_selection_makes_rows_of_its_own_deployments_alone() -> None:
    acts = (
        IRIS.trained("1", minute=0),
        CHURN.trained("1", minute=0),
        IRIS.rolled("1", minute=1).kept(2),
        CHURN.rolled("1", minute=3).kept(4),
        Life(env="staging").rolled("9", minute=5).kept(6),
    )
    by_model = measured(*acts, selection=Selection(model="churn"))
    assert [(row.environment, row.figures.deployments) for row in by_model.fleet] == [("production", 1)]
    by_place = measured(*acts, selection=Selection(environment="staging"))
    assert [(row.environment, row.model) for row in by_place.models] == [("staging", "iris")]
    # By the deploy repository, as everything about rollouts, whether a training is on record or not.
    seen = measured(*acts, selection=Selection(sees=lambda repository: repository == 4))
    assert [(row.environment, row.model) for row in seen.models] == [("production", "churn")]
    unknown = measured(*acts, selection=Selection(sees=lambda repository: repository == 2))
    assert [(row.environment, row.model) for row in unknown.models] == [("production", "iris"), ("staging", "iris")]
    sources = measured(*acts, selection=Selection(sees=lambda repository: repository in {1, 3}))
    assert sources.models == ()


def test_weeks_begin_on_monday_and_cover_the_window() -> None:
    # START is a Thursday.
    report = measured(
        IRIS.rolled("1", minute=0).kept(1), IRIS.rolled("2", minute=5 * DAY).failed(5 * DAY + 1, back_to="1"), days=12
    )
    assert [(week.monday, week.deployments, week.failed) for week in report.fleet[0].weeks] == [
        (date(2025, 12, 29), 1, 0),
        (date(2026, 1, 5), 1, 1),
        (date(2026, 1, 12), 0, 0),
    ]


def test_weeks_before_the_trail_begins_are_not_told_as_empty_ones() -> None:
    ledger = read(IRIS.rolled("1", minute=0).kept(1))
    report = measure(ledger, Window.last(90, until=START + timedelta(days=6)))
    assert [week.monday for week in report.fleet[0].weeks] == [date(2025, 12, 29), date(2026, 1, 5)]


def test_window_without_a_zone_or_without_a_length_is_refused() -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - what is refused
    for start, end in ((naive, START), (START, naive), (START, START), (START, START - timedelta(days=1))):
        with pytest.raises(InputError):
            Window(start, end)


def test_report_is_plain_json_with_nulls_for_what_is_not_known() -> None:
    broken = IRIS.rolled("2", minute=60).failed(64, back_to="1")
    trained = IRIS.trained("1", minute=0, committed=-10)
    report = measured(trained, IRIS.rolled("1", minute=20).kept(21), broken, days=14)
    plain = json.loads(json.dumps(to_plain(report)))
    (row,) = plain["models"]
    assert row == {
        "model": "iris",
        "environment": "production",
        "deployments": 2,
        "deployments_per_week": pytest.approx(1, abs=1e-4),
        "lead_time": {"median_seconds": 1800, "p90_seconds": 1800, "count": 1, "from_commit": 1},
        "failed": 1,
        "change_failure_rate": 0.5,
        "time_to_restore": {"median_seconds": 240, "p90_seconds": 240, "count": 1},
        "not_restored": 0,
    }
    assert plain["fleet"][0]["weeks"][0] == {"monday": "2025-12-29", "deployments": 2, "failed": 1}
    assert plain["since"] == "2026-01-01T00:00:00+00:00"
    nothing = to_plain(measure(Ledger(), WINDOW))
    assert (nothing["since"], nothing["fleet"], nothing["models"]) == (None, [], [])


# ---------------------------------------------------------------- whatever happened

_ACTS = st.lists(
    st.tuples(
        st.sampled_from(
            [("iris", "staging"), ("iris", "production"), ("churn", "production"), ("fraud", "production")]
        ),
        st.sampled_from(["train", "keep", "fail", "refuse", "leave", "back", "empty", "break"]),
        st.integers(1, 4).map(str),
        st.integers(-90, 4000),  # minutes since the act before; a clock may be set back
        st.booleans(),
    ),
    max_size=40,
)


def play(acts: list[tuple[tuple[str, str], str, str, int, bool]]) -> list[Told]:
    """Return what acts leave in the trail, sensible ones or not."""
    lives = {
        place: Life(*place, source=at, deploy=9)
        for at, place in enumerate(
            [("iris", "staging"), ("iris", "production"), ("churn", "production"), ("fraud", "production")]
        )
    }
    serving = dict.fromkeys(lives, "")
    minute, told = 0, list[Told]()
    for place, act, version, after, flag in acts:
        life, minute, served = lives[place], minute + after, serving[place]
        match act:
            case "train":
                told += life.trained(version, minute=minute, committed=minute - 30 if flag else None)
            case "keep":
                told += life.rolled(version, minute=minute).kept(minute + 2)
                serving[place] = version
            case "fail":
                told += life.rolled(version, minute=minute).failed(minute + 3, back_to=served)
            case "refuse":
                told += life.rolled(version, minute=minute, until="opened").refused(minute + 1, serves=served)
            case "leave":
                told += life.rolled(version, minute=minute).told
            case "back":
                rolling = life.rolled(version, minute=minute, back_from=served)
                told += rolling.failed(minute + 1, back_to=served) if flag else rolling.kept(minute + 1)
                serving[place] = served if flag else version
            case "empty":
                told += life.rolled("", minute=minute).kept(minute)
                serving[place] = ""
            case "break":
                told += life.rolled(version, minute=minute).tell("errored", minute + 9, reason="RollbackFailed").told
    return told


@settings(max_examples=150, deadline=None)
@given(_ACTS, st.integers(1, 60), st.integers(-5, 60))
def test_rates_are_parts_times_are_not_negative_and_models_make_up_the_fleet(
    acts: list[tuple[tuple[str, str], str, str, int, bool]], days: int, since: int
) -> None:
    start = START + timedelta(days=since)
    report = measure(read(play(acts)), Window(start, start + timedelta(days=days)))
    for row in (*report.fleet, *report.models):
        figures = row.figures
        known = [one for one in (figures.lead_time, figures.time_to_restore) if one]
        assert all(timedelta(0) <= one.median <= one.most and one.count <= figures.deployments for one in known)
        restored = figures.time_to_restore.count if figures.time_to_restore else 0
        assert restored + figures.down == figures.failed <= figures.deployments
        if not figures.deployments:
            assert figures == Figures()
        else:
            assert figures.failure_rate is not None
            assert 0 <= figures.failure_rate <= 1
            assert figures.per_week is not None
            assert figures.per_week > 0
        assert figures.leads_of_commit <= (figures.lead_time.count if figures.lead_time else 0)
    for row in report.fleet:
        parts = [one.figures for one in report.models_of(row.environment)]
        for name in ("deployments", "failed", "down", "leads_of_commit"):
            assert sum(getattr(part, name) for part in parts) == getattr(row.figures, name)
        for name in ("lead_time", "time_to_restore"):
            counts = [getattr(part, name).count for part in parts if getattr(part, name)]
            whole = getattr(row.figures, name)
            assert sum(counts) == (whole.count if whole else 0)
        assert sum(part.per_week or 0 for part in parts) == pytest.approx(row.figures.per_week or 0)
        assert sum(week.deployments for week in row.weeks) == row.figures.deployments
        assert sum(week.failed for week in row.weeks) == row.figures.failed
        assert all(later.monday - week.monday == timedelta(days=7) for week, later in pairwise(row.weeks))
    assert to_plain(report) == json.loads(json.dumps(to_plain(report)))


@settings(max_examples=100, deadline=None)
@given(_ACTS, st.integers(1, 20))
def test_windows_side_by_side_have_the_deployments_of_the_whole(
    acts: list[tuple[tuple[str, str], str, str, int, bool]], days: int
) -> None:
    ledger = read(play(acts))
    start, middle = START - timedelta(days=5), START + timedelta(days=days)
    end = START + timedelta(days=MOST_DAYS)

    def count(window: Window) -> int:
        return sum(row.figures.deployments for row in measure(ledger, window).fleet)

    assert count(Window(start, middle)) + count(Window(middle, end)) == count(Window(start, end))


@settings(max_examples=100, deadline=None)
@given(_ACTS)
def test_what_one_may_see_is_not_changed_by_what_one_may_not(
    acts: list[tuple[tuple[str, str], str, str, int, bool]],
) -> None:
    window = Window(START - timedelta(days=5), datetime(2027, 1, 1, tzinfo=UTC))
    whole = measure(read(play(acts)), window).models
    for model in ("iris", "churn", "fraud"):
        mine = measure(read(play([act for act in acts if act[0][0] == model])), window)
        kept = [row for row in whole if row.model == model]
        assert {(r.environment, r.figures.deployments, r.figures.failed) for r in kept if r.figures.deployments} == {
            (r.environment, r.figures.deployments, r.figures.failed) for r in mine.models if r.figures.deployments
        }

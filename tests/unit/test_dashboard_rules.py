"""The pure rules of pages: where a picture's marks lie, who has the traffic, what a setting shows, what is well."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitops.access import Access, Person
from gitops.audit.history import Tenure
from gitops.explaining.findings import Grade, grade_clock, grade_heads, grade_queues, grade_relay
from gitops.ports.tallies import JobTally, Tallies
from gitops.records import TrainingFacts
from gitops.roles import AccessRole
from gitops.settings import Settings
from gitops.steps import Phase
from tests.support.store import make_environment, make_rollout, make_training, make_version
from webhooks.dashboard.actions import of_training
from webhooks.dashboard.addresses import ADDRESSES, list_addresses, show_address
from webhooks.dashboard.charts import draw_bands, draw_lines, keep_newest
from webhooks.dashboard.details import share_traffic
from webhooks.dashboard.installation import show_value
from webhooks.dashboard.links import model_page, record_page, woken_page
from webhooks.dashboard.overview import Model, Place, order_columns
from webhooks.dashboard.words import number

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def tenure(version: str, start: int, end: int | None, *, ended: str = "", endpoint: str = "e") -> Tenure:
    """Return a time in days before now."""
    until = NOW - timedelta(days=end) if end is not None else None
    return Tenure(endpoint, "production", "iris", version, NOW - timedelta(days=start), until, ended)


def test_bands_share_one_span_of_time_and_end_where_the_next_begins() -> None:
    first, second = tenure("1", 10, 6), tenure("2", 6, None)
    bands = draw_bands([first, second, tenure("2", 5, None, endpoint="f")], NOW)
    assert bands is not None
    one, other = bands.rows
    assert [(band.x, band.width) for band in one.bands] == [(0.0, 40.0), (40.0, 60.0)]
    assert [(band.x, band.width) for band in other.bands] == [(50.0, 50.0)]
    assert one.words == "e: v1 for 4 d; v2 for 6 d, serving now"
    assert one.bands[1].tone == other.bands[0].tone != one.bands[0].tone


def test_short_band_is_seen_and_stays_inside() -> None:
    bands = draw_bands([tenure("1", 1_000, 0), tenure("2", 0, None, ended="failed: Unhealthy")], NOW)
    assert bands is not None
    short = bands.rows[0].bands[1]
    assert short.failed
    assert not short.has_room
    assert short.width > 0
    assert short.x + short.width <= 100


def test_newest_times_are_kept_with_those_that_reach_into_theirs() -> None:
    first, still = tenure("1", 10, 8), tenure("9", 9, None, endpoint="f")
    ended = tenure("8", 7, 4, endpoint="g")
    newer = [tenure(str(number), 8 - number, 7 - number) for number in range(2, 6)]
    found = [first, still, newer[0], ended, *newer[1:]]
    assert keep_newest(found, 3) == (still, ended, *newer[1:])
    assert keep_newest(found, len(found)) == tuple(found)
    bands = draw_bands([still, ended, *newer[1:]], NOW, since=newer[1].start)
    assert bands is not None
    drawn = {row.endpoint: [(band.x, band.width) for band in row.bands] for row in bands.rows}
    assert drawn == {"e": [(0.0, 20.0), (20.0, 20.0), (40.0, 20.0)], "f": [(0.0, 100.0)], "g": [(0.0, 20.0)]}
    assert bands.rows[1].words == "f: v9 for 9 d, serving now", "the words keep when it began"


def test_no_bands_are_drawn_when_nothing_ever_served() -> None:
    assert draw_bands([], NOW) is None


def test_line_leaves_out_what_is_no_number_and_needs_two_points() -> None:
    values = ["0.9", "NaN", "x", "0.7"]
    versions = [
        make_version(version=str(9 - at), metrics={"f1": value, "once": "1"} if at == 0 else {"f1": value})
        for at, value in enumerate(values)
    ]
    (line,) = draw_lines(versions, champion="9", first=())
    assert [(dot.version, dot.y) for dot in line.dots] == [("6", 86.0), ("9", 14.0)]
    assert [dot.is_champion for dot in line.dots] == [False, True]
    assert len(line.strokes) == 1
    assert line.words == "f1 over 2 versions: v6 had 0.7, v9 has 0.9; between 0.7 and 0.9"


def test_dot_of_a_version_that_stands_apart_has_no_stroke_and_is_told_by_itself() -> None:
    versions = [make_version(version=version, metrics={"f1": f"0.{version}"}) for version in ("9", "8", "7", "2")]
    (line,) = draw_lines(versions, champion="2", first=(), apart={"2"})
    assert [(dot.version, dot.is_champion) for dot in line.dots][:2] == [("2", True), ("7", False)]
    assert [(one.x1, one.x2) for one in line.strokes] == [(34.0, 66.0), (66.0, 98.0)]
    assert line.words.endswith("between 0.2 and 0.9; v2, apart from the others, has 0.2")


def test_line_of_values_that_are_all_alike_lies_in_the_middle() -> None:
    versions = [make_version(version=version, metrics={"b": "1", "a": "2"}) for version in ("2", "1")]
    lines = draw_lines(versions, champion="", first=("b",))
    assert [line.metric for line in lines] == ["b", "a"]
    assert {dot.y for line in lines for dot in line.dots} == {50.0}


@pytest.mark.parametrize(
    ("facts", "shares"),
    [
        ({}, []),
        ({"previous_version": "1"}, [("1", 100), ("2", 0)]),
        ({"previous_version": "1", "applied": True}, [("2", 100), ("1", 0)]),
        ({"previous_version": "1", "applied": True, "failure": "Unhealthy"}, [("1", 100), ("2", 0)]),
        ({"previous_version": "1", "serving": ""}, [("1", 0), ("2", 0)]),
    ],
)
def test_traffic_is_all_with_the_version_that_serves(facts: dict[str, object], shares: list[tuple[str, int]]) -> None:
    rollout = make_rollout(version="2", facts=facts)
    found = [(share.version, share.percent) for share in share_traffic(rollout)]
    assert found == (shares or [("2", 0)])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ((), ""),
        (("a", "b"), "a, b"),
        (timedelta(hours=2), "2 h"),
        (20 * 1024**3, "20 GiB"),
        (2048, "2048"),
        ("postgresql://ada:secret@db/launchpin", "postgresql://***@db/launchpin"),
        ("http://token@mlflow", "http://***@mlflow"),
    ],
)
def test_setting_is_shown_without_user_and_password(value: object, shown: str) -> None:
    assert show_value(value) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:p@ss/w?rd#@valkey:6379/0", "redis://***@valkey:6379/0"),
        ("rediss://ada:secret@valkey/1?ssl_cert_reqs=none", "rediss://***@valkey/1?\N{HORIZONTAL ELLIPSIS}"),
        ("postgresql:///launchpin?password=secret", "postgresql:///launchpin?\N{HORIZONTAL ELLIPSIS}"),
        ("http://mlflow:5000/#secret", "http://mlflow:5000/?\N{HORIZONTAL ELLIPSIS}"),
        ("https://api.github.com", "https://api.github.com"),
    ],
)
def test_address_is_shown_without_whatever_may_be_a_secret(url: str, shown: str) -> None:
    assert show_address(url) == shown


def test_every_address_among_the_settings_has_a_row() -> None:
    """A setting that says where something is, is named for it; what listens on this machine alone is no such thing."""
    named = {
        name
        for name, field in Settings.model_fields.items()
        if name.endswith(("_url", "_uri", "_uris", "_api", "_host", "_base", "_issuer", "_url_file"))
        or "://" in str(field.default)
    }
    assert named - {"metrics_host"} == set(ADDRESSES)


def test_address_that_this_process_was_not_told_is_said_to_be_the_default_or_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("LAUNCHPIN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LAUNCHPIN_FORGE_API", "https://api.github.com")
    monkeypatch.setenv("LAUNCHPIN_TRACKING_URIS", '["http://a:5000", "http://ada:secret@b:5000"]')
    found = {
        one.setting.removeprefix("LAUNCHPIN_"): (one.url, one.note) for one in list_addresses(Settings(), is_admin=True)
    }
    assert found["FORGE_API"] == ("https://api.github.com", "")
    assert found["ENDPOINT_HOST"] == ("http://127.0.0.1:8090", "the default")
    assert found["TRACKING_URIS"] == ("http://a:5000, http://***@b:5000", "")
    assert found["REDIS_URL_FILE"] == found["OIDC_ISSUER"] == ("", "none was told to this process")
    assert found["GITHUB_OAUTH_URL"] == ("", "nobody signs in there")
    assert found["HOOK_BASE"] == ("http://127.0.0.1:8080", "as the dashboard")
    monkeypatch.setenv("LAUNCHPIN_REDIS_URL_FILE", str(tmp_path / "missing"))
    (broker,) = [one for one in list_addresses(Settings(), is_admin=True) if one.what == "Broker"]
    assert (broker.url, broker.note) == ("", "set LAUNCHPIN_REDIS_URL_FILE to a file that holds it")


def tallies(**changes: object) -> Tallies:
    fields: dict[str, object] = {
        "jobs": (),
        "open_stories": {},
        "ended_stories": {},
        "just_ended": {},
        "deliveries": {},
        "holds": 0,
        "entries": 5,
        "signed": 5,
        "head_age": 1.0,
        "unanchored": 0,
        "unanchored_age": 0.0,
        "lead": 9.0,
        "hooks_lost": 0,
        "letters_waiting": {},
        "letter_age": 0.0,
        "letters_settled": {},
    }
    return Tallies(**{**fields, **changes})  # type: ignore[arg-type]


def test_what_is_well_and_what_is_not_is_graded_as_doctor_does() -> None:
    assert [grade_clock(drift).grade for drift in (59.0, -61.0)] == [Grade.OK, Grade.WARN]
    assert [grade_relay(lead).grade for lead in (3.0, -1.0, None)] == [Grade.OK, Grade.FAIL, Grade.FAIL]
    late = JobTally("training", "training", "ready", "", is_due=True, count=2, age=900.0, tries=0)
    stalled = JobTally("poll", "control", "stalled", "DiskLow", is_due=False, count=1, age=0.0, tries=3)
    found = {one.what: one for one in grade_queues(tallies(jobs=(late, stalled)))}
    assert [one.grade for one in found.values()] == [Grade.OK, Grade.WARN, Grade.WARN]
    assert found["Workers for training"].text == "2 jobs are ready, the oldest for 15 min"
    assert grade_heads(tallies()).grade is Grade.OK
    assert grade_heads(tallies(signed=3, head_age=9_000.0)).grade is Grade.WARN
    assert grade_heads(tallies(unanchored=1, unanchored_age=9_000.0)).grade is Grade.WARN


def testorder_columns_of_the_fleet_stand_in_the_order_in_which_versions_pass_them() -> None:
    def model(*names: str) -> Model:
        return Model("m", "", tuple(Place(make_environment(name=name), (), "") for name in names))

    assert order_columns(
        [model("staging", "production"), model("production"), model("dev", "staging", "production")]
    ) == (
        "dev",
        "staging",
        "production",
    )


def test_pages_are_found_by_what_names_them() -> None:
    assert model_page("a b") == "/models/a%20b"
    assert model_page("a/b") == model_page("") == ""
    assert record_page("t-1") == "/trainings/t-1"
    assert record_page("x-1") == record_page("t") == ""
    assert woken_page("training:t-1") == "/trainings/t-1"
    assert woken_page("compare:2") == ""


def test_counts_keep_all_their_digits() -> None:
    assert [number(text) for text in ("48211", "0.87123", "1.0", "x", "NaN")] == ["48,211", "0.8712", "1", "x", "NaN"]


@pytest.mark.parametrize(
    ("phase", "chosen", "role", "titles"),
    [
        (Phase.CANCELLED, False, AccessRole.RUNNER, ["Train again"]),
        (Phase.ERRORED, False, AccessRole.RUNNER, ["Train again"]),
        (Phase.REFUSED, False, AccessRole.RUNNER, ["Train again"]),
        (Phase.REFUSED, True, AccessRole.APPROVER, ["Train again"]),
        (Phase.SUCCEEDED, False, AccessRole.APPROVER, []),
        (Phase.SUPERSEDED, False, AccessRole.APPROVER, []),
        (Phase.CANCELLED, True, AccessRole.RUNNER, []),
        (Phase.CANCELLED, True, AccessRole.APPROVER, ["Train again"]),
        (Phase.RUNNING, True, AccessRole.RUNNER, ["Cancel"]),
        (Phase.RUNNING, True, AccessRole.APPROVER, ["Try now", "Cancel"]),
        (Phase.RUNNING, False, AccessRole.RUNNER, ["Try now", "Cancel"]),
        (Phase.RUNNING, False, AccessRole.VIEWER, []),
    ],
)
def test_what_an_approver_chose_by_hand_is_tried_again_by_an_approver(
    phase: Phase, chosen: bool, role: AccessRole, titles: list[str]
) -> None:
    ada = Access(Person(id="u-1", provider="local", subject="", login="ada"), "session", {1: role})
    facts = TrainingFacts(search_of="t-9") if chosen else TrainingFacts()
    training = make_training(phase=phase, reason="Retrying", facts=facts)
    assert [one.title for one in of_training(ada, training)] == titles

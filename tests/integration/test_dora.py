"""DORA's figures by the API and on their page, and how the web process follows the log for them."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.audit.figures import Selection, Window
from gitops.roles import AccessRole
from gitops.store import SqlStore
from gitops.telling.dora import Dora
from gitops.writes import SaveRepository
from tests.support.api import give_token, program, program_as
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.deployed import Life, enact, fill_busy_weeks
from tests.support.fleet import open_fleet
from tests.support.store import Clock, make_repository, write
from webhooks.dashboard.dora import draw
from webhooks.problems import ProblemError
from webhooks.trail import TrailReader

VIEWER = AccessRole.VIEWER
IRIS_SOURCE, IRIS_DEPLOY, CHURN_SOURCE, CHURN_DEPLOY = 1, 2, 3, 4
ALWAYS = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    def fill(store: SqlStore, clock: Clock) -> None:
        fill_busy_weeks(store, clock)
        for number, name in (
            (IRIS_SOURCE, "acme/iris"),
            (IRIS_DEPLOY, "acme/iris-deploy"),
            (CHURN_SOURCE, "acme/churn"),
            (CHURN_DEPLOY, "acme/churn-deploy"),
        ):
            write(store, SaveRepository(make_repository(id=number, full_name=name)))

    with running_dashboard(tmp_path_factory.mktemp("busy") / "home", fill) as running:
        yield running


def get(client: httpx.Client, **query: object) -> Any:  # noqa: ANN401 - JSON
    answer = client.get("/api/v1/dora", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


def deployed(told: Any) -> list[tuple[str, str, int, int]]:  # noqa: ANN401 - JSON
    return [(row["environment"], row["model"], row["deployments"], row["failed"]) for row in told["models"]]


# ---------------------------------------------------------------- the API


def test_a_program_reads_the_figures_of_the_fleet_and_of_each_model(busy: Dashboard) -> None:
    with program_as(busy, VIEWER) as client:
        told = get(client, days=60)
    assert set(told) == set(Dora.model_fields)
    assert deployed(told) == [("production", "iris", 14, 3), ("production", "churn", 1, 1), ("staging", "iris", 14, 2)]
    production, staging = told["fleet"]
    assert (production["deployments"], production["failed"], production["not_restored"]) == (15, 4, 1)
    assert production["change_failure_rate"] == pytest.approx(4 / 15)
    assert production["lead_time"]["from_commit"] == 14
    assert production["lead_time"]["count"] == 15
    assert production["time_to_restore"] == {
        "median_seconds": 240,
        "p90_seconds": 240,
        "count": 3,
    }
    assert sum(week["deployments"] for week in staging["weeks"]) == 14


def test_a_program_asks_for_a_time_a_model_or_an_environment(busy: Dashboard) -> None:
    with program_as(busy, VIEWER) as client:
        assert deployed(get(client, days=60, model="churn")) == [("production", "churn", 1, 1)]
        assert deployed(get(client, days=60, env="staging")) == [("staging", "iris", 14, 2)]
        (of_week,) = get(client, days=1, env="staging")["models"]
    assert (of_week["deployments"], of_week["deployments_per_week"], of_week["lead_time"]) == (0, None, None)


@pytest.mark.parametrize(
    ("query", "field"),
    [({"days": "0"}, "days"), ({"days": "367"}, "days"), ({"days": "x"}, "days"), ({"model": "a/b"}, "model"),
     ({"env": "a\nb"}, "env")],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused_by_name(busy: Dashboard, query: dict[str, str], field: str) -> None:
    with program_as(busy, VIEWER) as client:
        answer = client.get("/api/v1/dora", params=query)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"model": "chrun"}, "no such model: 'chrun'; did you mean churn?"),
        ({"env": "prodution"}, "no such environment: 'prodution'; did you mean production?"),
    ],
    ids=["model", "environment"],
)
def test_name_that_there_is_not_is_refused_with_the_nearest_one(
    busy: Dashboard, query: dict[str, str], words: str
) -> None:
    with program_as(busy, VIEWER) as client:
        answer = client.get("/api/v1/dora", params=query)
    assert (answer.status_code, answer.json()["code"], answer.json()["detail"]) == (404, "not_found", words)


def test_attack_66_figures_are_those_of_rollouts_whose_deploy_repository_one_may_see(busy: Dashboard) -> None:
    """As rollouts, endpoints and the history: who trains a model need not know where, and how well, it is run."""
    with (
        program_as(busy, VIEWER, on=CHURN_DEPLOY) as churn,
        program_as(busy, VIEWER, on=IRIS_SOURCE) as source,
    ):
        told = get(churn, days=60)
        assert deployed(told) == [("production", "churn", 1, 1)]
        assert [(row["environment"], row["deployments"]) for row in told["fleet"]] == [("production", 1)]
        hidden = churn.get("/api/v1/dora", params={"days": "60", "model": "iris"})
        assert (hidden.status_code, hidden.json()["detail"]) == (404, "no such model: 'iris'; there are: churn")
        elsewhere = churn.get("/api/v1/dora", params={"env": "staging"})
        assert (elsewhere.status_code, "production" in elsewhere.json()["detail"]) == (404, True)
        assert get(source, days=60)["fleet"] == []
        assert deployed(get(source, days=60, model="iris")) == [], "a model that they see, and nothing of its rollouts"
    kept = give_token(busy.store, "kept", {EVERYWHERE: VIEWER}, repositories=(IRIS_DEPLOY,))
    with program(busy, kept) as client:
        assert {row["model"] for row in get(client, days=60)["models"]} == {"iris"}


def test_attack_66_a_version_without_a_training_on_record_is_told_like_any_other(tmp_path: Path) -> None:
    def fill(store: SqlStore, clock: Clock) -> None:
        for number, name in ((IRIS_SOURCE, "acme/iris"), (IRIS_DEPLOY, "acme/iris-deploy")):
            write(store, SaveRepository(make_repository(id=number, full_name=name)))
        enact(store, clock, Life().rolled("1", minute=0).kept(1))

    with (
        running_dashboard(tmp_path / "home", fill) as dashboard,
        program_as(dashboard, VIEWER, on=IRIS_DEPLOY) as deploy,
        program_as(dashboard, VIEWER, on=IRIS_SOURCE) as source,
    ):
        assert deployed(get(deploy)) == [("production", "iris", 1, 0)]
        assert deployed(get(source)) == []


def test_figures_follow_the_log_as_it_grows(tmp_path: Path) -> None:
    life = Life()
    with running_dashboard(tmp_path / "home") as dashboard, program_as(dashboard, VIEWER) as client:
        assert get(client)["fleet"] == []
        enact(dashboard.store, Clock(), life.rolled("1", minute=0).kept(1))
        assert deployed(get(client)) == [("production", "iris", 1, 0)]
        rolling = life.rolled("2", minute=2)
        enact(dashboard.store, Clock(), rolling.told)
        assert deployed(get(client)) == [("production", "iris", 2, 0)]
        told = len(rolling.told)
        enact(dashboard.store, Clock(), rolling.failed(3, back_to="1")[told:])
        assert deployed(get(client)) == [("production", "iris", 2, 1)]


# ---------------------------------------------------------------- the reader


def filled(folder: Path, *versions: str) -> SqlStore:
    folder.mkdir()
    store, clock = open_fleet(folder)
    life = Life()
    enact(store, clock, *(life.rolled(version, minute=0).kept(1) for version in versions))
    return store


def count_of(reader: TrailReader, store: SqlStore) -> int:
    return sum(row.figures.deployments for row in reader.measure(store, ALWAYS, Selection()).fleet)


def test_reader_reads_anew_when_another_log_stands_in_the_place_of_the_one_it_knew(tmp_path: Path) -> None:
    reader = TrailReader()
    first, longer, shorter = (
        filled(tmp_path / name, *versions) for name, versions in (("a", "12"), ("b", "345"), ("c", "6"))
    )
    assert [count_of(reader, store) for store in (first, longer, shorter, first, first)] == [2, 3, 1, 2, 2]
    for store in (first, longer, shorter):
        store.close()


def test_reader_says_that_it_is_busy_and_goes_on_where_it_ended(tmp_path: Path) -> None:
    store = filled(tmp_path / "home", *map(str, range(1, 3)))
    hurried = TrailReader(patience=0.01, longest=-1)
    with pytest.raises(ProblemError) as busy:
        hurried.measure(store, ALWAYS, Selection())
    assert (busy.value.status, busy.value.code) == (503, "busy_reading")
    reader = TrailReader(patience=0.01)
    with reader.turn(), pytest.raises(ProblemError) as waiting:
        reader.measure(store, ALWAYS, Selection())
    assert waiting.value.code == "busy_reading"
    assert count_of(reader, store) == 2
    store.close()


def test_reader_gives_many_at_once_the_same_figures(tmp_path: Path) -> None:
    store = filled(tmp_path / "home", *map(str, range(1, 20)))
    reader, found = TrailReader(), list[int]()
    threads = [threading.Thread(target=lambda: found.append(count_of(reader, store))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [19] * 8
    store.close()


# ---------------------------------------------------------------- the page


def words_of(html: str) -> str:
    """Return a page's text, as somebody reads it."""
    main = html.partition("<main")[2]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


def page(dashboard: Dashboard, query: str = "") -> str:
    with dashboard.client() as client:
        answer = client.get(f"/dora{query}")
    assert answer.status_code == 200, answer.text
    return answer.text


def test_page_tells_the_figures_of_each_environment_and_model(busy: Dashboard) -> None:
    html = page(busy, "?days=90")
    text = words_of(html)
    assert text.index("production") < text.index("staging")
    for words in (
        "Deployments 15",
        "Change failure rate 27 %",
        "4 of 15 deployments",
        "1 not restored yet",
        "median of 3",
    ):
        assert words in text, words
    assert re.search(r"iris 14 2\.[1-9] .* 3 \(21 %\) 4 min", text)
    assert "1 (100 %) 1 not yet" in text
    assert "90 days up to" in text
    assert "which begins" in text


def test_page_draws_the_weeks_with_what_failed_and_says_the_same_in_words(busy: Dashboard) -> None:
    html = page(busy, "?days=90")
    (drawn,) = re.findall(r'aria-label="Deployments by the week: (15 [^"]+)"', html)
    assert drawn.startswith("15 deployments, 4 failed; most in the week of ")
    assert html.count('class="kept"') > html.count('class="lost"') > 2
    assert "style=" not in html
    assert "<script>" not in html


def test_page_marks_the_time_that_it_shows_and_refuses_what_is_none(busy: Dashboard) -> None:
    assert (
        'href="/dora?days=30" aria-current="page"' in page(busy).partition('class="periods"')[2].partition("</ul>")[0]
    )
    assert "aria-current" not in page(busy, "?days=42").partition('class="periods"')[2].partition("</ul>")[0]
    with busy.client() as client:
        for days in ("0", "367", "1e2", "٣", "30 ", "-1", ""):
            answer = client.get("/dora", params={"days": days})
            assert answer.status_code == 422, days
            assert "from 1 to 366" in answer.text
            assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_page_without_a_deployment_says_what_to_do(tmp_path: Path, busy: Dashboard) -> None:
    with running_dashboard(tmp_path / "home") as dashboard:
        assert "launchpin pr merge N" in words_of(page(dashboard))
    quiet = words_of(page(busy, "?days=1"))
    assert "Nothing was deployed here in this time. Look back a year" in quiet
    assert "0 %" not in quiet


def test_attack_70_names_on_the_page_are_text(tmp_path: Path) -> None:
    evil = Life(model="<img src=x onerror=alert(1)>", env='"><script>x</script>')

    def fill(store: SqlStore, clock: Clock) -> None:
        enact(store, clock, evil.rolled("1", minute=0).kept(1))

    with running_dashboard(tmp_path / "home", fill) as dashboard:
        html = page(dashboard)
    assert "<img" not in html
    assert "<script>" not in html
    assert "&lt;img src=x" in html


def test_page_of_a_thousand_models_shows_the_busiest_and_where_the_others_are(tmp_path: Path) -> None:
    def fill(store: SqlStore, clock: Clock) -> None:
        enact(store, clock, *(Life(model=f"m{number}").rolled("1", minute=0).told for number in range(103)))

    with running_dashboard(tmp_path / "home", fill) as dashboard:
        text = words_of(page(dashboard))
    assert "3 more models" in text
    assert "launchpin dora --env production --days 30" in text


def test_drawing_of_nothing_has_no_bars_with_a_height() -> None:
    assert draw(()).words == "No deployments."

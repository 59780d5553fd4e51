"""Pages ask the database the same few questions and stay small, however many models or trials there are."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from gitops.roles import AccessRole
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.many import fill_with_many
from tests.support.searches import SEARCHED, fill_with_search

PAGES = (
    *("/", "/models", "/audit", "/deliveries", "/settings", "/models/m0001", "/?q=m00", "/models?after=m0003"),
    *("/models/m0001/plan", "/models/m0001/plan?endpoint=m0001-staging"),
)
MOST = 45
"""Questions that any page may ask, those of its session among them."""


@contextmanager
def counting() -> Iterator[list[str]]:
    """Give the statements that any database of this process is asked meanwhile."""
    asked: list[str] = []

    def note(_c: object, _u: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture(scope="module", params=[10, 1_000])
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("many") / "home") as running:
        fill_with_many(running.home, request.param)
        yield running


@pytest.mark.parametrize("path", PAGES)
def test_page_asks_few_questions_however_many_models_there_are(fleet: Dashboard, path: str) -> None:
    with fleet.client() as client, counting() as asked:
        answer = client.get(path)
    assert answer.status_code == 200
    assert len(answer.content) < 400_000
    assert len([statement for statement in asked if statement.startswith("SELECT")]) <= MOST


def test_whoever_sees_one_repository_of_many_gets_the_front_page_by_few_questions(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as fleet:
        fill_with_many(fleet.home, 300)
        fleet.add_person("ada", {2: AccessRole.VIEWER})
        with fleet.client(login="ada") as client, counting() as asked:
            page = client.get("/").text
    assert "300 models" in page
    assert len([statement for statement in asked if statement.startswith("SELECT")]) <= MOST


@pytest.mark.parametrize(("parameters", "most"), [(3, 120_000), (20, 320_000)])
def test_page_of_a_thousand_trials_shows_each_as_a_line_and_stays_small(
    tmp_path: Path, parameters: int, most: int
) -> None:
    with running_dashboard(tmp_path / "home") as fleet, fleet.client() as client:
        fill_with_search(fleet.home, 1_000, parameters=parameters)
        with counting() as asked:
            page = client.get(f"/trainings/{SEARCHED}")
        renewed = client.get(f"/trainings/{SEARCHED}", headers={"HX-Request": "true"})
    assert page.status_code == 200
    strokes = re.findall(r'<path class="trial \w+" data-trials="([^"]*)" d="([^"]*)"', page.text)
    assert sum(len(trials.split()) for trials, _ in strokes) == 1_000
    assert sum(path.count("M") for _, path in strokes) == 1_000
    assert len(renewed.content) < len(page.content) < most
    assert len([statement for statement in asked if statement.startswith("SELECT")]) <= MOST

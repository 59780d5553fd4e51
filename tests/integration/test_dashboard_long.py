"""The page of a model with more versions, times and metrics than it shows at once: nothing ends without a word."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import httpx
import pytest

from gitops.records import Environment
from gitops.roles import AccessRole
from gitops.store import SqlStore
from gitops.writes import SaveEnvironment, SaveVersion
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.history import fill_with_history
from tests.support.long_past import CHAMPION, METRICS, VERSIONS, fill_with_long_past
from tests.support.store import Clock, make_environment, make_version, write
from webhooks.dashboard.versions import PAGE


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("past") / "home", fill_with_long_past) as running:
        yield running


@pytest.fixture
def client(past: Dashboard) -> Iterator[httpx.Client]:
    with past.client() as client:
        yield client


def rows(page: str) -> dict[str, str]:
    """Return the rows of the table of versions, by version and in their order."""
    table = page[page.index('id="versions"') :]
    found = re.findall(r'<tr>\s*<th scope="row" class="num">(.*?)</tr>', table, re.DOTALL)
    return {re.findall(r"v(\d+)", row)[0]: row for row in found}


def older(page: str) -> str:
    """Return where the older versions are; empty at the end."""
    found = re.findall(r'rel="next" href="([^"]+)"', page)
    return unescape(found[0]) if found else ""


def words(page: str) -> str:
    """Return what a page says, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last - 1, -1)]


def test_champion_is_in_the_table_with_its_button_however_old_it_is(client: httpx.Client) -> None:
    page = client.get("/models/iris").text
    found = rows(page)
    assert list(found) == [*numbers(VERSIONS, VERSIONS - PAGE + 1), CHAMPION]
    assert re.findall(r'class="tag \w+">(\w+)<', found[CHAMPION]) == ["champion", "production"]
    assert f"/actions/promote?model=iris&amp;version={CHAMPION}" in found[CHAMPION]
    assert [version for version, row in found.items() if ">champion</span>" in row] == [CHAMPION]
    assert f"The newest ones, {PAGE} of them, and 1 from elsewhere in the list" in words(page)


def test_every_version_is_reached_by_the_link_to_older_ones(client: httpx.Client) -> None:
    first = client.get("/models/iris").text
    assert "To the first" not in first
    second = client.get(older(first)).text
    assert list(rows(second)) == [str(VERSIONS), *numbers(VERSIONS - PAGE, 1)]
    assert "Older ones from a place on, 25 of them, and 1 from elsewhere" in words(second)
    assert older(second) == ""
    assert 'href="/models/iris#versions">To the first' in second
    assert {*rows(first), *rows(second)} == {*numbers(VERSIONS, 1)}


def test_cursor_of_another_list_is_refused(client: httpx.Client) -> None:
    cursor = older(client.get("/models/iris").text).partition("cursor=")[2].partition("#")[0]
    for path in (f"/models/wine?cursor={cursor}", "/models/iris?cursor=bm8"):
        assert client.get(path).status_code == 422


def test_champion_has_a_dot_apart_from_the_versions_that_follow_each_other(client: httpx.Client) -> None:
    page = client.get("/models/iris").text
    pictures = re.findall(r'<svg class="line".*?</svg>', page, re.DOTALL)
    assert len(pictures) == 6
    for picture in pictures:
        dots = re.findall(r'<circle class="dot([^"]*)" cx="([0-9.]+)%.*?<title>v(\d+):', picture)
        assert [version for _, _, version in dots] == [CHAMPION, *reversed(numbers(VERSIONS, VERSIONS - PAGE + 1))]
        assert [version for kind, _, version in dots if kind] == [CHAMPION]
        strokes = re.findall(r'<line class="stroke" x1="([0-9.]+)%', picture)
        assert len(strokes) == PAGE - 1
        assert dots[0][1] not in strokes
    assert f"accuracy over {PAGE + 1} versions: v5 had 0.805, v65 has 0.865" in page
    assert "; v5, apart from the others, has 0.805" in page
    assert f"the champion, v{CHAMPION}" in words(page)
    assert f"6 of {METRICS} metrics are drawn" in words(page)
    assert f"4 of {METRICS} metrics have a column" in words(page)
    assert f'<a href="{older(page).partition("#")[0]}#metrics">older versions</a>' in unescape(page)


def test_what_served_says_how_far_it_reaches_and_keeps_every_endpoint_that_serves(client: httpx.Client) -> None:
    page = client.get("/models/iris").text
    bands = dict(re.findall(r'class="bands"[^>]*aria-label="(iris-\w+): ([^"]+)"', page))
    assert list(bands) == ["iris-production", "iris-staging"]
    assert re.fullmatch(r"v5 for \d+ d, serving now", bands["iris-production"])
    assert bands["iris-staging"].startswith("v6 for ")
    assert bands["iris-staging"].count(";") == 59
    (production,) = re.findall(r'<svg x="([0-9.]+)%" width="([0-9.]+)%" height="34"><title>v5 from', page)
    assert production == ("0.0", "100.0")
    assert "These are the newest 61 times; 5 older ones are left out." in words(page)
    assert "launchpin history iris --limit 10000" in words(page)
    assert "the newest entries of the audit log" not in words(page)
    assert page.count("serving</td>") == 2


def test_older_trainings_are_said_to_be_there(client: httpx.Client) -> None:
    page = client.get("/models/iris").text
    assert page.count('id="training-t-') == 10
    assert "The newest 10; launchpin runs iris --limit 500 lists older ones." in words(page)


def test_short_past_has_no_words_about_what_is_left_out(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home", fill_with_history) as dashboard, dashboard.client() as client:
        page = words(client.get("/models/fraud").text)
    for said in ("The newest", "are left out", "are drawn", "have a column", "Older versions", "To the first"):
        assert said not in page, said


def test_legend_of_the_champion_is_there_only_where_it_has_a_dot(tmp_path: Path) -> None:
    def fill(store: SqlStore, _: Clock) -> None:
        found = [make_version(version=str(number), metrics={"f1": "0.9"}) for number in (2, 3)]
        write(store, *(SaveVersion(one) for one in (make_version(version="1", metrics={}), *found)))
        place = make_environment(is_champion=True, serving="1", pinned="1")
        write(store, SaveEnvironment(place, tuple(Environment.model_fields)))

    with running_dashboard(tmp_path / "home", fill) as dashboard, dashboard.client() as client:
        page = client.get("/models/iris").text
    assert "champion v1</span></h1>" in page
    assert "f1 over 2 versions" in page
    assert "the champion, v1" not in words(page)


def test_whoever_may_not_see_where_a_version_came_from_does_not_see_its_verdict(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home", fill_with_long_past) as dashboard:
        dashboard.add_person("ada", {2: AccessRole.VIEWER})
        with dashboard.client(login="ada") as client:
            page = client.get("/models/iris").text
    assert "serving" in page
    assert "It has no version yet" in page

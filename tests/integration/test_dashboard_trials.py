"""A search on its training's page: a part of its trials at a time, as the address says."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.history import fill_with_history
from tests.support.searches import BEST, SEARCHED, fill_with_search

PAGE = f"/trainings/{SEARCHED}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("searched") / "home", fill_with_history) as running:
        fill_with_search(running.home)
        yield running


@pytest.fixture
def client(fleet: Dashboard) -> Iterator[httpx.Client]:
    with fleet.client() as client:
        yield client


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<tr id="trial-(\d+)"', page)]


def test_page_shows_the_best_fifty_and_leads_to_the_others(client: httpx.Client) -> None:
    first = client.get(PAGE).text
    assert (len(numbers(first)), numbers(first)[0]) == (50, BEST)
    assert 'rel="next" href="?from=51#trial-rows"' in first
    second = client.get(f"{PAGE}?from=51").text
    assert sorted([*numbers(first), *numbers(second)]) == list(range(1, 55))


def test_page_is_narrowed_by_its_address(client: httpx.Client) -> None:
    assert numbers(client.get(f"{PAGE}?state=Errored&sort=number").text) == [17, 34, 51]
    assert numbers(client.get(f"{PAGE}?marks=3-1000-1000").text) == [BEST]
    fragment = client.get(f"{PAGE}?state=Errored", headers={"HX-Request": "true"}).text
    assert numbers(fragment) == [17, 34, 51]


def test_attack_70_address_of_a_page_is_text(client: httpx.Client) -> None:
    script = "<script>alert(1)</script>"
    page = client.get(PAGE, params=dict.fromkeys(("sort", "state", "from", "trial", "marks"), script))
    assert page.status_code == 200
    assert script not in page.text
    main = page.text[page.text.index("<main") :]
    assert "alert" not in main[main.index(">") :]

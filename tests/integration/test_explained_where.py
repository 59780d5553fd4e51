"""What may be typed is told as it works where it is read: beside a stack, and where somebody else started the parts."""

import html
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.api_rig import VIEWER, get
from tests.support.api import program_as
from tests.support.cli import call
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.fleet import fill_fleet

PULL = "acme/iris-deploy#12"
PROMOTION = "p-000000007"
MERGE = "launchpin pr merge 12 --repo acme/iris-deploy"


@pytest.fixture(params=["stack", "service"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Dashboard]:
    """Give the fleet with a folder of state such as `launchpin up` makes, and with another."""
    home = tmp_path / "home"
    if request.param == "stack":
        home.mkdir()
        (home / "stack.json").write_text("{}", encoding="utf-8")
    with running_dashboard(home, fill_fleet) as dashboard:
        yield dashboard


def address_of(dashboard: Dashboard) -> str:
    promotion = dashboard.store.promotion(PROMOTION)
    assert promotion is not None
    assert promotion.facts.url
    return promotion.facts.url


def is_stack(dashboard: Dashboard) -> bool:
    return (dashboard.home / "stack.json").exists()


def page_of(client: httpx.Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return html.unescape(answer.text)


@pytest.mark.parametrize("subject", [PULL, "iris-production"])
def test_the_api_names_a_command_that_works_there_or_the_pull_requests_address(place: Dashboard, subject: str) -> None:
    with program_as(place, VIEWER) as client:
        commands = get(client, "explain", subject=subject)["commands"]
    assert 1 <= len(commands) <= 3
    assert (MERGE in commands) is is_stack(place)
    assert (address_of(place) in commands) is not is_stack(place)
    assert any(one.startswith("launchpin pr") for one in commands) is is_stack(place)


def test_a_page_names_the_same(place: Dashboard) -> None:
    with place.client() as client:
        page = page_of(client, f"/promotions/{PROMOTION}")
    assert (f">{MERGE}</code>" in page) is is_stack(place)
    link = f'href="{address_of(place)}">{address_of(place)}</a>'
    assert (link in page) is not is_stack(place)


def test_what_needs_somebody_names_no_command_of_a_stack_in_a_service(place: Dashboard) -> None:
    with program_as(place, VIEWER) as client:
        found = get(client, "explain")["attention"]
    commands = [one["hint"]["command"] for one in found if one["hint"]]
    assert commands
    assert all(one.startswith("launchpin explain ") for one in commands)


def test_the_command_line_in_a_service_says_what_its_api_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_dashboard(tmp_path / "home", fill_fleet) as dashboard, program_as(dashboard, VIEWER) as client:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("LAUNCHPIN_HOME", str(dashboard.home))
        told, typed = get(client, "explain", subject=PULL), call("explain", PULL, "--json").json
    # Nothing works in this service, which the command line says first.
    assert [one for one in typed["commands"] if one != "launchpin doctor"] == told["commands"]

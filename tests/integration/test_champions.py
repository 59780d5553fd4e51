"""Which version is a model's champion: gates, lists and pages say the same, whatever serves where."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from gitops.config.launchpin import parse_launchpin
from gitops.judging import judge_candidate
from gitops.records import Environment, Role
from gitops.roles import AccessRole
from gitops.store import SqlStore
from gitops.writes import SaveEnvironment, SaveRepository, SaveVersion, SetHold
from tests.support.cli import make_stack
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.store import Clock, make_environment, make_hold, make_repository, make_version, write

_FILE = parse_launchpin(
    b"""\
version: 1
model: iris
train: {project: .}
register:
  gates: [{metric: f1, versus: champion, min_gain: 0}]
""",
    file="launchpin.yaml",
)
_SINCE = datetime(2026, 1, 20, tzinfo=UTC)
_OLD, _NEW = 2, 4


def marked(version: str, *, repository: int = _OLD, days: int = 0) -> Environment:
    """Return an environment that is marked as the champion's, with a version that serves since a day."""
    return make_environment(
        repository_id=repository,
        repository=f"acme/iris-{repository}",
        path="production",
        name="production",
        endpoint=f"iris-{repository}",
        is_champion=True,
        serving=version,
        pinned=version,
        serving_since=_SINCE + timedelta(days=days),
    )


@dataclass(frozen=True)
class Scene:
    """What serves where, and which version is the champion then.

    Args:
        judged: the versions that have a verdict, with their F1.
        champion: empty for none.
        crowned: the repositories whose environment shows the crown.
        notes: what the other marked ones say instead.
    """

    places: Sequence[Environment]
    judged: dict[str, str]
    champion: str
    crowned: Sequence[int]
    notes: Sequence[str] = ()

    def fill(self, store: SqlStore, _: Clock | None = None) -> None:
        """Write it."""
        for place in self.places:
            deploy = make_repository(id=place.repository_id, full_name=place.repository, role=Role.DEPLOY)
            write(store, SaveRepository(deploy), SaveEnvironment(place, ()))
        write(store, *(SaveVersion(make_version(version=one, metrics={"f1": f1})) for one, f1 in self.judged.items()))


SCENES = {
    "judged": Scene((marked("2"),), {"1": "0.7", "2": "0.8"}, "2", (_OLD,)),
    "pinned-by-hand": Scene(
        (marked("3"),),
        {"1": "0.7", "2": "0.8"},
        "",
        (),
        ("v3 has no verdict of Launchpin's, so there is no champion: gates say NoChampion.",),
    ),
    "two-marked": Scene(
        (marked("1"), marked("2", repository=_NEW, days=3)),
        {"1": "0.7", "2": "0.8"},
        "2",
        (_NEW,),
        ("The champion is v2: iris-4 is marked, too, and its version came later.",),
    ),
    "two-marked-older-counts": Scene(
        (marked("1", days=3), marked("2", repository=_NEW)),
        {"1": "0.7", "2": "0.8"},
        "1",
        (_OLD,),
        ("The champion is v1: iris-2 is marked, too, and its version came later.",),
    ),
    "two-marked-newer-by-hand": Scene(
        (marked("1"), marked("3", repository=_NEW, days=3)),
        {"1": "0.7", "2": "0.8"},
        "",
        (),
        (
            "There is no champion: iris-4 is marked, too, and v3 came there later, without a verdict.",
            "v3 has no verdict of Launchpin's, so there is no champion: gates say NoChampion.",
        ),
    ),
    "nothing-serves": Scene((marked(""),), {"1": "0.7"}, "", ()),
}
_EACH = pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)


@pytest.fixture
def dashboard(tmp_path: Path, scene: Scene) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path / "home", scene.fill) as running:
        yield running


@_EACH
def test_gates_and_the_command_line_name_the_same_champion(tmp_path: Path, scene: Scene) -> None:
    with make_stack(tmp_path) as stack:
        scene.fill(stack.store)
        judged = judge_candidate(_FILE, {"f1": "0.9"}, stack.store.champion("iris"))
        told, table = stack.launchpin("status", "--json").json, stack.launchpin("status").out
    assert (judged.champion.version if judged.champion else "") == scene.champion
    beaten = f"champion v{scene.champion}'s {scene.judged.get(scene.champion)}"
    assert (beaten if scene.champion else "f1 0.9 has no champion to beat") in judged.sentence
    assert [one["champion"] for one in told["models"]] == [scene.champion]
    assert re.search(rf"^iris +\d +{scene.champion or '-'}$", table, re.MULTILINE), table


@_EACH
def test_the_api_and_the_pages_name_the_same_champion(dashboard: Dashboard, scene: Scene) -> None:
    with dashboard.client() as client:
        told = client.get("/api/v1/status").json()
        models, model, fleet = (client.get(path).text for path in ("/models", "/models/iris", "/"))
    assert [one["champion"] for one in told["models"]] == [scene.champion]
    shown = f"<b>v{scene.champion}</b>" if scene.champion else '<span class="quiet">none</span>'
    assert f'<td class="num">{shown}</td>' in models
    for page, heading in ((model, "champion v{}</span></h1>"), (fleet, "champion <b>v{}</b>")):
        assert re.findall(heading.format(r"(\d+)"), page) == [scene.champion] * bool(scene.champion)
        assert crowned(page) == list(scene.crowned)
        assert notes(page) == list(scene.notes)


@pytest.mark.parametrize("scene", [SCENES["two-marked"]], ids=["two-marked"])
def test_whoever_may_not_see_the_champions_place_is_told_neither_its_version_nor_its_name(dashboard: Dashboard) -> None:
    dashboard.add_person("ada", {_OLD: AccessRole.VIEWER})
    with dashboard.client(login="ada") as client:
        told, page = client.get("/api/v1/status").json(), client.get("/models/iris").text
    assert [one["champion"] for one in told["models"]] == [""]
    (note,) = notes(page)
    assert note.startswith("Another place, which you may not see, is marked, too")
    assert crowned(page) == []
    assert "iris-4" not in page


@pytest.mark.parametrize("scene", [SCENES["two-marked"]], ids=["two-marked"])
def test_what_waits_at_one_place_is_not_told_of_another_one_at_the_same_path(dashboard: Dashboard) -> None:
    frozen = make_hold(repository_id=_OLD, path="production", environment="production", message="frozen for an audit")
    write(dashboard.store, SetHold(frozen))
    with dashboard.client() as client:
        told = {
            name: "".join(re.findall(r'<dl class="told small">.*?</dl>', card))
            for name, card in cards(client.get("/models/iris").text).items()
        }
    assert "frozen for an audit" in told["iris-2"]
    assert "frozen for an audit" not in told["iris-4"]


def cards(page: str) -> dict[str, str]:
    """Return the cards of environments, by endpoint."""
    found = [card.partition("</li>")[0] for card in re.split(r'<li class="place', page)[1:]]
    return {re.findall(r'<dt>Endpoint</dt><dd class="mono">([^<]+)<', card)[0]: card for card in found}


def crowned(page: str) -> list[int]:
    """Return the repositories whose environment shows the crown."""
    return [int(name.rpartition("-")[2]) for name, card in cards(page).items() if "</svg>Champion</span>" in card]


def notes(page: str) -> list[str]:
    """Return what cards say that have a place's name for a crown."""
    held = [card for card in cards(page).values() if ">Champion&#39;s place</span>" in card]
    return [re.sub(r"<[^>]+>", "", unescape(re.findall(r'<p class="note">(.*?)</p>', card)[-1])) for card in held]

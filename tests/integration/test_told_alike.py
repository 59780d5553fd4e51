"""What needs somebody is the same on the command line, in the API and on the pages: of a service, and of a stack."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import create_engine, insert

from gitops.access import EVERYWHERE
from gitops.embedded.stack.environment import settings_for
from gitops.embedded.stack.record import PartState, State
from gitops.holding import say_held
from gitops.records import Record
from gitops.roles import AccessRole
from gitops.settings import Settings
from gitops.steps import Phase, Queue, Wait
from gitops.store import SqlStore
from gitops.store.rows import KINDS, to_row
from gitops.writes import OpenRollout
from tests.integration.installed_rig import RELAY, Service, scenes, service
from tests.support.api import give_token, program
from tests.support.cli import call, make_stack
from tests.support.dashboard import ORIGIN, Dashboard
from tests.support.scenes import Scenes
from tests.support.store import Clock, make_rollout, make_training, write
from tests.support.web import serving
from webhooks.asgi import create_app

__all__ = ["scenes", "service"]

VIEWER = AccessRole.VIEWER
GONE = "relay: nobody leads: nothing goes on by itself"
LATE = tuple(f"workers for {queue}: 1 job is ready, the oldest for" for queue in ("control", "training"))


@pytest.fixture
def web(service: Service) -> Iterator[Dashboard]:
    """Serve the service's pages and API."""
    secret = service.secret("hook.secret", "a secret for tests")
    known = {"home": service.home, "database_url": service.url, "hook_secret_files": (secret,), "hook_path": "f00d"}
    with serving(create_app(Settings.model_validate({**known, "base_url": ORIGIN}))) as port:
        yield Dashboard(service.home, port, service.store)


@dataclass(frozen=True)
class Told:
    """What each of the three says, of the front page and of a model's page the text."""

    typed: dict[str, Any]
    answered: dict[str, Any]
    page: str


def ask_all(web: Dashboard, subject: str = "", *, page: str = "/") -> Told:
    """Ask each of the three about the same thing."""
    words = [subject] if subject else []
    with program(web, give_token(web.store, "ada", {EVERYWHERE: VIEWER})) as client:
        answer = client.get("/api/v1/explain", params={"subject": subject} if subject else {})
    assert answer.status_code == 200, answer.text
    with web.client() as browser:
        shown = browser.get(page)
    assert shown.status_code == 200
    return Told(call("explain", *words, "--json").json, answer.json(), shown.text)


def texts(document: dict[str, Any], part: str) -> list[str]:
    """Return what a part of an answer says."""
    return [one["text"] for one in document[part]]


def begins(found: list[str], *wanted: str) -> bool:
    """Return whether there are these texts, each as far as it is given: an age goes on."""
    return len(found) == len(wanted) and all(one.startswith(text) for one, text in zip(found, wanted, strict=True))


@contextmanager
def playing(url: str, *, ago: timedelta) -> Iterator[Scenes]:
    """Give a store to play scenes on, some time ago."""
    clock = Clock()
    clock.time = datetime.now(UTC) - ago
    store = SqlStore(url, clock=clock)
    try:
        yield Scenes(store, clock)
    finally:
        store.close()


def lose_the_workers(url: str) -> None:
    """Leave in either queue what should be done since ten minutes; one worker died with its job in hand."""
    with playing(url, ago=timedelta(minutes=10)) as scenes:
        scenes.store.wake("poll", "1")
        assert scenes.store.claim(Queue.CONTROL, owner="control-7:17", lease=timedelta(minutes=1)) is not None
        scenes.store.wake("compare", "2", queue=Queue.TRAINING)


# ---------------------------------------------------------------- parts


def test_dead_parts_are_told_by_all_three(service: Service, web: Dashboard) -> None:
    with playing(service.url, ago=timedelta(0)) as scenes:
        scenes.fine()
    service.let_a_relay_lead()
    well = ask_all(web)
    service.let_the_relay_go()
    lose_the_workers(service.url)
    dead = ask_all(web)

    for told in (well.typed, well.answered):
        assert (told["up"], told["attention"]) == (True, [])
        assert told["headline"] == "Nothing is wrong: 1 endpoint serves what Git pins."
    assert "What Git pins is what runs." in well.page
    for told in (dead.typed, dead.answered):
        assert (told["up"], told["headline"]) == (False, "3 things need somebody.")
        assert begins(texts(told, "attention"), GONE, *LATE), told
        assert {one["hint"]["command"] for one in told["attention"]} == {"launchpin doctor"}
    assert "Nothing goes on: no relay leads, and no worker has a job." in dead.page
    assert "3 things need somebody." in dead.page
    assert {text: text in dead.page for text in (GONE, *LATE)} == dict.fromkeys((GONE, *LATE), True)


def test_dead_parts_are_told_with_each_thing_that_waits_for_them(service: Service, web: Dashboard) -> None:
    with playing(service.url, ago=timedelta(0)) as scenes:
        scenes.fine()
    service.let_a_relay_lead()
    well = ask_all(web, "iris-production", page="/models/iris")
    service.let_the_relay_go()
    lose_the_workers(service.url)
    dead = ask_all(web, "iris-production", page="/models/iris")

    assert [told["waits"] for told in (well.typed, well.answered)] == [[], []]
    for told in (dead.typed, dead.answered):
        assert begins(texts(told, "waits"), GONE, *LATE), told
        assert (told["up"], told["commands"][0]) == (False, "launchpin doctor")
    assert GONE not in well.page
    assert {text: text in dead.page for text in (GONE, *LATE)} == dict.fromkeys((GONE, *LATE), True)


def test_one_late_part_is_told_while_the_others_work(service: Service, web: Dashboard) -> None:
    service.let_a_relay_lead()
    with playing(service.url, ago=timedelta(minutes=10)) as scenes:
        scenes.fine()
        scenes.store.wake("compare", "2", queue=Queue.TRAINING)
    told = ask_all(web)
    for document in (told.typed, told.answered):
        assert document["up"] is True
        assert begins(texts(document, "attention"), LATE[1])
    assert "1 part of Launchpin is not well: what follows may be old." in told.page


def test_whoever_sees_one_repository_is_told_of_dead_parts_too(service: Service, web: Dashboard) -> None:
    service.let_a_relay_lead()
    service.let_the_relay_go()
    with program(web, give_token(web.store, "ada", {2: VIEWER})) as client:
        assert texts(client.get("/api/v1/explain").json(), "attention") == [GONE]
    with web.client(login=web.add_person("grace", {2: VIEWER})) as browser:
        assert GONE in browser.get("/").text


def test_a_relay_that_hangs_is_told_of_a_stack_though_its_process_runs(tmp_path: Path) -> None:
    others = [PartState(name, State.READY) for name in ("control", "training", "web")]
    with make_stack(tmp_path) as stack, serving(create_app(settings_for(stack.layout))) as port:
        settings = settings_for(stack.layout)
        token = give_token(stack.store, "ada", {EVERYWHERE: VIEWER})
        headers = {"Host": urlsplit(settings.base_url).netloc, "Authorization": f"Bearer {token}"}
        web = httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60)
        stack.set_up(PartState("relay", State.READY), *others)
        for seconds, wanted in ((3600, []), (0, [GONE])):
            stack.store.lead("relay", f"{RELAY} 4f1c", seconds=seconds)
            typed, answered = stack.launchpin("explain", "--json").json, web.get("/api/v1/explain").json()
            assert texts(typed, "attention") == texts(answered, "attention") == wanted
            assert (typed["up"], answered["up"]) == (not wanted, not wanted)
        # What is seen of a process says more than what it has left behind.
        stack.set_up(PartState("relay", State.RESTARTING, restarts=3), *others)
        assert texts(stack.launchpin("explain", "--json").json, "attention") == ["part relay is restarting"]
        web.close()


# ---------------------------------------------------------------- what waits long


def add_ended(service: Service, records: Iterable[Record]) -> None:
    """Write records that began and ended within the last minutes, past the store."""
    found, now = list(records), datetime.now(UTC)
    ended = {"phase": Phase.SUCCEEDED.value, "updated_at": now}
    rows = [to_row(one, **ended, created_at=now - timedelta(seconds=120 - at / 10)) for at, one in enumerate(found)]
    engine = create_engine(service.url)
    with engine.begin() as connection:
        connection.execute(insert(KINDS[type(found[0]).__name__.lower()].table), rows)
    engine.dispose()


def test_a_rollout_that_waits_since_yesterday_is_told_however_many_came_since(service: Service, web: Dashboard) -> None:
    service.let_a_relay_lead()
    with playing(service.url, ago=timedelta(days=1)) as scenes:
        place, pause = scenes.fine(), scenes.paused()
        same = {name: getattr(place, name) for name in ("repository_id", "repository", "path", "endpoint", "model")}
        rollout = make_rollout(**same, environment=place.name, version="8")
        write(scenes.store, OpenRollout(rollout))
        scenes.step(rollout, Wait(timedelta(days=2), "Held", f"held, {say_held(pause, 'iris')}"), "admit")
    add_ended(service, (make_rollout(path="other", endpoint="other", model="other") for _ in range(600)))

    everything = ask_all(web)
    for told in (everything.typed, everything.answered):
        assert texts(told, "attention")[0].endswith("a fair; it keeps iris-production waiting"), told
    assert f'href="/rollouts/{rollout.id}"' in everything.page
    one = ask_all(web, "iris-production", page="/models/iris")
    for told in (one.typed, one.answered):
        assert rollout.id in json.dumps(told["waits"]), told
    assert rollout.id in one.page


def test_a_model_whose_training_failed_is_told_though_others_were_trained_since(
    service: Service, web: Dashboard
) -> None:
    service.let_a_relay_lead()
    with playing(service.url, ago=timedelta(days=1)) as scenes:
        failed = scenes.fails_to_train("plums")
    add_ended(service, (make_training(model=f"m{number}", repository_id=90) for number in range(150)))
    told = ask_all(web)
    for document in (told.typed, told.answered):
        assert [one["name"] for one in document["attention"]] == [failed.id]
    assert "the newest training of plums came to nothing" in told.page


def test_a_training_that_stalls_is_told_however_many_came_since_also_to_whoever_sees_its_repository_alone(
    service: Service, web: Dashboard
) -> None:
    service.let_a_relay_lead()
    # Ten minutes after the last look a worker would have looked again, and would be late.
    with playing(service.url, ago=timedelta(minutes=9)) as scenes:
        stalled = scenes.stalls()
    here = stalled.repository_id
    add_ended(service, (make_training(model="other", repository_id=here) for _ in range(600)))
    with program(web, give_token(web.store, "ada", {here: VIEWER})) as client:
        answered = client.get("/api/v1/explain").json()
        by_its_commit = client.get("/api/v1/explain", params={"subject": stalled.commit[:7]})
    assert [one["name"] for one in answered["attention"]] == [stalled.id]
    assert by_its_commit.json()["name"] == stalled.id
    with web.client(login=web.add_person("grace", {here: VIEWER})) as browser:
        assert f'href="/trainings/{stalled.id}"' in browser.get("/").text
    assert [one["name"] for one in call("explain", "--json").json["attention"]] == [stalled.id]

"""A stack and what its command line and its API tell, side by side."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.embedded.stack.environment import settings_for
from gitops.grammar import VERBS, Kind, Verb
from gitops.roles import AccessRole
from gitops.store import SqlStore
from gitops.writes import SaveVersion
from tests.support.api import give_token
from tests.support.cli import Stack, make_stack
from tests.support.fleet import REFUSED, fill_fleet
from tests.support.store import Clock, make_version, write
from tests.support.web import serving
from webhooks.asgi import create_app

VIEWER = AccessRole.VIEWER
# Of this machine alone, and moments at which somebody looked.
_ITS_OWN = {"ok", "days", "up", "parts", "urls", "time", "start", "end"}


@dataclass(frozen=True)
class Told:
    """A stack, and its web process."""

    stack: Stack
    port: int

    def typed(self, *words: str) -> dict[str, Any]:
        """Return what the command line says with `--json`."""
        document = self.stack.launchpin(*words, "--json").json
        return {name: value for name, value in document.items() if name not in _ITS_OWN}

    def client(self, roles: Mapping[int, AccessRole]) -> httpx.Client:
        """Return a program of somebody who has these roles."""
        name = "-".join(f"{role}{place}" for place, role in roles.items()) or "nobody"
        token = give_token(self.stack.store, name, roles)
        headers = {"Host": host_of(self.stack), "Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, trust_env=False, timeout=60)


def host_of(stack: Stack) -> str:
    """Return the name by which a stack's web process is asked, wherever it listens."""
    return urlsplit(settings_for(stack.layout).base_url).netloc


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with make_stack(tmp_path_factory.mktemp("told")) as stack:
        fill(stack)
        with serving(create_app(settings_for(stack.layout))) as port:
            yield Told(stack, port)


def fill(stack: Stack) -> None:
    """Play the afternoon of the fleet, hours ago, and write a log."""
    clock = Clock()
    clock.time = datetime.now(UTC) - timedelta(hours=9)
    store = SqlStore(settings_for(stack.layout).database, clock=clock)
    write(store, SaveVersion(make_version(version="8", training_id=REFUSED, metrics={"accuracy": "0.97"})))
    fill_fleet(store, clock)
    store.close()
    stack.store.lead("relay", "relay:/var/lib/launchpin 4f1c", seconds=3600)
    folder = stack.layout.dir / "trainings" / "logs"
    folder.mkdir(parents=True)
    (folder / f"{REFUSED}-1.log").write_bytes(b"fitting 120 rows\nbad \x1b[2J\naccuracy=0.893\n")


@pytest.fixture(scope="module")
def viewer(told: Told) -> Iterator[httpx.Client]:
    with told.client({EVERYWHERE: VIEWER}) as client:
        yield client


def asked(client: httpx.Client, verb: str, **given: str) -> dict[str, Any]:
    """Return what the API says."""
    answer = client.get(VERBS[verb].route, params=given)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return {name: value for name, value in document.items() if name not in _ITS_OWN}


def words_of(verb: Verb, given: Mapping[str, str]) -> list[str]:
    """Return the words that are typed for the arguments of a request."""
    words = verb.name.split()
    for one in verb.arguments:
        if one.name in given:
            option = [f"--{one.name.replace('_', '-')}"] if one.is_option else []
            words += option + ([] if one.kind is Kind.FLAG else [given[one.name]])
    return words

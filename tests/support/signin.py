"""A dashboard where people sign in at a provider, both on real servers, and browsers that go there and back."""

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.audit.entry import Actor
from gitops.roles import AccessRole
from tests.support.dashboard import ORIGIN, Dashboard, running_dashboard
from tests.support.identity import CLIENT_ID, CLIENT_SECRET, Provider, running_provider

ROOT = Actor(type="user", login="root")
CALLBACK = "/_signin/oidc/callback"
_TABLES = ("sessions", "tokens", "grants", "people")


@dataclass
class Browser:
    """A browser that comes for the first time; it follows no redirect by itself."""

    client: httpx.Client

    def begin(self, *, path: str = "/", way: str = "oidc") -> str:
        """Ask to sign in; returns where the browser is sent."""
        answer = self.client.get(f"/_signin/{way}", params={"next": path})
        assert answer.status_code == 303, answer.text
        return answer.headers["location"]

    def visit(self, address: str) -> str:
        """Go to the provider; returns the path that it sends the browser back to."""
        back = httpx.get(address, trust_env=False).headers["location"]
        assert back.startswith(f"{ORIGIN}/_signin/")
        return back.removeprefix(ORIGIN)

    def sign_in(self, *, path: str = "/", way: str = "oidc") -> httpx.Response:
        """Go all the way."""
        return self.client.get(self.visit(self.begin(path=path, way=way)))


@dataclass
class World:
    """Both servers, and what is known between them."""

    dashboard: Dashboard
    provider: Provider

    @contextlib.contextmanager
    def browser(self) -> Iterator[Browser]:
        with self.dashboard.client(signed_in=False) as client:
            yield Browser(client)

    def grant(self, *, subject: str = "s-17", login: str = "ada") -> str:
        store = self.dashboard.store
        person = store.ensure_person(self.provider.url, login, subject=subject)
        store.grant(person.id, AccessRole.ADMIN, repository_id=EVERYWHERE, actor=ROOT)
        return person.id

    def sessions(self) -> int:
        with contextlib.closing(sqlite3.connect(self.dashboard.home / "launchpin.sqlite3")) as database:
            return int(database.execute("SELECT count(*) FROM sessions").fetchone()[0])

    def forget(self) -> None:
        """Begin anew: nobody is known, and the provider behaves."""
        with contextlib.closing(sqlite3.connect(self.dashboard.home / "launchpin.sqlite3")) as database, database:
            for table in _TABLES:
                database.execute(f"DELETE FROM {table}")  # noqa: S608 - names of ours
        self.provider.reset()


def settings_of(provider: Provider, folder: Path) -> dict[str, Any]:
    """Return the settings of a dashboard where people sign in there, by either way."""
    secret = folder / "client.secret"
    secret.write_text(CLIENT_SECRET)
    secret.chmod(0o600)
    return {
        "oidc_issuer": provider.url,
        "oidc_client_id": CLIENT_ID,
        "oidc_client_secret_file": secret,
        "github_oauth_client_id": CLIENT_ID,
        "github_oauth_client_secret_file": secret,
        "github_oauth_url": provider.url,
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Serve both for all tests of a file."""
    folder = tmp_path_factory.mktemp("signin")
    with running_provider() as provider:
        settings = settings_of(provider, folder)
        with running_dashboard(folder / "home", settings=settings) as dashboard:
            yield World(dashboard, provider)


@pytest.fixture
def world(served: World) -> World:
    """Give both as they are at first, but for what the dashboard knows of the provider."""
    served.forget()
    return served


@contextlib.contextmanager
def own_world(folder: Path, *, base_url: str = ORIGIN, **settings: object) -> Iterator[World]:
    """Serve both for one test that changes what the provider says of itself, or the settings."""
    with running_provider() as provider:
        known = {**settings_of(provider, folder), **settings}
        with running_dashboard(folder / "home", base_url=base_url, settings=known) as dashboard:
            yield World(dashboard, provider)


def said(answer: httpx.Response) -> str:
    """Return the words of a page."""
    return unescape(re.sub(r"<[^>]+>", " ", answer.text.partition("<main")[2]))


def assert_refused(world: World, answer: httpx.Response, status: int, words: str) -> None:
    """Make sure that an answer is a refusal that says why, and that nobody has got a session."""
    assert (answer.status_code, "launchpin_session" in answer.headers.get("set-cookie", "")) == (status, False)
    assert words in said(answer)
    assert world.sessions() == 0

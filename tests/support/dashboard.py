"""The whole web process's application on a real server, for tests of its pages."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from gitops.access import LOCAL
from gitops.audit.entry import Actor
from gitops.logins import mint_link
from gitops.roles import AccessRole
from gitops.settings import Settings
from gitops.store import SqlStore
from tests.support.fleet import open_fleet
from tests.support.store import Clock
from tests.support.web import serving
from webhooks.asgi import create_app
from webhooks.dashboard.headers import App

HOST = "launchpin.test"
ORIGIN = f"http://{HOST}"


@dataclass(frozen=True)
class Dashboard:
    """A served dashboard.

    Args:
        home: its folder of state.
        port: where it listens; it answers to the name of `HOST` alone.
    """

    home: Path
    port: int
    store: SqlStore

    def login_path(self, next_path: str = "/", *, login: str = "") -> str:
        """Return a one-time link's path: an admin's, or that of somebody who has a grant already."""
        return mint_link(self.home / "logins", next_path=next_path, login=login, role="" if login else "admin")

    def add_person(self, login: str, roles: Mapping[int, AccessRole]) -> str:
        """Make somebody with these roles, by repository; returns their login."""
        person = self.store.ensure_person(LOCAL, login)
        for place, role in roles.items():
            self.store.grant(person.id, role, repository_id=place, actor=Actor(type="user", login="root"))
        return login

    @contextlib.contextmanager
    def client(self, *, signed_in: bool = True, login: str = "") -> Iterator[httpx.Client]:
        """Give a browser of sorts: it keeps cookies and follows no redirect."""
        base = f"http://127.0.0.1:{self.port}"
        with httpx.Client(base_url=base, headers={"Host": HOST}, trust_env=False, timeout=60) as client:
            if signed_in:
                assert client.get(self.login_path(login=login)).status_code == 303
            yield client


@contextlib.contextmanager
def running_dashboard(
    home: Path,
    fill: Callable[[SqlStore, Clock], None] | None = None,
    *,
    base_url: str = ORIGIN,
    settings: Mapping[str, Any] | None = None,
    is_stopping: Callable[[], bool] = lambda: False,
    around: Callable[[App], App] = lambda app: app,
) -> Iterator[Dashboard]:
    """Serve a dashboard over a store that `fill` has written to, while a relay leads.

    Args:
        settings: more of them, by name.
        is_stopping: whether the process was asked to end.
        around: puts something around the application.
    """
    home.mkdir(exist_ok=True)
    store, clock = open_fleet(home)
    if fill is not None:
        fill(store, clock)
    store.lead("relay", "relay:/var/lib/launchpin 4f1c", seconds=timedelta(days=3650).total_seconds())
    secret = home / "hook.secret"
    secret.write_text("a secret for tests")
    secret.chmod(0o600)
    known = {"home": home, "base_url": base_url, "hook_secret_files": (secret,), "hook_path": "f00d"}
    read = Settings.model_validate({**known, **(settings or {})})
    with serving(around(create_app(read, is_stopping=is_stopping))) as port:
        yield Dashboard(home, port, store)
    store.close()

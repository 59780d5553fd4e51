"""A service whose parts somebody else started, as the command line in one of them sees it: variables, and no stack.

Import the fixture `service`; the database is each kind in turn.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gitops.private_files import write_private
from gitops.settings import Settings
from gitops.store import SqlStore
from tests.support.scenes import Scenes
from tests.support.store import Clock

RELAY = "relay:/var/lib/launchpin"


@dataclass(frozen=True)
class Service:
    """The part that the command line is called in.

    Args:
        home: its own folder of state.
        store: the service's real database.
    """

    home: Path
    url: str
    store: SqlStore
    monkeypatch: pytest.MonkeyPatch

    def tell(self, **settings: object) -> None:
        """Set variables, as whoever starts the part does."""
        for name, value in settings.items():
            self.monkeypatch.setenv(f"LAUNCHPIN_{name.upper()}", str(value))

    def forget(self, *settings: str) -> None:
        """Take variables away."""
        for name in settings:
            self.monkeypatch.delenv(f"LAUNCHPIN_{name.upper()}", raising=False)

    def secret(self, name: str, text: str) -> Path:
        """Write a secret's file, which only its owner may read."""
        file = self.home / "run-secrets" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_private(file, f"{text}\n")
        return file

    def let_a_relay_lead(self) -> None:
        """Have a relay say that it leads, for longer than any test takes."""
        self.store.lead("relay", f"{RELAY} 4f1c", seconds=3600)

    def let_the_relay_go(self) -> None:
        """Have the relay's lead run out."""
        self.store.lead("relay", f"{RELAY} 4f1c", seconds=0)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database_url: str) -> Iterator[Service]:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"LAUNCHPIN_{name.upper()}", raising=False)
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    store = SqlStore(database_url)
    service = Service(home, database_url, store, monkeypatch)
    service.tell(home=home, database_url=database_url)
    yield service
    store.close()


@pytest.fixture
def scenes(service: Service) -> Iterator[Scenes]:
    """Give the service's database to play scenes on, two hours ago."""
    clock = Clock()
    clock.time = datetime.now(UTC) - timedelta(hours=2)
    store = SqlStore(service.url, clock=clock)
    yield Scenes(store, clock)
    store.close()

"""What the tests of the API share: a served fleet, one for all or one of a test's own, and whoever reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitops.roles import AccessRole
from tests.support.api import program_as
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.fleet import fill_fleet

VIEWER, RUNNER, APPROVER, ADMIN = AccessRole
HOLD = {"endpoint": "iris-staging", "reason": "the data is being looked at"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("api") / "home", fill_fleet) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path / "home", fill_fleet) as running:
        yield running


@pytest.fixture
def viewer(fleet: Dashboard) -> Iterator[httpx.Client]:
    with program_as(fleet, VIEWER) as client:
        yield client


def get(client: httpx.Client, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
    answer = client.get(f"/api/v1/{path}", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


def read_parts(client: httpx.Client, path: str, *, limit: int) -> list[Any]:
    """Return the parts of a list, each by the cursor of the one before; no list here has more than a hundred."""
    parts, cursor = [], ""
    for _ in range(100):
        page = get(client, path, limit=limit, cursor=cursor)
        parts.append(page["items"])
        cursor = page["next"]
        if not cursor:
            return parts
    raise AssertionError(path)


def read_events(client: httpx.Client, count: int, *, after: int | None = None) -> list[tuple[int, dict[str, Any]]]:
    """Read so many events of a stream, each with its id."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    found: list[tuple[int, dict[str, Any]]] = []
    number = -1
    with client.stream("GET", "/api/v1/events", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                number = int(value)
            if name == "data":
                found.append((number, json.loads(value)))
                if len(found) == count:
                    return found
    return found

"""Deps for stories in tests: real parts where they are named, and nothing that may be touched elsewhere."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn, cast

from gitops.bootstrap import stories
from gitops.ports import Deps, Service
from gitops.reconcile import Loop, run_until_idle
from gitops.steps import Queue
from gitops.store import SqlStore


class Untouchable:
    """A part that a test says is never asked; touching it fails the test."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> NoReturn:
        raise AssertionError(f"{self._name}.{attribute} was touched")


def make_service(folder: Path, **changes: Any) -> Service:  # noqa: ANN401 - any field of the service
    service = Service(
        base_url="http://127.0.0.1:1",
        tracking_uri="http://127.0.0.1:2",
        tracking_uris=("http://127.0.0.1:2",),
        hook_url="http://127.0.0.1:1/webhook/f00d",
        hook_secret="secret",
        secrets={},
        workspace=folder / "workspace",
        models=folder / "models",
        bot="launchpin[bot]",
        memory=0,
        tasks=0,
        poll=timedelta(seconds=180),
        compare=timedelta(seconds=60),
        anchor=timedelta(seconds=60),
    )
    return replace(service, **changes)


def make_deps(store: SqlStore, folder: Path, **parts: Any) -> Deps:  # noqa: ANN401 - any part
    names = ("forge", "mirror", "environments", "trainer", "registry", "effects", "lease")
    untouchable: dict[str, Any] = {name: Untouchable(name) for name in names}
    everything = {
        **untouchable,
        "store": store,
        "audit": store,
        "targets": cast("Any", Untouchable("targets")),
        "service": make_service(folder),
        **parts,
    }
    return Deps(**everything)


def run_all(deps: Deps) -> int:
    """Run every ready job of both queues, as workers would, until none is ready."""
    loop = Loop(deps=deps, stories=stories(), owner="test")
    count = 0
    while done := run_until_idle(loop, Queue.CONTROL) + run_until_idle(loop, Queue.TRAINING):
        count += done
    return count

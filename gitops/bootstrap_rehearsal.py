"""The composition root of a rehearsal: what `launchpin train --local` needs, and nothing that could write elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, cast

from gitops.environments import UvEnvironments
from gitops.forge.working_tree import Snapshot
from gitops.ports import AuditLog, Deps, Forge, Lease, Mirror, Service, Store
from gitops.registry.mlflow import MlflowRegistry
from gitops.rehearsal import KnownRows, OnlyOnce
from gitops.settings import Settings
from gitops.trainers.local import LocalTrainer


def for_rehearsal(
    settings: Settings,
    *,
    environments: Path,
    snapshot: Path,
    rows: KnownRows,
    secrets: Mapping[str, str],
    lease: Lease,
) -> Deps:
    """Return what `gitops.rehearsal` asks for, and nothing that could write elsewhere: no store, forge, target or log.

    Args:
        settings: `home` and `tracking_uri` are the rehearsal's own.
        environments: the folder of built environments, which may be shared.
        snapshot: the files to train.
        rows: what is read in the place of a store.
        secrets: what the script gets by name.
        lease: asked several times a second while the script runs.
    """
    home, absent = settings.home.absolute(), _Absent()
    service = Service(
        base_url="",
        tracking_uri=settings.tracking_uri,
        tracking_uris=(),
        hook_url="",
        hook_secret="",
        secrets=secrets,
        workspace=home / "workspace",
        models=home / "models",
        bot="",
        memory=settings.training_memory_limit(),
        tasks=settings.training_tasks,
        poll=settings.poll,
        compare=settings.compare,
        anchor=settings.anchor,
        least_free=settings.least_free,
    )
    return Deps(
        store=cast("Store", rows),
        audit=cast("AuditLog", absent),
        forge=cast("Forge", absent),
        mirror=cast("Mirror", Snapshot(snapshot)),
        environments=UvEnvironments(environments),
        trainer=LocalTrainer(home, poll=0.2),
        registry=MlflowRegistry(settings.tracking_uri),
        targets={},
        service=service,
        effects=OnlyOnce(),
        lease=lease,
    )


class _Absent:
    """Stands where there is no such part: whatever asks it is a mistake of ours."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(f"{name} was asked for in a rehearsal")

"""The frozen bundle of ports that every step gets."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from gitops.ports.audit import AuditLog
from gitops.ports.forge import Forge, Mirror
from gitops.ports.notifier import Notifier, Silence
from gitops.ports.registry import Registry
from gitops.ports.store import Effects, Lease, Store
from gitops.ports.storeroom import Storeroom
from gitops.ports.target import Target
from gitops.ports.training import Environments, Trainer
from gitops.retention import Retention


@dataclass(frozen=True)
class Service:
    """What steps need to know about this installation.

    Args:
        base_url: of the dashboard, for links.
        tracking_uri: of the tracking server, as written into pins.
        tracking_uris: all that pins may name.
        hook_url: where the forge delivers.
        hook_secret: its signing secret; only the hook's installation reads it.
        secrets: service-wide secrets that may be granted to repositories, by name.
        workspace: scratch folder for checkouts and downloads.
        models: folder of fetched model versions, by manifest digest.
        bot: our own login at the forge.
        poll: how often refs of model repositories are looked at without a delivery.
        compare: how often pins and endpoints are compared.
        anchor: how often at most a new audit head goes to the deploy repositories.
        memory: limit of a training's tree of processes in bytes, 0 for none.
        tasks: limit of its processes and threads, 0 for none.
        gc: how often what nobody needs is removed.
        retention: how long that is kept.
        least_free: bytes that must be free before a training or a download begins.
    """

    base_url: str
    tracking_uri: str
    tracking_uris: tuple[str, ...]
    hook_url: str
    hook_secret: str = field(repr=False)
    secrets: Mapping[str, str] = field(repr=False)
    workspace: Path
    models: Path
    bot: str
    memory: int
    tasks: int
    poll: timedelta
    compare: timedelta
    anchor: timedelta
    gc: timedelta = timedelta(hours=24)
    retention: Retention = field(default_factory=Retention)
    least_free: int = 0


@dataclass(frozen=True)
class Deps:
    """The frozen bundle that every step gets.

    Args:
        storerooms: the places of this machine where things gather.
        notifier: the way to people and programs that are told of something.
    """

    store: Store
    audit: AuditLog
    forge: Forge
    mirror: Mirror
    environments: Environments
    trainer: Trainer
    registry: Registry
    targets: Mapping[str, Target]
    service: Service
    effects: Effects
    lease: Lease
    storerooms: tuple[Storeroom, ...] = ()
    notifier: Notifier = field(default_factory=Silence)

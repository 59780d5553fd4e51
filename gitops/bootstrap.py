"""The composition root: settings in, ready parts out. One function for each kind of process, importing only its needs.

`mlflow` and PyGithub are imported by workers alone; a test starts each kind of process and looks.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from gitops.errors import InputError
from gitops.ports import Deps, Service
from gitops.settings import Settings, read_secret

if TYPE_CHECKING:
    from gitops.reconcile import AnyStory
    from gitops.store import SqlStore


def prepare(settings: Settings) -> None:
    """Bring the database to this code's schema, and make the audit log's key where there is none.

    Raises:
        InputError: `audit_key` when the key belongs to another log.
    """
    from gitops.audit.checkpoint import generate_key, parse_signing_key  # noqa: PLC0415 - only before a start
    from gitops.store.migrate import migrate  # noqa: PLC0415 - Alembic, only before a start

    settings.home.mkdir(parents=True, exist_ok=True)
    migrate(settings.database, host=settings.instance)
    store = _open(settings)
    log_id = store.log_id
    store.close()
    file = settings.audit_key_file
    if file is None:
        return
    if not file.exists():
        _write_secret(file, generate_key(log_id).to_secret_text())
    key = parse_signing_key(read_secret(file, name="LAUNCHPIN_AUDIT_KEY_FILE"))
    if key.name != log_id:
        raise InputError("audit_key", f"{file.name} signs for another log than {log_id}", field="audit_key_file")
    file.with_suffix(".pub").write_text(f"{key.verifier.text}\n", encoding="utf-8")


def _write_secret(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())


def _open(settings: Settings) -> "SqlStore":
    from gitops.store import SqlStore  # noqa: PLC0415 - not for `launchpin --help`

    return SqlStore(settings.database)


def for_web(settings: Settings) -> "SqlStore":
    """Return what the web process needs: the store."""
    return _open(settings)


def for_relay(settings: Settings) -> "SqlStore":
    """Return what the relay needs: the store, with the audit log."""
    return _open(settings)


def for_command(settings: Settings) -> "SqlStore":
    """Return what a command needs: it reads rows and writes command rows, and touches nothing outside."""
    return _open(settings)


def broker_url(settings: Settings) -> str:
    """Return the broker's address, password included."""
    return read_secret(settings.redis_url_file, name="LAUNCHPIN_REDIS_URL_FILE")


def hook_secrets(settings: Settings) -> tuple[str, ...]:
    """Return the webhook secrets, the newest first.

    Raises:
        InputError: `secret_missing` when there is none: deliveries are never taken unsigned.
    """
    if not settings.hook_secret_files:
        raise InputError("secret_missing", "set LAUNCHPIN_HOOK_SECRET_FILES", field="LAUNCHPIN_HOOK_SECRET_FILES")
    return tuple(read_secret(file, name="LAUNCHPIN_HOOK_SECRET_FILES") for file in settings.hook_secret_files)


def for_worker(settings: Settings) -> Deps:
    """Return everything that steps ask for, but effects and lease, which belong to a claim."""
    from gitops.environments import UvEnvironments  # noqa: PLC0415 - workers alone pay for these
    from gitops.forge.github import GitHubForge  # noqa: PLC0415
    from gitops.forge.mirror import GitMirror  # noqa: PLC0415
    from gitops.forge.pacing import WriteLimits  # noqa: PLC0415
    from gitops.registry.mlflow import MlflowRegistry  # noqa: PLC0415
    from gitops.targets.local import LocalTarget  # noqa: PLC0415
    from gitops.trainers.local import LocalTrainer  # noqa: PLC0415

    store = _open(settings)
    token = read_secret(settings.forge_token_file, name="LAUNCHPIN_FORGE_TOKEN_FILE")
    home = settings.home.absolute()
    target_token = read_secret(settings.endpoint_token_file, name="LAUNCHPIN_ENDPOINT_TOKEN_FILE")
    return Deps(
        store=store,
        audit=store,
        forge=GitHubForge(
            settings.forge_api,
            token,
            login=settings.forge_login,
            limits=WriteLimits(minute=settings.forge_writes_minute, hour=settings.forge_writes_hour),
        ),
        mirror=GitMirror(home / "mirrors", forge_api=settings.forge_api, token=token),
        environments=UvEnvironments(home / "environments"),
        trainer=LocalTrainer(home / "trainings"),
        registry=MlflowRegistry(settings.tracking_uri),
        targets={"local": LocalTarget(settings.endpoint_host, target_token)},
        service=_service(settings),
        effects=_OutsideClaim(),
        lease=_OutsideClaim(),
    )


def _service(settings: Settings) -> Service:
    home = settings.home.absolute()
    return Service(
        base_url=settings.base_url,
        tracking_uri=settings.tracking_uri,
        tracking_uris=settings.allowed_tracking_uris,
        hook_url=f"{settings.hook_base or settings.base_url}/webhook/{settings.hook_path}",
        hook_secret=hook_secrets(settings)[0],
        secrets=_granted(settings.secrets_dir),
        workspace=home / "workspace",
        models=home / "models",
        bot=settings.forge_login,
        memory=settings.training_memory_limit,
        tasks=settings.training_tasks,
        poll=settings.poll,
        compare=settings.compare,
        anchor=settings.anchor,
    )


def _granted(folder: Path | None) -> Mapping[str, str]:
    """Return the secrets that repositories may be granted, one file each."""
    files = sorted(folder.iterdir()) if folder is not None and folder.is_dir() else []
    return {file.name: read_secret(file, name=f"secret {file.name}") for file in files if not file.name.startswith(".")}


class _OutsideClaim:
    """Stands where effects and lease go while no job is claimed."""

    lost = 0

    def is_held(self) -> bool:
        """Return False: nothing is held."""
        return False

    def once(self, *_: object, **__: object) -> NoReturn:
        """Refuse: an effect belongs to a claim."""
        raise RuntimeError("an effect was asked for outside of a claim")


def stories() -> "Mapping[str, AnyStory]":
    """Return the table of everything the loop can carry out."""
    from gitops.aftermath import ALIAS  # noqa: PLC0415 - workers alone
    from gitops.anchors import ANCHOR  # noqa: PLC0415
    from gitops.commands import COMMAND  # noqa: PLC0415
    from gitops.compare import COMPARE  # noqa: PLC0415
    from gitops.intake import DELIVERY, POLL  # noqa: PLC0415
    from gitops.promotion import PROMOTION  # noqa: PLC0415
    from gitops.reports import REPORT  # noqa: PLC0415
    from gitops.rollout import ROLLOUT  # noqa: PLC0415
    from gitops.training import TRAINING  # noqa: PLC0415

    table: tuple[AnyStory, ...] = (DELIVERY, POLL, TRAINING, PROMOTION, ROLLOUT, COMPARE, COMMAND)
    table += (ANCHOR, REPORT, ALIAS)
    return {story.kind: story for story in table}

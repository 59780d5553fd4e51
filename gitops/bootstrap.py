"""The composition root: settings in, ready parts out. One function for each kind of process, importing only its needs.

`mlflow` and PyGithub are imported by workers alone; a test starts each kind of process and looks.
"""

import contextlib
import functools
import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urlsplit

from gitops.errors import InputError, LaunchpinError
from gitops.ports import Deps, Service
from gitops.private_files import read_secret
from gitops.retention import Retention
from gitops.settings import Settings

if TYPE_CHECKING:
    from gitops.ports.identity import IdentityProvider
    from gitops.reconcile import AnyStory
    from gitops.store import SqlStore
    from gitops.trainers.redaction import Masks


def observe(part: str, settings: Settings, *, has_spans: bool = True) -> None:
    """Set up a process's logs, with known secrets masked, and its traces where an exporter is set; call it first.

    Args:
        part: which process this is: `web`, `relay`, `control` and so on.
        settings: name the secrets that the process may read.
        has_spans: whether it makes any.
    """
    from gitops.telemetry.logs import set_up_logs  # noqa: PLC0415 - not for `launchpin --help`
    from gitops.telemetry.tracing import start_tracing  # noqa: PLC0415
    from gitops.trainers.redaction import show_controls  # noqa: PLC0415

    _masks().learn(*_known_secrets(settings))
    set_up_logs(part, mask=_masks().mask, spell=show_controls)
    if has_spans:
        start_tracing(part)


@functools.cache
def _masks() -> "Masks":
    """Return what this process's log masks: the log is one for the whole process, and so is this."""
    from gitops.trainers.redaction import Masks  # noqa: PLC0415 - not for `launchpin --help`

    return Masks()


def _known_secrets(settings: Settings) -> Iterator[str]:
    """Give every secret that this process may read; one that cannot be used is refused where it is used."""
    named = (
        settings.database_password_file,
        settings.redis_url_file,
        settings.forge_token_file,
        settings.endpoint_token_file,
        settings.audit_key_file,
        settings.oidc_client_secret_file,
        settings.github_oauth_client_secret_file,
    )
    granted = settings.secrets_dir.iterdir() if settings.secrets_dir and settings.secrets_dir.is_dir() else ()
    for file in (*named, settings.metrics_token_file, *settings.hook_secret_files, *granted):
        with contextlib.suppress(LaunchpinError, OSError, UnicodeError):
            text = read_secret(file, name="") if file is not None else ""
            yield text
            yield urlsplit(text).password or "" if file is settings.redis_url_file else ""
    # Where a collector wants a key, the standard variables hold it.
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        yield from (value.partition("=")[2] for value in os.environ.get(name, "").split(","))
    # And where a tracking server wants to know who asks, MLflow's client finds it in these.
    yield from (os.environ.get(name, "") for name in ("MLFLOW_TRACKING_TOKEN", "MLFLOW_TRACKING_PASSWORD"))


def identity_providers(settings: Settings) -> "tuple[IdentityProvider, ...]":
    """Return where people may sign in, in the order in which they are offered; loads nothing where that is nowhere.

    Raises:
        InputError: `sign_in_setting` when one setting of a provider is there and another is missing or wrong;
            `secret_missing` or `insecure_mode`: a file is named that cannot be used.
    """
    back = f"{settings.base_url.rstrip('/')}/_signin"
    found: list[IdentityProvider] = []
    if settings.github_oauth_client_id or settings.github_oauth_client_secret_file:
        from gitops.identity import GitHubProvider  # noqa: PLC0415 - only where people sign in there

        client = _client_of(settings.github_oauth_client_id, settings.github_oauth_client_secret_file, "GITHUB_OAUTH")
        found.append(GitHubProvider(*client, redirect_uri=f"{back}/github/callback", url=settings.github_oauth_url))
    if settings.oidc_issuer or settings.oidc_client_id or settings.oidc_client_secret_file:
        from gitops.identity import OidcProvider  # noqa: PLC0415 - only where people sign in there

        client = _client_of(settings.oidc_client_id, settings.oidc_client_secret_file, "OIDC")
        scopes = tuple(settings.oidc_scopes.split())
        issuer, where = settings.oidc_issuer, f"{back}/oidc/callback"
        found.append(OidcProvider(issuer, *client, redirect_uri=where, scopes=scopes, label=settings.oidc_label))
    return tuple(found)


def _client_of(client_id: str, secret_file: Path | None, name: str) -> tuple[str, str]:
    setting = f"LAUNCHPIN_{name}_CLIENT_ID"
    if not client_id:
        raise InputError("sign_in_setting", f"set {setting} to the id that the provider gave", field=setting)
    return client_id, read_secret(secret_file, name=f"LAUNCHPIN_{name}_CLIENT_SECRET_FILE")


def metrics_token(settings: Settings) -> str:
    """Return the token that `/metrics` wants, empty where none is set.

    Raises:
        InputError: `insecure_mode` or `secret_missing`: a file is named that cannot be used.
    """
    if settings.metrics_token_file is None:
        return ""
    return read_secret(settings.metrics_token_file, name="LAUNCHPIN_METRICS_TOKEN_FILE")


def prepare(settings: Settings) -> None:
    """Bring the database to this code's schema, and make the audit log's key where there is none.

    Raises:
        InputError: `audit_key` when the key belongs to another log.
    """
    from gitops.audit.checkpoint import generate_key, parse_signing_key  # noqa: PLC0415 - only before a start
    from gitops.store.migrate import migrate  # noqa: PLC0415 - Alembic, only before a start

    settings.home.mkdir(parents=True, exist_ok=True)
    migrate(settings.database, host=settings.instance, password=_database_password(settings))
    store = _open(settings)
    log_id = store.log_id
    store.wake("gc", "home", after=settings.gc)
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

    is_told = settings.notify_file is not None
    return SqlStore(settings.database, password=_database_password(settings), is_told=is_told)


def _database_password(settings: Settings) -> Callable[[], str] | None:
    """Return what reads the database's password, None where there is none; read anew for each connection."""
    file = settings.database_password_file

    def read() -> str:
        password = read_secret(file, name="LAUNCHPIN_DATABASE_PASSWORD_FILE")
        _masks().learn(password)  # it may be another one than at the start
        return password

    return read if file is not None else None


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
    """Return the broker's address, password included.

    Raises:
        InputError: `broker_url` when it is no address of Redis, `insecure_broker` when it has no password although
            other machines may reach it.
    """
    name = "LAUNCHPIN_REDIS_URL_FILE"
    url = read_secret(settings.redis_url_file, name=name)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    if parts.scheme not in {"redis", "rediss"} or not host:
        raise InputError("broker_url", "it must hold redis://:PASSWORD@HOST:PORT/0, or rediss:// for TLS", field=name)
    if not parts.password and not _is_loopback(host):
        message = f"the broker on {host} has no password: whoever reaches it could start jobs; give it one"
        raise InputError("insecure_broker", message, field=name)
    return url


def _is_loopback(host: str) -> bool:
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def hook_secrets(settings: Settings) -> tuple[str, ...]:
    """Return the webhook secrets, the newest first.

    Raises:
        InputError: `secret_missing` when there is none: deliveries are never taken unsigned.
    """
    if not settings.hook_secret_files:
        raise InputError("secret_missing", "set LAUNCHPIN_HOOK_SECRET_FILES", field="LAUNCHPIN_HOOK_SECRET_FILES")
    return tuple(read_secret(file, name="LAUNCHPIN_HOOK_SECRET_FILES") for file in settings.hook_secret_files)


def for_worker(settings: Settings, *, at_once: int = 0) -> Deps:
    """Return everything that steps ask for, but effects and lease, which belong to a claim.

    Args:
        at_once: how many jobs the worker runs at a time, where that is not what the settings say.
    """
    from gitops.disk.storerooms import storerooms  # noqa: PLC0415
    from gitops.environments import UvEnvironments  # noqa: PLC0415 - workers alone pay for these
    from gitops.forge.github import GitHubForge  # noqa: PLC0415
    from gitops.forge.mirror import GitMirror  # noqa: PLC0415
    from gitops.forge.pacing import WriteLimits  # noqa: PLC0415
    from gitops.notifiers import FileNotifier  # noqa: PLC0415
    from gitops.ports.notifier import Silence  # noqa: PLC0415
    from gitops.registry.mlflow import MlflowRegistry  # noqa: PLC0415
    from gitops.targets.local import LocalTarget  # noqa: PLC0415
    from gitops.trainers.local import LocalTrainer  # noqa: PLC0415

    store = _open(settings)
    token = read_secret(settings.forge_token_file, name="LAUNCHPIN_FORGE_TOKEN_FILE")
    home = settings.home.absolute()
    trainer = LocalTrainer(home / "trainings", silence=settings.lease.total_seconds())
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
        trainer=trainer,
        registry=MlflowRegistry(settings.tracking_uri),
        targets={"local": LocalTarget(settings.endpoint_host, target_token)},
        service=_service(settings, at_once),
        effects=_OutsideClaim(),
        lease=_OutsideClaim(),
        storerooms=storerooms(home, reap=trainer.reap),
        notifier=FileNotifier(settings.notify_file, learn=_masks().learn) if settings.notify_file else Silence(),
    )


def _service(settings: Settings, at_once: int) -> Service:
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
        memory=settings.training_memory_limit(at_once),
        tasks=settings.training_tasks,
        poll=settings.poll,
        compare=settings.compare,
        anchor=settings.anchor,
        gc=settings.gc,
        retention=_retention(settings),
        least_free=settings.least_free,
    )


def _retention(settings: Settings) -> Retention:
    return Retention(
        bodies=settings.keep_bodies,
        rows=settings.keep_rows,
        logs=settings.keep_logs,
        environments=settings.keep_environments,
        environments_size=settings.keep_environments_size,
        models=settings.keep_models,
        mirrors=settings.keep_mirrors,
        configurations=settings.keep_configurations,
        configurations_age=settings.keep_configurations_age,
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

    def is_stopping(self) -> bool:
        """Return False: nothing is under way."""
        return False

    def once(self, *_: object, **__: object) -> NoReturn:
        """Refuse: an effect belongs to a claim."""
        raise RuntimeError("an effect was asked for outside of a claim")

    renew = recover = once


def stories() -> "Mapping[str, AnyStory]":
    """Return the table of everything the loop can carry out."""
    from gitops.aftermath import ALIAS  # noqa: PLC0415 - workers alone
    from gitops.anchors import ANCHOR  # noqa: PLC0415
    from gitops.closing import RUNS  # noqa: PLC0415
    from gitops.commands import COMMAND  # noqa: PLC0415
    from gitops.compare import COMPARE  # noqa: PLC0415
    from gitops.intake import DELIVERY, POLL  # noqa: PLC0415
    from gitops.notify import NOTIFY, ROUTE  # noqa: PLC0415
    from gitops.promotion import PROMOTION  # noqa: PLC0415
    from gitops.reports import REPORT  # noqa: PLC0415
    from gitops.rollout import ROLLOUT  # noqa: PLC0415
    from gitops.searching import TRIAL  # noqa: PLC0415
    from gitops.training import TRAINING  # noqa: PLC0415
    from gitops.upkeep import GC  # noqa: PLC0415

    table: tuple[AnyStory, ...] = (DELIVERY, POLL, TRAINING, TRIAL, PROMOTION, ROLLOUT, COMPARE, COMMAND)
    table += (ANCHOR, REPORT, ALIAS, RUNS, GC, ROUTE, NOTIFY)
    return {story.kind: story for story in table}

"""What `launchpin doctor` looks at where a service's parts are started by others: all that this process's settings say.

It asks each of the outside once, with the secrets that the settings name, and changes nothing.
"""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.bootstrap import broker_url, for_command
from gitops.cli.installed import Installed, bare_address
from gitops.errors import LaunchpinError, NotFoundError, RetryError
from gitops.explaining.findings import Finding, Grade, grade_clock, grade_heads, grade_queues, grade_relay
from gitops.private_files import read_secret

if TYPE_CHECKING:
    from gitops.settings import Settings
    from gitops.store import SqlStore

ROOM = "make room: `launchpin gc --dry-run` shows what would go"
_PATIENCE = 5.0
_MOST = 20  # repositories that the forge is asked for
_NO_SECRET = frozenset({"notify_file"})
_REMEDIES = {
    "SchemaMismatch": "run python -P -m gitops.embedded.stack.migrate of this release, and this release everywhere",
    "secret_missing": "write the file that the setting names",
    "insecure_mode": "chmod 600 the file, and let the user of this part own it",
    "ForgeCredentials": "put a token that the forge takes into the file that LAUNCHPIN_FORGE_TOKEN_FILE names",
    "EndpointHostToken": "let LAUNCHPIN_ENDPOINT_TOKEN_FILE hold the token that the endpoint host was started with",
    "RegistryForbidden": "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
}


@dataclass(frozen=True)
class _Outside:
    """Something that this process may speak to.

    Args:
        setting: says where it is.
        is_told: whether this process speaks to it.
        ask: asks it once, and says what it finds.
    """

    what: str
    setting: str
    is_told: bool
    ask: Callable[[], Finding]


def look_at_service(service: Installed) -> Iterator[Finding]:
    """Look at everything that this process was told of, and name what it was not."""
    yield from _look_at_secrets(service.settings)
    repositories = yield from _look_at_database(service.settings)
    yield from _look_outside(service, repositories)


# ---------------------------------------------------------------- files


def _look_at_secrets(settings: "Settings") -> Iterator[Finding]:
    """Look whether each secret can be read here, and by nobody else."""
    folder = settings.secrets_dir
    bad = [finding for name, file in _secrets(settings) if (finding := _look_at_secret(name, file)) is not None]
    if folder is not None and not _may_list(folder):
        text = f"LAUNCHPIN_SECRETS_DIR: {folder} is no folder that can be listed here"
        bad.append(Finding("secrets", Grade.WARN, text, "make it, or mend the setting: else nothing can be granted"))
    yield from bad or [Finding("secrets", Grade.OK, "each can be read here, and by its owner only")]


def _secrets(settings: "Settings") -> Iterator[tuple[str, Path]]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        variable = f"LAUNCHPIN_{name.upper()}"
        if name.endswith("_file") and name not in _NO_SECRET and value is not None:
            yield variable, value
        elif name.endswith("_files"):
            yield from ((variable, file) for file in value)
    folder = settings.secrets_dir
    granted = sorted(folder.iterdir()) if folder is not None and _may_list(folder) else []
    yield from (("LAUNCHPIN_SECRETS_DIR", file) for file in granted if not file.name.startswith("."))


def _may_list(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def _look_at_secret(name: str, file: Path) -> Finding | None:
    try:
        read_secret(file, name=name)
    except LaunchpinError as error:
        remedy = f"chmod 600 {file}" if error.reason == "insecure_mode" else f"write it into {file}, or mend {name}"
        return Finding("secrets", Grade.FAIL, str(error), remedy)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        remedy = f"let the user of this part own {file}, and chmod 600 it"
        return Finding("secrets", Grade.FAIL, f"{name}: {file.name} cannot be read: {why}", remedy)
    return None


# ---------------------------------------------------------------- the database, and what it knows


def _look_at_database(settings: "Settings") -> Generator[Finding, None, Sequence[str]]:
    """Look at the database and what it knows of the parts; return the repositories that it names."""
    try:
        store = for_command(settings)
        with closing(store):
            yield from _look_into(store)
            return [one.full_name for one in store.repositories()]
    except LaunchpinError as error:
        yield _failed("database", "LAUNCHPIN_DATABASE_URL", error)
        return ()


def _look_into(store: "SqlStore") -> Iterator[Finding]:
    drift = (datetime.now(UTC) - store.now()).total_seconds()
    tallies = store.tallies()
    yield Finding("database", Grade.OK, "answers, and has this release's schema")
    found = (grade_clock(drift), grade_relay(tallies.lead), *grade_queues(tallies), grade_heads(tallies))
    yield from (replace(one, what=one.what.lower()) for one in found)


def _failed(what: str, setting: str, error: LaunchpinError) -> Finding:
    remedy = _REMEDIES.get(error.reason, f"start it, or mend {setting}")
    return Finding(what, Grade.FAIL, str(error), remedy)


# ---------------------------------------------------------------- the outside


def _look_outside(service: Installed, repositories: Sequence[str]) -> Iterator[Finding]:
    """Ask each of the outside that this process speaks to; one that it does not speak to is asked from elsewhere."""
    settings = service.settings
    has_forge, has_host = settings.forge_token_file is not None, settings.endpoint_token_file is not None
    asked = (
        _Outside(
            "broker", "LAUNCHPIN_REDIS_URL_FILE", settings.redis_url_file is not None, lambda: _ask_broker(settings)
        ),
        _Outside("MLflow", "LAUNCHPIN_TRACKING_URI", service.is_set("tracking_uri"), lambda: _ask_mlflow(settings)),
        _Outside("forge", "LAUNCHPIN_FORGE_API", has_forge, lambda: _ask_forge(settings, repositories)),
        _Outside("endpoint host", "LAUNCHPIN_ENDPOINT_HOST", has_host, lambda: _ask_endpoints(settings)),
    )
    yield from (_ask(one) for one in asked if one.is_told)
    if untold := [one.what for one in asked if not one.is_told]:
        text = f"{', '.join(untold)}: not told to this process; `launchpin doctor` beside a control worker asks all"
        yield Finding("not asked", Grade.OK, text)


def _ask(outside: _Outside) -> Finding:
    try:
        return outside.ask()
    except LaunchpinError as error:
        return _failed(outside.what, outside.setting, error)
    except Exception as error:  # noqa: BLE001 - an address that no client takes must not hide what comes after it
        return Finding(outside.what, Grade.FAIL, f"cannot be asked: {type(error).__name__}", f"mend {outside.setting}")


def _answers(what: str, address: str) -> Finding:
    return Finding(what, Grade.OK, f"answers at {bare_address(address)}")


def _ask_broker(settings: "Settings") -> Finding:
    import redis  # noqa: PLC0415 - each client for its own look alone
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    url, once = broker_url(settings), Retry(NoBackoff(), 0)
    client = redis.Redis.from_url(url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=once)
    try:
        client.ping()
    except redis.RedisError as error:
        raise RetryError("BrokerAway", f"the broker does not answer: {error}") from error
    finally:
        client.close()
    return _answers("broker", url)


def _ask_mlflow(settings: "Settings") -> Finding:
    from gitops.registry.questions import RunQuestions  # noqa: PLC0415

    RunQuestions(settings.tracking_uri, patience=_PATIENCE).check()
    return _answers("MLflow", settings.tracking_uri)


def _ask_forge(settings: "Settings", repositories: Sequence[str]) -> Finding:
    """Ask whose token ours is, and whether it sees the repositories that are connected."""
    from gitops.forge.github import GitHubForge  # noqa: PLC0415

    token = read_secret(settings.forge_token_file, name="LAUNCHPIN_FORGE_TOKEN_FILE")
    with closing(GitHubForge(settings.forge_api, token, login=settings.forge_login, silence=_PATIENCE)) as forge:
        login = forge.account()
        if login and login.lower() != settings.forge_login.lower():
            text = f"the token is {login}'s, and LAUNCHPIN_FORGE_LOGIN says {settings.forge_login}"
            return Finding(
                "forge", Grade.FAIL, text, f"set LAUNCHPIN_FORGE_LOGIN to {login}, or give the other's token"
            )
        unseen = [name for name in repositories[:_MOST] if not _sees(forge.repository, name)]
    if unseen:
        text = f"{', '.join(unseen)}: not there, or not for our token"
        return Finding("forge", Grade.FAIL, text, f"let {login or 'the app'} read and write there")
    return _answers("forge", settings.forge_api)


def _sees(look: Callable[[str], object], name: str) -> bool:
    try:
        look(name)
    except NotFoundError:
        return False
    return True


def _ask_endpoints(settings: "Settings") -> Finding:
    from gitops.targets.local import LocalTarget  # noqa: PLC0415

    token = read_secret(settings.endpoint_token_file, name="LAUNCHPIN_ENDPOINT_TOKEN_FILE")
    with closing(LocalTarget(settings.endpoint_host, token, silence=_PATIENCE)) as target:
        target.host()
    return _answers("endpoint host", settings.endpoint_host)

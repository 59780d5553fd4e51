"""What each part of a stack is told: an environment made from a short list of names, and Launchpin's own variables.

A variable never holds a secret, it names the secret's file; and a part gets only the names that it needs.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gitops.embedded.stack import keys
from gitops.embedded.stack.database import database_settings
from gitops.embedded.stack.layout import Layout

if TYPE_CHECKING:
    from gitops.settings import Settings

_PREFIX = "LAUNCHPIN_"
_PLAIN = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_COMPUTING = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
# What an installation of packages needs behind a proxy or a mirror.
_INSTALLING = (
    "UV_",
    "PIP_",
    "XDG_",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
)
_KEEP = ("bodies", "rows", "logs", "environments", "environments_size", "models", "mirrors")
_TUNABLE = (
    "log",
    *("poll", "compare", "anchor", "checkpoint", "lease", "drain", "failpoints"),
    *("training_slots", "training_memory", "training_tasks"),
    *("gc", "least_free", *(f"keep_{name}" for name in (*_KEEP, "configurations", "configurations_age"))),
)
# What people sign in with; the web process alone gets these, and where its way out leads.
_SIGN_IN = (
    *("oidc_issuer", "oidc_client_id", "oidc_client_secret_file", "oidc_scopes", "oidc_label"),
    *("github_oauth_client_id", "github_oauth_client_secret_file", "github_oauth_url"),
)
_DATABASE = ("database_url", "database_password_file")
PASSED_ON = (*_DATABASE, *_TUNABLE, *_SIGN_IN, "metrics_port")
"""The settings that `launchpin up` takes from its own environment; it makes up the others."""

_NEEDS = {
    "database": ("home", *_DATABASE, "audit_key_file"),
    "web": (
        *("home", *_DATABASE, "base_url", "hook_secret_files", "hook_path", "hook_base"),
        *("forge_api", "forge_login", "tracking_uri", "endpoint_host"),
        "metrics_token_file",
    ),
    "relay": ("home", *_DATABASE, "redis_url_file", "audit_key_file", "metrics_token_file"),
    "control": (
        *("home", *_DATABASE, "redis_url_file", "base_url", "forge_api", "forge_token_file", "forge_login"),
        *("forge_writes_minute", "forge_writes_hour"),
        *("hook_secret_files", "hook_path", "hook_base", "tracking_uri", "endpoint_host", "endpoint_token_file"),
        *("secrets_dir", "metrics_token_file", "notify_file"),
    ),
}
# Each on a port of its own, counted from the one that is set: the web process serves its metrics beside its pages.
_METRICS = ("control", "training", "relay")
# OpenTelemetry's own variables; one of them may hold a collector's key, so nobody else gets them.
_TRACED = ("web", "relay", "control", "training")
_NEEDS["training"] = _NEEDS["control"]


def environment_for(layout: Layout) -> dict[str, str]:
    """Return every `LAUNCHPIN_*` variable of a stack, as `gitops.settings` reads them."""
    return {_PREFIX + name.upper(): _written(value) for name, value in _values(layout).items()}


def settings_for(layout: Layout) -> "Settings":
    """Return the settings of a stack, for a command that reads or asks in its own process."""
    from gitops.settings import Settings  # noqa: PLC0415 - the supervisor stays small without pydantic

    return Settings.model_validate(_values(layout))


def part_environment(layout: Layout, part: str, *, home: Path | None = None) -> dict[str, str]:
    """Return the whole environment of a part.

    Args:
        home: what it takes for the user's folder; the user's own where it installs packages for people.
    """
    environment = plain_environment()
    if home is None:
        environment |= _inherited(("HOME", *_COMPUTING)) | _inherited_by_prefix(_INSTALLING)
    else:
        environment["HOME"] = str(home)
    name, _, value = layout.mark(part).partition("=")
    return environment | {name: value} | _variables(layout, part)


def plain_environment() -> dict[str, str]:
    """Return what every process of ours is told, and nothing of any stack."""
    return _inherited(_PLAIN) | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        # No request between parts goes through a proxy.
        "NO_PROXY": _no_proxy(),
        "no_proxy": _no_proxy(),
    }


def _variables(layout: Layout, part: str) -> dict[str, str]:
    if part not in _NEEDS:
        return _inherited((f"{_PREFIX}FAILPOINTS", f"{_PREFIX}LOG"))
    values = _values(layout)
    ours = {_PREFIX + name.upper(): _written(values[name]) for name in _NEEDS[part] if name in values}
    traced = _inherited_by_prefix(("OTEL_",)) if part in _TRACED else {}
    ours |= _sign_in() if part == "web" else {}
    return ours | traced | _metrics_port(part) | _inherited(_PREFIX + name.upper() for name in _TUNABLE)


def _sign_in() -> dict[str, str]:
    found = _inherited(_PREFIX + name.upper() for name in _SIGN_IN)
    # A part does not start where the user did.
    files = {name: str(Path(value).absolute()) for name, value in found.items() if name.endswith("_FILE") and value}
    return found | files | (_inherited(("https_proxy", "HTTPS_PROXY")) if found else {})


def _metrics_port(part: str) -> dict[str, str]:
    name = f"{_PREFIX}METRICS_PORT"
    first = os.environ.get(name, "")
    # What is no number is passed on for the settings to refuse.
    is_counted = part in _METRICS and first.isdecimal() and int(first) > 0
    return {name: str(int(first) + _METRICS.index(part))} if is_counted else _inherited((name,))


def notify_file(layout: Layout) -> Path:
    """Return where a stack's notify.yaml stands, if it has one."""
    return layout.dir / "notify.yaml"


def _values(layout: Layout) -> dict[str, str | tuple[str, ...]]:
    secrets, notify = layout.secrets, notify_file(layout)
    return {
        "home": str(layout.dir),
        **database_settings(layout),
        "redis_url_file": str(secrets / keys.BROKER_URL),
        "base_url": layout.url("web"),
        "forge_api": layout.url("forge") + "/api/v3",
        "forge_token_file": str(layout.forge_home / "bot.token"),
        "forge_login": "launchpin[bot]",
        # GitHub's limits on content; a forge on this machine has none.
        "forge_writes_minute": "6000",
        "forge_writes_hour": "100000",
        "hook_secret_files": (str(secrets / keys.HOOK_SECRET),),
        "hook_path": keys.read(layout, keys.HOOK_PATH),
        "hook_base": layout.url("web"),
        "tracking_uri": layout.url("mlflow"),
        "endpoint_host": layout.url("endpoints"),
        "endpoint_token_file": str(secrets / keys.ENDPOINT_TOKEN),
        "audit_key_file": str(secrets / keys.AUDIT_KEY),
        "secrets_dir": str(secrets / keys.GRANTED),
        "metrics_token_file": str(secrets / keys.METRICS_TOKEN),
        **({"notify_file": str(notify)} if notify.is_file() else {}),
    }


def _written(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _inherited(names: Iterable[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _inherited_by_prefix(prefixes: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(prefixes)}


def _no_proxy() -> str:
    given = os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or ""
    return ",".join(filter(None, (given, "127.0.0.1", "localhost")))

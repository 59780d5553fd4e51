"""The secrets of one stack, made once, each in a file that only its owner may read."""

import secrets
from collections.abc import Callable
from urllib.parse import quote

from gitops.embedded.forge.accounts import make_tokens
from gitops.embedded.stack.layout import LOOPBACK, Layout
from gitops.private_files import write_private

BROKER_URL = "broker.url"
BROKER_PASSWORD = "broker.password"  # noqa: S105 - the name of a file
HOOK_SECRET = "hook.secret"  # noqa: S105 - the name of a file
HOOK_PATH = "hook.path"
ENDPOINT_TOKEN = "endpoint.token"  # noqa: S105 - the name of a file
METRICS_TOKEN = "metrics.token"  # noqa: S105 - the name of a file
AUDIT_KEY = "audit.key"
GRANTED = "granted"


def make_secrets(layout: Layout) -> None:
    """Make what is missing; the audit log's key is made with its database, whose name it carries."""
    for folder in (layout.secrets, layout.secrets / GRANTED):
        folder.mkdir(mode=0o700, exist_ok=True)
    _make(layout, BROKER_PASSWORD, lambda: secrets.token_urlsafe(32))
    _make(layout, HOOK_SECRET, lambda: secrets.token_urlsafe(32))
    _make(layout, HOOK_PATH, lambda: secrets.token_urlsafe(16))
    _make(layout, ENDPOINT_TOKEN, lambda: secrets.token_urlsafe(32))
    _make(layout, METRICS_TOKEN, lambda: secrets.token_urlsafe(32))
    url = f"redis://:{quote(read(layout, BROKER_PASSWORD))}@{LOOPBACK}:{layout.ports.valkey}/0"
    write_private(layout.secrets / BROKER_URL, url + "\n")
    make_tokens(layout.forge_home)


def read(layout: Layout, name: str) -> str:
    """Return a secret's text."""
    return (layout.secrets / name).read_text(encoding="utf-8").strip()


def _make(layout: Layout, name: str, make: Callable[[], str]) -> None:
    if not (layout.secrets / name).exists():
        write_private(layout.secrets / name, make() + "\n")

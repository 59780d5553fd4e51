"""What an installation is connected to, as far as the settings of this process say it. Asks nobody.

Each part is told only what it needs, so what others were told may differ: a row says what was told here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitops.errors import LaunchpinError
from gitops.private_files import read_secret
from gitops.settings import Settings

_USER = re.compile(r"(?<=://)\S*@")
_NOT_ASKED = "not asked from here: workers ask it"

ADDRESSES: Mapping[str, tuple[str, str]] = {
    "base_url": ("Dashboard and API", "answered by this process"),
    "hook_base": ("Webhooks", "answered by this process: the forge sends them there"),
    "database_url": ("Database", "asked for this page"),
    "redis_url_file": ("Broker", "not asked from here: workers and the relay ask it"),
    "forge_api": ("Forge", _NOT_ASKED),
    "tracking_uri": ("MLflow", "not asked for a page: workers ask it, and the API for `runs --best`"),
    "tracking_uris": ("Further MLflow servers", "not asked from here: pins may name them"),
    "endpoint_host": ("Endpoint host", _NOT_ASKED),
    "oidc_issuer": ("OpenID Connect", "asked from here when somebody signs in"),
    "github_oauth_url": ("GitHub, for signing in", "asked from here when somebody signs in"),
}
"""By setting: what is there, and who asks it."""

_FOR_ADMINS = frozenset({"database_url", "redis_url_file"})


@dataclass(frozen=True)
class Address:
    """One thing that this installation is connected to.

    Args:
        setting: the variable that says where.
        url: without user, password and query; empty where this process knows none.
        note: where it comes from, or why there is none; empty where this process was told it.
        asked: who asks it.
    """

    what: str
    setting: str
    url: str
    note: str
    asked: str


def list_addresses(settings: Settings, *, is_admin: bool) -> Iterator[Address]:
    """Give a row for each address that the settings have.

    Args:
        is_admin: whether the addresses of the database and the broker are shown.
    """
    for name, (what, asked) in ADDRESSES.items():
        url, note = _find(settings, name)
        if url and name in _FOR_ADMINS and not is_admin:
            url, note = "", "shown to admins"
        yield Address(what, f"LAUNCHPIN_{name.upper()}", url, note, asked)


def _find(settings: Settings, name: str) -> tuple[str, str]:
    match name:
        case "database_url":
            return show_address(settings.database), "" if settings.database_url else "the default"
        case "redis_url_file":
            return _find_broker(settings)
        case "hook_base" if not settings.hook_base:
            return show_address(settings.base_url), "as the dashboard"
        case "github_oauth_url" if not settings.github_oauth_client_id:
            return "", "nobody signs in there"
    value = getattr(settings, name)
    if not value:
        return "", "none was told to this process"
    urls = value if isinstance(value, tuple) else (value,)
    return ", ".join(map(show_address, urls)), "" if name in settings.model_fields_set else "the default"


def _find_broker(settings: Settings) -> tuple[str, str]:
    if settings.redis_url_file is None:
        return "", "none was told to this process"
    try:
        return show_address(read_secret(settings.redis_url_file, name="LAUNCHPIN_REDIS_URL_FILE")), ""
    except LaunchpinError as error:
        return "", error.message
    except (OSError, ValueError):
        return "", "the file that holds it cannot be read"


def show_address(url: str) -> str:
    """Return a URL without its user, its password, and its query, in which a password may stand, too."""
    bare = _USER.sub("***@", url)
    kept = re.split(r"[?#]", bare, maxsplit=1)[0]
    return kept if kept == bare else f"{kept}?\N{HORIZONTAL ELLIPSIS}"

"""What the page of settings shows: what is connected, what doctor would say here, and what is set. Writes nothing."""

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gitops import __version__
from gitops.errors import LaunchpinError
from gitops.explaining.findings import (
    GIB,
    Finding,
    Grade,
    grade_clock,
    grade_disk,
    grade_heads,
    grade_queues,
    grade_relay,
)
from gitops.ports.tallies import Tallies
from gitops.private_files import read_secret
from gitops.records import Delivery, Repository
from gitops.roles import AccessRole
from gitops.settings import Settings
from webhooks.dashboard.addresses import Address, list_addresses, show_address
from webhooks.dashboard.sight import Sight
from webhooks.dashboard.words import span

MOST_REPOSITORIES = 100
_SECRET = frozenset({"hook_path"})


@dataclass(frozen=True)
class SettingRow:
    """A setting as it is; `is_own` where it is not the default."""

    name: str
    value: str
    is_own: bool


@dataclass(frozen=True)
class SettingsPage:
    """What this installation is.

    Args:
        findings: as `launchpin doctor` says them, as far as this process can see.
        addresses: what it is connected to, besides repositories.
        newest_delivery: None where none ever came.
        settings: those that hold no secret; None for whoever is no admin.
    """

    now: datetime
    version: str
    log_id: str
    findings: tuple[Finding, ...]
    addresses: tuple[Address, ...]
    repositories: tuple[Repository, ...]
    count: int
    wanted: str
    newest_delivery: Delivery | None
    tallies: Tallies
    settings: tuple[SettingRow, ...] | None


def read_settings_page(sight: Sight, settings: Settings, *, wanted: str = "") -> SettingsPage:
    """Read the page.

    Args:
        wanted: repositories whose names hold this alone.
    """
    found = [one for one in sight.repositories if wanted.casefold() in one.full_name.casefold()]
    tallies = sight.store.tallies()
    newest = sight.store.recent("delivery", limit=1)
    is_admin = sight.access.may(AccessRole.ADMIN)
    return SettingsPage(
        now=sight.reading.now,
        version=__version__,
        log_id=sight.store.log_id,
        findings=tuple(look(sight, settings, tallies)),
        addresses=tuple(list_addresses(settings, is_admin=is_admin)),
        repositories=tuple(found[:MOST_REPOSITORIES]),
        count=len(found),
        wanted=wanted,
        newest_delivery=newest[0] if newest and isinstance(newest[0], Delivery) else None,
        tallies=tallies,
        settings=tuple(list_settings(settings)) if is_admin else None,
    )


def look(sight: Sight, settings: Settings, tallies: Tallies) -> Iterator[Finding]:
    """Look at what this process can see of the whole."""
    yield Finding("Database", Grade.OK, "answers, and has this release's schema")
    yield grade_clock((datetime.now(UTC) - sight.reading.now).total_seconds())
    yield grade_relay(tallies.lead)
    yield from grade_queues(tallies)
    yield _look_at_disk(settings.home)
    yield _look_at_hooks(settings)
    yield grade_heads(tallies)
    yield _look_at_key(settings)


def _look_at_disk(home: Path) -> Finding:
    try:
        free = shutil.disk_usage(home).free / GIB
    except OSError:
        return Finding("Disk", Grade.WARN, "its free space cannot be read", "look at the folder of state")
    return grade_disk("Disk", free, remedy="make room: `launchpin gc --dry-run` shows what would go")


def _look_at_hooks(settings: Settings) -> Finding:
    try:
        for file in settings.hook_secret_files:
            read_secret(file, name="LAUNCHPIN_HOOK_SECRET_FILES")
    except LaunchpinError as error:
        return Finding("Webhook secret", Grade.FAIL, error.message, "mend the file; then restart the web process")
    count = len(settings.hook_secret_files)
    return Finding("Webhook secret", Grade.OK, "one is valid" if count == 1 else f"{count} are valid")


def find_key_file(settings: Settings) -> Path | None:
    """Return the file with the audit log's public key, None where it is not on this machine.

    It stands beside the signing key, which this process has no need of.
    """
    for file in settings.public_key_files:
        with contextlib.suppress(OSError):
            if file.is_file():
                return file
    return None


def _look_at_key(settings: Settings) -> Finding:
    if find_key_file(settings) is not None:
        return Finding("Audit key", Grade.OK, "the public key is here: signatures can be checked on the page")
    remedy = "copy audit.pub, the public key, into the folder of state"
    return Finding("Audit key", Grade.WARN, "the public key is not here", remedy)


def list_settings(settings: Settings) -> Iterator[SettingRow]:
    """Give the settings that hold no secret, as a person writes them; of a URL neither user nor password."""
    for name, field in type(settings).model_fields.items():
        if name in _SECRET:
            continue
        value = getattr(settings, name)
        is_own = value != field.get_default()
        yield SettingRow(f"LAUNCHPIN_{name.upper()}", show_value(value), is_own)


def show_value(value: object) -> str:
    """Return a setting's value as text."""
    match value:
        case None | "" | ():
            return ""
        case tuple():
            return ", ".join(map(show_value, value))
        case timedelta():
            return span(value.total_seconds())
        case int() if value >= GIB and not value % GIB:
            return f"{value // GIB} GiB"
        case _:
            return show_address(str(value)) if "://" in str(value) else str(value)

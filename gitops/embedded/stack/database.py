"""Where a stack's database is: a file in its folder, or where its first `up` was told. It stays there.

Remembered, because every later command on the folder must find the same one, whatever its environment says.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from gitops.embedded.stack.layout import Layout
from gitops.errors import InputError
from gitops.private_files import write_private

_FILE = "launchpin.sqlite3"
_MEMORY = "database.json"
_URL = "database_url"
_PASSWORD_FILE = "database_password_file"  # noqa: S105 - the name of a setting


def remember_database(layout: Layout, environment: Mapping[str, str] = os.environ) -> None:
    """Keep what `LAUNCHPIN_DATABASE_URL` and `LAUNCHPIN_DATABASE_PASSWORD_FILE` say, where they say anything.

    The password's file may be another one later; its path is kept absolute, for commands of any folder.

    Raises:
        InputError: `secret_in_url`, or `database_moved` when the stack's records are in another database already;
            `stack_unreadable` when nobody can tell.
    """
    url = environment.get(f"LAUNCHPIN_{_URL.upper()}", "")
    if not url:
        return
    if urlsplit(url).password is not None:
        message = "the database's URL holds a password: name a file in LAUNCHPIN_DATABASE_PASSWORD_FILE instead"
        raise InputError("secret_in_url", message, field="LAUNCHPIN_DATABASE_URL")
    if (layout.dir / _FILE).exists():
        message = f"this stack keeps its records in {_FILE}; name another folder with --dir for another database"
        raise InputError("database_moved", message, field="LAUNCHPIN_DATABASE_URL")
    known = database_settings(layout)
    if known[_URL] not in {"", url}:
        message = (
            f"this stack keeps its records in {known[_URL]}; unset the variable to go on with it, name another folder "
            f"with --dir for another database, or change {_MEMORY} where the same database has a new address"
        )
        raise InputError("database_moved", message, field="LAUNCHPIN_DATABASE_URL")
    file = environment.get(f"LAUNCHPIN_{_PASSWORD_FILE.upper()}", "")
    password_file = str(Path(file).absolute()) if file else known.get(_PASSWORD_FILE, "")
    text = json.dumps({_URL: url, _PASSWORD_FILE: password_file}, indent=1)
    write_private(layout.dir / _MEMORY, f"{text}\n")


def database_settings(layout: Layout) -> dict[str, str]:
    """Return the settings that lead to the stack's database; none for the file in its folder."""
    try:
        known: dict[str, str] = json.loads((layout.dir / _MEMORY).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {_URL: ""}
    except ValueError as error:
        raise InputError("stack_unreadable", "not as `launchpin up` writes it", file=_MEMORY) from error
    return {_URL: "", **{name: value for name, value in known.items() if value}}


def has_database(layout: Layout) -> bool:
    """Return whether the stack was ever up."""
    return (layout.dir / _FILE).exists() or (layout.dir / _MEMORY).exists()

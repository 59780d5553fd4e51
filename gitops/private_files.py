"""Files that nobody but their owner may read: secrets, and what stands for one."""

import os
import secrets
import stat
from pathlib import Path

from gitops.errors import InputError


def read_secret(file: Path | None, *, name: str) -> str:
    """Return a secret file's text without the line's end.

    Args:
        file: only its owner may read or write it.
        name: the setting, for the error.

    Raises:
        InputError: `secret_missing` when there is none or it is empty, `insecure_mode` when others may read it.
    """
    if file is None or not file.is_file():
        raise InputError("secret_missing", f"set {name} to a file that holds it", field=name)
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError("insecure_mode", f"{file.name} may be read by others: chmod 600 it", field=name)
    text = file.read_text(encoding="utf-8").strip()
    if not text:
        raise InputError("secret_missing", f"{file.name} is empty", field=name)
    return text


def write_private(path: Path, text: str) -> None:
    """Write a file that was never readable by others, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)

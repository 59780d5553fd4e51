"""What was signed last, remembered outside the database, so that a database that was set back is noticed.

Relays of one folder share the memory; it only grows, whoever writes it.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gitops.errors import LaunchpinError, RetryError


class ForkError(LaunchpinError):
    """The database does not continue what was signed before."""

    def __init__(self, size: int) -> None:
        super().__init__("AuditForked", f"the log does not continue what was signed at size {size}")


@dataclass(frozen=True)
class Signed:
    """A head that was signed: the number of entries, and the root over them in hexadecimal digits."""

    size: int = 0
    root: str = ""


class SignedMemory:
    """A small file that survives power loss.

    Args:
        file: written beside and moved into place, so that it is whole at any time.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def recall(self) -> Signed:
        """Return the last head signed; of size 0 before the first."""
        if not self._file.is_file():
            return Signed()
        remembered = json.loads(self._file.read_text(encoding="utf-8"))
        return Signed(int(remembered["size"]), str(remembered["root"]))

    def remember(self, signed: Signed) -> None:
        """Remember a head; it is on disk when this returns.

        Raises:
            ForkError: a longer one is remembered, or another one of this size.
            RetryError: `SignerBusy` while another relay of the folder remembers.
        """
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            kept = self.recall()
            if kept.size > signed.size or (kept.size == signed.size and kept != signed):
                raise ForkError(kept.size)
            if kept != signed:
                self._write(signed)

    def _write(self, signed: Signed) -> None:
        beside = self._file.with_suffix(".new")
        with beside.open("w", encoding="utf-8") as file:
            json.dump({"size": signed.size, "root": signed.root}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # or the name may still mean the old file after a power loss
        finally:
            os.close(folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._file.with_suffix(".lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RetryError("SignerBusy", "another relay of this folder signs now") from error
            yield

"""Signs heads of the audit log: the only place that holds the key. Remembers outside the database what it signed last.

A database that was set back behind the last signed size, or that has another root for it, is not signed again.
"""

import json
import logging
import os
import time
from pathlib import Path

from gitops.audit.checkpoint import Checkpoint, parse_signing_key, sign
from gitops.errors import LaunchpinError
from gitops.ports import AuditLog
from gitops.settings import Settings, read_secret

_log = logging.getLogger(__name__)
_EVERY_ENTRIES = 256


class ForkError(LaunchpinError):
    """The database does not continue what was signed before."""


class Signer:
    """Signs a head when it is due: on demand, after 256 entries, or after a minute with anything new.

    Args:
        settings: where the key is, how often to sign, where to remember.
    """

    def __init__(self, store: AuditLog, settings: Settings) -> None:
        self._store = store
        self._key = parse_signing_key(read_secret(settings.audit_key_file, name="LAUNCHPIN_AUDIT_KEY_FILE"))
        self._every = settings.checkpoint.total_seconds()
        self._memory = settings.home / "relay" / "last-signed.json"
        self._size, self._root = self._recall()
        self._is_continued = False
        self._signed_at = time.monotonic() - self._every

    def sign_when_due(self) -> bool:
        """Sign a head if it is due; True when one was signed.

        Raises:
            ForkError: when the log is not a continuation of what was signed.
        """
        size = self._store.audit_size()
        if not self._is_continued:
            self._check(size)
        new = size - self._size
        if new == 0 and not size:
            return False
        wanted = self._store.wanted_checkpoint() > self._size
        is_due = new > 0 and time.monotonic() - self._signed_at >= self._every
        if not (wanted or is_due or abs(new) >= _EVERY_ENTRIES or new < 0):
            return False
        self._sign(size)
        return True

    def _sign(self, size: int) -> None:
        self._check(size)
        if size == self._size:
            return
        root = self._store.audit_root(size)
        note = sign(Checkpoint(self._key.name, size, root), self._key)
        # Remembered before it is published: a head that anybody has seen is never forgotten.
        self._remember(size, root.hex())
        self._store.save_checkpoint(size, note)
        self._signed_at = time.monotonic()
        _log.info("signed the audit head of size %s", size)

    def _check(self, size: int) -> None:
        if size < self._size or (self._size and self._store.audit_root(self._size).hex() != self._root):
            raise ForkError("AuditForked", f"the log does not continue what was signed at size {self._size}")
        self._is_continued = True

    def _recall(self) -> tuple[int, str]:
        if not self._memory.is_file():
            return 0, ""
        remembered = json.loads(self._memory.read_text(encoding="utf-8"))
        return int(remembered["size"]), str(remembered["root"])

    def _remember(self, size: int, root: str) -> None:
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        beside = self._memory.with_suffix(".new")
        with Path.open(beside, "w", encoding="utf-8") as file:
            json.dump({"size": size, "root": root}, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._memory)
        self._size, self._root = size, root

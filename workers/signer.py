"""Signs heads of the audit log: the only place that holds the key. Remembers outside the database what it signed last.

A database that was set back behind the last signed size, or that has another root for it, is not signed again. A head
that was remembered and not published, because the process died in between, is published as it was before any other.
"""

import logging
import time

from gitops.audit.checkpoint import Checkpoint, open_note, parse_signing_key, sign
from gitops.errors import InputError
from gitops.failpoints import failpoint
from gitops.ports import AuditLog
from gitops.private_files import read_secret
from gitops.settings import Settings
from workers.remembered import ForkError, Signed, SignedMemory

__all__ = ["ForkError", "Signer"]

_log = logging.getLogger(__name__)
_EVERY_ENTRIES = 256


class Signer:
    """Signs a head when it is due: on demand, after 256 entries, or after a minute with anything new.

    Args:
        settings: where the key is, how often to sign, where to remember.
        leader: publish only while this relay leads; None where no other one can be.
    """

    def __init__(self, store: AuditLog, settings: Settings, *, leader: str | None = None) -> None:
        self._store = store
        self._leader = leader
        self._key = parse_signing_key(read_secret(settings.audit_key_file, name="LAUNCHPIN_AUDIT_KEY_FILE"))
        self._every = settings.checkpoint.total_seconds()
        self._memory = SignedMemory(settings.home / "relay" / "last-signed.json")
        self._last = Signed()
        self._published = 0
        self._is_continued = False
        self._signed_at = time.monotonic() - self._every

    def rest(self) -> None:
        """Forget what the log was like: another relay leads, and may sign meanwhile."""
        self._is_continued = False

    def sign_when_due(self) -> bool:
        """Sign a head if it is due; True when one was published.

        Raises:
            ForkError: when the log is not a continuation of what was signed.
            ConflictError: `NotLeading` when another relay leads.
            RetryError: the database is away; call again later.
        """
        size = self._store.audit_size()
        if not self._is_continued:
            self._take_up(size)
        if self._published < self._last.size:
            self._publish(self._last)
            return True
        if not self._is_due(size):
            return False
        self._sign(size)
        return True

    def _is_due(self, size: int) -> bool:
        new = size - self._last.size
        if new == 0:
            return False
        is_late = time.monotonic() - self._signed_at >= self._every
        return new < 0 or new >= _EVERY_ENTRIES or is_late or self._store.wanted_checkpoint() > self._last.size

    def _take_up(self, size: int) -> None:
        """Begin where the last signer ended, whether it was this one or another relay's."""
        newest = self._store.newest_checkpoint()
        self._published = newest.size if newest else 0
        self._last = self._memory.recall()
        if newest is not None and newest.size > self._last.size:
            self._last = self._read(newest.note)
        self._check(size)
        self._is_continued = True

    def _read(self, note: str) -> Signed:
        """Return the head that a note is, where the log's key signed it."""
        try:
            head = open_note(note, self._key.verifier)
        except InputError:
            return self._last
        return Signed(head.size, head.root.hex())

    def _sign(self, size: int) -> None:
        self._check(size)
        signed = Signed(size, self._store.audit_root(size).hex())
        # Remembered before it is published: a head that anybody has seen is never forgotten.
        self._memory.remember(signed)
        self._last = signed
        failpoint("sign_head.remembered")
        self._publish(signed)

    def _publish(self, signed: Signed) -> None:
        """Publish a head; the same head makes the same note, to the byte, however often."""
        note = sign(Checkpoint(self._key.name, signed.size, bytes.fromhex(signed.root)), self._key)
        self._store.save_checkpoint(signed.size, note, leader=self._leader)
        failpoint("sign_head.after")
        self._published = signed.size
        self._signed_at = time.monotonic()
        _log.info("signed the audit head of size %s", signed.size)

    def _check(self, size: int) -> None:
        last = self._last
        if size < last.size or (last.size and self._store.audit_root(last.size).hex() != last.root):
            raise ForkError(last.size)

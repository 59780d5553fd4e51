"""Verifies the log of this installation on its own server, within a time: what that is worth is said with it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gitops.audit.checkpoint import Checkpoint, VerifierKey, open_note, parse_note, parse_verifier_key
from gitops.audit.entry import parse
from gitops.audit.merkle import Frontier, hash_leaf
from gitops.audit.verify import Code
from gitops.errors import InputError, LaunchpinError
from gitops.ports import AuditLog, AuditNote
from gitops.settings import Settings
from webhooks.dashboard.installation import find_key_file

SECONDS = 10.0
"""How long one verification may take."""

MOST_HEADS = 200
"""Heads that are checked: the newest, and others evenly spread over the log."""

_PAGE = 1_000


@dataclass(frozen=True)
class Verified:
    """What was found.

    Args:
        code: intact, altered, or incomplete where nothing is signed or time was up.
        message: one sentence for a person.
        size: entries of the log.
        checked: how many of them were read and hashed, from the first.
        covered: how many of them the last head that held covers.
        heads: how many signed heads were compared.
        known: how many there are.
        key: the verifier key; empty where none is here, so that no signature was checked.
        first_bad: the first entry that may be wrong; None when none is blamed.
        seconds: how long it took.
    """

    code: Code
    message: str
    size: int
    checked: int = 0
    covered: int = 0
    heads: int = 0
    known: int = 0
    key: str = ""
    first_bad: int | None = None
    seconds: float = 0.0

    @property
    def unsigned(self) -> int:
        """Entries that no head covers yet."""
        return self.size - self.covered if self.code is Code.INTACT else 0


class _Found(Exception):  # noqa: N818 - an answer on its way out, not an error
    def __init__(self, message: str, first_bad: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.first_bad = first_bad


def read_key(settings: Settings) -> VerifierKey | None:
    """Return the log's public key as far as it is kept beside this installation, None where it is not."""
    file = find_key_file(settings)
    if file is None:
        return None
    try:
        return parse_verifier_key(file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeError, LaunchpinError):
        return None


def verify_log(log: AuditLog, key: VerifierKey | None, *, seconds: float = SECONDS) -> Verified:
    """Read the log from its first entry on, and compare the tree over it with the signed heads on the way.

    Args:
        key: whose signatures are believed; without it heads are compared and their signatures are not.
        seconds: after these it stops, and says how far it came.
    """
    begun = time.monotonic()
    size, notes = log.audit_size(), [note for note in log.checkpoints() if note.size]
    shown = key.text if key is not None else ""
    if not notes:
        message = "no head of this log is signed yet, so nothing is proved"
        return Verified(Code.INCOMPLETE, message, size, key=shown, seconds=time.monotonic() - begun)
    frontier, good, compared = Frontier(), 0, 0
    try:
        heads = [_open(note, key, log.log_id) for note in _spread(notes)]
        entries = _entries(log, heads[-1].size)
        for head in heads:
            for raw in entries:
                frontier.add(_leaf(raw, frontier.size, log.log_id))
                if frontier.size == head.size or time.monotonic() - begun > seconds:
                    break
            if frontier.size < head.size:
                break
            _compare(frontier, head, good)
            good, compared = head.size, compared + 1
    except _Found as found:
        code, message, first_bad = Code.ALTERED, found.message, found.first_bad
    else:
        code, message, first_bad = _sum_up(good, frontier.size, heads[-1].size, begun, seconds)
    return Verified(
        code,
        message,
        size,
        checked=frontier.size,
        covered=good,
        heads=compared,
        known=len(notes),
        key=shown,
        first_bad=first_bad,
        seconds=time.monotonic() - begun,
    )


def _compare(frontier: Frontier, head: Checkpoint, good: int) -> None:
    if frontier.root() != head.root:
        raise _Found(f"the entries from {good:,} on are not what was signed; the {good:,} before them are", good)


def _sum_up(good: int, read: int, wanted: int, begun: float, seconds: float) -> tuple[Code, str, int | None]:
    if good == wanted:
        return Code.INTACT, f"intact: {good:,} entries are what was signed", None
    if time.monotonic() - begun > seconds:
        told = f"nothing wrong in the first {good:,} of {wanted:,} signed entries, then time was up"
        return Code.INCOMPLETE, f"{told}: the command line has as much as it takes", None
    return Code.INCOMPLETE, f"the log ends after {read:,} entries, a signed head covers {wanted:,}", read


def _spread(notes: Sequence[AuditNote]) -> list[AuditNote]:
    """Return so many heads that each part of the log has some, the newest last."""
    if len(notes) <= MOST_HEADS:
        return list(notes)
    step = (len(notes) - 1) / (MOST_HEADS - 1)
    return [notes[round(at * step)] for at in range(MOST_HEADS)]


def _open(note: AuditNote, key: VerifierKey | None, log_id: str) -> Checkpoint:
    try:
        head = open_note(note.note, key) if key is not None else parse_note(note.note).unverified
    except InputError as error:
        raise _Found(f"the head of {note.size:,} entries: {error}", None) from error
    if head.origin != log_id or head.size != note.size:
        raise _Found(f"the head of {note.size:,} entries is of another log or size", None)
    return head


def _entries(log: AuditLog, size: int) -> Iterator[bytes]:
    start = 0
    while start < size:
        page = log.audit_entries(start, min(_PAGE, size - start))
        if not page:
            return
        yield from page
        start += len(page)


def _leaf(raw: bytes, position: int, log_id: str) -> bytes:
    try:
        entry = parse(raw)
    except InputError as error:
        raise _Found(f"entry {position:,}: {error}", position) from error
    if entry.log_id != log_id:
        raise _Found(f"entry {position:,} belongs to another log", position)
    return hash_leaf(raw)

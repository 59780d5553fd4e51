"""Decides what an exported bundle is worth, with no server and no network.

Everything in the bundle is taken for hostile. A finding names the first entry that can be blamed: exactly where its
bytes are wrong by themselves, else the first one after the last head that still matches.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from pathlib import Path

from gitops.audit import bundle
from gitops.audit.checkpoint import Checkpoint, VerifierKey, open_note, parse_note, parse_verifier_key
from gitops.audit.entry import parse
from gitops.audit.merkle import EMPTY_ROOT, Frontier, ReadNode, hash_leaf
from gitops.errors import InputError

BOUNDARY = (
    "boundary: none (in the plain embedded mode training code runs as the same user as the log's key; entries after "
    "the last head that left this machine could have been cut off unseen)"
)
_NOTE_LINES = 6  # origin, size, root, blank, signature, and the blank line that follows a note


class Code(IntEnum):
    """What a verification found; also the exit code of `launchpin audit verify`."""

    INTACT = 0
    ALTERED = 1
    FORKED = 2
    INCOMPLETE = 3
    USAGE = 4


@dataclass(frozen=True)
class Verification:
    """The answer about a bundle.

    Args:
        code: the verdict.
        message: one sentence for a person.
        size: entries covered by the last head, 0 when none could be read.
        root: base64 of the last head's root, empty when none could be read.
        origin: the log's name, empty when none could be read.
        pinned: whether the key came from the caller and not from the bundle.
        first_bad: the first entry that may be wrong, counted from 0; None when no entry is blamed.
        boundary: what this answer cannot know.
    """

    code: Code
    message: str
    size: int = 0
    root: str = ""
    origin: str = ""
    pinned: bool = False
    first_bad: int | None = None
    boundary: str = BOUNDARY


class _Finding(Exception):  # noqa: N818 - an answer on its way out, not an error
    def __init__(self, code: Code, message: str, first_bad: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.first_bad = first_bad


def verify_bundle(directory: Path, *, key: str | None = None, anchors: str = "") -> Verification:
    """Verify an exported bundle.

    Args:
        directory: what `write_bundle` wrote.
        key: the verifier key to trust, as text; without it the bundle's own keys are taken and the answer says so.
        anchors: the heads kept elsewhere (the branch `launchpin-audit`), as `read_anchors` gives them, which the bundle
            must agree with.

    Returns:
        The finding; problems of the bundle are answers, not exceptions.

    Raises:
        OSError: a file that cannot be read.
    """
    last: Checkpoint | None = None
    try:
        keys = _trusted_keys(directory, key)
        heads = _read_heads(_require(directory, bundle.CHECKPOINTS), keys, bundle.CHECKPOINTS)
        last = _last(heads)
        known = _merge(heads, _read_heads(anchors.encode(), keys, "the anchors"))
        _check_entries(_lines(directory), [head for head in known if head.size <= last.size])
        _check_reach(last, known[-1])
    except _Finding as found:
        return _answer(found.code, found.message, last, pinned=key is not None, first_bad=found.first_bad)
    message = f"intact: {last.size} entries under {len(heads)} signed heads of {last.origin}"
    if key is None:
        message += "; the key is unpinned: it came from the bundle itself, so give --key"
    return _answer(Code.INTACT, message, last, pinned=key is not None, first_bad=None)


def find_first_bad(entries: Iterable[bytes], *, read_node: ReadNode) -> int | None:
    """Return the first stored entry whose bytes are not what was hashed when it was appended; None when all are.

    Args:
        entries: stored bytes in tree order.
        read_node: the stored tree; asked for leaves only. A missing leaf is reported by a KeyError and blamed.
    """
    for index, entry in enumerate(entries):
        try:
            if read_node(0, index) != hash_leaf(entry):
                return index
        except KeyError:
            return index
    return None


def _answer(code: Code, message: str, last: Checkpoint | None, *, pinned: bool, first_bad: int | None) -> Verification:
    if last is None:
        return Verification(code, message, pinned=pinned, first_bad=first_bad)
    root = base64.b64encode(last.root).decode("ascii")
    return Verification(code, message, last.size, root, last.origin, pinned, first_bad)


def _last(heads: list[Checkpoint]) -> Checkpoint:
    if not heads:
        raise _Finding(Code.INCOMPLETE, "checkpoints.txt holds no signed head, so nothing is proved")
    return heads[-1]


def _lines(directory: Path) -> Iterator[bytes]:
    if not bundle.has_entries(directory):
        raise _Finding(Code.INCOMPLETE, "entries.jsonl is missing")
    return bundle.read_entries(directory)


def _check_reach(last: Checkpoint, newest: Checkpoint) -> None:
    if newest.size > last.size:
        message = f"cut off: an anchor covers {newest.size} entries, the bundle only {last.size}"
        raise _Finding(Code.INCOMPLETE, message, last.size)


def _require(directory: Path, name: str) -> bytes:
    if not directory.is_dir():
        raise _Finding(Code.USAGE, f"{directory} is not a directory")
    content = bundle.read_text(directory, name)
    if content is None:
        raise _Finding(Code.INCOMPLETE, f"{name} is missing")
    return content


def _trusted_keys(directory: Path, pinned: str | None) -> tuple[VerifierKey, ...]:
    """Return the keys to believe: the caller's, which keys.txt must hold too, or else those of keys.txt."""
    try:
        trusted = parse_verifier_key(pinned.removesuffix("\n")) if pinned is not None else None
    except InputError as error:
        raise _Finding(Code.USAGE, f"the given key is not a verifier key: {error}") from error
    hints = _read_keys(_require(directory, bundle.KEYS))
    if trusted is None:
        return hints
    if trusted not in hints:
        raise _Finding(Code.ALTERED, "keys.txt does not hold the given key")
    return (trusted,)


def _read_keys(content: bytes) -> tuple[VerifierKey, ...]:
    lines = _decode(content, bundle.KEYS).split("\n")
    try:
        keys = tuple(parse_verifier_key(line) for line in lines[:-1])
    except InputError as error:
        raise _Finding(Code.ALTERED, f"keys.txt: {error}") from error
    if lines[-1] or not keys or len(set(keys)) != len(keys):
        raise _Finding(Code.ALTERED, "keys.txt must hold one verifier key a line, each once, each line ended")
    return keys


def _decode(content: bytes, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise _Finding(Code.ALTERED, f"{name} is not UTF-8") from error


def _read_heads(content: bytes, keys: tuple[VerifierKey, ...], name: str) -> list[Checkpoint]:
    """Return the verified heads of a checkpoints.txt, in order of size."""
    heads: list[Checkpoint] = []
    for number, note in enumerate(_split_notes(_decode(content, name), name)):
        head = _open(note, keys, f"head {number} of {name}")
        if heads and head.origin != heads[0].origin:
            raise _Finding(Code.ALTERED, f"{name} mixes heads of {heads[0].origin} and {head.origin}")
        if heads and head.size == heads[-1].size and head.root != heads[-1].root:
            raise _Finding(Code.FORKED, f"two heads of size {head.size} state two roots")
        if not head.size and head.root != EMPTY_ROOT:
            raise _Finding(Code.ALTERED, f"head {number} of {name} states a root that no empty log has")
        if heads and head.size <= heads[-1].size:
            raise _Finding(Code.ALTERED, f"head {number} of {name} does not come after the one before it")
        heads.append(head)
    return heads


def _split_notes(text: str, name: str) -> Iterator[str]:
    """Give the notes of a text in which each has exactly one signature and is followed by a blank line."""
    lines = text.split("\n")
    count, rest = divmod(len(lines) - 1, _NOTE_LINES)
    if rest or lines[-1]:
        raise _Finding(Code.ALTERED, f"{name} is not a row of notes, each followed by a blank line")
    for start in range(0, count * _NOTE_LINES, _NOTE_LINES):
        *note, blank = lines[start : start + _NOTE_LINES]
        if blank:
            raise _Finding(Code.ALTERED, f"{name}: a note is not followed by a blank line")
        yield "\n".join(note) + "\n"


def _open(note: str, keys: tuple[VerifierKey, ...], place: str) -> Checkpoint:
    try:
        head = open_note(note, *keys)
        signer = parse_note(note).signatures[0].name
    except InputError as error:
        raise _Finding(Code.ALTERED, f"{place}: {error}") from error
    if signer != head.origin:
        raise _Finding(Code.ALTERED, f"{place} is signed by {signer}, which is not the log {head.origin}")
    return head


def _merge(heads: list[Checkpoint], anchors: list[Checkpoint]) -> list[Checkpoint]:
    """Join the bundle's heads with those kept elsewhere; two roots of one size are a fork."""
    merged = {head.size: head for head in heads}
    for anchor in anchors:
        if anchor.origin != heads[-1].origin:
            raise _Finding(Code.ALTERED, f"the anchors are of {anchor.origin}, the bundle is of {heads[-1].origin}")
        if merged.setdefault(anchor.size, anchor).root != anchor.root:
            raise _Finding(Code.FORKED, f"the bundle and the anchors state two roots for size {anchor.size}")
    return [merged[size] for size in sorted(merged)]


def _check_entries(lines: Iterator[bytes], heads: list[Checkpoint]) -> None:
    """Rebuild the tree and compare it with every head; `lines` have their newlines, `heads` are smallest first."""
    frontier = Frontier()
    good, blamed = 0, None
    for head in heads:
        _take(lines, frontier, head, blamed=blamed)
        if frontier.size < head.size:
            break
        if frontier.root() != head.root:
            blamed = blamed or _blame(good, head.size)
        elif blamed:
            message = f"the heads contradict each other: that of size {head.size} holds, an earlier one does not"
            raise _Finding(Code.FORKED, message)
        else:
            good = head.size
    wanted = heads[-1].size
    if blamed:
        raise blamed
    if frontier.size < wanted:
        message = f"entries.jsonl ends after {frontier.size} entries, the last head covers {wanted}"
        raise _Finding(Code.INCOMPLETE, message, frontier.size)
    if next(lines, None) is not None:
        raise _Finding(Code.INCOMPLETE, f"there are entries beyond the last head, which covers {wanted}", wanted)


def _take(lines: Iterator[bytes], frontier: Frontier, head: Checkpoint, *, blamed: _Finding | None) -> None:
    """Add the entries up to a head; an earlier finding goes before what is found here."""
    origin = head.origin
    try:
        for line in islice(lines, head.size - frontier.size):
            frontier.add(_hash_line(line, origin))
    except InputError as error:
        raise blamed or _Finding(Code.ALTERED, f"entry {frontier.size}: {error}", frontier.size) from error


def _hash_line(line: bytes, origin: str) -> bytes:
    """Return the leaf of a line that is an entry of this log in its one form."""
    entry = line[:-1]
    if line[-1:] != b"\n":
        raise InputError("audit_entry", "the line has no end, or is too long")
    if parse(entry).log_id != origin:
        raise InputError("audit_entry", f"the entry belongs to another log than {origin}")
    return hash_leaf(entry)


def _blame(good: int, bad: int) -> _Finding:
    """Blame the entries from `good` up to `bad`."""
    place = f"entry {good}" if bad - good == 1 else f"one of the entries {good} to {bad - 1}"
    return _Finding(Code.ALTERED, f"{place} is not what was signed; the {good} before are intact", good)

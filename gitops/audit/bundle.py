"""The exported bundle as files: entries.jsonl, checkpoints.txt, keys.txt. And the anchors: the same heads on a branch.

The one room of the audit that reads files. It writes bytes as they are and reads them as they are; what they are worth
is decided in `verify`.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from gitops.audit.checkpoint import parse_note, parse_verifier_key
from gitops.audit.entry import MAX_ENTRY_BYTES
from gitops.errors import ConflictError, InputError

ENTRIES = "entries.jsonl"
CHECKPOINTS = "checkpoints.txt"
KEYS = "keys.txt"
_ANCHORS = re.compile(r"checkpoints(?:-([0-9]{6,9}))?\.txt")
_NOTE_LINES = 5  # origin, size, root, blank, signature
_DASH = "\N{EM DASH} "


def write_bundle(directory: Path, entries: Iterable[bytes], *, notes: Iterable[str], keys: Iterable[str]) -> int:
    """Write a bundle and return the number of its entries.

    Args:
        directory: made when missing; must not hold a bundle yet.
        entries: stored bytes in tree order, up to the last note's size.
        notes: signed notes, oldest first, one per size.
        keys: verifier keys as text.

    Raises:
        ConflictError: the directory holds one of the three files already.
        InputError: a note, key or entry that cannot stand in a bundle.
    """
    signed, known = join_notes(notes), _join_keys(keys)
    directory.mkdir(parents=True, exist_ok=True)
    for name in (ENTRIES, CHECKPOINTS, KEYS):
        if (directory / name).exists():
            raise ConflictError("BundleExists", f"{directory / name} exists already; export to another directory")
    count = 0
    with (directory / ENTRIES).open("xb") as file:
        for count, entry in enumerate(entries, start=1):
            if b"\n" in entry:
                raise InputError("audit_entry", f"entry {count - 1} holds a newline")
            file.write(entry + b"\n")
    _write(directory / CHECKPOINTS, signed)
    _write(directory / KEYS, known)
    return count


def join_notes(notes: Iterable[str]) -> str:
    """Return the text of checkpoints.txt: each note followed by a blank line.

    Raises:
        InputError: a text that is no checkpoint.
    """
    parts = []
    for note in notes:
        parse_note(note)
        parts.append(note + "\n")
    return "".join(parts)


def find_notes(text: str) -> Iterator[str]:
    """Give the notes of a checkpoints.txt that somebody may have written into: what is none is passed over."""
    lines = text.split("\n")
    for end, line in enumerate(lines[:-2], start=1):
        if line.startswith(_DASH) and not lines[end]:
            yield "\n".join(lines[max(0, end - _NOTE_LINES) : end]) + "\n"


def name_anchors(number: int) -> str:
    """Return the name of a file of heads on the anchor branch, which are counted from 1."""
    return CHECKPOINTS if number == 1 else f"checkpoints-{number:06}.txt"


def read_anchors(place: Path) -> str:
    """Return the heads of an anchor branch: of all its files in a folder, or of a single one.

    Raises:
        OSError: a file that cannot be read, or is missing before another one.
        UnicodeDecodeError: no text.
    """
    if not place.is_dir():
        return place.read_bytes().decode()
    numbers = {int(found[1] or "1") for file in place.iterdir() if (found := _ANCHORS.fullmatch(file.name))}
    missing = next(number for number in range(1, len(numbers) + 2) if number not in numbers)
    if missing <= max(numbers, default=1):
        raise FileNotFoundError(f"{place} holds no {name_anchors(missing)}")
    return "".join((place / name_anchors(number)).read_bytes().decode() for number in sorted(numbers))


def read_text(directory: Path, name: str) -> bytes | None:
    """Return the bytes of one of the two small files; None when it is missing."""
    path = directory / name
    return path.read_bytes() if path.is_file() else None


def read_entries(directory: Path) -> Iterator[bytes]:
    r"""Give the lines of entries.jsonl with their newline, one at a time, none longer than an entry may be.

    Only `\n` ends a line here; a line without it is the last one, or too long.
    """
    with (directory / ENTRIES).open("rb", buffering=1 << 20) as file:
        while line := file.readline(MAX_ENTRY_BYTES + 2):
            yield line


def has_entries(directory: Path) -> bool:
    """Whether the directory holds an entries.jsonl."""
    return (directory / ENTRIES).is_file()


def _join_keys(keys: Iterable[str]) -> str:
    unique = dict.fromkeys(parse_verifier_key(key).text for key in keys)
    return "".join(f"{key}\n" for key in unique)


def _write(path: Path, text: str) -> None:
    with path.open("xb") as file:
        file.write(text.encode())

"""A small audit log in memory, for tests of the trail."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gitops.audit import merkle
from gitops.audit.bundle import write_bundle
from gitops.audit.checkpoint import Checkpoint, SigningKey, sign
from gitops.audit.entry import Actor, Entry, Event, Evidence, Service, Subject, canonical, stamp

ORIGIN = "log.example/audit/1"
START = datetime(2026, 1, 1, tzinfo=UTC)
# A fixed key, so that a failure is the same in every run.
KEY = SigningKey(ORIGIN, bytes(range(32)))
OTHER_KEY = SigningKey(ORIGIN, bytes(range(1, 33)))


def make_entry(
    kind: str = "hold.set", *, minute: int = 0, subject: Subject | None = None, evidence: Evidence | None = None
) -> Entry:
    """Make an entry that happened some minutes after START."""
    event = Event(kind=kind, actor=Actor(type="bot"), subject=subject or Subject(), evidence=evidence or {})
    return stamp(event, log_id=ORIGIN, moment=START + timedelta(minutes=minute), service=Service(version="1"))


def make_entries(count: int) -> list[bytes]:
    """Make different entries as bytes."""
    return [canonical(make_entry(minute=minute)) for minute in range(count)]


def hash_nodes(entries: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    """Return every complete subtree's hash, by level and index."""
    nodes: dict[tuple[int, int], bytes] = {}
    for size, entry in enumerate(entries):
        made = merkle.append(size, merkle.hash_leaf(entry), read_node=lambda level, index: nodes[level, index])
        nodes.update({(node.level, node.index): node.digest for node in made})
    return nodes


def sign_head(entries: list[bytes], *, key: SigningKey = KEY, origin: str = ORIGIN) -> str:
    """Sign a head over all these entries."""
    root = merkle.root_of(merkle.hash_leaf(entry) for entry in entries)
    return sign(Checkpoint(origin, len(entries), root), key)


@dataclass
class Log:
    """A bundle's directory and what an honest log put there."""

    directory: Path
    entries: list[bytes]
    notes: list[str]


def write_log(directory: Path, *, heads: tuple[int, ...] = (2, 4)) -> Log:
    """Write an intact bundle whose last head covers all its entries."""
    entries = make_entries(heads[-1])
    notes = [sign_head(entries[:size]) for size in heads]
    write_bundle(directory, entries, notes=notes, keys=[KEY.verifier.text])
    return Log(directory, entries, notes)


def write_lines(directory: Path, entries: list[bytes]) -> None:
    """Replace the entries of a bundle, as somebody with the file in hand would."""
    (directory / "entries.jsonl").write_bytes(b"".join(entry + b"\n" for entry in entries))


def write_notes(directory: Path, notes: list[str]) -> None:
    """Replace the heads of a bundle."""
    (directory / "checkpoints.txt").write_bytes("".join(note + "\n" for note in notes).encode())

"""The audit log: appending against plain inserts of the same bytes, verifying a bundle, and how both grow.

The baseline of appending is what a program would do that wants its lines kept and nothing else: SQLAlchemy Core's
`insert` of a list of rows, as the store writes its other tables, into a table of a number and bytes. It is in the same
database file and gets the same bytes in the same batches, each batch one transaction of the store's own writer with the
same fsync. The table is as cheap as SQLite has them: the number is the row's own, so there is no index, and no trigger.

Beside it stands the driver's own `executemany`, which nobody writes but which is the least that those bytes can cost:
the log's own statements go to the driver too, so against this one the price of the tree itself is seen, mostly its
hashing. Wall time includes the disk, which both sides wait for alike; the ratio of CPU time leaves it out, and is told
in the row's note.
"""

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, Table, insert

from gitops.audit import merkle
from gitops.audit.bundle import write_bundle
from gitops.audit.entry import Subject, canonical
from gitops.audit.verify import Code, verify_bundle
from gitops.store.audit_log import append_entries
from gitops.store.database import Database, open_database
from gitops.store.migrate import migrate
from tests.benchmarks.figures import Curve, Measured, Must, Reach, Result, Row, Scale
from tests.support.audit_log import KEY, make_entry, sign_head

_BATCH = 256
# So long is a log whose every batch meets many unfinished subtrees: 10101011 in binary.
_BEFORE = 171
_Write = Callable[[Connection, Sequence[bytes]], None]
_PLAIN = Table("plain", MetaData(), Column("id", Integer, primary_key=True), Column("bytes", LargeBinary))


def measure(scale: Scale) -> Result:
    """Measure appending, verifying, and their growth from a thousand entries to a million."""
    sizes = scale.steps(1_000, 10_000, 100_000, 1_000_000)
    entries = _make_entries(sizes[-1])
    with tempfile.TemporaryDirectory() as folder:
        append = _measure_append(Path(folder), entries, batches=scale.pick(300, quick=4))
    verified: list[tuple[float, float]] = []
    appended: list[tuple[float, float]] = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            verify = _measure_verify(Path(folder), entries[:size], times=3)
        verified.append((float(size), verify.ours.median))
        with tempfile.TemporaryDirectory() as folder:
            appended.append((float(size), _append_rate_at(Path(folder), entries[:size])))
    series = {"verify": verified, "append in batches, at the end of so long a log": appended}
    curve = Curve("audit-log", "Audit log as it grows", "entries", "entries a second", series)
    return Result((append, verify), (curve,))


def _make_entries(count: int) -> list[bytes]:
    """Make entries of a usual length that differ; spelled from one, because making them is not what is measured."""
    subject = Subject(repo_id=7, repo="acme/iris", sha="d" * 40, training_id="t-000000000", model="iris", revision=3)
    evidence = {"lock_sha256": "e" * 64, "run_id": "f" * 32, "seconds": "12.5"}
    one = canonical(make_entry("training.trained", subject=subject, evidence=evidence))
    assert one.count(b"t-000000000") == 1
    return [one.replace(b"t-000000000", b"t-%09d" % number) for number in range(count)]


@contextmanager
def _database(folder: Path) -> Iterator[Database]:
    url = f"sqlite:///{folder / 'launchpin.sqlite3'}"
    migrate(url, host="bench.example")
    database = Database(open_database(url))
    with database.write() as connection:
        _PLAIN.create(connection)
    yield database
    database.close()


def _insert_by_core(connection: Connection, entries: Sequence[bytes]) -> None:
    connection.execute(insert(_PLAIN), [{"bytes": entry} for entry in entries])


def _insert_by_driver(connection: Connection, entries: Sequence[bytes]) -> None:
    connection.exec_driver_sql("INSERT INTO plain (bytes) VALUES (?)", [(entry,) for entry in entries])


def _measure_append(folder: Path, entries: list[bytes], *, batches: int) -> Row:
    """Append batches to the log and to a plain table by turns, each batch one durable transaction."""
    rates: dict[_Write, list[_Rate]] = {append_entries: [], _insert_by_core: [], _insert_by_driver: []}
    with _database(folder) as database:
        with database.write() as connection:
            append_entries(connection, entries[:_BEFORE])
        for number in range(batches):
            batch = entries[number * _BATCH % len(entries) :][:_BATCH]
            # Whoever is first finds the batch's bytes in no cache of the processor; that is another one each time.
            for write in _rotated([*rates], number):
                rates[write].append(_rate(database, write, batch))
    ours, core, driver = (Measured(tuple(one.by_wall for one in own), "entries/s") for own in rates.values())
    ours_by_cpu, *others_by_cpu = (statistics.median(one.by_cpu for one in own) for own in rates.values())
    ratios = " and ".join(f"{ours_by_cpu / other:.2f}x" for other in others_by_cpu)
    return Row(
        f"audit: append, {_BATCH} entries a transaction, SQLite with synchronous=FULL",
        ours,
        {"plain insert of the same bytes": core, "the same by the driver alone": driver},
        Reach(Must.RATIO_AT_LEAST, 0.85),
        note=f"by CPU time {ratios}",
    )


def _rotated(writers: list[_Write], by: int) -> list[_Write]:
    first = by % len(writers)
    return writers[first:] + writers[:first]


class _Rate(NamedTuple):
    """Entries a second, of the clock on the wall and of this process's own."""

    by_wall: float
    by_cpu: float


def _rate(database: Database, write: _Write, batch: Sequence[bytes]) -> _Rate:
    begun, begun_by_cpu = time.perf_counter(), time.process_time()
    with database.write() as connection:
        write(connection, batch)
    return _Rate(len(batch) / (time.perf_counter() - begun), len(batch) / (time.process_time() - begun_by_cpu))


def _append_rate_at(folder: Path, entries: Sequence[bytes]) -> float:
    """Return how fast a batch is appended to a log that holds these entries already."""
    with _database(folder) as database:
        for start in range(0, len(entries), 50_000):
            with database.write() as connection:
                append_entries(connection, entries[start : start + 50_000])
        return statistics.median(_rate(database, append_entries, entries[:_BATCH]).by_wall for _ in range(5))


def _measure_verify(folder: Path, entries: list[bytes], *, times: int) -> Row:
    bundle = folder / "bundle"
    write_bundle(bundle, entries, notes=[sign_head(entries)], keys=[KEY.verifier.text])
    ours, bare = [], []
    for _ in range(times):
        ours.append(_timed(lambda: _verify(bundle), len(entries)))
        bare.append(_timed(lambda: _hash(bundle), len(entries)))
    return Row(
        f"audit: verify a bundle of {len(entries):,} entries",
        Measured(tuple(ours), "entries/s"),
        {"SHA-256 tree alone, nothing checked": Measured(tuple(bare), "entries/s")},
        Reach(Must.AT_LEAST, 150_000),
    )


def _timed(do: Callable[[], None], count: int) -> float:
    begun = time.perf_counter()
    do()
    return count / (time.perf_counter() - begun)


def _verify(bundle: Path) -> None:
    assert verify_bundle(bundle, key=KEY.verifier.text).code is Code.INTACT


def _hash(bundle: Path) -> None:
    with (bundle / "entries.jsonl").open("rb") as lines:
        merkle.root_of(hashlib.sha256(b"\0" + line[:-1]).digest() for line in lines)

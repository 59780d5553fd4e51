"""Self-audit: whether every state change has its entry, and every entry its state change (I25)."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, Table, select

from gitops.audit.entry import Entry, parse
from gitops.store.rows import KINDS, TRIAL
from gitops.store.tables import audit_entries, declined, holds, repositories, versions

Key = tuple[str, ...]
_DECLINED = "promotion.declined"


def check_joins(connection: Connection) -> list[str]:
    """Return a line for each place where rows and entries do not agree; empty when all is well.

    A record's entries carry its revisions 1 to n, each once. Holds, versions, refusals by a person and repositories
    have one entry for each thing that happened to them.
    """
    entries = [parse(raw) for raw in _stored(connection)]
    return [*_check_records(connection, entries), *_check_facts(connection, entries)]


def _stored(connection: Connection) -> Iterator[bytes]:
    yield from connection.execute(select(audit_entries.c.bytes).order_by(audit_entries.c.position)).scalars()


def _check_records(connection: Connection, entries: Iterable[Entry]) -> Iterator[str]:
    found: dict[Key, list[int]] = defaultdict(list)
    for entry in entries:
        if entry.subject.revision:
            noun = entry.kind.partition(".")[0]
            record_id = entry.subject.name if noun == TRIAL.name else getattr(entry.subject, f"{noun}_id", "")
            found[noun, str(record_id)].append(entry.subject.revision)
    for kind in filter(lambda kind: kind.is_audited, KINDS.values()):
        for record_id, revision in connection.execute(select(kind.table.c.id, kind.table.c.revision)):
            revisions = found.pop((kind.name, record_id), [])
            if revisions != list(range(1, revision + 1)):
                yield f"{kind.name} {record_id} is at revision {revision}, its entries are {revisions}"
    yield from (f"{' '.join(key)} has entries but no record" for key in found)


def _check_facts(connection: Connection, entries: list[Entry]) -> Iterator[str]:
    lifted = holds.c.lifted_at.is_not(None)
    wanted: dict[str, list[Key]] = {
        "hold.set": _keys(connection, holds, "id"),
        "hold.lifted": [(key,) for key in connection.execute(select(holds.c.id).where(lifted)).scalars()],
        "version.recorded": _keys(connection, versions, "model", "version"),
        _DECLINED: _keys(connection, declined, "repository_id", "environment", "model", "version"),
    }
    for kind, keys in wanted.items():
        told = _told(entries, kind)
        yield from (
            f"{kind} {' '.join(key)}: {told.count(key)} entries" for key in sorted(keys) if told.count(key) != 1
        )
        yield from (f"{kind} {' '.join(key)}: an entry but no row" for key in sorted(set(told) - set(keys)))
    connected = {str(entry.subject.repo_id) for entry in entries if entry.kind == "repository.connected"}
    missing = {key for (key,) in _keys(connection, repositories, "id")} ^ connected
    yield from (f"repository {key} and its entries do not agree" for key in sorted(missing))


def _told(entries: Iterable[Entry], kind: str) -> list[Key]:
    """Return the keys that entries of a kind speak of; a refusal that was reconsidered is one no more."""
    told: list[Key] = []
    for entry in entries:
        if entry.kind == kind:
            told.append(_key(entry))
        elif (kind, entry.kind) == (_DECLINED, "promotion.reconsidered") and _key(entry) in told:
            told.remove(_key(entry))
    return told


def _keys(connection: Connection, table: Table, *names: str) -> list[Key]:
    rows = connection.execute(select(*(table.c[name] for name in names)))
    return [tuple(str(value) for value in row) for row in rows]


def _key(entry: Entry) -> Key:
    subject = entry.subject
    match entry.kind:
        case "version.recorded":
            return subject.model, subject.version
        case "promotion.declined" | "promotion.reconsidered":
            return str(subject.repo_id), subject.env, subject.model, subject.version
        case _:
            return (subject.name,)

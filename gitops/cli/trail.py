"""The audit trail as verbs read it: from the stack's log, or from a bundle that is intact."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from gitops.audit.bundle import has_entries, read_entries
from gitops.audit.entry import Entry, parse
from gitops.audit.verify import Code, verify_bundle
from gitops.cli.asking import opened
from gitops.errors import InputError, NotFoundError
from gitops.ports import AuditLog

_PAGE = 1000


def entries_of(bundle: Path | None, stack_dir: Path) -> list[Entry]:
    """Return the entries of a bundle where one is given, else those of the stack.

    Raises:
        NotFoundError: `NoBundle`.
        InputError: `bundle_not_intact`; an answer from an altered one would be worth nothing.
    """
    return [parse(entry) for entry in lines_of(bundle, stack_dir)]


def time_of(stack_dir: Path) -> datetime:
    """Return the time by the clock that the stack's log is written by."""
    with opened(stack_dir) as (_, store):
        return store.now()


def lines_of(bundle: Path | None, stack_dir: Path) -> Iterator[bytes]:
    """Give the same entries as their bytes, one after the other: a long log is never whole in memory.

    Raises:
        NotFoundError: `NoBundle`.
        InputError: `bundle_not_intact`.
    """
    if bundle is None:
        with opened(stack_dir) as (_, store):
            yield from pages(store, store.audit_size())
        return
    if not has_entries(bundle):
        raise NotFoundError("NoBundle", f"{bundle} holds no bundle: `launchpin audit export` writes one")
    found = verify_bundle(bundle)
    if found.code is not Code.INTACT:
        raise InputError("bundle_not_intact", f"{bundle}: {found.message}")
    yield from (line.removesuffix(b"\n") for line in read_entries(bundle))


def pages(store: AuditLog, size: int) -> Iterator[bytes]:
    """Give the log's first entries, read some at a time.

    Raises:
        NotFoundError: `EntriesMissing` when there are fewer.
    """
    start = 0
    while start < size:
        page = store.audit_entries(start, min(_PAGE, size - start))
        if not page:
            raise NotFoundError("EntriesMissing", f"the log ends at entry {start}, a head covers {size}")
        yield from page
        start += len(page)

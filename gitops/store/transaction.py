"""One writing transaction: its connection, its one time, and the audit entries that are appended when it ends."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from gitops.audit.entry import Event, Service, canonical, stamp
from gitops.failpoints import failpoint
from gitops.identifiers import new_id
from gitops.notices import Notice, tell
from gitops.store.audit_log import append_entries
from gitops.store.database import Database

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Transaction:
    """What a writing function gets.

    Args:
        now: the database's clock when the transaction began; every row of it carries that.
        log_id: the audit log's origin.
        service: which Launchpin writes.
        is_again: an earlier try of the same may have been kept, for its connection was lost in the commit.
        entries: bytes of the entries so far; built before the log's head is locked.
        is_told: whether somebody is told of what changes.
        notices: what is told, so far.
    """

    connection: Connection
    now: datetime
    log_id: str
    service: Service
    is_again: bool = False
    entries: list[bytes] = field(default_factory=list)
    is_told: bool = False
    notices: list[Notice] = field(default_factory=list)

    def record(self, event: Event) -> None:
        """Append an entry when the transaction ends."""
        self.entries.append(canonical(stamp(event, log_id=self.log_id, moment=self.now, service=self.service)))
        self.tell(event)

    def tell(self, event: Event) -> None:
        """Keep what somebody is to be told of an event, when the transaction ends; never a reason for it not to end."""
        if not self.is_told:
            return
        try:
            notice = tell(event, id=new_id("n"), log_id=self.log_id, moment=self.now, service=self.service)
        except Exception:  # noqa: BLE001 - a message that cannot be made must not keep a change from being made (I24)
            _log.exception("nobody is told of %s", event.kind)
            return
        if notice is not None:
            self.notices.append(notice)


@contextmanager
def transaction(
    database: Database,
    *,
    log_id: str,
    service: Service,
    is_again: bool = False,
    is_quiet: bool = False,
    is_told: bool = False,
) -> Iterator[Transaction]:
    """Open a writing transaction; the log's head is touched last, so that writers wait for each other briefly.

    Args:
        is_again: an earlier try may have been kept.
        is_quiet: nobody who waits for work needs to know of it.
        is_told: whether somebody is told of what changes.
    """
    with database.write(is_quiet=is_quiet) as connection:
        running = Transaction(connection, database.time(connection), log_id, service, is_again, is_told=is_told)
        yield running
        append_entries(connection, running.entries)
        failpoint("commit.before")
    failpoint("commit.after")

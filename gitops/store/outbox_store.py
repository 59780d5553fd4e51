"""The part of the store that knows what is to be told."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from gitops.notices import Letter, Notice
from gitops.ports import DueLetter
from gitops.store import outbox
from gitops.store.account_store import AccountStore


class OutboxStore(AccountStore):
    """Notices and letters in a SQL database; implements `gitops.ports.Outbox`."""

    def unrouted(self, *, limit: int) -> Sequence[Notice]:
        """Return the notices of which nobody decided yet who is told, oldest first."""
        return self._read(lambda connection: outbox.read_unrouted(connection, limit=limit))

    def told_lately(self, notices: Sequence[Notice]) -> Mapping[tuple[str, str, str], datetime]:
        """Return when somebody was last told the same as each of these."""
        return self._read(lambda connection: outbox.read_told_lately(connection, notices))

    def first_letter(self, channel: str) -> DueLetter | None:
        """Return a channel's letter that is due first; None when none waits."""
        return self._read(
            lambda connection: outbox.read_first_letter(connection, channel, now=self._database.time(connection))
        )

    def letters(self, *, limit: int = 100) -> Sequence[tuple[Letter, Notice]]:
        """Return the newest letters, each with what it tells."""
        return self._read(lambda connection: outbox.read_letters(connection, limit=limit))

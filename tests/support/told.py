"""A store with a past in which people were told of things: some messages came, one waits, one was given up."""

from datetime import timedelta

from gitops.store import SqlStore
from gitops.writes import RouteNotice, SettleLetter
from tests.support.history import fill_with_history
from tests.support.store import Clock, write

REFUSED = "550 5.1.1 no such mailbox"
AWAY = "hooks.example.com did not answer within 10 s"


def fill_with_told(store: SqlStore, clock: Clock) -> None:
    """Play the past, then tell of it."""
    fill_with_history(store, clock)
    tell(store)


def tell(store: SqlStore) -> None:
    """Tell of the newest four things that happened."""
    first, second, third, fourth = store.unrouted(limit=1000)[-4:]
    for notice in (first, second, third, fourth):
        write(store, RouteNotice(notice.id, ("on-call", "team-mail")))
    for notice in (first, second):
        write(store, SettleLetter(notice.id, "on-call", is_sent=True, message="200 ok"))
    write(store, SettleLetter(first.id, "team-mail", is_sent=False, reason="ChannelRefused", message=REFUSED))
    later = timedelta(minutes=5)
    away = SettleLetter(
        third.id, "on-call", is_sent=False, is_away=True, reason="ChannelAway", message=AWAY, after=later
    )
    write(store, away)

"""Things of which people were told: some messages came, one waits for another try, one was given up."""

from datetime import timedelta
from pathlib import Path

from gitops.audit.entry import Actor, Event, EvidenceValue, Subject
from gitops.store import SqlStore
from gitops.writes import RouteNotice, SettleLetter
from tests.support.fleet import BAKING, REFUSED
from tests.support.store import make_url, write

NO_MAILBOX = "550 5.1.1 no such mailbox"
AWAY = "hooks.example.com did not answer within 10 s"
_LAUNCHPIN = Actor(type="service", login="launchpin")
_EVENTS: tuple[tuple[str, Subject, dict[str, EvidenceValue]], ...] = (
    ("training.refused", Subject(model="iris", training_id=REFUSED), {"reason": "GateRefused"}),
    ("promotion.proposed", Subject(model="iris", version="8", env="production", promotion_id="p-000000007"), {}),
    ("rollout.errored", Subject(endpoint="iris-production", version="7", rollout_id=BAKING), {"reason": "SmokeFailed"}),
)


def tell(home: Path) -> None:
    """Tell two channels of three things, beside whatever the store of a folder has."""
    store = SqlStore(make_url(home), is_told=True)
    for kind, subject, evidence in _EVENTS:
        store.append_audit(Event(kind=kind, actor=_LAUNCHPIN, subject=subject, evidence=evidence))
    first, second, third = store.unrouted(limit=10)
    for notice in (first, second, third):
        write(store, RouteNotice(notice.id, ("on-call", "team-mail")))
    for notice in (first, second):
        write(store, SettleLetter(notice.id, "on-call", is_sent=True, message="200 ok"))
    refused = SettleLetter(first.id, "team-mail", is_sent=False, reason="ChannelRefused", message=NO_MAILBOX)
    later = timedelta(minutes=5)
    away = SettleLetter(
        third.id, "on-call", is_sent=False, is_away=True, reason="ChannelAway", message=AWAY, after=later
    )
    write(store, refused, away)
    store.close()

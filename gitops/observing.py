"""What the loop tells about a claim: fields on every log record, a span in the trace of its cause, a count.

Nothing here decides anything, and nothing that goes wrong here is a step's business.
"""

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_never

from gitops.errors import LaunchpinError
from gitops.ports import Claim, Exit, Store
from gitops.records import Delivery, Record
from gitops.steps import Done, Ended, Phase, Refused, Stalled, Wait
from gitops.telemetry import context, tracing
from gitops.telemetry.meters import meters
from gitops.telemetry.places import Place, place_of
from gitops.telemetry.tracing import Span, Told

Thing = tuple[str, str]
"""A record, by its kind and id."""

_log = logging.getLogger(__name__)
_RECORDS = frozenset({"delivery", "training", "trial", "promotion", "rollout", "command"})
# A job about a record whose kind is another: `report` and its like.
_ABOUT = re.compile(r"(delivery|training|trial|promotion|rollout|command):(.+)")
_BAD_ENDS = frozenset({Phase.ERRORED, Phase.ROLLED_BACK, Phase.REFUSED})
_RECEIVE = "receive"


class Watch:
    """What becomes known of a claim while it is carried out.

    Args:
        chain: the record, what caused it, and so on to the first cause; empty for work that nobody caused.
    """

    def __init__(self, store: Store, claim: Claim, chain: tuple[Thing, ...], span: Span) -> None:
        self._store = store
        self._claim = claim
        self._chain = chain
        self._span = span
        self._begun = time.monotonic()

    def end(self, end: Exit) -> None:
        """Take note of how the claim ended, after that was written."""
        outcome, reason, message = _say(end)
        meters().count_step(self._claim.kind, end.step, outcome, time.monotonic() - self._begun)
        self._span.rename(f"{self._claim.kind} {end.step}".strip())
        self._span.note(step=end.step, outcome=outcome, reason=reason)
        if outcome in {"retry", "stalled"} or _is_bad_end(end):
            self._span.fail(reason or outcome)
        level = logging.INFO if outcome != "wait" else logging.DEBUG
        _log.log(level, "%s", message, extra={"outcome": outcome, "reason": reason})
        if isinstance(end.record, Delivery) and isinstance(end.outcome, Done):
            meters().count_delivery(str(end.outcome.facts.get("outcome", "")))
        if end.record is not None and _is_over(end) and tracing.is_tracing():
            self._tell_story(end.record, end)

    def lose(self) -> None:
        """Take note that somebody else holds the job: nothing was written."""
        meters().count_lost(self._claim.kind)
        self._span.note(outcome="lost")
        self._span.fail("StaleEpoch")

    def _tell_story(self, record: Record, end: Exit) -> None:
        """Tell the whole record as one span, the parent of its steps, from its beginning to now."""
        outcome, reason, _ = _say(end)
        now = self._store.now()
        tracing.tell(
            Told(
                self._claim.kind,
                place=place_of(self._chain[-1], self._chain[0]),
                parent=_parent(self._chain),
                begin=record.created_at or now,
                end=now,
                attributes={"kind": self._claim.kind, "subject": record.id, "outcome": outcome, "reason": reason},
                failure=(reason or outcome) if _is_bad_end(end) else "",
            )
        )


@contextmanager
def watched(store: Store, claim: Claim) -> Iterator[Watch]:
    """Tell of all that happens in the block which claim it belongs to."""
    chain = _read_chain(store, claim)
    root = chain[-1] if chain else ("", "")
    fields: dict[str, context.Field] = {
        "job": claim.job,
        "epoch": claim.epoch,
        "kind": claim.kind,
        "subject": claim.subject,
        "delivery": root[1] if root[0] == "delivery" else "",
    }
    under = place_of(root, chain[0]) if chain else None
    with (
        context.bound(**fields, trace_id=under.trace if under else ""),
        tracing.span(f"{claim.kind} step", fields, under=under) as span,
    ):
        yield Watch(store, claim, chain, span)


def receive_place(guid: str) -> Place:
    """Return the place of the span that tells how a delivery was received: the first of its trace."""
    return place_of(("delivery", guid), (_RECEIVE, guid))


def _parent(chain: tuple[Thing, ...]) -> Place | None:
    root = chain[-1]
    if len(chain) > 1:
        return place_of(root, chain[1])
    return receive_place(root[1]) if root[0] == "delivery" else None


def _read_chain(store: Store, claim: Claim) -> tuple[Thing, ...]:
    thing = _record_of(claim)
    if thing is None or thing[0] in {"delivery", "command"}:
        return (thing,) if thing else ()
    try:
        return store.ancestry(*thing)
    except LaunchpinError as error:
        _log.debug("the cause of %s %s is not read: %s", *thing, error)
        return (thing,)


def _record_of(claim: Claim) -> Thing | None:
    if claim.kind in _RECORDS:
        return claim.kind, claim.subject
    about = _ABOUT.fullmatch(claim.subject)
    return (about[1], about[2]) if about else None


def _say(end: Exit) -> tuple[str, str, str]:
    """Return a claim's outcome, its reason and a sentence; the first two from small sets."""
    match end.outcome:
        case None if end.error:
            reason, _, message = end.error.partition(": ")
            return "retry", reason, f"tried again in {end.retry_after:.0f} s: {message}"
        case None:
            return "moved", "", "nothing to do here"
        case Done(message=message):
            return "done", "", message or f"{end.step} is done"
        case Wait() | Refused() | Stalled() | Ended() as told:
            name = told.phase.name.lower() if isinstance(told, Ended) else type(told).__name__.lower()
            return name, told.reason, told.message
        case _:
            assert_never(end.outcome)


def _is_over(end: Exit) -> bool:
    return isinstance(end.outcome, (Refused, Ended)) or (isinstance(end.outcome, Done) and not end.next_step)


def _is_bad_end(end: Exit) -> bool:
    return isinstance(end.outcome, Refused) or (isinstance(end.outcome, Ended) and end.outcome.phase in _BAD_ENDS)

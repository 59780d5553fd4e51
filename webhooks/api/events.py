"""What changes, as it changes: a stream of server-sent events, one for each entry of the audit log.

An event's id is the entry's position, so that whoever was cut off goes on where they were (`Last-Event-ID`). Where
another log stands in the place of the one that they know, after a restore say, they are told so, and go on at its end.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from gitops.access import Access, may_read
from gitops.audit.entry import Entry, parse
from gitops.roles import AccessRole
from webhooks.api.reading import store_of
from webhooks.askers import asker_of, find_asker
from webhooks.problems import ProblemError
from webhooks.replies import Receive, Scope, Send

if TYPE_CHECKING:
    from gitops.store import SqlStore

router = APIRouter(prefix="/api/v1")

Tell = Callable[[Sequence[tuple[int, Entry]]], str]

MOST = 64
"""Streams at once: each asks the database once a second."""

MOST_OF_ONE = 16
"""Streams of one person: nobody keeps all the others out."""

PACE = 1.0
_PAGE = 200
SPOKEN = 15
_SUBJECT = (
    *("repo", "ref", "sha", "training_id", "promotion_id", "rollout_id", "command_id"),
    *("model", "version", "env", "endpoint", "pr", "name"),
)


class Streams:
    """How many are open, by person; used by the event loop alone."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def enter(self, person: str) -> None:
        """Count one more.

        Raises:
            ProblemError: 503.
        """
        if self._open.total() >= MOST or self._open[person] >= MOST_OF_ONE:
            detail = f"{MOST} streams are open, or {MOST_OF_ONE} of yours: read `/api/v1/audit/entries` meanwhile."
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_streams", detail)
        self._open[person] += 1

    def leave(self, person: str) -> None:
        """Count one less."""
        self._open[person] -= 1
        self._open += Counter()  # forgets those that have none


class Counted(StreamingResponse):
    """A stream that makes room when it ends, however it ends.

    Args:
        leave: called once.
    """

    def __init__(self, content: AsyncIterator[str], leave: Callable[[], None]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={HTTPStatus.OK: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    request: Request,
    last_event_id: Annotated[int | None, Header(ge=-1, le=2**53, description="The last event that you have.")] = None,
) -> StreamingResponse:
    """Stream what changes from now on, or from the event after the last one that you have."""
    return stream(request, last_event_id, _events, lost='event: restored\ndata: {"next": %d}\n\n')


def stream(request: Request, last: int | None, tell: Tell, *, lost: str) -> StreamingResponse:
    """Return a stream of what somebody may see of each part of the log that is written from now on.

    Args:
        last: the last position that they have; None for all to come.
        tell: what they are told of a part that is not empty.
        lost: what they are told where another log stands in the place of the one that they know, after a restore say;
            `%d` becomes the position of the first entry that follows.

    Raises:
        ProblemError: 503.
    """
    streams: Streams = request.app.state.streams
    person = asker_of(request).access.person.id
    streams.enter(person)
    return Counted(_stream(request, last, tell, lost), lambda: streams.leave(person))


@dataclass(frozen=True)
class _Place:
    """Where a stream is.

    Args:
        start: the position of the next entry.
        before: the entry before it, as it was when the stream came by; empty at the log's beginning.
        is_known: whether the log goes on from where whoever asks has it.
    """

    start: int
    before: bytes
    is_known: bool = True


async def _stream(request: Request, last: int | None, tell: Tell, lost: str) -> AsyncIterator[str]:
    store = store_of(request)
    place = await run_in_threadpool(_find, store, last)
    # Where the stream is, is said at once and again and again: whoever comes back goes on there, though nothing of
    # theirs happened in between.
    yield f"id: {place.start - 1}\nretry: {PACE * 3000:.0f}\n\n"
    quiet = 0
    while not request.app.state.is_stopping() and not await request.is_disconnected():
        if not place.is_known:
            yield f"id: {place.start - 1}\n{lost.replace('%d', str(place.start))}"
        found = await run_in_threadpool(_read, request, store, place, tell)
        if found is None:
            return
        text, place, is_end = found
        quiet = 0 if text else quiet + 1
        if text:
            yield text
        elif quiet % SPOKEN == 0:
            yield f"id: {place.start - 1}\n: still here\n\n"
        if is_end:
            await asyncio.sleep(PACE)


def _find(store: "SqlStore", last: int | None) -> _Place:
    """Return where to go on after a position; at the log's end after none, and after one that it does not reach."""
    size = store.audit_size()
    start = size if last is None else min(last + 1, size)
    before = store.audit_entries(start - 1, 1) if start else ()
    return _Place(start, b"".join(before), last is None or last < size)


def _read(request: Request, store: "SqlStore", place: _Place, tell: Tell) -> tuple[str, _Place, bool] | None:
    """Return the events that follow, where the next ones begin, and whether these were the last.

    None for whoever was let in and may not look any more.
    """
    # Read first, then asked whether it may be told: not the other way round. With the entry before, which says whether
    # this is still the same log: one that was restored may have grown past this place again.
    first = place.start - 1 if place.before else place.start
    raws = list(store.audit_entries(first, _PAGE + 1))
    try:
        asker = find_asker(request)
    except ProblemError:
        asker = None
    if asker is None or not asker.access.may_anywhere(AccessRole.VIEWER):
        return None
    if place.before:
        if raws[:1] != [place.before]:
            return "", replace(_find(store, None), is_known=False), False
        del raws[0]
    entries = [(position, parse(raw)) for position, raw in enumerate(raws, place.start)]
    seen = [(position, entry) for position, entry in entries if may_see(asker.access, entry)]
    after = _Place(place.start + len(raws), raws[-1] if raws else place.before)
    return tell(seen) if seen else "", after, len(raws) < _PAGE


def may_see(access: Access, entry: Entry) -> bool:
    """Return whether an entry is about something that they may look at."""
    return may_read(entry, partial(access.may, AccessRole.VIEWER))


def _events(seen: Sequence[tuple[int, Entry]]) -> str:
    return "".join(_event(position, entry) for position, entry in seen)


def _event(position: int, entry: Entry) -> str:
    known = {name: getattr(entry.subject, name) for name in _SUBJECT}
    told = {
        "kind": entry.kind,
        "time": entry.ts,
        "actor": entry.actor.login,
        "from": entry.from_,
        "to": entry.to,
        "subject": {name: value for name, value in known.items() if value},
    }
    return f"id: {position}\nevent: {entry.kind}\ndata: {json.dumps(told)}\n\n"

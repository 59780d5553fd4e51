"""What changes, as it changes: a stream of server-sent events, one for each entry of the audit log.

An event's id is the entry's position, so that whoever was cut off goes on where they were (`Last-Event-ID`).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Header, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse

from gitops.access import Access
from gitops.audit.entry import Entry, parse
from gitops.roles import AccessRole
from webhooks.api.reading import store_of
from webhooks.askers import asker_of, find_asker
from webhooks.problems import ProblemError

if TYPE_CHECKING:
    from gitops.store import SqlStore

router = APIRouter(prefix="/api/v1")

MOST = 64
"""Streams at once: each asks the database once a second."""

PACE = 1.0
_ASKED_AGAIN = 60
_PAGE = 200
_SUBJECT = (
    *("repo", "ref", "sha", "training_id", "promotion_id", "rollout_id", "command_id"),
    *("model", "version", "env", "endpoint", "pr", "name"),
)


@router.get("/events", response_class=StreamingResponse)
async def events(
    request: Request,
    last_event_id: Annotated[int | None, Header(ge=-1, le=2**53, description="The last event that you have.")] = None,
) -> StreamingResponse:
    """Stream what changes from now on, or from the event after the last one that you have."""
    state = request.app.state
    state.streams = getattr(state, "streams", 0)
    if state.streams >= MOST:
        detail = f"{MOST} streams are open already: try again later, or read `/api/v1/audit/entries`."
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "too_many_streams", detail)
    store = store_of(request)
    start = await run_in_threadpool(store.audit_size) if last_event_id is None else last_event_id + 1
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_counted(request, store, start), media_type="text/event-stream", headers=headers)


async def _counted(request: Request, store: "SqlStore", start: int) -> AsyncIterator[str]:
    state = request.app.state
    state.streams += 1
    try:
        async for text in _stream(request, store, start):
            yield text
    finally:
        state.streams -= 1


async def _stream(request: Request, store: "SqlStore", start: int) -> AsyncIterator[str]:
    access = asker_of(request).access
    # Said at once, so that a client knows that it is connected; the time after which it comes back when it is not.
    yield f"retry: {PACE * 3000:.0f}\n\n"
    rounds = 0
    while not await request.is_disconnected():
        found = await run_in_threadpool(store.audit_entries, start, _PAGE)
        for position, raw in enumerate(found, start):
            entry = parse(raw)
            if may_see(access, entry):
                yield _event(position, entry)
        start += len(found)
        if len(found) == _PAGE:
            continue
        rounds += 1
        if rounds % _ASKED_AGAIN == 0:
            # Whoever was let in a while ago may not be any more.
            asker = await run_in_threadpool(_look_again(request))
            if asker is None:
                return
            access = asker
            yield ": still here\n\n"
        await asyncio.sleep(PACE)


def _look_again(request: Request) -> Callable[[], Access | None]:
    def look() -> Access | None:
        try:
            asker = find_asker(request)
        except ProblemError:
            return None
        return asker.access if asker else None

    return look


def may_see(access: Access, entry: Entry) -> bool:
    """Return whether an entry is about something that they may look at; one about no repository is for who sees all."""
    return access.may(AccessRole.VIEWER, entry.subject.repo_id)


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

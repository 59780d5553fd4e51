"""A log as it grows: a stream of server-sent events, one for each line, and one when nothing follows any more.

An event's id is the place after its line, so that whoever was cut off goes on where they were (`Last-Event-ID`).
"""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from gitops.roles import AccessRole
from gitops.telling.logs import Follower, Piece
from webhooks.api.events import PACE, SPOKEN, Counted, Streams
from webhooks.askers import asker_of, find_asker
from webhooks.problems import ProblemError


def stream_log(request: Request, repository_id: int, follower: Follower) -> Counted:
    """Return the answer that streams a log.

    Args:
        repository_id: of the repository that it belongs to: whoever asks must go on to see that.

    Raises:
        ProblemError: 503 when too many streams are open.
    """
    streams: Streams = request.app.state.streams
    person = asker_of(request).access.person.id
    streams.enter(person)

    def leave() -> None:
        streams.leave(person)
        follower.close()

    return Counted(_stream(request, repository_id, follower), leave)


async def _stream(request: Request, repository_id: int, follower: Follower) -> AsyncIterator[str]:
    yield f"retry: {PACE * 3000:.0f}\n\n"
    quiet = 0
    while not request.app.state.is_stopping() and not await request.is_disconnected():
        piece = await run_in_threadpool(_look, request, repository_id, follower)
        if piece is None:
            return
        text = "".join(_event(place, "line", {"line": line, "attempt": piece.attempt}) for line, place in piece.lines)
        if piece.is_over:
            yield text + _event("", "end", {"phase": piece.phase.value, "message": piece.message})
            return
        quiet = 0 if text else quiet + 1
        if text:
            yield text
        elif quiet % SPOKEN == 0:
            yield ": still here\n\n"
        if not text:
            await asyncio.sleep(PACE)


def _look(request: Request, repository_id: int, follower: Follower) -> Piece | None:
    """Return what is new; None for whoever was let in and may not look any more."""
    # Read first, then asked whether it may be told: not the other way round.
    piece = follower.look()
    try:
        asker = find_asker(request)
    except ProblemError:
        return None
    return piece if asker is not None and asker.access.may(AccessRole.VIEWER, repository_id) else None


def _event(place: str, kind: str, told: dict[str, object]) -> str:
    mark = f"id: {place}\n" if place else ""
    return f"{mark}event: {kind}\ndata: {json.dumps(told)}\n\n"

"""The door, watched: every answer is counted by its code, and a stored delivery begins the trace of all it causes.

Nothing that a stranger sent is told: a delivery's id counts once the door has taken it.
"""

import itertools
import json
import secrets
import time
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from typing import Any

from gitops.observing import receive_place
from gitops.telemetry import tracing
from gitops.telemetry.context import bound
from webhooks.metrics import Metrics
from webhooks.replies import App, Receive, Scope, Send

_ACCEPTED = "accepted"
_STATUS = {202: _ACCEPTED}
_NONE = "none"
_PROCESS = secrets.token_hex(4)
_requests = itertools.count(1)


def watched_door(door: App, metrics: Metrics) -> App:
    """Return the door with its answers counted and traced."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        begun = time.perf_counter()
        seen: list[MutableMapping[str, Any]] = []

        async def pass_on(message: MutableMapping[str, Any]) -> None:
            seen.append(message)
            await send(message)

        with bound(request_id=f"{_PROCESS}-{next(_requests)}"):
            try:
                await door(scope, receive, pass_on)
            finally:
                seconds = time.perf_counter() - begun
                code = _code_of(seen)
                metrics.count_answer(code, seconds)
                if code == _ACCEPTED and tracing.is_tracing():
                    _tell(scope, seconds)

    return answer


def _code_of(messages: list[MutableMapping[str, Any]]) -> str:
    """Return the code of an answer as it went out; they are a closed set of the door's own."""
    if len(messages) < 2:  # noqa: PLR2004 - a start and a body
        return _NONE
    known = _STATUS.get(messages[0]["status"])
    return known or str(json.loads(messages[1].get("body") or b"{}").get("code", _NONE))


def _tell(scope: Scope, seconds: float) -> None:
    guid = next(value for name, value in scope["headers"] if name == b"x-github-delivery").decode().lower()
    event = next(value for name, value in scope["headers"] if name == b"x-github-event").decode()
    end = datetime.now(UTC)
    attributes: dict[str, tracing.Value] = {"delivery": guid, "event": event, "http.response.status_code": 202}
    told = tracing.Told("receive", receive_place(guid), None, end - timedelta(seconds=seconds), end, attributes)
    tracing.tell(told)

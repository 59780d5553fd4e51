"""What is told of the door: answers are counted by code, and a stored delivery begins the trace of what it causes.

Nothing that a stranger sent is told: a delivery's id counts once the door has taken it.
"""

from datetime import UTC, datetime, timedelta

from gitops.observing import receive_place
from gitops.telemetry import tracing
from webhooks.answers import ACCEPTED
from webhooks.metrics import Metrics
from webhooks.receive import Told
from webhooks.replies import Scope


def watching(metrics: Metrics) -> Told:
    """Return what the door tells of each answer."""

    def told(scope: Scope, code: str, seconds: float) -> None:
        metrics.count_answer(code, seconds)
        if code == ACCEPTED and tracing.is_tracing():
            _begin_trace(scope, seconds)

    return told


def _begin_trace(scope: Scope, seconds: float) -> None:
    guid = next(value for name, value in scope["headers"] if name == b"x-github-delivery").decode().lower()
    event = next(value for name, value in scope["headers"] if name == b"x-github-event").decode()
    end = datetime.now(UTC)
    attributes: dict[str, tracing.Value] = {"delivery": guid, "event": event, "http.response.status_code": 202}
    tracing.tell(tracing.Told("receive", receive_place(guid), None, end - timedelta(seconds=seconds), end, attributes))

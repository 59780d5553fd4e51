"""`GET /metrics`: what this process counted, and what the database holds at that moment, for Prometheus.

Wants a token, whoever asks: what waits and why is not for strangers. No label is a name that users or strangers choose.
"""

import hmac
import logging
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gitops.errors import LaunchpinError
from gitops.ports.tallies import Tallies
from webhooks.answers import Answers
from webhooks.gauges import Snapshot, SnapshotCollector
from webhooks.replies import Receive, Reply, Scope, Send, send_reply
from webhooks.waiting import Patient, in_thread

PATIENCE = 8.0
"""Seconds that the database's counts may take; Prometheus waits for ten."""

_OFF = Reply(404, "metrics_off", "set LAUNCHPIN_METRICS_TOKEN_FILE to a file with a token")
_NO_TOKEN = Reply(401, "no_token", "send the token as `Authorization: Bearer TOKEN`")
_NOT_GET = Reply(405, "method_not_allowed", "ask with GET", allow="GET")
_log = logging.getLogger(__name__)


class Metrics:
    """The page, and what is counted for it.

    Args:
        read: gives the database's counts; may block.
        home: the folder whose disk is watched.
        token: whoever shows it may look; empty when nobody may.
    """

    def __init__(self, read: Callable[[], Tallies], *, home: Path, token: str) -> None:
        self._token = token
        self._look = Patient(in_thread(lambda: Snapshot.take(read)), seconds=PATIENCE)
        self._snapshots = SnapshotCollector(home)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self._snapshots)
        ProcessCollector(registry=self._registry)
        self._answers = Answers()
        self._registry.register(self._answers)

    def count_answer(self, code: str, seconds: float) -> None:
        """Count an answer of the door."""
        self._answers.count(code, seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        del receive
        refusal = self._refuse(scope)
        if refusal is not None:
            await send_reply(send, refusal)
            return
        self._snapshots.show(await self._snapshot())
        body = generate_latest(self._registry)
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _refuse(self, scope: Scope) -> Reply | None:
        if not self._token:
            return _OFF
        if scope["method"] != "GET":
            return _NOT_GET
        shown = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        wanted = f"Bearer {self._token}".encode()
        return None if len(shown) == 1 and hmac.compare_digest(shown[0], wanted) else _NO_TOKEN

    async def _snapshot(self) -> Snapshot | None:
        try:
            return await self._look()
        except (LaunchpinError, TimeoutError) as error:
            _log.warning("the database's counts cannot be read: %s", str(error) or "no answer in time")
            return None

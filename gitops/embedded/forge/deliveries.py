"""Webhooks: one recorded delivery for each hook and event, signed, sent once by a background thread.

As GitHub does: nothing is tried again by itself, the answer must come within ten seconds, a redelivery keeps its GUID.
"""

import hashlib
import hmac
import http.client
import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gitops.embedded.forge.errors import Json
from gitops.embedded.forge.records import Database, Delivery, Hook, now
from gitops.failpoints import failpoint

TIMEOUT = 10.0
KEPT_DAYS = 30
PAYLOAD_LIMIT = 25 * 1024 * 1024
_RESPONSE_LIMIT = 64 * 1024
_AGENT = "GitHub-Hookshot/launchpin"
_THREADS = 4
_LOG = logging.getLogger(__name__)
_INSERT = (
    "INSERT INTO deliveries (hook_id, guid, event, action, redelivery, body, delivered_at, state, status, status_code,"
    " duration, request_headers, response_headers, response_body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, '{}', '{}', '')"
)


@dataclass(frozen=True)
class _Answer:
    status: str
    code: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""


def queue_event(db: Database, repo_id: int, event: str, payload: Json) -> list[int]:
    """Record one delivery for each hook of a repository that wants the event; inside a transaction.

    Returns:
        The numbers of the deliveries to send.
    """
    rows = db.rows("SELECT * FROM hooks WHERE repo_id = ? ORDER BY id", repo_id)
    hooks = [hook for hook in (Hook(**dict(row)) for row in rows) if hook.wants(event)]
    return queue_for(db, hooks, event, payload) if hooks else []


def queue_for(db: Database, hooks: Iterable[Hook], event: str, payload: Json) -> list[int]:
    """Record one delivery for each of these hooks; inside a transaction."""
    body = json.dumps(payload, separators=(",", ":")).encode()
    if len(body) > PAYLOAD_LIMIT:
        _LOG.warning("%s payload of %d bytes is over GitHub's limit and is not sent", event, len(body))
        return []
    action = payload.get("action")
    return [
        db.run(_INSERT, hook.id, str(uuid.uuid4()), event, action, 0, body, now(), "queued", "pending")
        for hook in hooks
    ]


def queue_again(db: Database, delivery: Delivery) -> int:
    """Record another attempt of a delivery under the same GUID; inside a transaction."""
    values = (delivery.hook_id, delivery.guid, delivery.event, delivery.action, 1, delivery.body, now())
    return db.run(_INSERT, *values, "queued", "pending")


def fail_interrupted(db: Database) -> None:
    """Record what was queued when the last process died as failed: GitHub too loses it, and can redeliver it."""
    with db.write():
        db.run("UPDATE deliveries SET state = 'done', status = 'interrupted by a restart' WHERE state = 'queued'")


def forget_old(db: Database) -> None:
    """Remove deliveries older than 30 days; GitHub forgets them after three."""
    with db.write():
        db.run("DELETE FROM deliveries WHERE julianday('now') - julianday(delivered_at) > ?", KEPT_DAYS)


def sign(secret: str, body: bytes) -> str:
    """Return the value of `X-Hub-Signature-256`: HMAC-SHA256 over the exact bytes, in lower-case hex."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Sender:
    """Sends queued deliveries on a few threads of its own.

    Args:
        db: where the deliveries are, and where the answers go.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="forge-delivery")

    def submit(self, deliveries: Iterable[int]) -> None:
        """Send these soon."""
        for number in deliveries:
            self._pool.submit(self._send, number)

    def close(self) -> None:
        """Finish what is being sent; the rest stays queued and is recorded as failed at the next start."""
        self._pool.shutdown(cancel_futures=True)

    def _send(self, number: int) -> None:
        try:
            self._send_recorded(number)
        except Exception:  # noqa: BLE001 - a thread of a pool has nobody else to tell
            _LOG.exception("delivery %d was not sent", number)

    def _send_recorded(self, number: int) -> None:
        row = self._db.row("SELECT * FROM deliveries WHERE id = ?", number)
        found = row and self._db.row("SELECT * FROM hooks WHERE id = ?", row["hook_id"])
        if row is None or found is None:
            return
        delivery, hook = Delivery(**dict(row)), Hook(**dict(found))
        headers = _headers(hook, delivery)
        failpoint("forge.send_delivery.before")
        started = time.monotonic()
        answer = _post(hook.url, delivery.body, headers)
        duration = round(time.monotonic() - started, 3)
        failpoint("forge.send_delivery.after")
        with self._db.write():
            self._db.run(
                "UPDATE deliveries SET state = 'done', status = ?, status_code = ?, duration = ?, request_headers = ?,"
                " response_headers = ?, response_body = ?, delivered_at = ? WHERE id = ?",
                *(answer.status, answer.code, duration, json.dumps(headers), json.dumps(answer.headers)),
                *(answer.body, now(), number),
            )


def _headers(hook: Hook, delivery: Delivery) -> dict[str, str]:
    headers = {
        "Accept": "*/*",
        "Content-Type": "application/json",
        "User-Agent": _AGENT,
        "X-GitHub-Delivery": delivery.guid,
        "X-GitHub-Event": delivery.event,
        "X-GitHub-Hook-ID": str(hook.id),
        "X-GitHub-Hook-Installation-Target-ID": str(hook.repo_id),
        "X-GitHub-Hook-Installation-Target-Type": "repository",
    }
    if hook.secret:
        headers["X-Hub-Signature-256"] = sign(hook.secret, delivery.body)
    return headers


def _post(url: str, body: bytes, headers: dict[str, str]) -> _Answer:
    """Send one request, follow no redirect, and give up after ten seconds whatever the other side does."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
    late = threading.Timer(TIMEOUT, _cut, (connection,))
    late.daemon = True
    late.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers)
        response = connection.getresponse()
        text = response.read(_RESPONSE_LIMIT).decode("utf-8", "replace")
        status = "OK" if response.status < http.client.BAD_REQUEST else f"Invalid HTTP Response: {response.status}"
        return _Answer(status, response.status, dict(response.getheaders()), text)
    except TimeoutError:
        return _Answer("timed out")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _Answer(f"failed to connect to host: {type(error).__name__}")
    finally:
        late.cancel()
        connection.close()


def _cut(connection: http.client.HTTPConnection) -> None:
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)


def delivery_rows(db: Database, hook: Hook) -> list[Delivery]:
    """Return a hook's deliveries, newest first."""
    rows = db.rows("SELECT * FROM deliveries WHERE hook_id = ? ORDER BY id DESC", hook.id)
    return [Delivery(**dict(row)) for row in rows]

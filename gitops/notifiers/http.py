"""Posts to addresses that a person named: to a checked address, bounded in size and time, never redirected.

`http.client` and no larger library: it opens the connection that we hand it, knows no proxy and follows nothing.
"""

import contextlib
import http.client
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import SplitResult

from gitops.config.addresses import Allowed, port_of
from gitops.errors import RefusedError, RetryError
from gitops.notifiers.guard import WHOLE_SECONDS, Resolve, connect, ending, one_line, resolve
from gitops.patience import EndlessReplyError, named_wait, read_bounded
from gitops.telemetry.requests import note_status, sending

_LARGEST = 1 << 20  # bytes of an answer
_SHOWN = 1000
_BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_FIRST_REDIRECT, _FIRST_REFUSAL = 300, 400


def post(
    parts: SplitResult,
    content: bytes,
    *,
    headers: Mapping[str, str],
    allowed: Allowed,
    resolve: Resolve = resolve,
) -> str:
    """Send a post and return what was answered, in a few words.

    Args:
        parts: the address, as `gitops.config.addresses.split_url` gave it.

    Raises:
        RefusedError: `NotifyBlocked`, or `NotifyRefused` for a redirect, or a refusal of this very post.
        RetryError: `NotifyUnavailable`, after the wait that was asked for.
    """
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    try:
        # Of the path nothing is told: that of an incoming webhook is a secret.
        with sending("notify", "POST", "/") as told:
            status, heard, text = _exchange(parts, path, content, headers=headers, allowed=allowed, resolve=resolve)
            note_status(told, status)
    except (OSError, http.client.HTTPException, EndlessReplyError) as error:
        raise RetryError("NotifyUnavailable", f"{parts.hostname}: {type(error).__name__}: {error}") from error
    return _judge(status, heard, text)


def _exchange(
    parts: SplitResult,
    path: str,
    content: bytes,
    *,
    headers: Mapping[str, str],
    allowed: Allowed,
    resolve: Resolve,
) -> tuple[int, Mapping[str, str], str]:
    host = parts.hostname or ""
    line = connect(host, port_of(parts), allowed=allowed, resolve=resolve)
    is_tls = parts.scheme == "https"
    client = (http.client.HTTPSConnection if is_tls else http.client.HTTPConnection)(host, port_of(parts))
    client.auto_open = 0  # it never connects by itself, to an address that nobody checked
    with ending(line) as answered:
        try:
            line.settimeout(WHOLE_SECONDS)
            client.sock = ssl.create_default_context().wrap_socket(line, server_hostname=host) if is_tls else line
            client.request("POST", path, body=content, headers={"user-agent": "launchpin", **headers})
            with contextlib.closing(client.getresponse()) as answer:
                answered()
                heard = {name.lower(): value for name, value in answer.getheaders()}
                body = _read_words(answer)
        finally:
            client.close()
            line.close()
    return answer.status, heard, body[:_SHOWN].decode("utf-8", "replace")


def _read_words(answer: http.client.HTTPResponse) -> bytes:
    """Return what was said beside the status; nothing where that is without end or comes too late.

    The status alone says whether the post was taken. One that was is not sent again for the words that go with it.
    """
    try:
        return read_bounded(answer.read1, limit=_LARGEST, seconds=WHOLE_SECONDS)
    except (OSError, http.client.HTTPException, EndlessReplyError):
        return b""


def _judge(status: int, heard: Mapping[str, str], text: str) -> str:
    said = f"{status} {one_line(text)}".strip()
    if status < _FIRST_REDIRECT:
        return said
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _BUSY:
        raise RetryError("NotifyUnavailable", f"it answered {said}", after=named_wait(heard))
    if status < _FIRST_REFUSAL:
        raise RefusedError("NotifyRefused", f"it answered {status}, a redirect, which is never followed")
    raise RefusedError("NotifyRefused", f"it answered {said}")

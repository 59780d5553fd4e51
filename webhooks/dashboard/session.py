"""Browser sessions: opened by a one-time link, needed by every page, doubly checked where something changes.

A session is a file named by the hash of its cookie, so that it outlives the web process and can be ended.
"""

import contextlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from gitops.logins import digest, write_private
from gitops.records import Frozen

COOKIE = "launchpin_session"
SESSION_SECONDS = 12 * 3600
_FORM_LIMIT = 64 * 1024
_FIELDS_LIMIT = 50


class PageError(Exception):
    """Ends a request with a page that says why, or with a problem (RFC 9457) where a program asked.

    Args:
        status: HTTP's.
        code: stable, for programs.
        detail: one sentence: what is wrong and what to do; code in backticks.
    """

    def __init__(self, status: HTTPStatus, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail


class Session(Frozen):
    """An open browser session.

    Args:
        csrf: the token that every form of a page must send back.
        expires: seconds since the epoch.
    """

    csrf: str
    expires: int


@dataclass(frozen=True)
class Change:
    """A form that came from a page of ours, in an open session."""

    session: Session
    form: Mapping[str, str]


class Sessions:
    """The open sessions, as files in one folder that only its owner may read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def open(self) -> str:
        """Open a session for 12 hours and return the cookie's value."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._sweep()
        token = secrets.token_urlsafe(32)
        session = Session(csrf=secrets.token_urlsafe(32), expires=int(time.time()) + SESSION_SECONDS)
        write_private(self._folder / digest(token), session.model_dump_json())
        return token

    def find(self, unverified_token: str) -> Session | None:
        """Return the open session of a cookie's value."""
        session = _read(self._folder / digest(unverified_token))
        return session if session is not None and time.time() < session.expires else None

    def close(self, unverified_token: str) -> None:
        """End a session, wherever its cookie still is."""
        (self._folder / digest(unverified_token)).unlink(missing_ok=True)

    def _sweep(self) -> None:
        for path in self._folder.iterdir():
            session = _read(path)
            if session is not None and time.time() >= session.expires:
                path.unlink(missing_ok=True)


def _read(path: Path) -> Session | None:
    with contextlib.suppress(OSError, ValueError):
        return Session.model_validate_json(path.read_bytes())
    return None


def find_session(request: Request) -> Session | None:
    """Return the session of a request, None when it has none."""
    sessions: Sessions = request.app.state.sessions
    return sessions.find(request.cookies.get(COOKIE, ""))


def require_session(request: Request) -> Session:
    """Return the session of a request that reads.

    Raises:
        PageError: 401.
    """
    session = find_session(request)
    if session is None:
        raise PageError(
            HTTPStatus.UNAUTHORIZED,
            "no_session",
            "Run `launchpin status` in a terminal and open the one-time link that it prints.",
        )
    return session


async def require_change(request: Request) -> Change:
    """Return the form of a request that wants to change something; every such route depends on this.

    Raises:
        PageError: 403 when its Origin is not ours, it has no session, or its token is not the session's.
    """
    if not is_our_origin(request):
        raise PageError(HTTPStatus.FORBIDDEN, "wrong_origin", "This was not sent by a page of this dashboard.")
    session = await run_in_threadpool(find_session, request)
    if session is None:
        detail = "The session is over: run `launchpin status` for a one-time link."
        raise PageError(HTTPStatus.FORBIDDEN, "no_session", detail)
    form = _parse_form(await _read_body(request))
    if not hmac.compare_digest(form.get("_csrf", "").encode(), session.csrf.encode()):
        raise PageError(HTTPStatus.FORBIDDEN, "csrf", "This page is out of date: load it again.")
    return Change(session, form)


def is_our_origin(request: Request) -> bool:
    """Whether the browser says that one of our own pages sent this; the Host was checked before.

    The scheme is the one people use: a proxy may end TLS before us.
    """
    scheme = urlsplit(request.app.state.settings.base_url).scheme
    return request.headers.getlist("origin") == [f"{scheme}://{request.headers.get('host', '').lower()}"]


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _FORM_LIMIT:
            raise PageError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body_too_large", "This form is too large.")
    return bytes(body)


def _parse_form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_FIELDS_LIMIT)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}

"""Browser sessions: opened by a one-time link, needed by every page, doubly checked where something changes."""

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response

from gitops.embedded.forge.accounts import ACCOUNTS, Account
from gitops.embedded.forge.api.call import read_limited
from gitops.embedded.forge.errors import ForgeError
from gitops.embedded.forge.state import Forge

COOKIE = "launchpin_forge"
SECONDS = 7 * 24 * 3600
_FORM_LIMIT = 64 * 1024
_FIELDS_LIMIT = 20


@dataclass(frozen=True)
class Session:
    """An open browser session.

    Args:
        account: who it is.
        csrf: the token that every form of a page must send back.
    """

    account: Account
    csrf: str


def open_session(forge: Forge, response: Response) -> None:
    """Open a session as the person, and give its cookie to the browser."""
    token, csrf, expires = secrets.token_urlsafe(32), secrets.token_urlsafe(32), int(time.time()) + SECONDS
    with forge.transaction() as transaction:
        transaction.run("DELETE FROM sessions WHERE expires < ?", int(time.time()))
        values = (_digest(token), ACCOUNTS["user"].id, csrf, expires)
        transaction.run("INSERT INTO sessions VALUES (?, ?, ?, ?)", *values)
    is_secure = forge.url.startswith("https://")
    response.set_cookie(COOKIE, token, max_age=SECONDS, httponly=True, samesite="lax", secure=is_secure)


def find_session(forge: Forge, request: Request) -> Session:
    """Return the session of a request.

    Raises:
        ForgeError: 401.
    """
    token = request.cookies.get(COOKIE, "")
    sql = "SELECT user_id, csrf FROM sessions WHERE token_sha256 = ? AND expires > ?"
    row = forge.db.row(sql, _digest(token), int(time.time())) if token else None
    if row is None:
        raise ForgeError(HTTPStatus.UNAUTHORIZED, "Open the one-time link first: `launchpin status` prints it.")
    return Session(forge.accounts.by_id(row["user_id"]), row["csrf"])


async def read_form(forge: Forge, request: Request) -> dict[str, str]:
    """Read a form that wants to change something, if it comes from a page of ours.

    Raises:
        ForgeError: 403 when the request's origin is not ours or the token is not the session's.
    """
    if not is_same_origin(request):
        raise ForgeError(HTTPStatus.FORBIDDEN, "This form was not sent by a page of this forge.")
    body = await read_limited(request, _FORM_LIMIT)
    try:
        fields = parse_qs(body.decode(), strict_parsing=True, max_num_fields=_FIELDS_LIMIT) if body else {}
    except ValueError as error:
        raise ForgeError(HTTPStatus.BAD_REQUEST, "This form cannot be read.") from error
    form = {name: values[-1] for name, values in fields.items()}
    session = find_session(forge, request)
    if not hmac.compare_digest(form.get("_csrf", "").encode(), session.csrf.encode()):
        raise ForgeError(HTTPStatus.FORBIDDEN, "This page is out of date: load it again.")
    return form


def is_same_origin(request: Request) -> bool:
    """Whether the browser says that one of our own pages sent this; the Host was checked before."""
    origins = request.headers.getlist("Origin")
    if origins:
        return origins == [f"{request.url.scheme}://{request.headers['Host']}"]
    return request.headers.get("Sec-Fetch-Site") == "same-origin"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

"""Who asks: known by a browser session's cookie, or by a token in the Authorization header."""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from fastapi import Request

from gitops.access import Access, Session, digest_secret
from gitops.audit.entry import Actor
from webhooks.problems import ProblemError

if TYPE_CHECKING:
    from gitops.ports import Accounts

COOKIE = "launchpin_session"
CSRF_HEADER = "x-launchpin-csrf"
SESSION_TIME = timedelta(hours=12)
_SCHEME = "bearer "


@dataclass(frozen=True)
class Asker:
    """Whoever asks.

    Args:
        session: the browser's, None for a program with a token.
    """

    access: Access
    session: Session | None = None

    @property
    def actor(self) -> Actor:
        """The asker as the audit log names them."""
        access = self.access
        return Actor(type="user", login=access.person.login, auth_method=access.method, token_id=access.token_id)


def find_asker(request: Request) -> Asker | None:
    """Return who asks; None when nothing says so.

    Raises:
        ProblemError: 401 `bad_token` for a token that is not good: a cookie beside it would hide the mistake.
    """
    accounts = cast("Accounts", request.app.state.store)
    given = request.headers.getlist("authorization")
    if given:
        access = accounts.token_access(given[0][len(_SCHEME) :].strip()) if _is_bearer(given) else None
        if access is None:
            detail = "This token is unknown, revoked or over: `launchpin token list` shows which are good."
            raise ProblemError(HTTPStatus.UNAUTHORIZED, "bad_token", detail)
        return Asker(access)
    cookie = session_cookie(request)
    found = accounts.session_access(digest_secret(cookie)) if cookie else None
    return Asker(found[1], found[0]) if found else None


def is_secure(request: Request) -> bool:
    """Return whether people reach us by TLS: cookies travel by that alone then. A proxy may end it before us."""
    base_url: str = request.app.state.settings.base_url
    return urlsplit(base_url).scheme == "https"


def cookie_name(request: Request, name: str = COOKIE) -> str:
    """Return what a cookie is called here; with TLS what no neighbour below the same domain can set."""
    return f"__Host-{name}" if is_secure(request) else name


def session_cookie(request: Request) -> str:
    """Return what a browser has as its session's cookie; empty for none."""
    return request.cookies.get(cookie_name(request), "")


def _is_bearer(given: list[str]) -> bool:
    return len(given) == 1 and given[0].lower().startswith(_SCHEME)


def asker_of(request: Request) -> Asker:
    """Return who asks, as the guard found out."""
    return cast("Asker", request.state.asker)


def check_browser(request: Request, asker: Asker) -> None:
    """Make sure that a change which a cookie vouches for was meant: sent by a script of ours, with its session's token.

    Raises:
        ProblemError: 403 `wrong_origin` or `csrf`.
    """
    if asker.session is None:
        return
    if not is_our_origin(request):
        raise ProblemError(HTTPStatus.FORBIDDEN, "wrong_origin", "This was not sent by a page of this dashboard.")
    if not hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), asker.session.csrf.encode()):
        raise ProblemError(HTTPStatus.FORBIDDEN, "csrf", "This page is out of date: load it again.")


def is_our_origin(request: Request) -> bool:
    """Whether the browser says that one of our own pages sent this; the Host was checked before.

    The scheme is the one people use: a proxy may end TLS before us.
    """
    scheme = urlsplit(request.app.state.settings.base_url).scheme
    return request.headers.getlist("origin") == [f"{scheme}://{request.headers.get('host', '').lower()}"]

"""Browser sessions: opened by a one-time link or a provider, doubly checked where a form changes something."""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs

from fastapi import Request, Response

from gitops.access import EVERYWHERE, LOCAL, Person, Session, digest_secret
from gitops.audit.entry import Actor
from gitops.logins import Link
from gitops.roles import AccessRole
from webhooks.askers import SESSION_TIME, asker_of, cookie_name, is_our_origin, is_secure, session_cookie
from webhooks.problems import ProblemError

if TYPE_CHECKING:
    from gitops.store import SqlStore

_FIELDS_LIMIT = 50


@dataclass(frozen=True)
class Change:
    """A form that came from a page of ours, in an open session."""

    session: Session
    form: Mapping[str, str]


def person_of(request: Request, link: Link) -> Person:
    """Return whoever used a link.

    Raises:
        LaunchpinError: the database does not answer.
    """
    store = cast("SqlStore", request.app.state.store)
    person = store.ensure_person(LOCAL, link.login)
    if link.role:
        # Whoever can write into our folder is its master already; that they are is on record from the first time on.
        machine = Actor(type="service", login="launchpin", auth_method="folder")
        store.grant(person.id, AccessRole(link.role), repository_id=EVERYWHERE, actor=machine)
    return person


def open_session(request: Request, response: Response, person: Person) -> None:
    """Open a session for somebody who proved who they are; one that the browser had before ends.

    Raises:
        LaunchpinError: the database does not answer.
    """
    store = cast("SqlStore", request.app.state.store)
    cookie = secrets.token_urlsafe(32)
    session = Session(
        id=digest_secret(cookie),
        person_id=person.id,
        csrf=secrets.token_urlsafe(32),
        expires_at=store.now() + SESSION_TIME,
    )
    store.open_session(session)
    if before := session_cookie(request):
        store.close_session(digest_secret(before))
    seconds = int(SESSION_TIME.total_seconds())
    response.set_cookie(
        cookie_name(request),
        cookie,
        max_age=seconds,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )


def session_of(request: Request) -> Session:
    """Return the session of a request to a page, as the guard found it."""
    return cast("Session", asker_of(request).session)


async def require_change(request: Request) -> Change:
    """Return the form of a request that wants to change something; every such page depends on this.

    Raises:
        ProblemError: 403 when its Origin is not ours, or its token is not the session's.
    """
    if not is_our_origin(request):
        raise ProblemError(HTTPStatus.FORBIDDEN, "wrong_origin", "This was not sent by a page of this dashboard.")
    session = session_of(request)
    form = _parse_form(await request.body())
    if not hmac.compare_digest(form.get("_csrf", "").encode(), session.csrf.encode()):
        raise ProblemError(HTTPStatus.FORBIDDEN, "csrf", "This page is out of date: load it again.")
    return Change(session, form)


def _parse_form(body: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_FIELDS_LIMIT)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}

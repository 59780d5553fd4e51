"""Signing in at an identity provider: there, back, and into a session. Nobody gets one whom no admin has named.

Whoever only begins costs no row and no file: the browser keeps the attempt, sealed. Coming back with it works once.
"""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from shlex import quote as shell_quote
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from gitops.access import Person, is_claimed
from gitops.errors import RefusedError, RetryError
from gitops.ports.identity import Identity, IdentityProvider
from gitops.signins import SECONDS, Attempt, begin_attempt, is_answer_to, seal, unseal, within
from webhooks.askers import cookie_name, is_secure
from webhooks.dashboard.render import show
from webhooks.dashboard.session import open_session
from webhooks.problems import ProblemError

if TYPE_CHECKING:
    from gitops.store import SqlStore

router = APIRouter(include_in_schema=False)

_COOKIE = "launchpin_signin"
_MOST = 8
"""People who go to one provider at once, and who come back from it.

Each may keep a thread waiting for it, and pages and API need threads, too."""

_NOT_BEGUN = (
    "This sign-in was not begun in this browser, took longer than 10 minutes, or is finished already. "
    "Sign in once more."
)


class Ways:
    """The providers that people may sign in at, and the attempts that are finished. Thread-safe.

    Args:
        providers: in the order in which they are shown.
    """

    def __init__(self, providers: Sequence[IdentityProvider]) -> None:
        self._providers = {provider.key: provider for provider in providers}
        self._finished: dict[str, int] = {}
        self._under_way: dict[str, str] = {}
        self._beginning: Counter[str] = Counter()
        self._lock = threading.Lock()

    def provider(self, key: str) -> IdentityProvider:
        """Return a provider.

        Raises:
            ProblemError: 404.
        """
        found = self._providers.get(key)
        if found is None:
            raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", "Nobody can sign in that way here.")
        return found

    def shown(self, next_path: str) -> list[tuple[str, str]]:
        """Return what each is called, and the path that leads there and afterwards on to a page of ours."""
        following = quote(within(next_path), safe="")
        return [(each.label, f"/_signin/{each.key}?next={following}") for each in self._providers.values()]

    @contextmanager
    def beginning(self, key: str) -> Iterator[None]:
        """Let somebody begin at a provider, whoever they are: it may have to be asked where that is.

        Raises:
            ProblemError: 503 `busy_signing_in`.
        """
        with self._lock:
            if self._beginning[key] >= _MOST:
                raise _busy()
            self._beginning[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._beginning[key] -= 1

    @contextmanager
    def finishing(self, attempt: Attempt) -> Iterator[None]:
        """Let an attempt be finished: by one request at a time, and once.

        Raises:
            ProblemError: 403 `sign_in_state`, or 503 `busy_signing_in`.
        """
        state = attempt.state
        with self._lock:
            self._forget(time.time())
            if state in self._finished or state in self._under_way:
                raise ProblemError(HTTPStatus.FORBIDDEN, "sign_in_state", _NOT_BEGUN)
            if Counter(self._under_way.values())[attempt.provider] >= _MOST:
                raise _busy()
            self._under_way[state] = attempt.provider
        try:
            yield
            # Those who were let in alone are remembered: strangers cannot fill this.
            with self._lock:
                self._finished[state] = attempt.ends
        finally:
            with self._lock:
                del self._under_way[state]

    def _forget(self, now: float) -> None:
        """Forget those that are too old to be used again."""
        self._finished = {state: ends for state, ends in self._finished.items() if now < ends}


def ways_of(request: Request) -> Ways:
    """Return the ways to sign in of this process."""
    return cast("Ways", request.app.state.ways)


@router.get("/_signin")
def choose(request: Request) -> Response:
    """Show the ways to sign in."""
    return show(request, "signin.html", still=True, ways=ways_of(request).shown(_next_of(request)))


@router.get("/_signin/{provider}")
def begin(request: Request, provider: str) -> Response:
    """Send a browser to a provider, with what it must bring back."""
    there = ways_of(request).provider(provider)
    settings = request.app.state.settings
    if request.headers["host"].lower() != urlsplit(settings.base_url).netloc.lower():
        # The provider sends it back to our first name; what it keeps must be kept under that one.
        path = f"/_signin/{there.key}?next={quote(_next_of(request), safe='')}"
        return RedirectResponse(f"{settings.base_url.rstrip('/')}{path}", HTTPStatus.SEE_OTHER)
    attempt = begin_attempt(there.key, next_path=_next_of(request), now=time.time())
    try:
        with ways_of(request).beginning(there.key):
            address = there.address(attempt)
    except RetryError as error:
        raise _away(error) from error
    response = RedirectResponse(address, HTTPStatus.SEE_OTHER, headers={"Cache-Control": "no-store"})
    response.set_cookie(
        cookie_name(request, _COOKIE),
        seal(attempt, there.seal),
        max_age=SECONDS,
        path="/",
        httponly=True,
        samesite="lax",
        secure=is_secure(request),
    )
    return response


@router.get("/_signin/{provider}/callback")
def finish(request: Request, provider: str) -> Response:
    """Take a browser back from a provider, and open its session."""
    ways = ways_of(request)
    there = ways.provider(provider)
    attempt = _attempt_of(request, there)
    with ways.finishing(attempt):
        person = _admit(request, there, _identify(request, there, attempt))
        response = RedirectResponse(within(attempt.next_path), HTTPStatus.SEE_OTHER)
        open_session(request, response, person)
    response.delete_cookie(
        cookie_name(request, _COOKIE), path="/", secure=is_secure(request), httponly=True, samesite="lax"
    )
    return response


def _next_of(request: Request) -> str:
    return within(request.query_params.get("next", "/"))


def _attempt_of(request: Request, there: IdentityProvider) -> Attempt:
    """Return the attempt that this browser began and that the answer belongs to.

    Raises:
        ProblemError: 403 `sign_in_state`.
    """
    attempt = unseal(request.cookies.get(cookie_name(request, _COOKIE), ""), there.seal, now=time.time())
    states = request.query_params.getlist("state")
    is_ours = attempt is not None and attempt.provider == there.key
    if attempt is None or not is_ours or len(states) != 1 or not is_answer_to(attempt, states[0]):
        raise ProblemError(HTTPStatus.FORBIDDEN, "sign_in_state", _NOT_BEGUN)
    return attempt


def _identify(request: Request, there: IdentityProvider, attempt: Attempt) -> Identity:
    answer = request.query_params
    if len(answer.multi_items()) != len(answer):
        detail = f"The answer of {there.label} says something twice. Sign in once more."
        raise ProblemError(HTTPStatus.FORBIDDEN, "sign_in_denied", detail)
    try:
        return there.identify(attempt, dict(answer))
    except RefusedError as error:
        raise ProblemError(HTTPStatus.FORBIDDEN, error.reason, error.message) from error
    except RetryError as error:
        raise _away(error) from error


def _busy() -> ProblemError:
    detail = "Many people are signing in: try again in a moment."
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "busy_signing_in", detail)


def _away(error: RetryError) -> ProblemError:
    detail = f"Nobody can sign in there now: {error.message}. Nothing was changed; try again in a moment."
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, error.reason, detail)


def _admit(request: Request, there: IdentityProvider, identity: Identity) -> Person:
    """Return the person, by the id that the provider never gives to another.

    Raises:
        ProblemError: 403 `no_grant`, or `person_disabled`.
    """
    store = cast("SqlStore", request.app.state.store)
    known = store.find_person(there.issuer, identity.subject)
    if known is not None and known.disabled_at is not None:
        detail = f"{known.login} may not sign in any more."
        raise ProblemError(HTTPStatus.FORBIDDEN, "person_disabled", detail)
    if known is None or not store.grants(known.id):
        raise ProblemError(HTTPStatus.FORBIDDEN, "no_grant", _ask_for(there, identity, known))
    return store.greet_person(known.id, login=identity.login, name=identity.name)


def _ask_for(there: IdentityProvider, identity: Identity, known: Person | None) -> str:
    named = known.login if known is not None and not is_claimed(known) else ""
    login = named or identity.login or "LOGIN"
    typed = ("launchpin", "people", "grant", login, "viewer", "--provider", there.issuer, "--subject", identity.subject)
    command = " ".join(map(shell_quote, typed)).replace("`", "'")
    who = f"{there.label} knows you" + (f" as {identity.login}" if identity.login else "")
    return f"{who}, and nobody has given you a role here yet. Send this to an admin, who types it: `{command}`"

"""The dashboard's routes. `install` adds them, their sessions and their headers to the web process's application."""

import contextlib
from http import HTTPStatus
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from gitops.errors import LaunchpinError
from gitops.logins import use_link
from gitops.signins import within
from webhooks.api.events import stream
from webhooks.api.install import PREFIX, problem, problem_of
from webhooks.askers import cookie_name, find_asker, is_secure
from webhooks.dashboard import acting, views
from webhooks.dashboard.headers import SecureHeaders
from webhooks.dashboard.render import ASSETS, show
from webhooks.dashboard.session import Change, open_session, person_of, require_change
from webhooks.dashboard.signin import router as signin_router
from webhooks.dashboard.signin import ways_of
from webhooks.dashboard.trail import Trail
from webhooks.problems import ProblemError

router = APIRouter(include_in_schema=False)
_USED = "This link was used before, or is older than 15 minutes. `launchpin status` prints a new one."

Changing = Annotated[Change, Depends(require_change)]


def install(app: FastAPI) -> None:
    """Add the dashboard to an application whose state has `store` and `settings`."""
    app.state.log_end = Trail(app.state.store)
    for room in (views, acting):
        app.include_router(room.router)
    app.include_router(router)
    app.include_router(signin_router)
    app.add_exception_handler(ProblemError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_plain)
    app.add_exception_handler(LaunchpinError, _refuse_broken)
    app.add_middleware(SecureHeaders, is_tls=urlsplit(app.state.settings.base_url).scheme == "https")


@router.get("/_login/{token}")
def login(request: Request, token: str) -> Response:
    """Use up a one-time link and go where it leads, within this dashboard."""
    link = use_link(request.app.state.settings.home.absolute() / "logins", token)
    if link is None:
        raise ProblemError(HTTPStatus.FORBIDDEN, "link_used", _USED)
    response = RedirectResponse(within(request.query_params.get("next", "/")), HTTPStatus.SEE_OTHER)
    open_session(request, response, person_of(request, link))
    return response


@router.post("/_logout")
def logout(request: Request, change: Changing) -> Response:
    """End the session."""
    request.app.state.store.close_session(change.session.id)
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    response.delete_cookie(cookie_name(request), path="/", secure=is_secure(request), httponly=True, samesite="lax")
    return response


@router.get("/_changes")
async def changes(request: Request, last_event_id: Annotated[int | None, Header(ge=-1, le=2**53)] = None) -> Response:
    """Tell an open page, at most once a second, that something of what they may see has changed; it asks what."""
    return stream(
        request,
        last_event_id,
        lambda seen: f"id: {seen[-1][0]}\nevent: changed\ndata: {len(seen)}\n\n",
        lost="event: changed\ndata: %d\n\n",
    )


@router.get("/_static/{name}")
def static(name: str) -> Response:
    """Return a file of ours; it needs no session, so that the sign-in page looks right too."""
    asset = ASSETS.get(name)
    if asset is None:
        _missing("file")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def _missing(what: str) -> NoReturn:
    raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {what} here.")


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    if request.url.path.startswith(PREFIX):
        return problem(error)
    is_page = request.method == "GET" and not request.url.path.startswith("/_")
    place = f"{request.url.path}?{request.url.query}".rstrip("?") if is_page else "/"
    ways = ways_of(request).shown(place)
    return show(request, "notice.html", status=error.status, still=True, error=error, ways=ways)


async def _refuse_plain(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if not request.url.path.startswith((PREFIX, "/_")) and not hasattr(request.state, "asker"):
        # No route, so nobody asked yet who this is: the page has its sections for whoever is signed in all the same.
        with contextlib.suppress(ProblemError, LaunchpinError):
            request.state.asker = await run_in_threadpool(find_asker, request)
    status = HTTPStatus(error.status_code)
    if status is HTTPStatus.BAD_REQUEST and request.url.path.startswith(PREFIX):
        # The framework's word for a body that is no text, or nested without end.
        detail = "body: write JSON in UTF-8, not nested too deeply."
        return await _refuse(request, ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, field="body"))
    response = await _refuse(request, ProblemError(status, status.name.lower(), f"{status.phrase}: nothing is here."))
    response.headers.update(error.headers or {})
    return response


async def _refuse_broken(request: Request, error: Exception) -> Response:
    if not isinstance(error, LaunchpinError):
        raise error
    return await _refuse(request, problem_of(error))

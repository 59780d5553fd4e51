"""The dashboard's routes. `install` adds them, their sessions and their headers to the web process's application."""

from http import HTTPStatus
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from gitops.errors import LaunchpinError
from gitops.logins import use_link
from webhooks.api.install import PREFIX, problem, problem_of
from webhooks.askers import COOKIE, SESSION_TIME
from webhooks.dashboard import acting, views
from webhooks.dashboard.headers import SecureHeaders
from webhooks.dashboard.render import ASSETS, show
from webhooks.dashboard.session import Change, require_change, sign_in
from webhooks.dashboard.trail import Trail
from webhooks.problems import ProblemError

router = APIRouter(include_in_schema=False)
_USED = "This link was used before, or is older than 15 minutes. `launchpin status` prints a new one."

Changing = Annotated[Change, Depends(require_change)]


def install(app: FastAPI) -> None:
    """Add the dashboard to an application whose state has `store` and `settings`."""
    app.state.trail = Trail(app.state.store)
    for room in (views, acting):
        app.include_router(room.router)
    app.include_router(router)
    app.add_exception_handler(ProblemError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_plain)
    app.add_exception_handler(LaunchpinError, _refuse_broken)
    app.add_middleware(SecureHeaders)


@router.get("/_login/{token}")
def login(request: Request, token: str) -> Response:
    """Use up a one-time link and go where it leads, within this dashboard."""
    settings = request.app.state.settings
    link = use_link(settings.home.absolute() / "logins", token)
    if link is None:
        raise ProblemError(HTTPStatus.FORBIDDEN, "link_used", _USED)
    response = RedirectResponse(_within(request.query_params.get("next", "/")), HTTPStatus.SEE_OTHER)
    is_secure = urlsplit(settings.base_url).scheme == "https"
    seconds = int(SESSION_TIME.total_seconds())
    response.set_cookie(
        COOKIE, sign_in(request, link), max_age=seconds, path="/", httponly=True, samesite="lax", secure=is_secure
    )
    return response


@router.post("/_logout")
def logout(request: Request, change: Changing) -> Response:
    """End the session."""
    request.app.state.store.close_session(change.session.id)
    response = RedirectResponse("/", HTTPStatus.SEE_OTHER)
    response.delete_cookie(COOKIE, path="/")
    return response


@router.get("/_static/{name}")
def static(name: str) -> Response:
    """Return a file of ours; it needs no session, so that the sign-in page looks right too."""
    asset = ASSETS.get(name)
    if asset is None:
        _missing("file")
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(asset.content, media_type=asset.media_type, headers=headers)


def _within(unverified_path: str) -> str:
    """Return a path of ours, the front page for anything else."""
    path = unverified_path
    is_ours = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_ours else "/"


def _missing(what: str) -> NoReturn:
    raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {what} here.")


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, ProblemError):
        raise error
    if request.url.path.startswith(PREFIX):
        return problem(error)
    return show(request, "notice.html", status=error.status, still=True, error=error)


async def _refuse_plain(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    response = await _refuse(request, ProblemError(status, status.name.lower(), f"{status.phrase}: nothing is here."))
    response.headers.update(error.headers or {})
    return response


async def _refuse_broken(request: Request, error: Exception) -> Response:
    if not isinstance(error, LaunchpinError):
        raise error
    return await _refuse(request, problem_of(error))

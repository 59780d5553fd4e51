"""The dashboard's routes. `install` adds them, their sessions and their headers to the web process's application."""

import re
from http import HTTPStatus
from typing import Annotated, NoReturn
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from starlette.exceptions import HTTPException

from gitops.errors import LaunchpinError
from gitops.logins import use_link
from gitops.records import Frozen
from webhooks.dashboard.details import read_rollout_page, read_training_page
from webhooks.dashboard.headers import SecureHeaders
from webhooks.dashboard.overview import Reader, read_overview
from webhooks.dashboard.render import ASSETS, show
from webhooks.dashboard.session import (
    COOKIE,
    SESSION_SECONDS,
    Change,
    PageError,
    Session,
    Sessions,
    require_change,
    require_session,
)

router = APIRouter(include_in_schema=False)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_USED = "This link was used before, or is older than 15 minutes. `launchpin status` prints a new one."

Reading = Annotated[Session, Depends(require_session)]
Changing = Annotated[Change, Depends(require_change)]


def install(app: FastAPI) -> None:
    """Add the dashboard to an application whose state has `store` and `settings`."""
    app.state.sessions = Sessions(app.state.settings.home.absolute() / "sessions")
    app.include_router(router)
    app.add_exception_handler(PageError, _refuse)
    app.add_exception_handler(HTTPException, _refuse_plain)
    app.add_exception_handler(LaunchpinError, _refuse_broken)
    app.add_middleware(SecureHeaders)


@router.get("/")
def overview(request: Request, session: Reading) -> Response:
    """Show what runs where, what is moving, and what was recorded last."""
    models = request.app.state.settings.home.absolute() / "models"
    return show(request, "overview.html", session=session, page=read_overview(_store(request), models))


@router.get("/trainings/{training_id}")
def training(request: Request, training_id: str, session: Reading) -> Response:
    """Show one training."""
    page = read_training_page(_store(request), training_id) if _ID.fullmatch(training_id) else None
    return show(request, "training.html", session=session, page=page) if page else _missing("training")


@router.get("/rollouts/{rollout_id}")
def rollout(request: Request, rollout_id: str, session: Reading) -> Response:
    """Show one rollout."""
    page = read_rollout_page(_store(request), rollout_id) if _ID.fullmatch(rollout_id) else None
    return show(request, "rollout.html", session=session, page=page) if page else _missing("rollout")


class DeliveryOutcome(Frozen):
    """What became of a delivery; `outcome` is empty until a worker has read it."""

    id: str
    event: str
    body_sha256: str
    received_at: str
    phase: str
    outcome: str
    reason: str
    detail: str
    woke: tuple[str, ...]


@router.get("/api/v1/deliveries/{guid}")
def delivery(request: Request, guid: str, session: Reading) -> DeliveryOutcome:  # noqa: ARG001 - the guard
    """Return what became of a delivery."""
    found = _store(request).delivery(guid.lower()) if _ID.fullmatch(guid) else None
    if found is None:
        _missing("delivery")
    return DeliveryOutcome(
        id=found.id,
        event=found.event,
        body_sha256=found.body_sha256,
        received_at=found.created_at.isoformat() if found.created_at else "",
        phase=found.phase,
        outcome=found.facts.outcome,
        reason=found.facts.reason,
        detail=found.facts.detail,
        woke=found.facts.woke,
    )


@router.get("/_login/{token}")
def login(request: Request, token: str) -> Response:
    """Use up a one-time link and go where it leads, within this dashboard."""
    settings = request.app.state.settings
    if not use_link(settings.home.absolute() / "logins", token):
        raise PageError(HTTPStatus.FORBIDDEN, "link_used", _USED)
    response = RedirectResponse(_within(request.query_params.get("next", "/")), HTTPStatus.SEE_OTHER)
    is_secure = urlsplit(settings.base_url).scheme == "https"
    value = request.app.state.sessions.open()
    response.set_cookie(
        COOKIE, value, max_age=SESSION_SECONDS, path="/", httponly=True, samesite="lax", secure=is_secure
    )
    return response


@router.post("/_logout")
def logout(request: Request, change: Changing) -> Response:  # noqa: ARG001 - the guard
    """End the session."""
    request.app.state.sessions.close(request.cookies.get(COOKIE, ""))
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


def _store(request: Request) -> Reader:
    store: Reader = request.app.state.store
    return store


def _within(unverified_path: str) -> str:
    """Return a path of ours, the front page for anything else."""
    path = unverified_path
    is_ours = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if is_ours else "/"


def _missing(what: str) -> NoReturn:
    raise PageError(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {what} here.")


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, PageError):
        raise error
    if request.url.path.startswith("/api/"):
        problem = {"status": error.status.value, "code": error.code, "detail": error.detail}
        return JSONResponse(problem, status_code=error.status, media_type="application/problem+json")
    return show(request, "notice.html", status=error.status, session=None, error=error)


async def _refuse_plain(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    response = await _refuse(request, PageError(status, status.name.lower(), f"{status.phrase}: nothing is here."))
    response.headers.update(error.headers or {})
    return response


async def _refuse_broken(request: Request, error: Exception) -> Response:
    if not isinstance(error, LaunchpinError):
        raise error
    detail = f"The database does not answer ({error.reason}): `launchpin status` shows which part is down."
    return await _refuse(request, PageError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail))

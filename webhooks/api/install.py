"""Adds the API to the web process's application: its routes, its description, and how it says no."""

import json
from functools import cache
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse

from gitops import __version__
from gitops.errors import ConflictError, InputError, LaunchpinError, NotFoundError, RefusedError
from webhooks.api import accounts, asking, events, reading
from webhooks.problems import ProblemError
from webhooks.trail import TrailReader

PREFIX = "/api/"
_STATUSES = (
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (RefusedError, HTTPStatus.CONFLICT),
    (ConflictError, HTTPStatus.CONFLICT),
    (NotFoundError, HTTPStatus.NOT_FOUND),
)
_DESCRIPTION = """\
Everything that the command line can do, for programs. Send a token of `launchpin token create` as
`Authorization: Bearer lpt_...`. Answers from 400 on are problems (RFC 9457) with `status`, `code` and `detail`.
What a verb asks for is carried out by a worker: its answer is 202 and says where to look.\
"""


def install(app: FastAPI) -> None:
    """Add the API to an application whose state has `store` and `settings`."""
    app.state.streams = events.Streams()
    app.state.trail = TrailReader()
    for room in (reading, asking, accounts, events):
        app.include_router(room.router)
    app.add_exception_handler(RequestValidationError, _refuse_unread)

    @cache
    def written() -> bytes:
        return json.dumps(describe(app)).encode()

    @app.get("/api/v1/openapi.json", include_in_schema=False)
    def description() -> Response:
        """Describe the API, in OpenAPI 3.1."""
        return Response(written(), media_type="application/json")


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the API's description."""
    text = get_openapi(title="Launchpin", version=__version__, description=_DESCRIPTION, routes=app.routes)
    schemes = {"token": {"type": "http", "scheme": "bearer", "description": "`launchpin token create` makes one."}}
    text.setdefault("components", {})["securitySchemes"] = schemes
    text["security"] = [{"token": []}]
    return text


def problem(error: ProblemError) -> Response:
    """Return the answer that a program gets."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status is HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(error.plain(), status_code=error.status, media_type="application/problem+json", headers=headers)


def problem_of(error: LaunchpinError) -> ProblemError:
    """Return what is said of an error of ours: the asker's, or that the database does not answer."""
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return ProblemError(status, error.reason, error.message, field=getattr(error, "field", ""))
    detail = f"The database does not answer ({error.reason}): `launchpin status` shows which part is down."
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "not_ready", detail)


async def _refuse_unread(_: Request, error: Exception) -> Response:
    """Say which part of a request cannot be read, in our form instead of the framework's."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    place = [str(each) for each in first["loc"]]
    field = ".".join(place[1:]) or place[0]
    detail = f"{field}: {first['msg']}"
    return problem(ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, field=field))

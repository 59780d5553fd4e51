"""Adds the API to the web process's application: its routes, its description, and how it says no."""

import json
from functools import cache
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from gitops.errors import ConflictError, InputError, LaunchpinError, NotFoundError, RefusedError, UnknownNameError
from webhooks.api import accounts, asking, events, people, reading, telling
from webhooks.api.describing import describe
from webhooks.api.keys import key_used
from webhooks.problems import ProblemError
from webhooks.trail import TrailReader

PREFIX = "/api/"
_STATUSES = (
    (InputError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (RefusedError, HTTPStatus.CONFLICT),
    (ConflictError, HTTPStatus.CONFLICT),
    (NotFoundError, HTTPStatus.NOT_FOUND),
)

_REGISTRY = frozenset({"RegistryUnavailable", "RegistryForbidden"})


def install(app: FastAPI) -> None:
    """Add the API to an application whose state has `store` and `settings`."""
    app.state.streams = events.Streams()
    app.state.trail = TrailReader()
    for room in (reading, telling, asking, accounts, people, events):
        app.include_router(room.router)
    app.add_exception_handler(RequestValidationError, _refuse_unread)

    @cache
    def written() -> bytes:
        return json.dumps(describe(app)).encode()

    @app.get("/api/v1/openapi.json", include_in_schema=False)
    def description() -> Response:
        """Describe the API, in OpenAPI 3.1."""
        return Response(written(), media_type="application/json")


def problem(error: ProblemError) -> Response:
    """Return the answer that a program gets."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status is HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(error.plain(), status_code=error.status, media_type="application/problem+json", headers=headers)


def problem_of(error: LaunchpinError) -> ProblemError:
    """Return what is said of an error of ours: the asker's, or that the database does not answer."""
    if isinstance(error, UnknownNameError):
        return ProblemError(HTTPStatus.NOT_FOUND, "not_found", error.message)
    if isinstance(error, ConflictError) and error.reason == "IdempotencyKeyUsed":
        return key_used(error)
    if error.reason.endswith("_unclear"):
        return ProblemError(HTTPStatus.CONFLICT, error.reason, error.message)
    if error.reason in _REGISTRY:
        return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, error.reason, error.message)
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            field = getattr(error, "field", "").removeprefix("--")
            return ProblemError(status, error.reason, error.message, field=field)
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

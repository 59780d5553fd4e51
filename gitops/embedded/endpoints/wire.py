"""How values of the target port become JSON and back, and errors become statuses, in the management API."""

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.responses import JSONResponse, Response

from gitops.errors import (
    ConflictError,
    InputError,
    LaunchpinError,
    NotFoundError,
    RefusedError,
    RetryError,
)
from gitops.retention import KeptConfiguration
from gitops.serving import Configuration, ConfigurationState, Endpoint

CONFIGURATION = TypeAdapter(Configuration)
_STATE = TypeAdapter(ConfigurationState)
_ENDPOINT = TypeAdapter(Endpoint)
_ENDPOINTS = TypeAdapter(list[Endpoint])
_KEPT = TypeAdapter(list[KeptConfiguration])

_STATUSES: tuple[tuple[type[LaunchpinError], int], ...] = (
    (NotFoundError, 404),
    (ConflictError, 409),
    (RefusedError, 422),
    (InputError, 422),
    (RetryError, 503),
)


class Apply(BaseModel):
    """Body of `PUT /api/v1/endpoints/{name}`."""

    model_config = ConfigDict(extra="forbid")

    configuration: str
    bake_seconds: float = Field(ge=0, le=7 * 86_400, allow_inf_nan=False)


class Restore(BaseModel):
    """Body of `POST /api/v1/endpoints/{name}/restore`; an empty name removes the endpoint."""

    model_config = ConfigDict(extra="forbid")

    configuration: str


class Retire(BaseModel):
    """Body of `POST /api/v1/endpoints/{name}/retire`."""

    model_config = ConfigDict(extra="forbid")

    keep: int = Field(ge=0)


def state_response(state: ConfigurationState) -> Response:
    """Return a configuration's state."""
    return Response(_STATE.dump_json(state), media_type="application/json")


def endpoint_response(endpoint: Endpoint) -> Response:
    """Return an endpoint."""
    return Response(_ENDPOINT.dump_json(endpoint), media_type="application/json")


def endpoints_response(endpoints: list[Endpoint]) -> Response:
    """Return all endpoints."""
    return Response(_ENDPOINTS.dump_json(endpoints), media_type="application/json")


def kept_response(kept: list[KeptConfiguration]) -> Response:
    """Return all configurations, as they may go one day."""
    return Response(_KEPT.dump_json(kept), media_type="application/json")


def problem(status: int, code: str, message: str) -> JSONResponse:
    """Return an error: a stable code and a sentence."""
    return JSONResponse({"error": {"code": code, "message": message}}, status)


def problem_of(error: LaunchpinError) -> Response:
    """Return the response of one of our errors."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    response = problem(status, error.reason, error.message)
    if isinstance(error, RetryError):
        response.headers["retry-after"] = str(max(1, round(error.after)))
    return response

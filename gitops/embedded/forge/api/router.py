"""Find the function of an API request, after asking who it is; what is missing is named by a 501."""

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from uuid import uuid4

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from gitops.embedded.forge.api import checks, commits, contents, gitdata, hooks, pulls, repos, reviews
from gitops.embedded.forge.api.call import BODY_LIMIT, Call, bearer, parse_body, read_limited
from gitops.embedded.forge.errors import ForgeError
from gitops.embedded.forge.state import Forge

PREFIX = "/api/v3"
_LOG = logging.getLogger(__name__)
_TABLE = (
    *repos.ROUTES,
    *gitdata.ROUTES,
    *contents.ROUTES,
    *checks.ROUTES,
    *commits.ROUTES,
    *pulls.ROUTES,
    *reviews.ROUTES,
    *hooks.ROUTES,
)
_ROUTES = tuple((method, compile_path(path)[0], function) for method, path, function in _TABLE)
Endpoint = Callable[[Call], Response]


async def serve_api(forge: Forge, request: Request) -> Response:
    """Answer one API request, refusals and failures included."""
    request_id = str(uuid4())
    try:
        response = await _serve(forge, request)
    except ForgeError as error:
        response = _refuse(error)
    except Exception:  # noqa: BLE001 - the last exit of every request: logged with its id, answered as GitHub does
        _LOG.exception("request %s failed: %s %s", request_id, request.method, request.url.path)
        response = _refuse(ForgeError(HTTPStatus.INTERNAL_SERVER_ERROR, "Server Error"))
    etag = response.headers.get("ETag")
    if etag and etag in request.headers.get("If-None-Match", "").split(", "):
        response = Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"ETag": etag})
    response.headers["X-GitHub-Request-Id"] = request_id
    return response


async def _serve(forge: Forge, request: Request) -> Response:
    authorization = request.headers.get("Authorization", "")
    if not authorization:
        raise ForgeError(HTTPStatus.UNAUTHORIZED, "Requires authentication")
    account = forge.accounts.by_token(bearer(authorization))
    if account is None:
        raise ForgeError(HTTPStatus.UNAUTHORIZED, "Bad credentials")
    function, values = find_endpoint(request.method, request.scope["path"])
    body = parse_body(await read_limited(request, BODY_LIMIT))
    raw_path = request.scope.get("raw_path", b"").decode("ascii", "replace")
    call = Call(forge, account, values, dict(request.query_params), body, raw_path)
    return await run_in_threadpool(function, call)


def find_endpoint(method: str, path: str) -> tuple[Endpoint, dict[str, str]]:
    """Return the function for a path and the values in it.

    Raises:
        ForgeError: 501 when the embedded forge has no such route.
    """
    inner = path.removeprefix(PREFIX).rstrip("/") or "/"
    for known, pattern, function in _ROUTES:
        if known == method and (match := pattern.match(inner)):
            return function, match.groupdict()
    raise ForgeError(HTTPStatus.NOT_IMPLEMENTED, f"not in the embedded forge: {method} {inner}")


def _refuse(error: ForgeError) -> Response:
    headers = {"X-GitHub-Media-Type": "github.v3; format=json"}
    return Response(json.dumps(error.body()), error.status, headers, "application/json; charset=utf-8")

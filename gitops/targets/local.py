"""The target on this machine: an HTTP client of the endpoint host's management API."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NoReturn, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from gitops.errors import (
    ConflictError,
    LaunchpinError,
    NotFoundError,
    RefusedError,
    RetryError,
    StalledError,
    UnknownOutcomeError,
)
from gitops.failpoints import failpoint
from gitops.ports import Answer, Configuration, ConfigurationState, Endpoint

T = TypeVar("T")

_UNAVAILABLE = "EndpointHostUnavailable"
_SLOWEST_CALL = 30.0
# Every file of the model is hashed before the answer.
_SLOWEST_PREPARE = 600.0
# What the host may take beyond the model's own time.
_OVERHEAD = 10.0

_CONFIGURATION = TypeAdapter(Configuration)
_STATE = TypeAdapter(ConfigurationState)
_ENDPOINT = TypeAdapter(Endpoint)
_ENDPOINTS = TypeAdapter(list[Endpoint])
_REMOVED = TypeAdapter(dict[str, list[str]])
_HOST = TypeAdapter(dict[str, str])
_PROBLEM = TypeAdapter(dict[str, dict[str, str]])

_KINDS: Mapping[int, type[LaunchpinError]] = {404: NotFoundError, 409: ConflictError, 422: RefusedError}


class LocalTarget:
    """Implements `Target` on the endpoint host. Thread-safe.

    Every method raises `RetryError` when the host cannot be reached, `UnknownOutcomeError` when the connection broke
    after a changing request had left, and `StalledError` when the host refuses the token.

    Args:
        base_url: of the endpoint host.
        token: of its management API.
        transport: instead of the network, for tests.
    """

    def __init__(self, base_url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/api/v1",
            headers={"authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(_SLOWEST_CALL, connect=5.0),
            transport=transport,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()

    def host(self) -> str:
        """Return the host's own name, the same after each restart."""
        return _read(_HOST, self._call("GET", "/host"))["id"]

    def prepare(self, configuration: Configuration) -> ConfigurationState:
        """Start a configuration's scorer without traffic; one that failed or was stopped is started again.

        Raises:
            ConflictError: `configuration_differs`.
            RefusedError: `digest_mismatch`, or `no_interpreter`.
        """
        body = _CONFIGURATION.dump_json(configuration)
        failpoint("local_target.prepare.before")
        answer = self._call("PUT", f"/configurations/{configuration.name}", body=body, timeout=_SLOWEST_PREPARE)
        failpoint("local_target.prepare.after")
        return _read(_STATE, answer)

    def configuration(self, name: str) -> ConfigurationState | None:
        """Return a configuration; one kept without a scorer is `Ready` with the reason `Stopped`."""
        try:
            return _read(_STATE, self._call("GET", f"/configurations/{name}"))
        except NotFoundError:
            return None

    def invoke(self, configuration: str, body: bytes, *, content_type: str, timeout: timedelta) -> Answer:
        """Send one request to a configuration's scorer; one that breaks or is too slow answers 502 or 504.

        Raises:
            NotFoundError: when there is no such configuration.
            RetryError: `ConfigurationNotReady`.
        """
        seconds = timeout.total_seconds()
        path = f"/configurations/{configuration}/invocations?timeout={seconds}"
        request = self._request("POST", path, body=body, content_type=content_type, timeout=seconds + _OVERHEAD)
        answer = self._send(request)
        if "x-launchpin-seconds" not in answer.headers:
            _raise_for(answer)
        return Answer(answer.status_code, float(answer.headers["x-launchpin-seconds"]), answer.content)

    def apply(self, endpoint: str, configuration: str, *, bake: timedelta) -> Endpoint:
        """Give a configuration the traffic; one that is still starting gets it when it is ready.

        Asked again for the same configuration it only says how that stands, also after traffic went back.

        Raises:
            NotFoundError: when there is no such configuration.
            RefusedError: when it is another endpoint's (`other_endpoint`), or failed (`configuration_failed`).
        """
        wish = TypeAdapter(dict[str, str | float])
        body = wish.dump_json({"configuration": configuration, "bake_seconds": bake.total_seconds()})
        failpoint("local_target.apply.before")
        answer = self._call("PUT", f"/endpoints/{endpoint}", body=body)
        failpoint("local_target.apply.after")
        return _read(_ENDPOINT, answer)

    def restore(self, endpoint: str, configuration: str) -> Endpoint:
        """Give the traffic back, at once when the earlier scorer is still up; an empty name removes the endpoint.

        Raises:
            NotFoundError: when there is no such configuration.
        """
        body = TypeAdapter(dict[str, str]).dump_json({"configuration": configuration})
        failpoint("local_target.restore.before")
        answer = self._call("POST", f"/endpoints/{endpoint}/restore", body=body)
        failpoint("local_target.restore.after")
        return _read(_ENDPOINT, answer)

    def describe(self, endpoint: str) -> Endpoint | None:
        """Return an endpoint; None when there is none."""
        try:
            return _read(_ENDPOINT, self._call("GET", f"/endpoints/{endpoint}"))
        except NotFoundError:
            return None

    def endpoints(self) -> Sequence[Endpoint]:
        """Return all endpoints, by name."""
        return _read(_ENDPOINTS, self._call("GET", "/endpoints"))

    def retire(self, endpoint: str, *, keep: int) -> Sequence[str]:
        """Remove all but the newest configurations, save those in use or that served in the last seven days."""
        body = TypeAdapter(dict[str, int]).dump_json({"keep": keep})
        answer = self._call("POST", f"/endpoints/{endpoint}/retire", body=body, timeout=_SLOWEST_PREPARE)
        return _read(_REMOVED, answer)["removed"]

    def _call(self, method: str, path: str, *, body: bytes = b"", timeout: float = _SLOWEST_CALL) -> httpx.Response:
        answer = self._send(self._request(method, path, body=body, content_type="application/json", timeout=timeout))
        if not answer.is_success:
            _raise_for(answer)
        return answer

    def _request(self, method: str, path: str, *, body: bytes, content_type: str, timeout: float) -> httpx.Request:
        limit = httpx.Timeout(timeout, connect=5.0)
        return self._client.build_request(
            method, path, content=body, headers={"content-type": content_type}, timeout=limit
        )

    def _send(self, request: httpx.Request) -> httpx.Response:
        try:
            return self._client.send(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RetryError(_UNAVAILABLE, f"the endpoint host cannot be reached: {error}") from error
        except httpx.TransportError as error:
            message = f"the connection to the endpoint host broke: {type(error).__name__}: {error}"
            if request.method == "GET":
                raise RetryError(_UNAVAILABLE, message) from error
            raise UnknownOutcomeError(_UNAVAILABLE, message) from error


def _read(kind: TypeAdapter[T], answer: httpx.Response) -> T:
    try:
        return kind.validate_json(answer.content)
    except ValidationError as error:
        raise RetryError("EndpointHostAnswer", f"not an endpoint host's answer: {error.errors()[0]['msg']}") from error


def _raise_for(answer: httpx.Response) -> NoReturn:
    """Raise what an answer other than 2xx means.

    Raises:
        LaunchpinError: always, one of the kinds named by what must happen next.
    """
    code, message = _problem_in(answer)
    raise _error_for(answer, code=code, message=message)


def _error_for(answer: httpx.Response, *, code: str, message: str) -> LaunchpinError:
    status = answer.status_code
    if status == httpx.codes.UNAUTHORIZED:
        return StalledError("EndpointHostToken", "the endpoint host refuses our token: compare the token files")
    if answer.is_server_error or code == _UNAVAILABLE:
        # Not in our words: something else answers there, a proxy say. Its 404 must not be taken for "there is none".
        return RetryError(code, message, after=_seconds(answer.headers.get("retry-after", "0")))
    kind = _KINDS.get(status)
    return kind(code, message) if kind else StalledError("EndpointHostRefused", f"answered {status}: {message}")


def _problem_in(answer: httpx.Response) -> tuple[str, str]:
    try:
        error = _PROBLEM.validate_json(answer.content)["error"]
        return error["code"], error["message"]
    except (ValidationError, KeyError):
        return _UNAVAILABLE, f"the endpoint host answered {answer.status_code}"


def _seconds(text: str) -> float:
    return float(text) if text.isdecimal() else 0.0

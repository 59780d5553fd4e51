"""The target on this machine: an HTTP client of the endpoint host's management API."""

import gitops.telemetry.lean_httpx  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
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
from gitops.patience import EndlessReplyError, Pause, named_wait, read_bounded
from gitops.ports import Answer, Configuration, ConfigurationState, Endpoint
from gitops.retention import KeptConfiguration
from gitops.telemetry.requests import note_status, sending
from gitops.telemetry.tracing import outgoing

T = TypeVar("T")

# Said of one configuration or endpoint: the host itself may be asked about others meanwhile.
_OF_ONE = {"ConfigurationNotReady", "ScorerRestarting", "NoLiveVersion"}
_UNAVAILABLE = "EndpointHostUnavailable"
_NO_ANSWER = "EndpointHostAnswer"
# What the host may take beyond the model's own time.
_OVERHEAD = 10.0
# Seconds for a whole answer, beyond those for its beginning.
_WHOLE = 30.0
_LARGEST = 64 << 20  # bytes of an answer
_CONNECT = 5.0
_ENCODING = {"content-encoding", "content-length", "transfer-encoding"}
_BUSY = frozenset({408, 429})

_CONFIGURATION = TypeAdapter(Configuration)
_STATE = TypeAdapter(ConfigurationState)
_ENDPOINT = TypeAdapter(Endpoint)
_ENDPOINTS = TypeAdapter(list[Endpoint])
_KEPT = TypeAdapter(list[KeptConfiguration])
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
        silence: seconds without a byte after which a call is given up.
        slowest: the same where the host hashes every file of a model before it answers.
        clock: monotonic seconds; what the host asks us to wait is counted by it.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        transport: httpx.BaseTransport | None = None,
        *,
        silence: float = 30.0,
        slowest: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._silence = silence
        self._slowest = slowest
        self._pause = Pause(clock=clock)
        self._client = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/api/v1",
            headers={"authorization": f"Bearer {token}"},
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
        answer = self._call("PUT", f"/configurations/{configuration.name}", body=body, timeout=self._slowest)
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
            self._raise_for(answer)
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
        answer = self._call("POST", f"/endpoints/{endpoint}/retire", body=body, timeout=self._slowest)
        return _read(_REMOVED, answer)["removed"]

    def kept(self) -> Sequence[KeptConfiguration]:
        """Return every configuration that the host keeps, by name."""
        return _read(_KEPT, self._call("GET", "/configurations"))

    def discard(self, configuration: str, *, idle: timedelta) -> bool:
        """Remove a configuration; False when it is in use, gone, or was prepared or served within this time."""
        failpoint("local_target.discard.before")
        path = f"/configurations/{configuration}?idle={int(idle.total_seconds())}"
        try:
            answer = self._call("DELETE", path, timeout=self._slowest)
        except (ConflictError, NotFoundError):
            return False
        if answer.status_code != httpx.codes.NO_CONTENT:
            raise UnknownOutcomeError(_NO_ANSWER, f"not an endpoint host's answer: {answer.status_code}")
        failpoint("local_target.discard.after")
        return True

    def _call(self, method: str, path: str, *, body: bytes = b"", timeout: float = 0.0) -> httpx.Response:
        silence = timeout or self._silence
        answer = self._send(self._request(method, path, body=body, content_type="application/json", timeout=silence))
        if not answer.is_success:
            self._raise_for(answer)
        return answer

    def _request(self, method: str, path: str, *, body: bytes, content_type: str, timeout: float) -> httpx.Request:
        limit = httpx.Timeout(timeout, connect=_CONNECT)
        return self._client.build_request(
            method, path, content=body, headers={"content-type": content_type}, timeout=limit
        )

    def _send(self, request: httpx.Request) -> httpx.Response:
        self._pause.check("the endpoint host")
        try:
            with sending("target", request.method, request.url.path) as told:
                request.headers.update(outgoing())
                answer = self._client.send(request, stream=True)
                note_status(told, answer.status_code)
                with contextlib.closing(answer):
                    return _whole(answer, seconds=request.extensions["timeout"]["read"] + _WHOLE)
        except EndlessReplyError as error:
            kind = RetryError if request.method == "GET" else UnknownOutcomeError
            raise kind(_NO_ANSWER, f"the endpoint host gave {error}") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise RetryError(_UNAVAILABLE, f"the endpoint host cannot be reached: {error}") from error
        except httpx.TransportError as error:
            message = f"the connection to the endpoint host broke: {type(error).__name__}: {error}"
            if request.method == "GET":
                raise RetryError(_UNAVAILABLE, message) from error
            raise UnknownOutcomeError(_UNAVAILABLE, message) from error

    def _raise_for(self, answer: httpx.Response) -> NoReturn:
        """Raise what an answer other than 2xx means, and keep the wait that it names.

        Raises:
            LaunchpinError: always, one of the kinds named by what must happen next.
        """
        error = _error_for(answer)
        if isinstance(error, RetryError) and error.reason not in _OF_ONE:
            self._pause.begin(error)
        raise error


def _whole(answer: httpx.Response, *, seconds: float) -> httpx.Response:
    """Return an answer with its body, decoded."""
    pieces = answer.iter_bytes()
    content = read_bounded(lambda _: next(pieces, b""), limit=_LARGEST, seconds=seconds)
    headers = [(name, value) for name, value in answer.headers.items() if name not in _ENCODING]
    return httpx.Response(answer.status_code, headers=headers, content=content)


def _read(kind: TypeAdapter[T], answer: httpx.Response) -> T:
    try:
        return kind.validate_json(answer.content)
    except ValidationError as error:
        raise RetryError(_NO_ANSWER, f"not an endpoint host's answer: {error.errors()[0]['msg']}") from error


def _error_for(answer: httpx.Response) -> LaunchpinError:
    """Return what an answer other than 2xx means."""
    code, message = _problem_in(answer)
    status = answer.status_code
    if answer.is_server_error or status in _BUSY or code == _UNAVAILABLE:
        # Not in our words: something else answers there, a proxy say. Its 404 must not be taken for "there is none".
        return RetryError(code, message, after=named_wait(answer.headers))
    if status == httpx.codes.UNAUTHORIZED:
        return StalledError("EndpointHostToken", "the endpoint host refuses our token: compare the token files")
    kind = _KINDS.get(status)
    return kind(code, message) if kind else StalledError("EndpointHostRefused", f"answered {status}: {message}")


def _problem_in(answer: httpx.Response) -> tuple[str, str]:
    try:
        error = _PROBLEM.validate_json(answer.content)["error"]
        return error["code"], error["message"]
    except (ValidationError, KeyError):
        return _UNAVAILABLE, f"the endpoint host answered {answer.status_code}"

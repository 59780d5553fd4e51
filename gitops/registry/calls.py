"""The calls to the tracking server: MLflow's own stores, but every answer bounded and every wait that it names kept.

Importing this imports MLflow, which takes seconds: only a registry that is made does so.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.model_registry.rest_store import RestStore as RegistryStore
from mlflow.store.tracking.rest_store import RestStore as TrackingStore
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.proto_json_utils import parse_dict
from mlflow.utils.rest_utils import http_request
from urllib3.exceptions import HTTPError, ProtocolError

from gitops.errors import RetryError
from gitops.patience import EndlessReplyError, Pause, named_wait, read_bounded
from gitops.registry.replies import UNAVAILABLE, BrokenReplyError, UnansweredError
from gitops.telemetry.requests import note_status, sending
from gitops.telemetry.tracing import outgoing

_OK = 200
_MULTIPLE_CHOICES = 300
_BAD_REQUEST = 400
_FIRST_SERVER_ERROR = 500
_BUSY = frozenset({408, 429})
_LARGEST = 64 << 20  # bytes of one answer: a page of a thousand runs with long parameters
_SHOWN = 80


class Caller:
    """Sends single requests, each once.

    Args:
        tracking_uri: as the registry has it; credentials come as MLflow's client finds them.
        silence: seconds to connect, and between two pieces of an answer.
        seconds: for a whole answer, files aside.
        clock: monotonic seconds; what the server asks us to wait is counted by it.
    """

    def __init__(
        self,
        tracking_uri: str,
        *,
        silence: float,
        seconds: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.creds = partial(get_default_host_creds, tracking_uri)
        self._silence = silence
        self._seconds = seconds
        self._pause = Pause(clock=clock)

    @contextmanager
    def open(
        self,
        method: str,
        endpoint: str,
        *,
        headers: Mapping[str, str] | None = None,
        **options: Any,  # noqa: ANN401 - `requests` has them
    ) -> Iterator[requests.Response]:
        """Give an answer of success whose body is not read yet.

        Raises:
            UnansweredError: for 408, 429 and 5xx.
            RestException: what the server says in its own words.
            BrokenReplyError: for anything else.
        """
        self._pause.check("the tracking server")
        with sending("registry", method, endpoint) as told:
            ask = partial(
                http_request,
                self.creds(),
                endpoint,
                method,
                max_retries=0,
                raise_on_status=False,
                timeout=self._silence,
                allow_redirects=False,
                stream=True,
                extra_headers={**outgoing(), **(headers or {})},
                **options,
            )
            try:
                answer = ask()
            except MlflowException as error:
                # A server closes what was idle for seconds, sometimes in the moment in which it is used again. Looking
                # again changes nothing there; whether a write was taken nobody knows.
                if method != "GET" or not _is_cut(error):
                    raise
                answer = ask()
            with closing(answer):
                note_status(told, answer.status_code)
                if not _OK <= answer.status_code < _MULTIPLE_CHOICES:
                    self._refuse(answer)
                yield answer

    def read(self, answer: requests.Response, *, limit: int = _LARGEST) -> bytes:
        """Return the whole body of an answer; raises BrokenReplyError when it has no end."""
        try:
            return read_bounded(partial(self.read_piece, answer), limit=limit, seconds=self._seconds)
        except EndlessReplyError as error:
            raise BrokenReplyError(str(error)) from error

    @staticmethod
    def read_piece(answer: requests.Response, size: int) -> bytes:
        """Return what of a body is there, at most so many bytes; nothing at its end."""
        try:
            piece: bytes = answer.raw.read1(size, decode_content=True)
        except HTTPError as error:
            raise requests.ConnectionError(error) from error
        return piece

    def call(self, method: str, endpoint: str, body: str | None, reply: Any) -> Any:  # noqa: ANN401 - MLflow's messages have no types
        """Send one call of MLflow's REST API and fill in its reply; raises as `open`."""
        said = json.loads(body) if body is not None else None
        with self.open(method, endpoint, **({"params": said} if method == "GET" else {"json": said})) as answer:
            content = self.read(answer)
        parse_dict(js_dict=self.parse(content), message=reply)
        return reply

    @staticmethod
    def parse(content: bytes) -> dict[str, Any]:
        """Return an answer's JSON object; raises BrokenReplyError when it is none."""
        parsed = _parse(content)
        if parsed is None:
            raise BrokenReplyError(f"no JSON object: {content[:_SHOWN]!r}")
        return parsed

    def _refuse(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status in _BUSY or status >= _FIRST_SERVER_ERROR:
            after = named_wait({name.lower(): value for name, value in answer.headers.items()})
            self._pause.begin(RetryError(UNAVAILABLE, "", after=after))
            raise UnansweredError(f"status {status}", after=after)
        said = _parse(self.read(answer))
        if said is None or status < _BAD_REQUEST:
            raise BrokenReplyError(f"status {status}")
        raise RestException(said)


class Runs(TrackingStore):  # type: ignore[misc]  # MLflow publishes no types
    """MLflow's tracking API."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller.creds)
        self._caller = caller

    def _call_endpoint(
        self,
        api: Any,  # noqa: ANN401 - MLflow publishes no types
        json_body: str | None = None,
        endpoint: str | None = None,
        retry_timeout_seconds: float | None = None,
        response_proto: Any = None,  # noqa: ANN401 - the same
    ) -> Any:  # noqa: ANN401 - the same
        del retry_timeout_seconds
        known = self._V3_METHOD_TO_INFO if api in self._V3_APIS else self._METHOD_TO_INFO
        path, method = known[api]
        return self._caller.call(method, endpoint or path, json_body, response_proto or api.Response())


class Versions(RegistryStore):  # type: ignore[misc]  # MLflow publishes no types
    """MLflow's registry API. Its client asks `registered-models/get` before most calls; this store does not."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller.creds)
        self._caller = caller

    def _call_endpoint(
        self,
        api: Any,  # noqa: ANN401 - MLflow publishes no types
        json_body: str | None,
        call_all_endpoints: bool = False,  # noqa: FBT001, FBT002 - the form of the method it replaces
        extra_headers: Any = None,  # noqa: ANN401 - the same
    ) -> Any:  # noqa: ANN401 - the same
        del call_all_endpoints, extra_headers
        endpoint, method = self._get_endpoint_from_method(api)
        return self._caller.call(method, endpoint, json_body, self._get_response_from_method(api))


def _is_cut(error: MlflowException) -> bool:
    """Return whether a connection ended before its answer began."""
    cause = error.__cause__ or error.__context__
    found = cause.args[0] if isinstance(cause, requests.ConnectionError) and cause.args else None
    return isinstance(getattr(found, "reason", found), ProtocolError)


def _parse(content: bytes) -> dict[str, Any] | None:
    """Return a JSON object; an empty body counts as an empty one, as in MLflow's own client."""
    if not content.strip():
        return {}
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None

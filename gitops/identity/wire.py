"""Questions to a provider: bounded in size and time, to the address that is meant and no other, and never repeated."""

import gitops.telemetry.lean_httpx  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import BaseModel, JsonValue, ValidationError

from gitops.errors import InputError, RetryError

M = TypeVar("M", bound=BaseModel)

_LONGEST = 512 * 1024
_SILENCE = 5.0
_SECONDS = 10.0


@dataclass(frozen=True)
class Reply:
    """What a provider answered.

    Args:
        what: was asked, in words for people.
        content: JSON.
    """

    what: str
    status: int
    content: JsonValue

    def read(self, model: type[M]) -> M:
        """Return the content as a model.

        Raises:
            RetryError: `provider_unavailable`, when the answer is no success or has another form.
        """
        if self.status != HTTPStatus.OK:
            raise unavailable(f"{self.what} was answered with {self.status}")
        try:
            return model.model_validate(self.content)
        except ValidationError as error:
            field = ".".join(str(part) for part in error.errors()[0]["loc"])
            raise unavailable(f"{self.what}: {field or 'the answer'} is missing or has another form") from error

    def word(self, name: str) -> str:
        """Return a member that is text, empty where there is none."""
        found = self.content.get(name) if isinstance(self.content, dict) else None
        return found if isinstance(found, str) else ""


class Wire:
    """The way to a provider.

    Args:
        silence: seconds to connect, and between two pieces of an answer.
        seconds: for a whole answer.
    """

    def __init__(self, *, silence: float = _SILENCE, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        # Nothing packed: what is small on the way may be huge here.
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "launchpin"}
        # No connection is kept: people sign in rarely, and a code must not be lost to one that the provider has closed.
        limits = httpx.Limits(max_keepalive_connections=0)
        # A proxy of the environment carries TLS and reads nothing of it. Without TLS there is only this machine, and no
        # proxy's way leads there: it would read the client's secret.
        direct = {"http://": None}
        self._client = httpx.Client(
            headers=headers, timeout=silence, follow_redirects=False, limits=limits, mounts=direct
        )

    def get(self, url: str, what: str, *, headers: Mapping[str, str] | None = None) -> Reply:
        """Ask for something.

        Raises:
            RetryError: `provider_unavailable`.
        """
        return self._send("GET", url, what, headers=headers, body="")

    def post(self, url: str, what: str, *, body: str, headers: Mapping[str, str] | None = None) -> Reply:
        """Send a form.

        Raises:
            RetryError: `provider_unavailable`.
        """
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self._send("POST", url, what, headers={**(headers or {}), **kind}, body=body)

    def _send(self, method: str, url: str, what: str, *, headers: Mapping[str, str] | None, body: str) -> Reply:
        ends = time.monotonic() + self._seconds
        try:
            with self._client.stream(method, url, headers=headers, content=body.encode() or None) as answer:
                raw = _read(answer, what, ends=ends)
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unavailable(f"{what} got no answer ({type(error).__name__})") from error
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise unavailable(f"{what} was sent elsewhere, and we do not go there")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise unavailable(f"{what} was answered with {status}")
        try:
            return Reply(what, status, json.loads(raw))
        except (ValueError, RecursionError) as error:
            raise unavailable(f"{what} was answered with {status}, and not in JSON") from error


def _read(answer: httpx.Response, what: str, *, ends: float) -> bytes:
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise unavailable(f"{what} was answered with something packed, which we did not ask for")
    raw = bytearray()
    for piece in answer.iter_raw():
        raw += piece
        if len(raw) > _LONGEST:
            raise unavailable(f"{what} was answered with more than {_LONGEST // 1024} KiB")
        if time.monotonic() > ends:
            raise unavailable(f"{what} took too long to be answered")
    return bytes(raw)


def unavailable(message: str) -> RetryError:
    """Return the error of a provider that cannot be asked now, or does not answer as it should."""
    return RetryError("provider_unavailable", message)


def not_taken(label: str) -> RetryError:
    """Return the error of a provider that does not take what our settings say; whoever signs in cannot mend that."""
    return unavailable(f"{label} refused our client id or secret, or the address it sends people back to")


def check_address(url: str, *, field: str) -> str:
    """Return a provider's address: by TLS, or on this machine.

    Args:
        field: the setting, for the error.

    Raises:
        InputError: `sign_in_setting`.
    """
    if "?" in url or not is_safe(url):
        message = "write it as https://HOST/PATH, without a query; http is for this machine alone"
        raise InputError("sign_in_setting", message, field=field)
    return url


def is_safe(url: str, *, loopback: bool = True) -> bool:
    """Return whether an address is one to send people and secrets to.

    Args:
        loopback: whether this machine's own addresses will do without TLS.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    is_plain = parts.username is None and parts.password is None and not parts.fragment and url.isprintable()
    is_private = parts.scheme == "https" or (loopback and parts.scheme == "http" and is_loopback(host))
    return bool(host) and is_plain and is_private and " " not in url


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, by its address or as `localhost`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""The requests to the forge's API: sent by PyGithub, paced, and with every failure named for what follows.

PyGithub's requester is used without its objects: these ask the forge again when a field is looked at, and a write must
be exactly one request for its outcome to be known.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeVar
from urllib.parse import parse_qsl, quote, urlsplit

import github
import requests
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from urllib3 import exceptions as urllib3_exceptions

from gitops.errors import (
    ConflictError,
    InputError,
    LaunchpinError,
    NotFoundError,
    RefusedError,
    RetryError,
    StalledError,
    UnknownOutcomeError,
)
from gitops.forge.connection import with_connections
from gitops.forge.pacing import WritePacer
from gitops.forge.process import plain
from gitops.patience import named_wait

M = TypeVar("M", bound=BaseModel)

_WHOLE = 60.0  # seconds for all pieces of an answer
_PAGE = 100
_PAGES = 50
_WAIT = 60.0  # seconds GitHub asks for when it says nothing else
_LONGEST = 3600.0
_FULL_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_NEXT = re.compile(r'<([^>]*)>; *rel="next"')
_BEFORE_SENDING = (urllib3_exceptions.NewConnectionError, urllib3_exceptions.ConnectTimeoutError)
_VERSION = "2022-11-28"
_MEDIA = "application/vnd.github+json"


@dataclass(frozen=True)
class Reply:
    """What the forge answered.

    Args:
        what: what was asked, in words for people.
        content: the JSON; None when there was none, or something else.
    """

    what: str
    is_write: bool
    status: int
    headers: Mapping[str, str]
    content: JsonValue
    secret: str = field(repr=False)

    def read(self, model: type[M]) -> M:
        """Return the content as a model.

        Raises:
            RetryError: `ForgeBadReply`; an `UnknownOutcomeError` when it answers a write.
        """
        return read_as(model, self.content, reply=self)

    @property
    def message(self) -> str:
        """What the forge says was wrong."""
        if not isinstance(self.content, dict):
            return f"status {self.status}"
        errors = self.content.get("errors")
        details = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        texts = [self.content.get("message"), *(error.get("message") or error.get("code") for error in details)]
        return plain("; ".join(str(text) for text in texts if text) or f"status {self.status}", secrets=(self.secret,))

    @property
    def wait(self) -> float:
        """Seconds the forge asks us to wait, 0 when it did not refuse for its limits.

        The time that the limit ends is compared with the forge's own date, never with our clock.
        """
        if named := named_wait(self.headers):
            return named
        if self.headers.get("x-ratelimit-remaining") == "0":
            return min(max(_until_reset(self.headers), 1.0), _LONGEST)
        is_limit = self.status == HTTPStatus.TOO_MANY_REQUESTS or "rate limit" in self.message.lower()
        return _WAIT if is_limit else 0.0

    def error(self) -> LaunchpinError:  # noqa: PLR0911 - a table: one answer for each status
        """Return the error that this status means wherever nothing else is known."""
        said = f"{self.what}: {self.message}"
        refused = self.status in {HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
        if refused and self.wait:
            return RetryError("ForgeRateLimited", said, after=self.wait)
        if self.status < HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(self.content, dict):
            # Not in the API's words: something else answers there. Its 404 must not be taken for "there is none".
            return RetryError("ForgeBadReply", f"{said}, and no word of the API's", after=named_wait(self.headers))
        match self.status:
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                return StalledError("ForgeCredentials", f"{said}; check the token and what it may do")
            case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
                return NotFoundError("not_found", f"{said} (or our token may not see it)")
            case HTTPStatus.METHOD_NOT_ALLOWED | HTTPStatus.CONFLICT:
                return ConflictError("forge_conflict", said)
            case HTTPStatus.NOT_IMPLEMENTED:
                return StalledError("ForgeUnsupported", said)
            case status if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
                kind = UnknownOutcomeError if self.is_write else RetryError
                return kind("ForgeUnavailable", said, after=named_wait(self.headers))
            case status if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
                return StalledError("RepositoryMoved", f"{self.what}: it has another address now")
        return RefusedError("forge_refused", said)


class Wire:
    """The connection to one forge's API.

    Args:
        api_url: `https://api.github.com` for example.
        token: goes into the `Authorization` header alone.
        pacer: how fast we may write.
        silence: seconds to connect, and between two pieces of an answer.
    """

    def __init__(self, api_url: str, token: str, pacer: WritePacer, *, silence: float) -> None:
        self._token = token
        self._pacer = pacer

        def make() -> github.Github:
            return github.Github(
                auth=github.Auth.Token(token),
                base_url=api_url.rstrip("/"),
                user_agent="launchpin",
                per_page=_PAGE,
                retry=None,
                seconds_between_requests=None,
                seconds_between_writes=None,
                api_version=_VERSION,
            )

        self._github: github.Github = with_connections(
            make, scheme=urlsplit(api_url).scheme, silence=silence, seconds=_WHOLE
        )

    def close(self) -> None:
        """Close the connections."""
        self._github.close()

    def reserve(self, writes: int) -> None:
        """Count several writes that belong together, all of them or none, before the first is made."""
        self._pacer.take(writes)

    def get(
        self, path: str, what: str, *, accept: tuple[int, ...] = (), query: Mapping[str, str] | None = None
    ) -> Reply:
        """Ask for something.

        Args:
            path: made by `repo_path`, or below it.
            what: what is asked, in words for people.
            accept: statuses from 300 on that the caller handles.
            query: the parameters.

        Raises:
            LaunchpinError: as `Reply.error` says, for every other status that is no success.
        """
        self._pacer.check()
        return self._send("GET", path, what, accept=accept, query=query or {}, body=None)

    def pages(self, path: str, what: str, *, query: Mapping[str, str] | None = None) -> Iterator[Reply]:
        """Return all pages of a list."""
        asked = {"per_page": str(_PAGE), **(query or {})}
        for _ in range(_PAGES):
            reply = self.get(path, what, query=asked)
            yield reply
            following = _NEXT.search(reply.headers.get("link", ""))
            if not following:
                return
            # Only the query is taken over: a reply cannot send us to another place.
            asked = dict(parse_qsl(urlsplit(following[1]).query)) | {"per_page": str(_PAGE)}
        raise RefusedError("forge_refused", f"{what}: more than {_PAGES * _PAGE} entries")

    def write(
        self,
        verb: str,
        path: str,
        what: str,
        *,
        body: Mapping[str, JsonValue] | None = None,
        accept: tuple[int, ...] = (),
        is_reserved: bool = False,
    ) -> Reply:
        """Change something, with one request.

        Args:
            verb: `POST`, `PATCH`, `PUT` or `DELETE`.
            path: as in `get`.
            what: as in `get`.
            body: sent as JSON.
            accept: as in `get`.
            is_reserved: it was counted by `reserve`.

        Raises:
            LaunchpinError: as in `get`; `UnknownOutcomeError` when the change may have been made.
        """
        if is_reserved:
            self._pacer.check()
        else:
            self._pacer.take()
        return self._send(verb, path, what, accept=accept, query={}, body=body)

    def _send(
        self,
        verb: str,
        path: str,
        what: str,
        *,
        accept: tuple[int, ...],
        query: Mapping[str, str],
        body: Mapping[str, JsonValue] | None,
    ) -> Reply:
        is_write = verb != "GET"
        try:
            status, headers, text = self._github.requester.requestJson(
                verb, path, parameters=dict(query), headers={"Accept": _MEDIA}, input=body
            )
        except (requests.RequestException, urllib3_exceptions.HTTPError, OSError) as error:
            raise self._lost(error, what, is_write=is_write) from error
        except RetryError as error:
            kind = UnknownOutcomeError if is_write else RetryError
            raise kind(error.reason, f"{what}: {error.message}") from error
        except RuntimeError as error:  # how PyGithub refuses to follow a redirect to another host
            raise StalledError("RepositoryMoved", f"{what}: {plain(str(error), secrets=(self._token,))}") from error
        reply = Reply(what, is_write, status, headers, _parse(text), self._token)
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return reply
        failure = reply.error()
        if isinstance(failure, RetryError):
            self._pacer.pause.begin(failure)
            raise failure
        if status in accept:
            return reply
        raise failure

    def _lost(self, error: Exception, what: str, *, is_write: bool) -> RetryError:
        kind = UnknownOutcomeError if is_write and not _is_unsent(error) else RetryError
        said = plain(f"{what}: {type(error).__name__}: {error}", secrets=(self._token,))
        return kind("ForgeUnavailable", said)


def read_as(model: type[M], content: JsonValue, *, reply: Reply) -> M:
    """Return a part of a reply as a model; raises as `Reply.read`."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _bad_reply(reply, error) from error


def read_list(model: type[M], content: JsonValue, *, reply: Reply) -> list[M]:
    """Return a part of a reply as a list of models; raises as `Reply.read`."""
    try:
        return TypeAdapter(list[model]).validate_python(content)  # type: ignore[valid-type]
    except ValidationError as error:
        raise _bad_reply(reply, error) from error


def repo_path(full_name: str, *parts: str) -> str:
    """Return the API's path of something in a repository, each part quoted.

    Raises:
        InputError: when the name is no OWNER/NAME, or a part would lead elsewhere.
    """
    if not _FULL_NAME.fullmatch(full_name) or {".", ".."} & set(full_name.split("/")):
        raise InputError("bad_repository", f"{full_name[:200]!a} is no OWNER/NAME")
    for part in parts:
        if not part or {"", ".", ".."} & set(part.split("/")):
            raise InputError("bad_path", f"{part[:200]!a} is no path or name in a repository")
    quoted = (quote(part.encode("utf-8", "surrogateescape"), safe="/") for part in parts)
    return "/".join((f"/repos/{quote(full_name, safe='/')}", *quoted))


def _parse(text: str) -> JsonValue:
    try:
        parsed: JsonValue = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return parsed


def _bad_reply(reply: Reply, error: ValidationError) -> RetryError:
    kind = UnknownOutcomeError if reply.is_write else RetryError
    fields = ", ".join(".".join(str(part) for part in one["loc"]) or "the whole" for one in error.errors()[:3])
    return kind("ForgeBadReply", f"{reply.what}: the forge's answer is not what its API promises ({fields})")


def _is_unsent(error: BaseException | None) -> bool:
    """Return whether a request failed before it left: no connection was made."""
    if isinstance(error, (requests.ConnectTimeout, requests.exceptions.SSLError, requests.exceptions.ProxyError)):
        return True
    seen = error
    while seen is not None:
        reason = getattr(seen, "reason", None)
        if isinstance(seen, _BEFORE_SENDING) or isinstance(reason, _BEFORE_SENDING):
            return True
        seen = seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else None
    return False


def _until_reset(headers: Mapping[str, str]) -> float:
    try:
        now = parsedate_to_datetime(headers["date"]).timestamp()
        return float(headers["x-ratelimit-reset"]) - now
    except (KeyError, ValueError):
        return _WAIT

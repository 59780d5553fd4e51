"""One API request as a function sees it, and the answers it may give: authenticated, bounded, paged, with ETag."""

import hashlib
import json
import math
from base64 import b64decode
from binascii import Error as BinasciiError
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlencode

import pygit2
from starlette.requests import Request
from starlette.responses import Response

from gitops.embedded.forge.accounts import Account
from gitops.embedded.forge.errors import ForgeError, Json, not_found, unprocessable
from gitops.embedded.forge.records import Repository
from gitops.embedded.forge.state import Forge

T = TypeVar("T")
BODY_LIMIT = 25 * 1024 * 1024
PER_PAGE, PER_PAGE_LIMIT = 30, 100
_PAGE_LIMIT = 1_000_000


@dataclass(frozen=True)
class Call:
    """One authenticated request.

    Args:
        forge: the forge.
        account: who asks.
        path: the values in the path, by name.
        query: the values behind the question mark, the last one of each name.
        unverified_body: the JSON object sent, empty without one.
        raw_path: the path as it was sent, for the links of a page.
    """

    forge: Forge
    account: Account
    path: dict[str, str]
    query: dict[str, str] = field(default_factory=dict)
    unverified_body: Json = field(default_factory=dict)
    raw_path: str = ""

    @property
    def repo(self) -> Repository:
        """The repository in the path."""
        return self.forge.repository(self.path["owner"], self.path["repo"])

    def number(self, name: str) -> int:
        """Return a number from the path."""
        text = self.path[name]
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(2**62))):
            raise not_found()
        return int(text)

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string from the body.

        Raises:
            ForgeError: 422 when it is missing and has no default, or is no string.
        """
        value = self.unverified_body.get(name, default)
        if value is None and default is not None:
            return default
        if not isinstance(value, str):
            missing = f'"{name}" wasn\'t supplied' if value is None else f'"{name}" is not a string'
            raise unprocessable(f"Invalid request.\n\n{missing}.")
        return value

    def optional(self, name: str) -> str | None:
        """Return a string from the body, None when it is missing or null."""
        return None if self.unverified_body.get(name) is None else self.text(name)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean from the body."""
        value = self.unverified_body.get(name, default)
        if not isinstance(value, bool):
            raise unprocessable(f'Invalid request.\n\n"{name}" is not a boolean.')
        return value

    def items(self, name: str) -> list[Any]:
        """Return a list from the body, empty when it is missing."""
        value = self.unverified_body.get(name, [])
        if not isinstance(value, list):
            raise unprocessable(f'Invalid request.\n\n"{name}" is not an array.')
        return value


def bearer(authorization: str) -> str:
    """Return the token in an `Authorization` header: `token`, `Bearer`, or Basic with it as the password."""
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() in {"token", "bearer"}:
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(value, validate=True).decode().partition(":")[2]
    except (BinasciiError, UnicodeDecodeError):
        return ""


async def read_limited(request: Request, limit: int) -> bytes:
    """Read a body.

    Raises:
        ForgeError: 413 as soon as it is longer than the limit, in bytes.
    """
    declared = request.headers.get("content-length", "0")
    too_large = ForgeError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Request body is over {limit} bytes.")
    if declared.isdigit() and int(declared) > limit:
        raise too_large
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise too_large
        parts.append(part)
    return b"".join(parts)


def parse_body(unverified_body: bytes) -> Json:
    """Parse a JSON object strictly: UTF-8, no NaN, nothing that cannot be stored.

    Raises:
        ForgeError: 400.
    """
    if not unverified_body.strip():
        return {}
    problem = ForgeError(HTTPStatus.BAD_REQUEST, "Problems parsing JSON")
    try:
        document = json.loads(unverified_body.decode(), parse_constant=_refuse, parse_float=_finite)
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise problem from error
    if isinstance(document, list):
        return {"": document}
    if not isinstance(document, dict):
        raise ForgeError(HTTPStatus.BAD_REQUEST, "Body should be a JSON object")
    return document


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def answer(call: Call, document: Any, status: int = 200, *, headers: dict[str, str] | None = None) -> Response:  # noqa: ANN401 - any JSON
    """Return JSON, with an ETag on what may be cached."""
    body = json.dumps(document, separators=(",", ":")).encode()
    extra = {"X-GitHub-Media-Type": "github.v3; format=json", **(headers or {})}
    extra["X-OAuth-Scopes"] = "repo" if call.account.type == "User" else ""
    if status == HTTPStatus.OK:
        extra["ETag"] = f'W/"{hashlib.sha256(body).hexdigest()}"'
        extra["Cache-Control"] = "private, max-age=0, must-revalidate"
    return Response(body, status, extra, "application/json; charset=utf-8")


def no_content() -> Response:
    """Return a 204."""
    return Response(status_code=HTTPStatus.NO_CONTENT)


def slice_page(call: Call, things: Sequence[T]) -> tuple[Sequence[T], dict[str, str]]:
    """Return the page asked for and its `Link` header."""
    size = _positive(call.query.get("per_page", ""), PER_PAGE, PER_PAGE_LIMIT)
    page = _positive(call.query.get("page", ""), 1, _PAGE_LIMIT)
    last = max(1, -(-len(things) // size))
    wanted = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
    if page >= last:
        del wanted["next"], wanted["last"]
    if page == 1:
        del wanted["prev"], wanted["first"]
    links = [f'<{_page_url(call, number)}>; rel="{rel}"' for rel, number in wanted.items()]
    chosen = things[(page - 1) * size : page * size]
    return chosen, {"Link": ", ".join(links)} if links else {}


def answer_page(call: Call, things: Sequence[T], render: Callable[[T], Json]) -> Response:
    """Return one page of a list."""
    chosen, headers = slice_page(call, things)
    return answer(call, [render(thing) for thing in chosen], headers=headers)


def _page_url(call: Call, page: int) -> str:
    return f"{call.forge.url}{call.raw_path}?{urlencode(call.query | {'page': str(page)})}"


def _positive(text: str, default: int, limit: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < len(str(2**62)) else default
    return min(max(number, 1), limit)


def require_commit(git: pygit2.Repository, found: pygit2.Commit | None, ref: str) -> pygit2.Commit:
    """Return a commit that was looked for.

    Raises:
        ForgeError: 422, or 409 when the repository has none at all.
    """
    if found is not None:
        return found
    if git.is_empty:
        raise ForgeError(HTTPStatus.CONFLICT, "Git Repository is empty.")
    raise unprocessable(f"No commit found for SHA: {ref}")

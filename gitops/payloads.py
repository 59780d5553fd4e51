"""Webhook bodies read strictly: JSON that means one thing only, and the few fields we need. Pure.

A body passed the signature check, so it comes from the forge; it is still parsed as if it did not.
"""

import json
import math
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from gitops.errors import InputError

_LONGEST_INTEGER = 19
_DEEPEST = 100
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
ZERO_SHA = re.compile(r"0{40}(?:0{24})?")


class Owner(msgspec.Struct, frozen=True):
    """Somebody with an account at the forge."""

    login: str
    id: int
    type: str = "User"


class RepositoryInfo(msgspec.Struct, frozen=True):
    """The repository a delivery is about."""

    id: int
    full_name: str
    default_branch: str = "main"


class Push(msgspec.Struct, frozen=True):
    """A ref that moved."""

    ref: str
    before: str
    after: str
    repository: RepositoryInfo
    sender: Owner


class BranchInfo(msgspec.Struct, frozen=True):
    """One side of a pull request."""

    ref: str
    sha: str
    repo: RepositoryInfo | None = None


class PullInfo(msgspec.Struct, frozen=True):
    """A pull request in a delivery."""

    number: int
    state: str
    head: BranchInfo
    base: BranchInfo
    merged: bool | None = None


class PullRequestEvent(msgspec.Struct, frozen=True):
    """Something happened to a pull request."""

    action: str
    number: int
    pull_request: PullInfo
    repository: RepositoryInfo
    sender: Owner

    @property
    def is_fork(self) -> bool:
        """Whether the head lives in another repository, or in one that is gone."""
        head = self.pull_request.head.repo
        return head is None or head.id != self.repository.id


class CommentInfo(msgspec.Struct, frozen=True):
    """A comment."""

    body: str


class CommentEvent(msgspec.Struct, frozen=True):
    """Somebody commented."""

    action: str
    comment: CommentInfo
    repository: RepositoryInfo
    sender: Owner


class CheckEvent(msgspec.Struct, frozen=True):
    """A check or a status on a commit changed."""

    repository: RepositoryInfo
    sender: Owner


class Ping(msgspec.Struct, frozen=True):
    """The forge says hello."""

    zen: str = ""


Event = Push | PullRequestEvent | CommentEvent | CheckEvent | Ping

EVENTS: dict[str, type[Event]] = {
    "push": Push,
    "pull_request": PullRequestEvent,
    "issue_comment": CommentEvent,
    "check_run": CheckEvent,
    "status": CheckEvent,
    "ping": Ping,
}


def read_event(event: str, body: bytes) -> Event | None:
    """Return what a delivery says; None for an event we do not know.

    Raises:
        InputError: `bad_json` when the body is not JSON that means one thing only, `schema` with the field when
            something we need is missing or of another form.
    """
    form = EVENTS.get(event)
    if form is None:
        return None
    document = read_json(body)
    try:
        parsed = msgspec.convert(document, form)
    except msgspec.ValidationError as error:
        raise InputError("schema", str(error), field=_field(str(error))) from error
    if isinstance(parsed, Push):
        _check_shas(parsed)
    return parsed


def _field(message: str) -> str:
    """Return the field that msgspec's message names."""
    missing = re.search(r"required field `([^`]+)`", message)
    place = re.search(r"at `\$\.?([^`]*)`", message)
    parts = [place.group(1) if place else "", missing.group(1) if missing else ""]
    return ".".join(part for part in parts if part)


def _check_shas(push: Push) -> None:
    for name, value in (("after", push.after), ("before", push.before)):
        if not _SHA.fullmatch(value):
            raise InputError("schema", "must be 40 or 64 lower-case hex digits", field=name)


def read_json(body: bytes) -> Any:  # noqa: ANN401 - JSON is whatever it is; the caller gives it a form
    """Return the JSON document of a body that can be read in one way only.

    Raises:
        InputError: `bad_json` for a BOM, another encoding than UTF-8, NaN, infinities, integers beyond 64 bits,
            duplicate keys, lone surrogates, NUL, or nesting over 100 levels.
    """
    try:
        text = body.decode("utf-8")
        _refuse_deep(text)
        document = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except InputError:
        raise
    except (ValueError, RecursionError) as error:
        raise InputError("bad_json", f"the body is not JSON: {type(error).__name__}") from error
    return _checked(document)


def _refuse_deep(text: str) -> None:
    """Refuse nesting that a parser would follow recursively; brackets in strings can only make it stricter."""
    if text.startswith("\ufeff"):
        raise InputError("bad_json", "the body starts with a byte order mark")
    if text.count("[") + text.count("{") <= _DEEPEST:
        return
    depth = 0
    for bracket in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{\]}]', text):
        mark = bracket.group()
        if mark in "[{":
            depth += 1
            if depth > _DEEPEST:
                raise InputError("bad_json", f"nested deeper than {_DEEPEST} levels")
        elif mark in "]}":
            depth -= 1


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        _check_text(key)
        if key in found:
            raise InputError("bad_json", f"the key {key[:40]!r} appears twice")
        found[key] = _checked(value)
    return found


def _checked(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, list):
        for item in value:
            _checked(item)
    return value


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise InputError("bad_json", "a text holds NUL")
    if any("\ud800" <= character <= "\udfff" for character in text) if not text.isascii() else False:
        raise InputError("bad_json", "a text holds a lone surrogate")


def _refuse_constant(name: str) -> float:
    raise InputError("bad_json", f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InputError("bad_json", "a number is out of range")
    return value


def _bounded(text: str) -> int:
    if len(text.lstrip("-")) > _LONGEST_INTEGER or not -(2**63) <= int(text) < 2**63:
        raise InputError("bad_json", "an integer is out of range")
    return int(text)

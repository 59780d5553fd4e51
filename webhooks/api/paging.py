"""Which part of a list was asked for, and where the next one begins."""

import base64
import binascii
import hmac
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, TypeVar, cast

from fastapi import Query, Request
from pydantic import Field, JsonValue

from gitops.access import Token
from gitops.ports import Mark
from gitops.records import Hold, Record, Version
from gitops.telling import shapes
from webhooks.problems import ProblemError

T = TypeVar("T")
S = TypeVar("S")

Place = tuple[str, ...]
"""Where something stands in its list: the values that the list is sorted by. Empty for the beginning."""

LONGEST = 200
USUAL = 50
_MOST_CURSOR = 4096  # characters; a path of 400 may have four bytes each
_SEAL = 12  # bytes
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_HOW_MANY = "How many at most."
_WHERE = "`next` of the part before; empty for the first."
_SHAPE: dict[str, JsonValue] = {"pattern": "^[A-Za-z0-9_-]*=*$"}

Limit = Annotated[int, Query(ge=1, le=LONGEST, description=_HOW_MANY)]
Cursor = Annotated[str, Query(max_length=_MOST_CURSOR, description=_WHERE, json_schema_extra=_SHAPE)]

FIELDS: dict[str, Any] = {
    "limit": (int, Field(default=USUAL, ge=1, le=LONGEST, description=_HOW_MANY)),
    "cursor": (str, Field(default="", max_length=_MOST_CURSOR, description=_WHERE, json_schema_extra=_SHAPE)),
}
"""The same two as fields of a form of arguments."""


class Cursors:
    """Gives out cursors, and takes back those alone: each is sealed for its list.

    Args:
        key: the same in every process of an installation, or a cursor of one is none for the others.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"launchpin cursor 1", "sha256")

    def read(self, unverified_cursor: str, *, of: str) -> Place:
        """Return the place that a cursor names, the beginning for the empty one.

        Args:
            of: the list that it is a cursor of.

        Raises:
            ProblemError: 422 for one that we did not give out for this list.
        """
        if not unverified_cursor:
            return ()
        try:
            sealed = base64.b64decode(unverified_cursor, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            sealed = b""
        seal, place = sealed[:_SEAL], sealed[_SEAL:]
        if not place or not hmac.compare_digest(seal, self._seal(of, place)):
            detail = "This is no cursor of this list: send `next` of the answer before as it was."
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "cursor", detail, field="cursor")
        return tuple(json.loads(place))

    def write(self, found: Sequence[T], place: Callable[[T], Place], *, limit: int, of: str) -> str:
        """Return the cursor of what follows.

        Args:
            found: one more than were asked for, where there are more.
            place: where one of them stands.
            of: the list that they are of.
        """
        if len(found) <= limit:
            return ""
        last = json.dumps(place(found[limit - 1]), ensure_ascii=False, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._seal(of, last) + last).decode()

    def part(
        self, found: Sequence[T], show: Callable[[T], S], place: Callable[[T], Place], *, limit: int, of: str
    ) -> shapes.Page[S]:
        """Return a part of a list as programs read it; the arguments are those of `write`."""
        following = self.write(found, place, limit=limit, of=of)
        return shapes.Page(items=tuple(map(show, found[:limit])), next=following)

    def _seal(self, of: str, place: bytes) -> bytes:
        return hmac.digest(self._key, of.encode() + b"\n" + place, "sha256")[:_SEAL]


def by_age(one: Record | Hold | Version | Token) -> Place:
    """Return where something stands in a list that has the newest first."""
    moment = ((one.created_at or _EPOCH) - _EPOCH) // _MICROSECOND
    return str(moment), one.version if isinstance(one, Version) else one.id


def mark_at(place: Place) -> Mark | None:
    """Return a place of such a list as the store takes it, None for the beginning."""
    return Mark(_EPOCH + int(place[0]) * _MICROSECOND, place[1]) if place else None


def cursors_of(request: Request) -> Cursors:
    """Return the cursors of this process."""
    return cast("Cursors", request.app.state.cursors)

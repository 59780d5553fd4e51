"""Which part of a list was asked for, and where the next one begins."""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, TypeVar, cast

from fastapi import Query, Request

from gitops.ports import Mark
from gitops.records import Hold, Record, Version
from webhooks.problems import ProblemError

R = TypeVar("R", bound=Record | Hold | Version)
LONGEST = 200

Limit = Annotated[int, Query(ge=1, le=LONGEST, description="How many at most.")]
Cursor = Annotated[
    str,
    Query(
        max_length=256,
        description="`next` of the part before; empty for the first.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]*=*$"},
    ),
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SEAL = 12  # bytes
_PLACE = re.compile(r"([0-9]{1,17})\.([A-Za-z0-9-]{1,64})\.([A-Za-z0-9_-]{16})")


class Cursors:
    """Gives out cursors, and takes back those alone: each is sealed for its list.

    Args:
        key: the same in every process of an installation, or a cursor of one is none for the others.
    """

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"launchpin cursor 1", "sha256")

    def read(self, unverified_cursor: str, *, of: str) -> Mark | None:
        """Return the mark that a cursor names, None for the empty one.

        Args:
            of: the list that it is a cursor of.

        Raises:
            ProblemError: 422 for one that we did not give out for this list.
        """
        if not unverified_cursor:
            return None
        try:
            text = base64.b64decode(unverified_cursor, altchars=b"-_", validate=True).decode("ascii")
        except (ValueError, binascii.Error):
            text = ""
        found = _PLACE.fullmatch(text)
        if found is None or not hmac.compare_digest(found[3], self._seal(of, found[1], found[2])):
            detail = "This is no cursor of this list: send `next` of the answer before as it was."
            raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "cursor", detail, field="cursor")
        return Mark(_EPOCH + int(found[1]) * _MICROSECOND, found[2])

    def write(self, records: Sequence[R], *, limit: int, of: str) -> str:
        """Return the cursor of what follows.

        Args:
            records: one more than were asked for, where there are more.
            of: the list that they are of.
        """
        if len(records) <= limit:
            return ""
        last = records[limit - 1]
        moment, name = str(((last.created_at or _EPOCH) - _EPOCH) // _MICROSECOND), _name_of(last)
        return base64.urlsafe_b64encode(f"{moment}.{name}.{self._seal(of, moment, name)}".encode()).decode()

    def _seal(self, *parts: str) -> str:
        seal = hmac.digest(self._key, "\n".join(parts).encode(), "sha256")[:_SEAL]
        return base64.urlsafe_b64encode(seal).decode()


def _name_of(record: Record | Hold | Version) -> str:
    return record.version if isinstance(record, Version) else record.id


def cursors_of(request: Request) -> Cursors:
    """Return the cursors of this process."""
    return cast("Cursors", request.app.state.cursors)

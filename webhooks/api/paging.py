"""Which part of a list was asked for, and where the next one begins."""

import base64
import binascii
import re
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import Query

from gitops.ports import Mark
from gitops.records import Hold, Record
from webhooks.problems import ProblemError

R = TypeVar("R", bound=Record | Hold)
LONGEST = 200

Limit = Annotated[int, Query(ge=1, le=LONGEST, description="How many at most.")]
Cursor = Annotated[
    str,
    Query(
        max_length=128,
        description="`next` of the part before; empty for the first.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]*=*$"},
    ),
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_PLACE = re.compile(r"([0-9]{1,17})\.([A-Za-z0-9-]{1,64})")


def read_cursor(unverified_cursor: str) -> Mark | None:
    """Return the mark that a cursor names, None for the empty one.

    Raises:
        ProblemError: 422 for one that we did not give out.
    """
    if not unverified_cursor:
        return None
    try:
        text = base64.b64decode(unverified_cursor, altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, binascii.Error):
        text = ""
    found = _PLACE.fullmatch(text)
    if found is None:
        detail = "This is no cursor: send `next` of the answer before as it was."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "cursor", detail, field="cursor")
    return Mark(_EPOCH + int(found[1]) * _MICROSECOND, found[2])


def write_cursor(records: list[R], *, limit: int) -> str:
    """Return the cursor of what follows.

    Args:
        records: one more than were asked for, where there are more.
    """
    if len(records) <= limit:
        return ""
    last = records[limit - 1]
    moment = (last.created_at or _EPOCH) - _EPOCH
    return base64.urlsafe_b64encode(f"{moment // _MICROSECOND}.{last.id}".encode()).decode()

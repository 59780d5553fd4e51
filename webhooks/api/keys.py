"""`Idempotency-Key`: the same key asks once, however often it is sent; nobody meets another one's."""

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import Header
from pydantic import JsonValue

from gitops.errors import ConflictError
from gitops.ports import Once
from webhooks.askers import Asker
from webhooks.problems import ProblemError

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_SHAPE: dict[str, JsonValue] = {"pattern": f"^{_KEY.pattern}$"}

Key = Annotated[str | None, Header(description="The same key asks once, however often.", json_schema_extra=_SHAPE)]


def own_key(asker: Asker, key: str | None) -> str:
    """Return the key that is kept; one that nobody has where none was sent.

    Raises:
        ProblemError: 422 `idempotency_key`.
    """
    if key is None:
        return uuid.uuid4().hex
    if not _KEY.fullmatch(key):
        detail = "A key has 1 to 255 visible ASCII characters; a UUID is a good one."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key", detail, field=HEADER)
    return hashlib.sha256(f"{asker.access.person.id} {key}".encode()).hexdigest()


def read_once(asker: Asker, key: str | None, verb: str, wanted: Mapping[str, object]) -> Once | None:
    """Return that something which is carried out at once is asked for once; None where no key was sent.

    Args:
        wanted: all that is asked for, as JSON has it.

    Raises:
        ProblemError: 422 `idempotency_key`.
    """
    if key is None:
        return None
    asked = json.dumps([verb, wanted], sort_keys=True)
    return Once(own_key(asker, key), hashlib.sha256(asked.encode()).hexdigest())


def key_used(error: ConflictError) -> ProblemError:
    """Return what is said of a key that was used for something else."""
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_used", error.message, field=HEADER)

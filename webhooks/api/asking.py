"""What the API can have done: one route for each verb that changes something, made from the table of verbs.

It writes one command row, as the command line does; a worker carries it out, and the answer says where to look.
"""

import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field, create_model

from gitops.access import EVERYWHERE
from gitops.errors import ConflictError
from gitops.grammar import VERBS, Argument, Kind, Verb
from gitops.identifiers import new_id
from gitops.records import Cause, Command
from gitops.roles import AccessRole
from webhooks.api import shapes, showing
from webhooks.api.reading import endpoint_of, etag_of, missing, store_of
from webhooks.askers import Asker, asker_of
from webhooks.problems import ProblemError

router = APIRouter(prefix="/api/v1")

_LONGEST = 2000
_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class _Arguments(BaseModel):
    """A verb's arguments; none that the table does not have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def as_text(self) -> dict[str, str]:
        """Return them as commands have them: text, and none that is empty."""
        given = {name: value for name, value in self.model_dump().items() if value}
        return {name: "yes" if value is True else str(value) for name, value in given.items()}


def _model_of(verb: Verb) -> type[_Arguments]:
    fields: dict[str, Any] = {one.name: _field_of(one) for one in verb.arguments}
    return create_model(f"{verb.name.capitalize()}Arguments", __base__=_Arguments, **fields)


def _field_of(argument: Argument) -> tuple[Any, Any]:
    if argument.kind is Kind.FLAG:
        return bool, Field(default=False, description=argument.help)
    if argument.words:
        only: Any = Literal.__getitem__(argument.words)
        return (only, Field(description=argument.help)) if argument.is_required else (only | None, Field(default=None))
    limits: dict[str, Any] = {"max_length": _LONGEST, "pattern": _CONTROLS, "description": argument.help}
    return (str, Field(min_length=1, **limits)) if argument.is_required else (str, Field(default="", **limits))


def _route(verb: Verb) -> Callable[..., shapes.Command]:
    model = _model_of(verb)

    def ask(
        request: Request,
        response: Response,
        arguments: _Arguments,
        idempotency_key: Annotated[str | None, Header(description="The same key asks once, however often.")] = None,
        if_match: Annotated[str | None, Header(description="The endpoint's ETag, as it was when you decided.")] = None,
    ) -> shapes.Command:
        return _ask(request, response, verb, arguments, key=idempotency_key, if_match=if_match)

    ask.__name__ = verb.name
    ask.__doc__ = verb.help
    ask.__annotations__["arguments"] = Annotated[model, Body()]
    return ask


def _ask(
    request: Request, response: Response, verb: Verb, arguments: _Arguments, *, key: str | None, if_match: str | None
) -> shapes.Command:
    asker, given = asker_of(request), arguments.as_text()
    _check_place(request, asker, verb, given)
    _check_match(request, verb, given, if_match)
    command_id = new_id("c")
    cause = Cause(
        kind="command",
        id=command_id,
        actor=asker.access.person.login,
        method=asker.access.method,
        token=asker.access.token_id,
    )
    wanted = Command(id=command_id, cause=cause, verb=verb.name, arguments=given, idempotency_key=_own_key(asker, key))
    try:
        kept = store_of(request).save_command(wanted)
    except ConflictError as error:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_used", error.message, field="Idempotency-Key"
        ) from error
    response.headers["Location"] = f"/api/v1/commands/{kept.id}"
    return showing.command(kept)


def _own_key(asker: Asker, key: str | None) -> str:
    """Return the key that the row gets: nobody meets another one's.

    Raises:
        ProblemError: 422 `idempotency_key`.
    """
    if key is None:
        return uuid.uuid4().hex
    if not _KEY.fullmatch(key):
        detail = "A key has 1 to 255 visible ASCII characters; a UUID is a good one."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key", detail, field="Idempotency-Key")
    return hashlib.sha256(f"{asker.access.person.id} {key}".encode()).hexdigest()


def _check_place(request: Request, asker: Asker, verb: Verb, given: Mapping[str, str]) -> None:
    """Make sure that whoever asks may do so there.

    Raises:
        ProblemError: 404 where they may not even look, 403 where they may do no more than that.
    """
    place, needed = _place_of(request, verb, given), verb.who
    if asker.access.may(needed, place):
        return
    detail = f"{asker.access.person.login} may not {verb.name} there: it takes the role {needed}."
    raise ProblemError(HTTPStatus.FORBIDDEN, "not_allowed", detail)


def _place_of(request: Request, verb: Verb, given: Mapping[str, str]) -> int:
    """Return the id of the repository that a request is about, `EVERYWHERE` for one about all.

    Raises:
        ProblemError: 404.
    """
    kinds = {one.kind: given[one.name] for one in verb.arguments if one.name in given}
    if Kind.ENDPOINT in kinds:
        return _repository_of_endpoint(request, kinds[Kind.ENDPOINT])
    named = kinds.get(Kind.TRAINING) or kinds.get(Kind.STORY)
    if named:
        found = store_of(request).training(named)
        if found is None and Kind.STORY in kinds:
            return _repository_of_endpoint(request, named)
        if found is None or not asker_of(request).access.may(AccessRole.VIEWER, found.repository_id):
            missing("training")
        return found.repository_id
    if Kind.REPOSITORY in kinds:
        known = {each.full_name: each.id for each in store_of(request).repositories()}
        return known.get(kinds[Kind.REPOSITORY], EVERYWHERE)
    return EVERYWHERE


def _repository_of_endpoint(request: Request, name: str) -> int:
    shown = endpoint_of(request, name)
    return next(each.id for each in store_of(request).repositories() if each.full_name == shown.repository)


def _check_match(request: Request, verb: Verb, given: Mapping[str, str], if_match: str | None) -> None:
    """Make sure that the endpoint is as whoever asks has seen it.

    Raises:
        ProblemError: 412.
    """
    if if_match is None or if_match == "*":
        return
    named = [given[one.name] for one in verb.arguments if one.kind is Kind.ENDPOINT and one.name in given]
    if not named:
        detail = f"{verb.name} is about no endpoint: send no If-Match."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "if_match", detail, field="If-Match")
    now = etag_of(endpoint_of(request, named[0]))
    if now not in {each.strip() for each in if_match.split(",")}:
        detail = f"{named[0]} is not as you have seen it: look again, and decide anew."
        raise ProblemError(HTTPStatus.PRECONDITION_FAILED, "changed", detail, field="If-Match")


for _verb in VERBS.values():
    if _verb.changes:
        router.add_api_route(
            f"/{_verb.name}",
            _route(_verb),
            methods=["POST"],
            status_code=HTTPStatus.ACCEPTED,
            summary=_verb.help,
            operation_id=_verb.name,
        )

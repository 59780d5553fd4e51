"""What the API can have done: one route for each verb that changes something, made from the table of verbs.

It writes one command row, as the command line does; a worker carries it out, and the answer says where to look.
"""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Header, Request, Response

from gitops.access import EVERYWHERE, role_to_ask
from gitops.errors import ConflictError
from gitops.grammar import VERBS, Kind, Verb
from gitops.identifiers import new_id
from gitops.records import Cause, Command, CommandFacts, Environment
from gitops.roles import AccessRole
from gitops.standing import OF_ENDPOINTS, Expected
from gitops.telling import shapes, showing
from webhooks.api.arguments import MODELS, Arguments
from webhooks.api.keys import Key, key_used, own_key
from webhooks.api.reading import environment_of, missing, repository_of, store_of, training_of, version_of
from webhooks.askers import Asker, asker_of
from webhooks.problems import ProblemError

router = APIRouter(prefix="/api/v1")


def _route(verb: Verb) -> Callable[..., shapes.Command]:
    model = MODELS[verb.name]

    def ask(
        request: Request,
        response: Response,
        arguments: Arguments,
        idempotency_key: Key = None,
        if_match: Annotated[str | None, Header(description="The endpoint's ETag, as it was when you decided.")] = None,
    ) -> shapes.Command:
        kept = ask_for(request, verb, arguments.as_text(), key=idempotency_key, if_match=if_match)
        response.headers["Location"] = f"/api/v1/commands/{kept.id}"
        return showing.command(kept)

    ask.__name__ = verb.name
    ask.__doc__ = verb.help
    ask.__annotations__["arguments"] = Annotated[model, Body()]
    if not any(one.kind in OF_ENDPOINTS for one in verb.arguments):
        # Sent nevertheless it is refused, not overlooked; but nobody is told of it.
        ask.__annotations__["if_match"] = Annotated[str | None, Header(include_in_schema=False)]
    return ask


def ask_for(
    request: Request, verb: Verb, arguments: dict[str, str], *, key: str | None, if_match: str | None
) -> Command:
    """Write down what is asked for; a worker carries it out. The same key asks once, however often.

    Args:
        arguments: as `read_arguments` gives them.
        if_match: the endpoint's entity tag, as whoever asks has seen it.

    Raises:
        ProblemError: 403, 404, 409, 412 or 422.
    """
    asker = asker_of(request)
    given, place = find_target(request, verb, arguments)
    about = _repository_of(request, verb, given, place)
    command = _command(asker, verb, given, about=about, key=own_key(asker, key))
    try:
        return store_of(request).save_command(command, expected=_expected(verb, place, if_match))
    except ConflictError as error:
        if error.reason == "NotAsSeen":
            raise ProblemError(HTTPStatus.PRECONDITION_FAILED, "changed", error.message, field="If-Match") from error
        raise key_used(error) from error


def find_target(request: Request, verb: Verb, arguments: dict[str, str]) -> tuple[dict[str, str], Environment | None]:
    """Return the arguments with an endpoint named so that the worker finds the same one, and that endpoint.

    Raises:
        ProblemError: 403 for what whoever asks may not do there; 404, or 409 where several are called so.
    """
    given, place = _resolve(request, verb, arguments)
    repository_id = _repository_of(request, verb, given, place)
    named = next((given.get(one.name, "") for one in verb.arguments if one.kind is Kind.STORY), "")
    training = store_of(request).training(named) if named else None
    _check_role(asker_of(request), verb, role_to_ask(verb, training), repository_id)
    # Deliveries are of everything: whether one is there is said to those alone who may look at all.
    guid = next((given[one.name] for one in verb.arguments if one.kind is Kind.DELIVERY and one.name in given), "")
    if guid and store_of(request).delivery(guid.lower()) is None:
        missing("delivery")
    return given, place


def _command(asker: Asker, verb: Verb, given: dict[str, str], *, about: int, key: str) -> Command:
    command_id = new_id("c")
    access = asker.access
    cause = Cause(
        kind="command",
        id=command_id,
        actor=access.person.login,
        method=access.method,
        token=access.token_id,
        person=access.person.id,
    )
    facts = CommandFacts(repository_id=about)
    return Command(id=command_id, cause=cause, verb=verb.name, arguments=given, facts=facts, idempotency_key=key)


def _resolve(request: Request, verb: Verb, given: dict[str, str]) -> tuple[dict[str, str], Environment | None]:
    """Return the arguments with an endpoint named so that the worker finds the same one, and that endpoint.

    Raises:
        ProblemError: 404, or 409 where several are called so.
    """
    for one in verb.arguments:
        value = given.get(one.name, "")
        is_training = one.kind is Kind.STORY and store_of(request).training(value) is not None
        if value and one.kind in OF_ENDPOINTS and not is_training:
            found = environment_of(request, value)
            return {**given, one.name: showing.place_of(found)}, found
    return given, None


def _repository_of(request: Request, verb: Verb, given: Mapping[str, str], place: Environment | None) -> int:
    """Return the id of the repository that a request is about, `EVERYWHERE` for one about all.

    Raises:
        ProblemError: 404 for what whoever asks may not look at.
    """
    kinds = {one.kind: given[one.name] for one in verb.arguments if one.name in given}
    if Kind.MODEL in kinds and Kind.VERSION in kinds:
        version_of(request, kinds[Kind.MODEL], kinds[Kind.VERSION])
    if place is not None:
        return place.repository_id
    named = kinds.get(Kind.TRAINING) or kinds.get(Kind.STORY)
    if named:
        return training_of(request, named).repository_id
    # To connect a repository is about all of them: it may be given what the service keeps for others.
    if Kind.REPOSITORY in kinds and verb.who is not AccessRole.ADMIN:
        return repository_of(request, kinds[Kind.REPOSITORY]).id
    return EVERYWHERE


def _check_role(asker: Asker, verb: Verb, needed: AccessRole, repository_id: int) -> None:
    """Make sure that whoever asks may do so there.

    Raises:
        ProblemError: 403.
    """
    if not asker.access.may(needed, repository_id):
        what = f"{verb.name} what was chosen by hand" if needed is not verb.who else verb.name
        detail = f"{asker.access.person.login} may not {what} there: it takes the role {needed}."
        raise ProblemError(HTTPStatus.FORBIDDEN, "not_allowed", detail)


def _expected(verb: Verb, place: Environment | None, if_match: str | None) -> Expected | None:
    """Return the endpoint as whoever asks has seen it; None where they say nothing of that.

    Raises:
        ProblemError: 422 `if_match`.
    """
    if if_match is None or if_match == "*":
        return None
    if place is None:
        detail = f"{verb.name} is about no endpoint here: send no If-Match."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "if_match", detail, field="If-Match")
    return Expected(place.repository_id, place.path, frozenset(each.strip() for each in if_match.split(",")))


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

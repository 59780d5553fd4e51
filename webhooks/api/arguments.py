"""A verb's arguments as a request has them, each held to the shape that the table of verbs asks for."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, create_model
from pydantic_core import PydanticCustomError

from gitops.authority import AUTHORITY
from gitops.grammar import VERBS, Argument, Kind, Verb
from webhooks.api.paging import FIELDS
from webhooks.problems import ProblemError


class Arguments(BaseModel):
    """A verb's arguments; none that the table does not have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def as_text(self) -> dict[str, str]:
        """Return them as commands have them: text, and none that is empty."""
        given = {name: value for name, value in self.model_dump().items() if value}
        return {name: "yes" if value is True else str(value) for name, value in given.items()}


def _model_of(verb: Verb) -> type[Arguments]:
    fields: dict[str, Any] = {one.name: _field_of(one) for one in verb.arguments}
    name = "".join(map(str.capitalize, verb.name.split()))
    return create_model(f"{name}Arguments", __base__=Arguments, **fields)


def _field_of(argument: Argument) -> tuple[Any, Any]:
    if argument.kind is Kind.FLAG:
        return bool, Field(default=False, description=argument.help)
    if argument.words:
        only: Any = Literal.__getitem__(argument.words)
        return (only, Field(description=argument.help)) if argument.is_required else (only | None, Field(default=None))
    text = Annotated[str, AfterValidator(held_to(argument))]
    limits: dict[str, Any] = {"description": argument.help, "json_schema_extra": shape_of(argument)}
    return (text, Field(**limits)) if argument.is_required else (text, Field(default="", **limits))


def shape_of(argument: Argument) -> dict[str, JsonValue]:
    """Return what a description says of an argument's values."""
    return {"pattern": f"^(?:{argument.pattern})$" if argument.is_required else f"^(?:{argument.pattern})?$"}


def held_to(argument: Argument) -> Callable[[str], str]:
    """Return what lets an argument's values pass, and refuses all others with the right shape."""

    def check(value: str) -> str:
        if not argument.takes(value) and (value or argument.is_required):
            raise PydanticCustomError("shape", "write {limit}", {"limit": argument.limit})
        return value

    return check


MODELS: Mapping[str, type[Arguments]] = {verb.name: _model_of(verb) for verb in (*VERBS.values(), *AUTHORITY.values())}
"""What each verb's arguments are read as."""


def part_of(verb: Verb) -> type[Arguments]:
    """Return what the arguments of a verb are read as where its list is given part by part."""
    base = MODELS[verb.name]
    return create_model(f"{base.__name__}OfPart", __base__=base, **FIELDS)


def read_arguments(verb: Verb, unverified: Mapping[str, str]) -> dict[str, str]:
    """Return a verb's arguments, as a form has them, once each has the shape that the table asks for.

    Raises:
        ProblemError: 422 `invalid`.
    """
    try:
        return MODELS[verb.name].model_validate(dict(unverified)).as_text()
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        detail = f"{field}: {first['msg']}"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, field=field) from error

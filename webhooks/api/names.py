"""The names in paths and queries of the API: each may be what it may be as the argument of a verb, and no other."""

from typing import Annotated

from fastapi import Path, Query
from pydantic import AfterValidator

from gitops.grammar import Argument, Kind
from webhooks.api.arguments import held_to, shape_of

_MODEL = Argument("model", Kind.MODEL, "", is_required=True)
_VERSION = Argument("version", Kind.VERSION, "", is_required=True)
_ENDPOINT = Argument("name", Kind.ENDPOINT, "", is_required=True)
_OF_MODEL = Argument("model", Kind.MODEL, "Only of this model.")
_OF_REPOSITORY = Argument("repository", Kind.REPOSITORY, "Only of this repository, OWNER/NAME.")
_OF_ENDPOINT = Argument("endpoint", Kind.ENDPOINT, "Only of this endpoint, by its name or as REPOSITORY:PATH.")

Model = Annotated[str, AfterValidator(held_to(_MODEL)), Path(json_schema_extra=shape_of(_MODEL))]
Number = Annotated[str, AfterValidator(held_to(_VERSION)), Path(json_schema_extra=shape_of(_VERSION))]
Endpoint = Annotated[str, AfterValidator(held_to(_ENDPOINT)), Path(json_schema_extra=shape_of(_ENDPOINT))]

OfModel = Annotated[
    str, AfterValidator(held_to(_OF_MODEL)), Query(description=_OF_MODEL.help, json_schema_extra=shape_of(_OF_MODEL))
]
OfRepository = Annotated[
    str,
    AfterValidator(held_to(_OF_REPOSITORY)),
    Query(description=_OF_REPOSITORY.help, json_schema_extra=shape_of(_OF_REPOSITORY)),
]
OfEndpoint = Annotated[
    str,
    AfterValidator(held_to(_OF_ENDPOINT)),
    Query(description=_OF_ENDPOINT.help, json_schema_extra=shape_of(_OF_ENDPOINT)),
]

"""The API's description in OpenAPI 3.1: what the routes say of themselves, and every way in which each says no."""

import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gitops import __version__
from gitops.authority import AUTHORITY
from gitops.grammar import VERBS
from webhooks.askers import COOKIE, CSRF_HEADER
from webhooks.matrix import MATRIX

_DESCRIPTION = """\
Everything that the command line can do, for programs. Send a token of `launchpin token create` as
`Authorization: Bearer lpt_...`. Answers from 400 on are problems (RFC 9457) with `status`, `code` and `detail`.
What a verb asks for is carried out by a worker: its answer is 202 and says where to look.\
"""
_SESSION = (
    f"A person's browser; a change also needs `Origin`, and the session's own `{CSRF_HEADER}`. "
    f"By TLS the cookie is `__Host-{COOKIE}`."
)
_PROBLEM = {
    "title": "Problem",
    "description": "Why a request got no other answer (RFC 9457).",
    "type": "object",
    "required": ["status", "code", "detail"],
    "properties": {
        "title": {"type": "string", "description": "The status in words."},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[A-Za-z_]+$", "description": "Stable; for programs."},
        "detail": {"type": "string", "description": "What is wrong and what to do, in one sentence."},
        "field": {"type": "string", "description": "Which part of the request is meant."},
        "limit": {"type": "integer", "description": "The limit that was passed."},
    },
}
_NO = {
    HTTPStatus.UNAUTHORIZED: "Nobody is signed in, or the token is not good.",
    HTTPStatus.FORBIDDEN: "The role is missing, or a page elsewhere asked with a person's cookie.",
    HTTPStatus.NOT_FOUND: "It is not there, or not for whoever asks.",
    HTTPStatus.CONFLICT: "The name is not clear, or what is asked for cannot be done.",
    HTTPStatus.PRECONDITION_FAILED: "The endpoint is not as `If-Match` says.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body has more than 64 KiB.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "A part of the request cannot be taken; `field` names it.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database does not answer, or too much is asked for at once.",
}
_OF_A_FIELD = re.compile(r"^ {4}(\w+): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_ALWAYS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE)


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the API's description."""
    text = get_openapi(title="Launchpin", version=__version__, description=_DESCRIPTION, routes=app.routes)
    parts = text.setdefault("components", {})
    schemas = {name: one for name, one in parts.get("schemas", {}).items() if "ValidationError" not in name}
    parts["schemas"] = {**{name: _with_fields(one) for name, one in schemas.items()}, "Problem": _PROBLEM}
    parts["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "`launchpin token create` makes one."},
        "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": _SESSION},
    }
    text["security"] = [{"token": []}]
    for path, operations in text["paths"].items():
        for method, operation in operations.items():
            rule = MATRIX.get((method.upper(), path))
            if rule is not None and rule.for_people:
                operation["security"] = [{"session": []}]
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])
            operation["responses"].pop("422", None)
            operation["responses"] |= {str(status.value): _answer(status) for status in _refusals(path, operation)}
    return text


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter's schema without null: neither a query nor a header can say it, they are left out."""
    options: list[dict[str, Any]] = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(options) != 1:
        return schema
    return {name: value for name, value in schema.items() if name != "anyOf"} | options[0]


def _with_fields(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a form whose docstring was taken apart: what is said of a field stands with the field."""
    text, _, said = schema.get("description", "").partition("\n\nArgs:\n")
    if not said:
        return schema
    fields = dict(schema["properties"])
    for name, words in _OF_A_FIELD.findall(said):
        fields[name] = {**fields[name], "description": " ".join(words.split())}
    return {**schema, "description": text, "properties": fields}


def _answer(status: HTTPStatus) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": _NO[status], "content": {"application/problem+json": {"schema": schema}}}


def _refusals(path: str, operation: dict[str, Any]) -> set[HTTPStatus]:
    """Return the statuses with which an operation may say no."""
    found = set(_ALWAYS)
    has_body = "requestBody" in operation
    verb = next((one for one in (*VERBS.values(), *AUTHORITY.values()) if one.route == path), None)
    if operation.get("parameters") or has_body:
        found.add(HTTPStatus.UNPROCESSABLE_ENTITY)
    if has_body:
        found.add(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    names_something = verb is not None and bool(operation.get("parameters") or has_body)
    names_somebody = has_body and path.endswith("/tokens")
    if "{" in path or names_something or names_somebody:
        found.add(HTTPStatus.NOT_FOUND)
    if names_something or names_somebody or path.endswith("/endpoints/{name}"):
        found.add(HTTPStatus.CONFLICT)
    if any(one["name"] == "if-match" for one in operation.get("parameters", ())):
        found.add(HTTPStatus.PRECONDITION_FAILED)
    return found

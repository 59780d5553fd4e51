"""The page of the API: its routes with their roles and arguments, what answers hold, and how a request is refused."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from gitops.grammar import VERBS
from gitops.telling import dora, shapes
from tests.reference.marks import Part, always
from tests.reference.prose import arguments_of, code, listed, summary_of, table
from webhooks.api.describing import describe
from webhooks.api.install import install
from webhooks.matrix import MATRIX, Rule

Document = Mapping[str, Any]

_PREFIX = "/api/v1"
_FORMS = {name: one for module in (dora, shapes) for name, one in vars(module).items() if isinstance(one, type)}
_PHASE = "[phase](reasons.md#phases-and-states)"
_HOLDING = {"array": "list", "object": "object"}
_FORMATS = {"date-time": "time", "date": "day"}
_PLAIN = {"integer": "number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}


def parts() -> Mapping[str, Part]:
    """Return the page's parts."""
    made = {
        "reading": _reading(),
        "verbs": _verbs(),
        "arguments": _arguments(),
        "tokens": _others(),
        "answers": _answers(),
        "refusals": _refusals(),
    }
    return {name: always(text) for name, text in made.items()}


@cache
def description() -> Document:
    """Return the API's description, as the web process gives it."""
    app = FastAPI(openapi_url=None)
    install(app)
    return describe(app)


def _operations() -> Iterator[tuple[str, str, Document]]:
    """Give method, path below the API's own, and description of everything that can be asked."""
    for path, operations in description()["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path.removeprefix(_PREFIX), operation


def _reading() -> str:
    rows = [
        (code(f"{method} {path}"), _who(method, path), _said(operation), _queries(operation), _answer(operation))
        for method, path, operation in _operations()
        if method == "GET"
    ]
    return table(("route", "role", "what it does", "arguments", "answer"), rows)


def _verbs() -> str:
    rows = [
        (code(verb.name), code(verb.who), listed(one.name for one in verb.arguments), verb.help)
        for verb in VERBS.values()
        if verb.changes
    ]
    return table(("verb", "role", "arguments", "what it does"), rows)


def _arguments() -> str:
    """Return what each argument of a verb may be; one that several verbs take in the same way is told once."""
    found: dict[tuple[str, ...], list[str]] = {}
    for verb in VERBS.values():
        for one in verb.arguments if verb.changes else ():
            row = (code(one.name), "required" if one.is_required else "", _limit(one.limit), one.help)
            found.setdefault(row, []).append(verb.name)
    rows = [(name, listed(verbs), *others) for (name, *others), verbs in found.items()]
    return table(("argument", "of", "", "value", "meaning"), rows)


def _limit(words: str) -> str:
    return "`true`" if words == "yes" else words


def _others() -> str:
    rows = [
        (code(f"{method} {path}"), _who(method, path), _said(operation), _fields_of_body(operation), _answer(operation))
        for method, path, operation in _operations()
        if method != "GET" and path.removeprefix("/") not in VERBS
    ]
    return table(("route", "role", "what it does", "arguments", "answer"), rows)


def _who(method: str, path: str) -> str:
    rule: Rule = MATRIX.get((method, _PREFIX + path)) or MATRIX[method, _PREFIX + path.replace("}", ":path}")]
    role = code(rule.role) if rule.role else "anybody signed in"
    place = " on everything" if rule.everywhere else ""
    return role + place + (", by a session alone" if rule.for_people else "")


def _said(operation: Document) -> str:
    return summary_of(operation.get("description", ""))


def _queries(operation: Document) -> str:
    return "<br>".join(
        f"{code(one['name'])}: {_value(one['schema'])}{'' if one.get('required') else _default(one['schema'])}"
        for one in operation.get("parameters", ())
        if one["in"] != "path"
    )


def _default(schema: Document) -> str:
    return f", {schema['default']} by default" if schema.get("default") else ""


def _value(schema: Document) -> str:
    """Return what a value may be, in a few words."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return _value(one)
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if "maximum" in schema and schema["maximum"] < 2**53:
        return f"{schema.get('minimum', 0)} to {schema['maximum']}"
    return _type(schema)


def _answer(operation: Document) -> str:
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            kinds = list(answer.get("content", {}).items())
            if not kinds:
                return str(status)
            kind, content = kinds[0]
            said = _type(content["schema"]) if kind == "application/json" else code(kind)
            return said if status == "200" else f"{status}: {said}"
    raise LookupError(operation)


def _schemas() -> Document:
    found: Document = description()["components"]["schemas"]
    return found


def _type(schema: Document) -> str:
    """Return the type of a field, with links to the answers that it holds."""
    kind, inner = schema.get("type", ""), schema.get("items") or schema.get("additionalProperties")
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_type, schema["anyOf"])))
    if "$ref" in schema:
        return _link(schema["$ref"].rpartition("/")[2])
    if kind in _HOLDING and isinstance(inner, dict) and inner:
        return f"{_HOLDING[kind]} of {_type(inner)}"
    return _FORMATS.get(schema.get("format", "")) or _PLAIN.get(kind) or _HOLDING.get(kind, "any")


def _link(name: str) -> str:
    """Return a link to the form of that name; what is no form is told in words."""
    schema = _schemas().get(name, {"properties": {}})
    if name == "Phase":
        return _PHASE
    if "enum" in schema:
        return " or ".join(map(code, schema["enum"]))
    if name.startswith("Page_"):
        return f"[Page](#page) of {_link(name.removeprefix('Page_').removesuffix('_'))}"
    return f"[{name}](#{name.lower()})" if "properties" in schema else "any"


def _fields_of_body(operation: Document) -> str:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        return listed(_schemas()[name]["properties"]) if name.endswith("Arguments") else _type(content["schema"])
    return ""


def _answers() -> str:
    found = {name: schema for name, schema in _schemas().items() if _is_shape(name, schema)}
    # What several have in common is told once, under the name that it has in the code.
    bases = {base.__name__: base for name in found if (base := _base_of(name)) is not None}
    found |= {name: base.model_json_schema(mode="serialization") for name, base in bases.items()}
    found["Page"] = shapes.Page.model_json_schema(mode="serialization")
    return "\n\n".join(_shape(name, schema) for name, schema in sorted(found.items()))


def _is_shape(name: str, schema: Document) -> bool:
    return "properties" in schema and not name.startswith("Page_") and not name.endswith("Arguments")


def _base_of(name: str) -> type[BaseModel] | None:
    """Return the form that a form of an answer extends."""
    model = _FORMS.get(name)
    base = model.__mro__[1] if isinstance(model, type) else None
    if isinstance(base, type) and issubclass(base, BaseModel) and base.__module__ in {dora.__name__, shapes.__name__}:
        return base
    return None


def _shape(name: str, schema: Document) -> str:
    base = _base_of(name) if name != "Page" else None
    text = (_FORMS[name].__doc__ or "") if name in _FORMS else str(schema.get("description", ""))
    meanings = arguments_of(text)
    inherited = set(base.model_fields) if base else set()
    own = {field: one for field, one in schema["properties"].items() if field not in inherited}
    rows = [f"- {code(field)}{_typed(one)}{_meaning(one, meanings.get(field, ''))}" for field, one in own.items()]
    more = f" With all fields of {_link(base.__name__)}:" if base else ""
    return f"### {name}\n\n{summary_of(text)}{more}\n\n" + "\n".join(rows)


def _typed(schema: Document) -> str:
    said = _type(schema)
    return "" if said == "text" else f", {said}"


def _meaning(schema: Document, said: str) -> str:
    words = said or schema.get("description", "")
    return f": {words[:1].lower() if words[1:2].islower() else words[:1]}{words[1:].removesuffix('.')}" if words else ""


def _refusals() -> str:
    said: dict[int, str] = {}
    for _, _, operation in _operations():
        for status, answer in operation["responses"].items():
            if status >= "400":
                said[int(status)] = answer["description"]
    return table(("status", "means"), [(str(status), said[status]) for status in sorted(said)])

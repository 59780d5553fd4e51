"""The JSON Schemas of the files people write, and their errors in words a person can act on. Pure.

The schemas are package data, printed by `launchpin schema`. `x-later` in them lists the keys or values that a later
release reads, so that they are refused by name and never ignored; `format` names a check of `names`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib import resources
from itertools import islice
from typing import TYPE_CHECKING, Any

from gitops.config.formats import FORMATS
from gitops.config.names import BadNameError
from gitops.config.scalars import UnreadableScalarError
from gitops.config.text import Path, did_you_mean, show, show_path
from gitops.config.tree import Document
from gitops.errors import InputError

if TYPE_CHECKING:  # The web process knows these files' names and values, and checks none.
    from jsonschema import Draft202012Validator, FormatChecker, ValidationError

NOT_IN_THIS_RELEASE = "not_in_this_release"


class SchemaKind(StrEnum):
    """A file that has a schema."""

    LAUNCHPIN = "launchpin.v1"
    ENDPOINT = "endpoint.v1"
    NOTIFY = "notify.v1"
    MLPROJECT = "mlproject"


KINDS: Mapping[str, SchemaKind] = {kind.value.partition(".")[0]: kind for kind in SchemaKind}
"""The files by the first part of their names."""

_MOST_MISTAKES = 100  # of one file that are looked at to choose the one to show
_TYPES = {
    "object": "a mapping of keys to values",
    "array": "a list",
    "string": "a text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "null": "nothing",
}


def schema_text(kind: SchemaKind) -> str:
    """Return a schema as it is printed: JSON Schema draft 2020-12."""
    return resources.files("gitops.config").joinpath("schemas", f"{kind.value}.json").read_text(encoding="utf-8")


def schema_of(file: str) -> str:
    """Return the schema of a file's current format by the first part of its name, `launchpin` say."""
    return schema_text(KINDS[file])


def editor_hint(kind: SchemaKind, *, location: str = "") -> str:
    """Return the first line that tells an editor the file's schema.

    Args:
        location: a path or URL of the printed schema; beside the file by default.
    """
    return f"# yaml-language-server: $schema={location or f'{kind.value}.json'}"


@cache
def _validator(kind: SchemaKind) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - five megabytes that only who checks a file pays for

    return Draft202012Validator(json.loads(schema_text(kind)), format_checker=_format_checker())


def _format_checker() -> "FormatChecker":
    from jsonschema import FormatChecker  # noqa: PLC0415 - as above

    checker = FormatChecker(formats=())
    for name, check in FORMATS.items():
        checker.checks(name, raises=(BadNameError, UnreadableScalarError, ValueError))(check)
    return checker


def validate(document: Document, kind: SchemaKind) -> None:
    """Refuse a document that is not as its schema says.

    Raises:
        InputError: for the most telling mistake: unknown keys first, then from the top of the file down.
    """
    errors = islice(_validator(kind).iter_errors(document.value), _MOST_MISTAKES)
    mistakes = [_explain(document, _Finding.of(error)) for error in errors]
    if mistakes:
        raise min(mistakes, key=_rank)
    written = document.written(_VERSION)
    if kind is not SchemaKind.MLPROJECT and written != "1":  # 01, 1.0 and 0x1 are equal to 1, and no version
        raise document.error("value_unknown", f"{show(written)} is no version; write `version: 1`", _VERSION)


_VERSION: Path = ("version",)
_UNKNOWN = ("unknown_key", NOT_IN_THIS_RELEASE)


def _rank(error: InputError) -> tuple[bool, int, int, str]:
    return error.reason not in _UNKNOWN, error.line, error.column, error.message


@dataclass(frozen=True)
class _Finding:
    """A validator's finding, in types of our own.

    Args:
        keyword: the JSON Schema keyword, empty for none.
        wanted: the keyword's value.
        rule: the schema around the keyword.
        value: what was found.
        path: where.
        cause: what a format's check raised.
        is_name: whether the value is a key of the mapping at the path.
    """

    keyword: str
    wanted: Any
    rule: Mapping[str, Any]
    value: Any
    path: Path
    cause: Exception | None
    is_name: bool

    @classmethod
    def of(cls, error: "ValidationError") -> "_Finding":
        return cls(
            keyword=error.validator if isinstance(error.validator, str) else "",
            wanted=error.validator_value,
            rule=error.schema if isinstance(error.schema, Mapping) else {},
            value=error.instance,
            path=tuple(error.absolute_path),
            cause=error.cause,
            is_name="propertyNames" in error.absolute_schema_path,
        )


def _explain(document: Document, found: _Finding) -> InputError:
    """Return a finding as our own error. Source: the keywords of JSON Schema 2020-12 that our schemas use."""
    match found.keyword:
        case "additionalProperties":
            error = _explain_unknown(document, found)
        case "required":
            missing = next(key for key in found.wanted if key not in found.value)
            hint = _describe(found.rule.get("properties", {}).get(missing, {}))
            error = document.error("key_missing", f"the key {show(missing)} is missing{hint}", (*found.path, missing))
        case "format":
            error = _explain_format(document, found)
        case "type":
            error = document.error("wrong_type", _explain_type(found), found.path)
        case "enum":
            error = _explain_enum(document, found)
        case "maxItems" if found.rule.get("x-later"):
            message = f"{show_path(found.path)} must be empty: its entries are not in this release; remove them"
            error = document.error(NOT_IN_THIS_RELEASE, message, found.path)
        case "not":  # a key that is known and not read
            message = f"{show(str(found.path[-1]))} is not in this release; remove it{_describe(found.rule)}"
            error = document.error(NOT_IN_THIS_RELEASE, message, found.path, key=True)
        case "dependentRequired":
            keys = " and ".join(key for key in found.wanted if key in found.value)
            error = document.error("value_invalid", f"{keys} goes with `versus: champion` only; remove it", found.path)
        case "oneOf":
            error = document.error(
                "value_invalid", f"exactly one condition is needed{_describe(found.rule)}", found.path
            )
        case _:
            message = f"{_limits(found.keyword)}; the limit is {found.wanted}{_describe(found.rule)}"
            error = document.error("limit_exceeded", message, found.path)
    return error


def _limits(keyword: str) -> str:
    words = {
        "minItems": "too few entries",
        "maxItems": "too many entries",
        "minProperties": "too few keys",
        "maxProperties": "too many keys",
        "minLength": "the text is empty",
    }
    return words.get(keyword, "the value is refused")


def _explain_unknown(document: Document, found: _Finding) -> InputError:
    known = found.rule.get("properties", {})
    key = next(key for key in found.value if key not in known)
    if key in found.rule.get("x-later", ()):
        message = f"{show(key)} is not in this release; remove it"
        return document.error(NOT_IN_THIS_RELEASE, message, (*found.path, key), key=True)
    near = did_you_mean(key, known) or f"; known here: {', '.join(known)}"
    return document.error("unknown_key", f"the key {show(key)} is not known{near}", (*found.path, key), key=True)


def _explain_format(document: Document, found: _Finding) -> InputError:
    reason = getattr(found.cause, "reason", "value_invalid")
    path = (*found.path, found.value) if found.is_name else found.path
    return document.error(reason, f"{show(str(found.value))} is refused: {found.cause}", path, key=found.is_name)


def _explain_type(found: _Finding) -> str:
    kinds: list[str] = [found.wanted] if isinstance(found.wanted, str) else list(found.wanted)
    wish = " or ".join(_TYPES[kind] for kind in kinds if kind != "null")
    if found.rule.get("format") == "duration":
        wish = "a duration with its unit (500ms, 30s, 2m, 1h, 7d)"
    elif "string" in kinds and isinstance(found.value, int | Decimal | bool):
        wish += " in quotes"
    return f"{wish} is needed here, not {_shown(found.value)}{_describe(found.rule)}"


def _explain_enum(document: Document, found: _Finding) -> InputError:
    allowed = list(dict.fromkeys(str(one) for one in found.wanted))
    if isinstance(found.value, str) and found.value in found.rule.get("x-later", ()):
        message = f"{show(found.value)} is not in this release; write {' or '.join(allowed)}"
        return document.error(NOT_IN_THIS_RELEASE, message, found.path)
    written = document.written(found.path)
    near = did_you_mean(written, allowed)
    shown = show(written) if written else _shown(found.value)
    message = f"{shown} is not one of: {', '.join(allowed)}{near}{_describe(found.rule)}"
    return document.error("value_unknown", message, found.path)


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case bool():
            return str(value).lower()
        case str():
            return f"the text {show(value)}"
        case _:
            return show(str(value)).strip('"')


def _describe(rule: object) -> str:
    text = rule.get("description", "") if isinstance(rule, Mapping) else ""
    return f" ({text})" if text else ""

"""The table of settings: names, values and defaults from the fields, meanings from the docstring of `Settings`."""

import types
import typing
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import annotated_types
from pydantic.fields import FieldInfo

from gitops.embedded.stack.environment import PASSED_ON
from gitops.settings import Settings
from tests.reference.marks import Part, always
from tests.reference.prose import arguments_of, code, table

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
_SIZES = (("GiB", 1024**3), ("MiB", 1024**2))


def parts() -> Mapping[str, Part]:
    """Return the page's parts."""
    meanings = arguments_of(Settings.__doc__ or "")
    rows = [
        (
            code(f"LAUNCHPIN_{name.upper()}"),
            _value(name, field),
            _default(field),
            _passed_on(name),
            meanings[name].removesuffix("."),
        )
        for name, field in Settings.model_fields.items()
    ]
    return {"settings": always(table(("variable", "value", "default", "tunable", "meaning"), rows))}


def _passed_on(name: str) -> str:
    return "yes" if name in PASSED_ON else ""


def _value(name: str, field: FieldInfo) -> str:
    of = _kind(name, field.annotation)
    limits = [
        f"{word} {_written(limit)}"
        for one in field.metadata
        for kind, word, limit in (
            (annotated_types.Ge, "at least", getattr(one, "ge", None)),
            (annotated_types.Le, "at most", getattr(one, "le", None)),
        )
        if isinstance(one, kind) and limit != 0
    ]
    return ", ".join([of, *limits])


def _kind(name: str, annotation: object) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(code(str(word)) for word in typing.get_args(annotation))
    if typing.get_origin(annotation) is types.UnionType:
        (annotation,) = (one for one in typing.get_args(annotation) if one is not type(None))
    if typing.get_origin(annotation) is tuple:
        return f"JSON list of {'files' if typing.get_args(annotation)[0] is Path else 'texts'}"
    if annotation is Path:
        return "file" if name.endswith("_file") else "folder"
    return {str: "text", int: "number", timedelta: "time"}[typing.cast("type", annotation)]


def _default(field: FieldInfo) -> str:
    return "none" if field.default in (None, "", ()) else _written(field.default)


def _written(value: object) -> str:
    match value:
        case timedelta():
            seconds = int(value.total_seconds())
            unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0 and seconds >= size)
            return code(f"{seconds // size}{unit}")
        case int() if value and any(value % size == 0 for _, size in _SIZES):
            name, size = next((name, size) for name, size in _SIZES if value % size == 0)
            return f"{code(str(value))} ({value // size} {name})"
        case _:
            return code(str(value))

"""Where each character of a scalar stands in its source, so that a splice hits exactly what it means. Pure."""

import re

from gitops.config.tree import Scalar

_LINE_BREAK = re.compile("[\n\r\x85\u2028\u2029]")  # of YAML 1.1, which the C parser and CodeBuild read
# YAML 1.2.2, 5.7: escape sequences of double-quoted scalars
_ESCAPE = re.compile(r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[^xuU\r\n])")


def source_indexes(source: str, scalar: Scalar) -> list[int] | None:
    """Return the source index of each character of a scalar's text, and of its end.

    None where a character has no place of its own: block scalars, texts over several lines, escapes of two units.
    """
    written = source[scalar.start : scalar.end]
    if scalar.style in {"|", ">"} or _LINE_BREAK.search(written):
        return None
    match scalar.style:
        case "'":
            sizes = _sizes(written[1:-1], re.compile("''"))
        case '"':
            sizes = _sizes(written[1:-1], _ESCAPE)
        case _:
            sizes = [1] * len(written)
    indexes = [scalar.start + bool(scalar.style)]
    for size in sizes:
        indexes.append(indexes[-1] + size)
    return indexes if len(sizes) == len(scalar.text) else None


def _sizes(body: str, escape: re.Pattern[str]) -> list[int]:
    """Return how many source characters each meant character takes."""
    sizes, at = [], 0
    while at < len(body):
        found = escape.match(body, at)
        sizes.append(found.end() - at if found else 1)
        at += sizes[-1]
    return sizes

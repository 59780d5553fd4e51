"""Parts of a page that are made, between two comments; everything around them is written by hand and stays."""

import re
from collections.abc import Callable, Mapping

Part = Callable[[str], str]
"""Gives a part's text; what stands there now is handed over, for parts whose words are written by hand."""

_PART = re.compile(r"<!-- make docs: (?P<name>[^\n]+?) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)


def names(page: str) -> list[str]:
    """Return the names of a page's made parts, in its order."""
    return [found["name"] for found in _PART.finditer(page)]


def texts(page: str) -> list[str]:
    """Return the made parts of a page."""
    return [found["text"] for found in _PART.finditer(page)]


def fill(page: str, parts: Mapping[str, Part]) -> str:
    """Return a page with its parts made anew.

    Raises:
        KeyError: the page marks a part that nobody makes.
    """

    def put(found: re.Match[str]) -> str:
        return wrap(found["name"], parts[found["name"]](found["text"]))

    return _PART.sub(put, page)


def wrap(name: str, text: str) -> str:
    """Return a part between its two comments."""
    # An empty line before the second one ends a table.
    return f"<!-- make docs: {name} -->\n{text.strip()}\n\n<!-- end -->"


def always(text: str) -> Part:
    """Return the part that is the same whatever stands there."""
    return lambda _: text

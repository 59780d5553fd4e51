"""MLflow's searches: literals of its filter language, and results over all pages."""

from collections.abc import Iterator
from typing import Any

from gitops.errors import RefusedError

_PAGE = 1000


def quoted(text: str) -> str:
    """Return a text as a literal of MLflow's filter language, which knows no escapes.

    Raises:
        RefusedError: `RegistryRefused` when the text holds both kinds of quotes.
    """
    for mark in ("'", '"'):
        if mark not in text:
            return f"{mark}{text}{mark}"
    raise RefusedError("RegistryRefused", f"{text!r} holds both kinds of quotes and cannot be searched for")


def all_pages(search: Any, **query: Any) -> Iterator[Any]:  # noqa: ANN401 - MLflow publishes no types
    """Return every result of one of the client's search functions, a page at a time."""
    token = None
    while True:
        page = search(max_results=_PAGE, page_token=token, **query)
        yield from page
        token = page.token
        if not token:
            return

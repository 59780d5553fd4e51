"""Spans of the requests that we send: which system, method and path, and the status. No query, body or header."""

from contextlib import AbstractContextManager

from gitops.telemetry.tracing import Span, span

_TOO_MANY = 429
_FIRST_SERVER_ERROR = 500


def sending(system: str, method: str, path: str) -> AbstractContextManager[Span]:
    """Open a span around one request; inside of it `outgoing` gives the headers that it should carry.

    Args:
        system: `forge`, `registry` or `target`.
        path: with or without a query, which is left out.
    """
    told = {"http.request.method": method, "url.path": path.partition("?")[0], "peer.service": system}
    return span(f"{system} {method}", told, is_outgoing=True)


def note_status(told: Span, status: int) -> None:
    """Take note of the answer; that something is not there, or already there, is no failure of the request."""
    told.note(**{"http.response.status_code": status})
    if status >= _FIRST_SERVER_ERROR or status == _TOO_MANY:
        told.fail(str(status))

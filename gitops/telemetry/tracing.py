"""Spans, where an exporter is set; nothing at all where none is.

OpenTelemetry is imported when a process switches it on. What may be set are its standard variables; the exporter is
OTLP over HTTP.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from gitops.telemetry.places import Place

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
_ONLY_PROTOCOL = "http/protobuf"

Value = str | int | float | bool

_log = logging.getLogger(__name__)


class Span(Protocol):
    """A span that is open."""

    def note(self, **attributes: Value) -> None:
        """Add attributes."""
        ...

    def rename(self, name: str) -> None:
        """Give it the name that became known."""
        ...

    def fail(self, reason: str) -> None:
        """Say that what it tells of failed."""
        ...


@dataclass(frozen=True)
class Told:
    """A whole span, told after its end.

    Args:
        parent: None for the first of its trace.
        failure: the reason; empty when nothing failed.
    """

    name: str
    place: Place
    parent: Place | None
    begin: datetime
    end: datetime
    attributes: Mapping[str, Value]
    failure: str = ""


class Tracer(Protocol):
    """What makes spans."""

    def open(
        self,
        name: str,
        *,
        is_outgoing: bool,
        under: Place | None,
        place: Place | None,
        links: tuple[Place, ...],
        attributes: Mapping[str, Value],
    ) -> AbstractContextManager[Span]:
        """Open a span."""
        ...

    def tell(self, told: Told) -> None:
        """Make a span that is over."""
        ...

    def here(self) -> Place | None:
        """Return the place of the span that is open."""
        ...

    def close(self) -> None:
        """Send what is left, within some seconds."""
        ...


class _Nothing:
    """Stands where a span is while nothing is traced."""

    def note(self, **attributes: Value) -> None:
        """Do nothing."""

    def rename(self, name: str) -> None:
        """Do nothing."""

    def fail(self, reason: str) -> None:
        """Do nothing."""


_OFF: AbstractContextManager[Span] = nullcontext(_Nothing())
_tracer: Tracer | None = None


def start_tracing(part: str) -> bool:
    """Export this process's spans from now on, if an exporter is set; returns whether one is.

    Args:
        part: which process this is; names its service where `OTEL_SERVICE_NAME` does not.
    """
    global _tracer  # noqa: PLW0603 - one for a process, as its standard error is
    if not _is_wanted():
        return False
    from gitops.telemetry.exporting import OtelTracer  # noqa: PLC0415 - megabytes, for those who asked for them

    stop_tracing()
    _tracer = OtelTracer(part)
    return True


def stop_tracing() -> None:
    """Send what is left, and trace nothing any more."""
    global _tracer  # noqa: PLW0603 - as above
    if _tracer is not None:
        _tracer.close()
        _tracer = None


def is_tracing() -> bool:
    """Return whether spans go anywhere."""
    return _tracer is not None


def _is_wanted() -> bool:
    told = os.environ.get
    if not any(told(name) for name in _ENDPOINTS):
        return False
    if told("OTEL_SDK_DISABLED", "").lower() == "true" or told("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return False
    protocol = told(_PROTOCOLS[1]) or told(_PROTOCOLS[0]) or _ONLY_PROTOCOL
    if protocol != _ONLY_PROTOCOL:
        _log.warning("no traces: OTEL_EXPORTER_OTLP_PROTOCOL is %s, only %s is known here", protocol, _ONLY_PROTOCOL)
        return False
    return True


def span(
    name: str,
    attributes: Mapping[str, Value] | None = None,
    *,
    is_outgoing: bool = False,
    under: Place | None = None,
    place: Place | None = None,
    links: tuple[Place, ...] = (),
) -> AbstractContextManager[Span]:
    """Open a span until the block ends; what the block raises makes it a failed one.

    Args:
        name: few and fixed, `training train` for example; what varies is an attribute.
        attributes: what is known when it begins.
        is_outgoing: it tells of a request that we send.
        under: its parent, where that is not the span that is open.
        place: its own ids, where they follow from what it is about.
        links: other traces that have to do with it.
    """
    if _tracer is None:
        return _OFF
    return _tracer.open(
        name, is_outgoing=is_outgoing, under=under, place=place, links=links, attributes=attributes or {}
    )


def tell(told: Told) -> None:
    """Make a span of something that is over."""
    if _tracer is not None:
        _tracer.tell(told)


def outgoing() -> dict[str, str]:
    """Return the headers that a request should carry: `traceparent` inside of a span, nothing outside."""
    place = _tracer.here() if _tracer is not None else None
    return {"traceparent": place.traceparent} if place is not None else {}

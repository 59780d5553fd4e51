"""OpenTelemetry's part of tracing: imported only by a process that exports.

Its provider is kept here and never made the global one: libraries in this process that trace for themselves (MLflow's
client does) must not send through it, nor we through theirs.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from gitops import __version__
from gitops.telemetry.context import bound
from gitops.telemetry.places import Place
from gitops.telemetry.tracing import Span, Told, Value

_LONGEST = 300
_HEX = 16

_wanted: ContextVar[Place | None] = ContextVar("launchpin_wanted_place", default=None)


class _Ids(IdGenerator):
    """Gives the ids that were asked for, random ones else."""

    def __init__(self) -> None:
        self._random = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        """Return a trace's id; asked only where a span has no parent."""
        place = _wanted.get()
        return int(place.trace, _HEX) if place else self._random.generate_trace_id()

    def generate_span_id(self) -> int:
        """Return a span's id."""
        place = _wanted.get()
        return int(place.span, _HEX) if place else self._random.generate_span_id()


class _Open:
    """A span of OpenTelemetry behind our Protocol."""

    def __init__(self, inner: trace.Span) -> None:
        self._inner = inner

    def note(self, **attributes: Value) -> None:
        """Add attributes."""
        self._inner.set_attributes(attributes)

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._inner.update_name(name)

    def fail(self, reason: str) -> None:
        """Say that it failed."""
        self._inner.set_status(Status(StatusCode.ERROR, reason[:_LONGEST]))


class OtelTracer:
    """Makes spans and exports them in the background; implements `gitops.telemetry.tracing.Tracer`.

    Args:
        part: names the service, unless the standard variables name it.
    """

    def __init__(self, part: str) -> None:
        named = {"launchpin.part": part}
        if not os.environ.get("OTEL_SERVICE_NAME") and SERVICE_NAME not in os.environ.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        ):
            named[SERVICE_NAME] = f"launchpin-{part}"
        # What a caller samples does not bind us, and we sample everything: a part of a trace explains nothing.
        self._provider = TracerProvider(resource=Resource.create(named), id_generator=_Ids())
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("launchpin", __version__)

    @contextmanager
    def open(
        self,
        name: str,
        *,
        is_outgoing: bool,
        under: Place | None,
        place: Place | None,
        links: tuple[Place, ...],
        attributes: Mapping[str, Value],
    ) -> Iterator[Span]:
        """Open a span; see `gitops.telemetry.tracing.span`."""
        inner = self._make(name, under, place, attributes, kind=_kind(is_outgoing=is_outgoing), links=links)
        made = inner.get_span_context()
        # What an error says stays here, where secrets are masked: a span holds its kind alone.
        with (
            trace.use_span(inner, end_on_exit=True, record_exception=False, set_status_on_exception=False),
            bound(trace_id=trace.format_trace_id(made.trace_id), span_id=trace.format_span_id(made.span_id)),
        ):
            opened = _Open(inner)
            try:
                yield opened
            except Exception as error:
                opened.fail(str(getattr(error, "reason", "") or type(error).__name__))
                raise

    def tell(self, told: Told) -> None:
        """Make a span that is over."""
        begin = _nanoseconds(told.begin)
        inner = self._make(
            told.name, told.parent, told.place, told.attributes, is_root=told.parent is None, begin=begin
        )
        if told.failure:
            _Open(inner).fail(told.failure)
        inner.end(end_time=max(begin, _nanoseconds(told.end)))

    def here(self) -> Place | None:
        """Return the place of the span that is open in this thread."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid:
            return None
        return Place(trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def _make(
        self,
        name: str,
        under: Place | None,
        place: Place | None,
        attributes: Mapping[str, Value],
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: tuple[Place, ...] = (),
        is_root: bool = False,
        begin: int | None = None,
    ) -> trace.Span:
        around = otel_context.Context() if is_root or (place and not under) else otel_context.get_current()
        if under is not None:
            around = trace.set_span_in_context(NonRecordingSpan(_remote(under)), otel_context.Context())
        token = _wanted.set(place)
        try:
            return self._tracer.start_span(
                name,
                context=around,
                kind=kind,
                attributes=attributes,
                links=[Link(_remote(other)) for other in links],
                start_time=begin,
            )
        finally:
            _wanted.reset(token)


def _kind(*, is_outgoing: bool) -> SpanKind:
    return SpanKind.CLIENT if is_outgoing else SpanKind.INTERNAL


def _remote(place: Place) -> SpanContext:
    return SpanContext(
        int(place.trace, _HEX), int(place.span, _HEX), is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED)
    )


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000_000) * 1_000

"""A collector of traces on loopback: takes OTLP over HTTP, and keeps what it was told."""

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ERROR = 2  # Status.STATUS_CODE_ERROR


@dataclass(frozen=True)
class Seen:
    """A span as it arrived; ids are hexadecimal, times nanoseconds."""

    service: str
    name: str
    trace: str
    span: str
    parent: str
    kind: int
    status: int
    message: str
    begin: int
    end: int
    attributes: dict[str, str]


@dataclass
class Collector:
    """What arrived so far."""

    url: str
    spans: list[Seen] = field(default_factory=list)

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]

    def one(self, name: str) -> Seen:
        (span,) = self.named(name)
        return span

    @property
    def variables(self) -> dict[str, str]:
        """What makes a process export here, soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector until the block ends."""

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            collector.spans.extend(_read(ExportTraceServiceRequest.FromString(body)))
            self.send_response_only(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def without_tracing() -> dict[str, str]:
    """Return this process's environment without a collector."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}


def _read(request: ExportTraceServiceRequest) -> Iterator[Seen]:
    for resource in request.resource_spans:
        told = {one.key: one.value.string_value for one in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield Seen(
                    service=told["service.name"],
                    name=span.name,
                    trace=span.trace_id.hex(),
                    span=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    kind=span.kind,
                    status=span.status.code,
                    message=span.status.message,
                    begin=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    attributes={one.key: _value(one.value) for one in span.attributes},
                )


def _value(value: object) -> str:
    kind = value.WhichOneof("value")  # type: ignore[attr-defined]  # protobuf's class is made when it is imported
    return str(getattr(value, kind)) if kind else ""

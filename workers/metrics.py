"""What a worker or the relay counts, for Prometheus: served where a port is set, to who has the token.

Counting never stops work: a port that cannot be had is said in the log.
"""

import hmac
import logging
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gitops.private_files import read_secret
from gitops.settings import Settings
from gitops.telemetry.meters import use_meters

_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
_SLOWEST_READER = 10.0
_log = logging.getLogger(__name__)


class PrometheusMeters:
    """Counts in prometheus_client's own registry; implements `gitops.telemetry.meters.Meters`."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they write the function, not its types
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self._steps = self._counter("steps", "Steps that ended", "kind", "step", "outcome")
        self._lost = self._counter("leases_lost", "Steps whose lease was lost before their end was written", "kind")
        self._deliveries = self._counter("deliveries", "Deliveries read, by what became of them", "outcome")
        self._messages = self._counter("relay_messages", "Messages that the relay published", "queue")
        self._seconds = Histogram(
            "launchpin_step_seconds",
            "How long steps took, with the write of their end",
            ("kind", "step"),
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"launchpin_{name}", text, labels, registry=self.registry)

    def count_step(self, kind: str, step: str, outcome: str, seconds: float) -> None:
        """Count a step that ended."""
        self._steps.labels(kind, step, outcome).inc()
        self._seconds.labels(kind, step).observe(seconds)

    def count_lost(self, kind: str) -> None:
        """Count a step whose lease was lost."""
        self._lost.labels(kind).inc()

    def count_delivery(self, outcome: str) -> None:
        """Count a delivery that was read."""
        self._deliveries.labels(outcome).inc()

    def count_message(self, queue: str) -> None:
        """Count a published message."""
        self._messages.labels(queue).inc()


class MetricsServer(ThreadingHTTPServer):
    """Answers `GET /metrics` to whoever shows the token."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], meters: PrometheusMeters, *, token: str) -> None:
        super().__init__(address, _Answer)
        self.meters = meters
        self.authorization = f"Bearer {token}".encode()


class _Answer(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = _SLOWEST_READER

    def do_GET(self) -> None:
        """Answer with the metrics, 401 or 404."""
        if self.path != "/metrics":
            self._send(HTTPStatus.NOT_FOUND, b"", "text/plain")
            return
        shown = (self.headers.get("authorization") or "").encode("latin-1", "replace")
        if not hmac.compare_digest(shown, self.server.authorization):
            self._send(HTTPStatus.UNAUTHORIZED, b"", "text/plain")
            return
        self._send(HTTPStatus.OK, generate_latest(self.server.meters.registry), CONTENT_TYPE_LATEST)

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response_only(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("www-authenticate", "Bearer")
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: a scrape is no news."""


def serve_metrics(settings: Settings) -> MetricsServer | None:
    """Count from now on and serve it, where a port is set; returns the server, None where nothing is served.

    Raises:
        InputError: `secret_missing` or `insecure_mode`: a port needs a token.
    """
    if not settings.metrics_port:
        return None
    token = read_secret(settings.metrics_token_file, name="LAUNCHPIN_METRICS_TOKEN_FILE")
    meters = PrometheusMeters()
    try:
        server = MetricsServer((settings.metrics_host, settings.metrics_port), meters, token=token)
    except OSError as error:
        _log.warning("no metrics on port %s: %s", settings.metrics_port, error)
        return None
    use_meters(meters)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server

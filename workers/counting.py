"""Whether this process counts: prometheus_client is loaded only where somebody asked for its numbers."""

from gitops.settings import Settings


def count_where_asked(settings: Settings) -> None:
    """Count and serve the metrics, where a port is set.

    Raises:
        InputError: `secret_missing` or `insecure_mode`: a port needs a token.
    """
    if settings.metrics_port:
        from workers.metrics import serve_metrics  # noqa: PLC0415 - megabytes, for those who asked for them

        serve_metrics(settings)

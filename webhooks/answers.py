"""The door's answers, counted: by their code, and by the time that what was stored took.

Prometheus' own counters take a lock for each number that rises. These rise on the event loop alone, for every delivery,
and become metrics when somebody looks.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

ACCEPTED = "accepted"
"""The code of an answer that says that a delivery is stored."""

_LIMITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LABELS = [*(str(limit) for limit in _LIMITS), "+Inf"]


class Answers(Collector):
    """Counts on the event loop, and shows what it counted; belongs to one thread."""

    def __init__(self) -> None:
        self._by_code: Counter[str] = Counter()
        self._by_time = [0] * len(_LABELS)
        self._seconds = 0.0

    def count(self, code: str, seconds: float) -> None:
        """Count an answer; only the time of what was stored says anything."""
        self._by_code[code] += 1
        if code == ACCEPTED:
            self._by_time[bisect_left(_LIMITS, seconds)] += 1
            self._seconds += seconds

    def collect(self) -> Iterator[Metric]:
        """Give the families."""
        answers = CounterMetricFamily("launchpin_ingest", "Answers at the webhook's door", labels=["code"])
        for code, count in self._by_code.items():
            answers.add_metric([code], count)
        yield answers
        yield HistogramMetricFamily(
            "launchpin_ingest_seconds",
            "From a delivery's head to the answer that it is stored",
            buckets=list(zip(_LABELS, accumulate(self._by_time), strict=True)),
            sum_value=self._seconds,
        )

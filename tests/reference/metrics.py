"""The tables of metrics, from the very collectors that a scrape asks: names, kinds, labels and help."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from prometheus_client.metrics_core import Metric

from gitops.ports.tallies import JobTally, Tallies
from tests.reference.marks import Part, always
from tests.reference.prose import code, listed, table
from webhooks.answers import ACCEPTED, Answers
from webhooks.gauges import Snapshot, SnapshotCollector
from workers.metrics import PrometheusMeters

_OWN_LABELS = {"le"}
"""What a histogram's buckets have beside their metric's labels."""


def parts() -> Mapping[str, Part]:
    """Return the page's parts."""
    snapshots = SnapshotCollector(Path(__file__).parent)
    snapshots.show(Snapshot(_something(), 0.1))
    answers = Answers()
    answers.count(ACCEPTED, 0.1)
    meters = PrometheusMeters()
    meters.count_step("kind", "step", "outcome", 0.1)
    meters.count_lost("kind")
    meters.count_delivery("outcome")
    meters.count_message("queue")
    rooms = {"held": snapshots.collect(), "door": answers.collect(), "counted": meters.registry.collect()}
    return {name: always(_table(found)) for name, found in rooms.items()}


def _something() -> Tallies:
    """Return counts by which each family has a series, and so its labels."""
    one = JobTally("training", "training", "waiting", "reason", is_due=True, count=1, age=1.0, tries=1)
    return Tallies(
        jobs=(one,),
        open_stories={},
        ended_stories={},
        just_ended={},
        deliveries={},
        holds=0,
        entries=0,
        signed=0,
        head_age=1.0,
        unanchored=0,
        unanchored_age=0.0,
        hooks_lost=0,
        letters_waiting=0,
        letter_age=0.0,
        letters_settled={},
        lead=1.0,
    )


def _table(metrics: Iterable[Metric]) -> str:
    ours = [one for one in metrics if one.name.startswith("launchpin_")]
    rows = [(_name(one), _labels(one), one.type, one.documentation) for one in ours]
    return table(("metric", "labels", "kind", "meaning"), rows)


def _name(metric: Metric) -> str:
    return code(f"{metric.name}_total" if metric.type == "counter" else metric.name)


def _labels(metric: Metric) -> str:
    found = dict.fromkeys(label for sample in metric.samples for label in sample.labels if label not in _OWN_LABELS)
    return listed(found)

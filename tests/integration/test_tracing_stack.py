"""What a whole stack tells of one push, from the webhook to the rollout: its traces, its logs and its metrics."""

import json
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gitops.records import Rollout
from tests.support.live import Live, make_pair, running
from tests.support.mlflow import free_port
from tests.support.otlp import Collector, collecting
from tests.support.stack import wait_until

OURS = ("web", "relay", "control", "training", "forge", "endpoints")
TOLD = {
    "receive",
    "delivery",
    "training",
    "training train",
    "training process",
    "effect start_run",
    "effect create_version",
    "forge GET",
    "forge POST",
    "registry POST",
    "promotion",
    "effect open_pull_request",
    "rollout",
    "target PUT",
}


@pytest.mark.slow
def test_a_push_is_one_trace_from_the_webhook_to_the_rollout_and_every_log_line_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    with collecting() as collector:
        for name, value in collector.variables.items():
            monkeypatch.setenv(name, value)
        with running(tmp_path / "stack", metrics_port=str(port)) as live:
            pair = make_pair(live, tmp_path, "iris")
            training = pair.trained(pair.push(message="Train"))
            rollout = pair.rolled_out("staging", training.facts.version or "")
            check_trace(collector, training.cause.id, rollout)
            check_metrics(live, port)
        check_logs(live)


def check_trace(collector: Collector, delivery: str, rollout: Rollout) -> None:
    """Everything that the push caused is one trace, and what the rollout is part of was told, too."""
    ends = [("rollout", rollout.id)]
    wait_until(
        lambda: all(
            any(span.name == name and span.attributes.get("subject") == subject for span in collector.spans)
            for name, subject in ends
        ),
        "the rollout's span",
    )
    (first,) = [span for span in collector.named("receive") if span.attributes["delivery"] == delivery]
    spans = [span for span in collector.spans if span.trace == first.trace]
    told = {span.name for span in spans}
    assert told >= TOLD, TOLD - told
    assert {span.service for span in spans} == {"launchpin-web", "launchpin-control", "launchpin-training"}
    assert any(span.attributes.get("subject") == rollout.id for span in spans)
    # What still runs (a promotion to production waits for its merge) has not told of itself yet.
    known = {span.span for span in spans}
    open_parents = {span.attributes.get("subject") for span in spans if span.parent and span.parent not in known}
    assert rollout.id not in open_parents


def check_metrics(live: Live, port: int) -> None:
    token = (live.layout.secrets / "metrics.token").read_text().strip()
    headers = {"authorization": f"Bearer {token}"}
    web = httpx.get(f"{live.layout.url('web')}/metrics", headers=headers, trust_env=False).text
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(web)
        for sample in family.samples
    }
    assert values["launchpin_stories_ended_day", "Succeeded", "rollout"] >= 1
    assert values["launchpin_relay_lead_seconds",] > 0
    assert values["launchpin_ingest_total", "accepted"] >= 1
    workers = [
        httpx.get(f"http://127.0.0.1:{port + n}/metrics", headers=headers, trust_env=False).text for n in range(3)
    ]
    assert 'launchpin_steps_total{kind="rollout",outcome="done",step="apply"}' in workers[0]
    assert 'launchpin_steps_total{kind="training",outcome="done",step="train"}' in workers[1]
    assert "launchpin_relay_messages_total" in workers[2]


def check_logs(live: Live) -> None:
    """Every line of ours is a record; those about the push say which job and delivery they belong to."""
    for part in OURS:
        lines = live.layout.log(part).read_text().splitlines()
        assert [line for line in lines if not line.startswith("{")] == [], part
        records = [json.loads(line) for line in lines]
        assert all({"ts", "level", "part", "logger", "event"} <= record.keys() for record in records), part
        assert {record["part"] for record in records} <= {part}
    control = [json.loads(line) for line in live.layout.log("control").read_text().splitlines()]
    steps = [record for record in control if record.get("kind") == "rollout" and record.get("outcome") == "done"]
    assert steps
    assert all(
        {"job", "epoch", "subject", "step", "delivery", "trace_id", "span_id"} <= record.keys() for record in steps
    )
    secrets = [file.read_text().strip() for file in live.layout.secrets.iterdir() if file.is_file()]
    everything = "".join(live.layout.log(part).read_text() for part in OURS)
    assert not [secret for secret in secrets if len(secret) > 12 and secret in everything]

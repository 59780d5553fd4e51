"""The web process's metrics and health, asked over loopback: on both databases, and with the database away."""

import json
import re
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gitops.leasing import Shift
from gitops.ports import Deps, Exit
from gitops.ports.tallies import ANCHOR_REF, Anchored, note_anchored
from gitops.reconcile import AnyStory, Loop, run_until_idle
from gitops.records import Record, Repository, Role, WatchedRef
from gitops.settings import Settings
from gitops.steps import Done, Outcome, Phase, Queue, Refused, Stalled, Step, Story, Wait
from gitops.store import SqlStore
from gitops.telemetry import meters
from gitops.writes import MoveRef, OpenRollout, SaveRepository, SetHold, StartTraining
from tests.support import docs
from tests.support.deps import make_deps
from tests.support.mlflow import free_port
from tests.support.processes import TOKEN, Web, make_home, running_web
from tests.support.store import (
    LEASE,
    Clock,
    answer,
    make_delivery,
    make_hold,
    make_rollout,
    make_training,
    take,
    write,
)
from tests.support.web import Knock, knock
from webhooks.gauges import Snapshot, SnapshotCollector
from workers.metrics import PrometheusMeters, serve_metrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    """Return every sample of an exposition."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    folder = tmp_path_factory.mktemp("installation")
    return folder, make_home(folder)


@pytest.fixture(scope="module")
def web(home: tuple[Path, dict[str, str]]) -> Iterator[Web]:
    with running_web(*home) as running:
        yield running


def collected(store: SqlStore, folder: Path) -> Samples:
    """Return what a scrape shows of a store."""
    collector = SnapshotCollector(folder)
    collector.show(Snapshot.take(store.tallies))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


# ---------------------------------------------------------------- who may look


def test_metrics_want_the_token(web: Web) -> None:
    assert web.get("/metrics")[0] == 401
    assert web.get("/metrics", authorization="Bearer wrong")[0] == 401
    assert web.get("/metrics", authorization=f"Basic {TOKEN}")[0] == 401
    status, text = web.get("/metrics", authorization="Bearer ä")
    assert (status, json.loads(text)["code"]) == (401, "no_token")


def test_metrics_answer_a_scraper_that_knows_the_process_by_another_name(web: Web) -> None:
    status, _ = web.get("/metrics", authorization=f"Bearer {TOKEN}", host="10.0.0.7:8080")
    assert status == 200
    assert web.get("/healthz", host="10.0.0.7:8080")[0] == 421


def test_nobody_gets_metrics_where_no_token_is_set(home: tuple[Path, dict[str, str]]) -> None:
    folder, variables = home
    variables = {name: value for name, value in variables.items() if "TOKEN" not in name}
    with running_web(folder, variables) as other:
        status, text = other.get("/metrics", authorization="Bearer ")
        assert (status, json.loads(text)["code"]) == (404, "metrics_off")


# ---------------------------------------------------------------- the door


def test_answers_at_the_door_are_counted_by_code_and_the_time_of_stored_ones(web: Web) -> None:
    before = read(web.scrape())
    stored = Knock()
    for knocked in (stored, stored, Knock(signature=b"sha256=" + b"0" * 64), Knock(event="ping"), Knock(method="PUT")):
        knock(web.port, _at_home(knocked, web))
    after = read(web.scrape())

    def grown(name: str, **labels: str) -> float:
        return value(after, name, **labels) - before.get((name, frozenset(labels.items())), 0)

    codes = ("accepted", "duplicate", "signature_invalid", "pong", "method_not_allowed")
    assert [grown("launchpin_ingest_total", code=code) for code in codes] == [1] * 5
    assert grown("launchpin_ingest_seconds_count") == 1
    assert value(after, "launchpin_jobs", kind="delivery", state="ready") >= 1
    assert value(after, "launchpin_deliveries_newest", outcome="pending") >= 1


def _at_home(knocked: Knock, web: Web) -> Knock:
    host = ((b"Host", f"127.0.0.1:{web.port}".encode()),)
    return Knock(**{**vars(knocked), "without": (b"host",), "headers": host})


def test_what_a_stranger_sends_makes_no_new_series(web: Web) -> None:
    before = {name for name, _ in read(web.scrape())}
    series = len(read(web.scrape()))
    for number in range(20):
        knock(web.port, _at_home(Knock(signature=b"sha256=" + b"1" * 64, event=f"event_{number}"), web))
    after = read(web.scrape())
    assert {name for name, _ in after} == before
    assert len(after) <= series + 1  # the code of these answers, where it was not there yet


# ---------------------------------------------------------------- health


def test_health_and_readiness_say_ok(web: Web) -> None:
    assert web.get("/healthz") == (200, '{"status":"ok"}')
    assert web.get("/readyz") == (200, '{"status":"ok"}')


def test_process_is_alive_and_not_ready_when_the_database_is_gone_or_another_ones(tmp_path: Path) -> None:
    with running_web(tmp_path, make_home(tmp_path)) as web:
        database = tmp_path / "home" / "launchpin.sqlite3"
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        status, text = web.get("/readyz")
        assert (status, json.loads(text)["cause"]) == (503, "SchemaMismatch")

        with sqlite3.connect(database) as connection:
            connection.execute("DROP TABLE jobs")
        connection.close()
        samples = read(web.scrape())
        assert value(samples, "launchpin_database_up") == 0
        assert ("launchpin_holds_open", frozenset()) not in samples
        assert web.get("/healthz")[0] == 200


# ---------------------------------------------------------------- what the database holds


def test_empty_database_shows_every_series_that_an_alert_needs(store: SqlStore, tmp_path: Path) -> None:
    samples = collected(store, tmp_path)
    assert value(samples, "launchpin_database_up") == 1
    for queue in Queue:
        for name in ("queue_ready", "queue_oldest_seconds", "leases_held", "leases_expired"):
            assert value(samples, f"launchpin_{name}", queue=queue.value) == 0
    for kind in ("training", "promotion", "rollout"):
        for phase in Phase:
            for name in ("ended_day", "ended_recent") if phase.is_final else ("open",):
                assert value(samples, f"launchpin_stories_{name}", kind=kind, phase=phase.value) == 0
    assert value(samples, "launchpin_holds_open") == 0
    assert value(samples, "launchpin_anchors_unacknowledged") == 0
    assert value(samples, "launchpin_audit_entries") == value(samples, "launchpin_audit_signed_entries") == 0
    assert value(samples, "launchpin_audit_head_age_seconds") == 0
    assert value(samples, "launchpin_relay_lead_seconds") < 0
    assert value(samples, "launchpin_messages_oldest_seconds") == 0
    assert value(samples, "launchpin_disk_free_bytes") > 0
    assert asked_of_the_database() <= {name for name, _ in samples}


def asked_of_the_database() -> set[str]:
    """Return the metrics that alerts ask for, but those that a process counts and those that come with a job."""
    rules = yaml.safe_load((docs.ROOT / "infra/monitoring/alerts.yml").read_text())["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"launchpin_[a-z_]+", rule["expr"])}
    return {name for name in asked if not name.endswith("_total")} - {"launchpin_waits"}


def test_entries_without_any_head_are_as_old_as_the_first_of_them(
    store: SqlStore, clock: Clock, tmp_path: Path
) -> None:
    for _ in range(2):
        write(store, SetHold(make_hold()))
        clock.advance(timedelta(seconds=200))
    samples = collected(store, tmp_path)
    assert value(samples, "launchpin_audit_signed_entries") == 0
    assert value(samples, "launchpin_audit_head_age_seconds") == 400


def test_queue_shows_what_waits_how_long_and_who_holds_what(store: SqlStore, clock: Clock, tmp_path: Path) -> None:
    for number in range(3):
        store.wake("poll", str(number))
    store.wake("train", "1", queue=Queue.TRAINING)
    held = take(store)
    clock.advance(timedelta(seconds=40))
    samples = collected(store, tmp_path)
    assert value(samples, "launchpin_queue_ready", queue="control") == 2
    assert value(samples, "launchpin_queue_oldest_seconds", queue="control") == 40
    assert value(samples, "launchpin_queue_ready", queue="training") == 1
    assert value(samples, "launchpin_leases_held", queue="control") == 1
    assert value(samples, "launchpin_leases_expired", queue="control") == 0

    clock.advance(LEASE)
    samples = collected(store, tmp_path)
    assert value(samples, "launchpin_leases_held", queue="control") == 0
    assert value(samples, "launchpin_leases_expired", queue="control") == 1
    assert held.kind == "poll"


def test_waits_are_shown_by_their_cause_and_retries_by_what_was_told(store: SqlStore, tmp_path: Path) -> None:
    write(store, StartTraining(make_training()))
    claim = take(store)
    assert claim.kind == "training"
    answer(store, claim, Wait(timedelta(hours=1), "Locked", "for a test"))
    store.wake("anchor", "1")
    error = "ForgeUnavailable: https://forge/ answered 503: and so on"
    store.finish(take(store), Exit(None, None, error=error, retry_after=60, recurring=True))
    store.wake("compare", "1")
    store.finish(take(store), Exit(None, Stalled("DiskLow", "no room"), recurring=True))
    samples = collected(store, tmp_path)
    assert value(samples, "launchpin_waits", kind="training", state="waiting", reason="Locked") == 1
    assert value(samples, "launchpin_waits", kind="anchor", state="retrying", reason="ForgeUnavailable") == 1
    assert value(samples, "launchpin_waits", kind="compare", state="stalled", reason="DiskLow") == 1
    assert value(samples, "launchpin_job_tries", kind="anchor") == 1


def test_reasons_cannot_make_series_without_end(store: SqlStore, tmp_path: Path) -> None:
    for number in range(300):
        store.wake("compare", str(number))
        store.finish(take(store), Exit(None, Stalled(f"Reason{number}", ""), recurring=True))
    waits = {labels: count for (name, labels), count in collected(store, tmp_path).items() if name == "launchpin_waits"}
    assert len(waits) <= 101
    assert sum(waits.values()) == 300


def test_stories_are_shown_by_phase_and_holds_are_counted(store: SqlStore, clock: Clock, tmp_path: Path) -> None:
    write(store, OpenRollout(make_rollout()), SetHold(make_hold()))
    samples = collected(store, tmp_path)
    assert value(samples, "launchpin_stories_open", kind="rollout", phase="Pending") == 1
    assert value(samples, "launchpin_holds_open") == 1

    def ended(name: str) -> float:
        return value(collected(store, tmp_path), f"launchpin_stories_ended_{name}", kind="rollout", phase="Refused")

    # It counts by when it ended, however long ago it began.
    clock.advance(timedelta(days=2))
    answer(store, take(store), Refused("NoVersion", "there is none"), step="verify")
    assert value(collected(store, tmp_path), "launchpin_stories_open", kind="rollout", phase="Pending") == 0
    assert (ended("day"), ended("recent")) == (1, 1)

    clock.advance(timedelta(minutes=16))
    assert (ended("day"), ended("recent")) == (1, 0)
    clock.advance(timedelta(days=1))
    assert (ended("day"), ended("recent")) == (0, 0)


def test_heads_count_as_unacknowledged_until_every_deploy_repository_has_them(
    store: SqlStore, clock: Clock, tmp_path: Path
) -> None:
    for number in (1, 2):
        write(store, SaveRepository(make_deploy(number)))
    size = store.audit_size()
    store.save_checkpoint(size, "a head\n")
    clock.advance(timedelta(seconds=90))

    def anchored(number: int, size: int) -> MoveRef:
        row = WatchedRef(repository_id=number, ref=ANCHOR_REF, commit="c" * 40, message=note_anchored(Anchored(size)))
        return MoveRef(row)

    def unacknowledged() -> tuple[float, float]:
        samples = collected(store, tmp_path)
        names = ("launchpin_anchors_unacknowledged", "launchpin_anchor_oldest_seconds")
        return value(samples, names[0]), value(samples, names[1])

    assert unacknowledged() == (1, 90)
    write(store, anchored(1, size))
    assert unacknowledged() == (1, 90)
    write(store, anchored(2, size))
    assert unacknowledged() == (0, 0)
    assert value(collected(store, tmp_path), "launchpin_audit_signed_entries") == size
    assert value(collected(store, tmp_path), "launchpin_audit_head_age_seconds") == 90


def make_deploy(number: int) -> Repository:
    name = f"acme/deploy-{number}"
    return Repository(id=number, full_name=name, role=Role.DEPLOY, clone_url=f"http://127.0.0.1/{name}.git")


def test_lead_of_the_relay_is_shown_until_it_runs_out(store: SqlStore, clock: Clock, tmp_path: Path) -> None:
    assert value(collected(store, tmp_path), "launchpin_relay_lead_seconds") == -1
    store.lead("relay", "one", seconds=12)
    assert value(collected(store, tmp_path), "launchpin_relay_lead_seconds") == 12
    clock.advance(timedelta(seconds=20))
    assert value(collected(store, tmp_path), "launchpin_relay_lead_seconds") == -8
    clock.advance(-timedelta(hours=1))
    assert value(collected(store, tmp_path), "launchpin_relay_lead_seconds") < 0


# ---------------------------------------------------------------- workers


@pytest.fixture
def counted() -> Iterator[PrometheusMeters]:
    before = meters.meters()
    mine = PrometheusMeters()
    meters.use_meters(mine)
    yield mine
    meters.use_meters(before)


def test_steps_are_counted_by_outcome_and_timed(store: SqlStore, tmp_path: Path, counted: PrometheusMeters) -> None:
    write(store, StartTraining(make_training()))
    outcomes: Iterator[Outcome] = iter([Wait(timedelta(0), "Locked"), Done(), Refused("GateRefused", "no")])

    def answer_next(_: Deps, __: Record) -> Outcome:
        return next(outcomes)

    steps = (Step("look", answer_next), Step("judge", answer_next))
    story: AnyStory = Story("training", steps, lambda deps, subject: deps.store.training(subject))
    loop = Loop(make_deps(store, tmp_path), {"training": story}, "test", shift=Shift())
    run_until_idle(loop, Queue.CONTROL)
    store.wake("training", make_training().id)
    samples = {(s.name, frozenset(s.labels.items())): s.value for f in counted.registry.collect() for s in f.samples}
    for step, outcome in (("look", "wait"), ("look", "done"), ("judge", "refused")):
        assert value(samples, "launchpin_steps_total", kind="training", step=step, outcome=outcome) == 1
    assert value(samples, "launchpin_step_seconds_count", kind="training", step="look") == 2


def test_outcomes_of_deliveries_are_counted(store: SqlStore, tmp_path: Path, counted: PrometheusMeters) -> None:
    store.save_delivery(make_delivery())

    def read_it(_: Deps, __: Record) -> Outcome:
        return Done(facts={"outcome": "ignored", "reason": "event"})

    steps = (Step("read", read_it),)
    story: AnyStory = Story("delivery", steps, lambda deps, subject: deps.store.delivery(subject))
    run_until_idle(Loop(make_deps(store, tmp_path), {"delivery": story}, "test"), Queue.CONTROL)
    samples = {(s.name, frozenset(s.labels.items())): s.value for f in counted.registry.collect() for s in f.samples}
    assert value(samples, "launchpin_deliveries_total", outcome="ignored") == 1
    assert value(collected(store, tmp_path), "launchpin_deliveries_newest", outcome="ignored") == 1


def test_a_worker_serves_its_counts_on_its_own_port_to_the_token_alone(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    before = meters.meters()
    server = serve_metrics(Settings(metrics_port=free_port(), metrics_token_file=token))
    assert server is not None
    try:
        meters.meters().count_step("training", "train", "done", 1.5)
        url = f"http://127.0.0.1:{server.server_port}"
        samples = read(_get(f"{url}/metrics", TOKEN))
        assert value(samples, "launchpin_steps_total", kind="training", step="train", outcome="done") == 1
        for path, shown in (("/metrics", "wrong"), ("/", TOKEN)):
            with pytest.raises(urllib.error.HTTPError, match=r"401|404") as refused:
                _get(url + path, shown)
            refused.value.close()
        assert serve_metrics(Settings(metrics_port=server.server_port, metrics_token_file=token)) is None
    finally:
        server.shutdown()
        server.server_close()
        meters.use_meters(before)


def _get(url: str, token: str) -> str:
    request = urllib.request.Request(url, headers={"authorization": f"Bearer {token}"})  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as answered:  # noqa: S310 - loopback
        text: str = answered.read().decode()
    return text

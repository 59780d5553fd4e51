"""One delivery and all it causes is one trace: the real web process, the real loop and store, and a real collector.

The stories are small; what they ask of the outside goes over loopback by the adapters' own clients.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gitops.errors import RetryError
from gitops.forge.github import GitHubForge
from gitops.ports import Deps
from gitops.reconcile import AnyStory, Loop, run_until_idle
from gitops.records import Cause, Delivery, Frozen, Promotion, Rollout, Training
from gitops.registry.mlflow import MlflowRegistry
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Step, Story
from gitops.store import SqlStore
from gitops.targets.local import LocalTarget
from gitops.telemetry import tracing
from gitops.writes import OpenPromotion, OpenRollout, StartTraining
from tests.support.deps import make_deps
from tests.support.otlp import ERROR, Collector, Seen, collecting
from tests.support.processes import make_home, running_web
from tests.support.store import make_cause, make_promotion, make_rollout, make_training, write
from tests.support.web import Knock, knock

CLIENT = 3  # SpanKind.SPAN_KIND_CLIENT


class Outside(ThreadingHTTPServer):
    """Forge, registry and target in one: answers everything with 503, and keeps the headers that came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refuse)
        self.parents: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Refuse(BaseHTTPRequestHandler):
    server: Outside

    def do_GET(self) -> None:
        self.server.parents.append((self.path.partition("?")[0], self.headers.get("traceparent") or ""))
        self.send_response_only(503)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def outside() -> Iterator[Outside]:
    with Outside() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as running:
        for name, value in running.variables.items():
            monkeypatch.setenv(name, value)
        yield running


class Made(Frozen):
    """What an effect made."""

    name: str


@dataclass
class Play:
    """Small stories, from a delivery to a rollout that fails."""

    outside: Outside
    trainings: list[Training] = field(default_factory=list)

    def read(self, _: Deps, delivery: Delivery) -> Outcome:
        self.trainings.append(make_training(cause=delivery.cause))
        return Done(facts={"outcome": "woke"}, writes=(StartTraining(self.trainings[0]),))

    def train(self, deps: Deps, training: Training) -> Outcome:
        made = deps.effects.once(
            "make", f"make:{training.id}", look=lambda: None, act=lambda: Made(name="run"), result=Made
        )
        return Done(facts={"run_id": made.name})

    def ask(self, _: Deps, __: Training) -> Outcome:
        """Ask every system; none is there, which each adapter says in its own way."""
        forge = GitHubForge(f"{self.outside.url}/forge", "token", login="bot")
        for ask in (
            lambda: forge.head("acme/iris", "main"),
            lambda: MlflowRegistry(f"{self.outside.url}/mlflow").version("iris", "1"),
            LocalTarget(f"{self.outside.url}/target", "token").host,
        ):
            with pytest.raises(RetryError):
                ask()
        return Done()

    def hand_over(self, _: Deps, training: Training) -> Outcome:
        cause = Cause(kind="training", id=training.id)
        return Done(writes=(OpenPromotion(make_promotion(cause=cause, training_id=training.id)),))

    def merge(self, _: Deps, promotion: Promotion) -> Outcome:
        """A comparison finds the merged pin: the rollout's row names the commit as its cause, not the promotion."""
        same = {name: getattr(promotion, name) for name in ("repository_id", "environment", "path", "model", "version")}
        rollout = make_rollout(cause=Cause(kind="compare", id="c" * 40), **same)
        return Done(writes=(OpenRollout(rollout),))

    def apply(self, _: Deps, rollout: Rollout) -> Outcome:
        del rollout
        return Ended(Phase.ROLLED_BACK, "EndpointUnhealthy", "the new version does not answer")

    def stories(self) -> dict[str, AnyStory]:
        def story(kind: str, *steps: Callable[[Deps, Any], Outcome]) -> AnyStory:
            made = tuple(Step(step.__name__, step) for step in steps)
            return Story(kind, made, lambda deps, subject: getattr(deps.store, kind)(subject))

        found = (
            story("delivery", self.read),
            story("training", self.train, self.ask, self.hand_over),
            story("promotion", self.merge),
            story("rollout", self.apply),
        )
        return {one.kind: one for one in found}


@contextlib.contextmanager
def traced(part: str) -> Iterator[None]:
    assert tracing.start_tracing(part)
    try:
        yield
    finally:
        tracing.stop_tracing()


def wait_for(what: str, is_there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_there():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)  # the pace of looking


def parent_of(span: Seen, spans: list[Seen]) -> str:
    return next((other.name for other in spans if other.span == span.parent), "")


def test_a_delivery_and_all_it_causes_is_one_trace_across_processes(
    tmp_path: Path, collector: Collector, outside: Outside
) -> None:
    variables = make_home(tmp_path)
    guid = "0b989ba4-242f-11e5-81e1-c7b6966d2516"
    with running_web(tmp_path, {**variables, **collector.variables}) as web:
        host = ((b"Host", f"127.0.0.1:{web.port}".encode()),)
        assert knock(web.port, Knock(guid=guid, without=(b"host",), headers=host)).status == 202
    wait_for("the receiver's span", lambda: bool(collector.named("receive")))

    store = SqlStore(f"sqlite:///{tmp_path / 'home' / 'launchpin.sqlite3'}")
    loop = Loop(make_deps(store, tmp_path), Play(outside).stories(), "test")
    # Each kind of work in another process, as it were: nothing but the database goes from one to the next.
    while True:
        with traced("control"):
            if run_until_idle(loop, Queue.CONTROL, is_stopping=_after_one()) == 0:
                break
    store.close()

    spans = [span for span in collector.spans if not span.name.startswith("report")]
    assert len({span.trace for span in spans}) == 1
    assert {span.service for span in spans} == {"launchpin-web", "launchpin-control"}
    parents = {span.name: parent_of(span, spans) for span in spans}
    assert parents == {
        "receive": "",
        "delivery": "receive",
        "delivery read": "delivery",
        "training": "delivery",
        "training train": "training",
        "effect make": "training train",
        "training ask": "training",
        "forge GET": "training ask",
        "registry GET": "training ask",
        "target GET": "training ask",
        "training hand_over": "training",
        "promotion": "training",
        "promotion merge": "promotion",
        "rollout": "promotion",
        "rollout apply": "rollout",
    }
    assert collector.one("receive").attributes["delivery"] == guid

    apply = collector.one("rollout apply")
    assert (apply.status, apply.message) == (ERROR, "EndpointUnhealthy")
    assert {name: apply.attributes[name] for name in ("kind", "step", "outcome", "reason", "delivery")} == {
        "kind": "rollout",
        "step": "apply",
        "outcome": "rolled_back",
        "reason": "EndpointUnhealthy",
        "delivery": guid,
    }
    assert collector.one("rollout").status == ERROR
    train = collector.one("training train")
    assert (train.status, train.attributes["outcome"], train.attributes["epoch"]) == (0, "done", "1")
    story = collector.one("training")
    assert story.begin <= train.begin <= train.end <= story.end + 1_000_000


def _after_one() -> Callable[[], bool]:
    """Return what says no the first time: one claim for each process."""
    answers = iter([False])
    return lambda: next(answers, True)


def test_requests_to_the_outside_carry_the_place_of_their_span(
    store: SqlStore, tmp_path: Path, collector: Collector, outside: Outside
) -> None:
    with traced("control"):
        Play(outside).ask(make_deps(store, tmp_path), make_training())
        with tracing.span("around"):
            Play(outside).ask(make_deps(store, tmp_path), make_training())
    assert len(outside.parents) == 6
    for system in ("forge", "mlflow", "target"):
        sent = [parent for path, parent in outside.parents if path.startswith(f"/{system}")]
        name = {"mlflow": "registry"}.get(system, system)
        spans = [span for span in collector.spans if span.name == f"{name} GET"]
        assert sent == [f"00-{span.trace}-{span.span}-01" for span in spans]
        assert {(span.kind, span.status, span.attributes["http.response.status_code"]) for span in spans} == {
            (CLIENT, ERROR, "503")
        }
        assert all("?" not in span.attributes["url.path"] for span in spans)


def test_requests_carry_nothing_while_nobody_collects(store: SqlStore, tmp_path: Path, outside: Outside) -> None:
    Play(outside).ask(make_deps(store, tmp_path), make_training())
    assert [parent for _, parent in outside.parents] == [""] * 3


def test_what_raises_is_a_failed_span_that_does_not_quote_the_error(
    store: SqlStore, tmp_path: Path, collector: Collector
) -> None:
    def fail(_: Deps, __: Training) -> Outcome:
        raise RuntimeError("https://user:hunter2@forge/ refused")

    write(store, StartTraining(make_training()))
    story: AnyStory = Story("training", (Step("train", fail),), lambda deps, subject: deps.store.training(subject))
    with traced("control"):
        run_until_idle(Loop(make_deps(store, tmp_path), {"training": story}, "test"), Queue.CONTROL)
    step = collector.one("training train")
    assert (step.status, step.attributes["outcome"]) == (ERROR, "retry")
    assert "hunter2" not in str(collector.spans)


def test_a_revert_begins_a_trace_of_its_own_and_a_rollback_stays_in_its_rollouts(store: SqlStore) -> None:
    training = make_training(cause=make_cause())
    promotion = make_promotion(cause=Cause(kind="training", id=training.id), training_id=training.id)
    same = {name: getattr(promotion, name) for name in ("repository_id", "environment", "path", "model", "version")}
    write(store, StartTraining(training))
    write(store, OpenPromotion(promotion))
    first = make_rollout(cause=Cause(kind="compare", id="1" * 40), **same)
    write(store, OpenRollout(first))
    back = make_rollout(cause=Cause(kind="rollout", id=first.id), direction="rollback", **{**same, "version": "0"})
    write(store, OpenRollout(back))
    again = make_rollout(cause=Cause(kind="compare", id="2" * 40), **same)
    write(store, OpenRollout(again))

    whole = (("promotion", promotion.id), ("training", training.id), ("delivery", training.cause.id))
    assert store.ancestry("rollout", first.id) == (("rollout", first.id), *whole)
    assert store.ancestry("rollout", back.id) == (("rollout", back.id), ("rollout", first.id), *whole)
    assert store.ancestry("rollout", again.id) == (("rollout", again.id),)
    assert store.ancestry("training", "unknown") == (("training", "unknown"),)

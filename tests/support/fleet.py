"""A store that looks like a busy afternoon: two models, a hold, a baking rollout, a refused training. For pages."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gitops.audit.checkpoint import Checkpoint, generate_key, sign
from gitops.ports import Exit
from gitops.records import Environment, Health, MergeMode, Record, Role, Sync
from gitops.steps import Done, Ended, Outcome, Phase, Refused, Wait
from gitops.store import SqlStore
from gitops.store.migrate import migrate
from gitops.verdicts import GateOutcome
from gitops.writes import (
    OpenPromotion,
    OpenRollout,
    SaveEnvironment,
    SaveRepository,
    SaveVersion,
    SetHold,
    StartTraining,
)
from tests.support.store import (
    Clock,
    answer,
    make_delivery,
    make_environment,
    make_hold,
    make_promotion,
    make_repository,
    make_rollout,
    make_training,
    make_url,
    make_version,
    take,
    write,
)

FORGE = "http://127.0.0.1:3000"
BAKING = "r-000000007"
REFUSED = "t-000000006"
BAD_BODY = "0b5ad3b1-55f2-4b5e-9d0c-2a4c1f4e8a11"
_EVENTS = {
    "train": "trained",
    "judge": "judged",
    "plan": "planned",
    "open_pull_request": "proposed",
    "admit": "admitted",
    "apply": "applied",
}
_LONG = timedelta(days=30)


def open_fleet(folder: Path, *, before: timedelta = timedelta(hours=7)) -> tuple[SqlStore, Clock]:
    """Return an empty store in a folder, whose clock is behind the real one, so that ages come out right."""
    migrate(make_url(folder), host="launchpin.test")
    clock = Clock()
    clock.time = datetime.now(UTC) - before
    return SqlStore(make_url(folder), clock=clock), clock


def fill_fleet(store: SqlStore, clock: Clock) -> None:
    """Play the afternoon."""
    _connect(store)
    _deliver(store, "push", outcome="woke", woke=("training:t-000000001",))
    write(store, SaveVersion(make_version(version="6")))
    _train(store, "t-000000001", "iris", version="6", metrics={"accuracy": "0.953", "f1": "0.951"})
    clock.advance(timedelta(hours=3))
    _train(store, "t-000000003", "churn", version="12", metrics={"auc": "0.871", "log_loss": "0.31", "rows": "48211"})
    _environment(store, 2, "staging", serving="7", pinned="7", champion=False, since=clock())
    _environment(store, 2, "production", serving="6", pinned="7", champion=True, since=clock() - timedelta(days=3))
    _environment(store, 4, "staging", serving="11", pinned="11", champion=False, since=clock())
    _environment(store, 4, "production", serving="11", pinned="11", champion=True, since=clock() - timedelta(days=9))
    clock.advance(timedelta(hours=3))
    _hold(store)
    _refuse(store)
    clock.advance(timedelta(minutes=40))
    _deliver(store, "branch", outcome="ignored", reason="NotWatched", detail="no launchpin.yaml watches refs/heads/try")
    _promote(store)
    _sign(store)
    clock.advance(timedelta(minutes=18))
    _bake(store)
    _train_now(store)
    _deliver(store, "late", guid=BAD_BODY, outcome="rejected", reason="BadPayload", detail="after is missing")
    clock.advance(timedelta(seconds=75))


def _connect(store: SqlStore) -> None:
    for number, name in ((1, "acme/iris"), (2, "acme/iris-deploy"), (3, "acme/churn"), (4, "acme/churn-deploy")):
        role = Role.DEPLOY if name.endswith("deploy") else Role.MODEL
        where = {"clone_url": f"{FORGE}/{name}.git", "html_url": f"{FORGE}/{name}"}
        write(store, SaveRepository(make_repository(id=number, full_name=name, role=role, **where)))


def _environment(
    store: SqlStore, repository: int, name: str, *, serving: str, pinned: str, champion: bool, since: datetime
) -> None:
    model = "iris" if repository == 2 else "churn"
    endpoint = f"{model}-{name}"
    is_held = endpoint == "churn-staging"
    place = make_environment(
        repository_id=repository,
        repository=f"acme/{model}-deploy",
        path=name,
        name=name,
        model=model,
        endpoint=endpoint,
        is_champion=champion,
        serving=serving,
        pinned=pinned,
        pin_commit=("4be19c2" * 6)[:40],
        serving_since=since,
        sync=Sync.SYNCED if serving == pinned else Sync.OUT_OF_SYNC,
        health=Health.HEALTHY if serving == pinned else Health.PROGRESSING,
        url=f"http://127.0.0.1:8090/endpoints/{endpoint}",
        message="version 12 was rolled back: EndpointUnhealthy" if is_held else "",
    )
    write(store, SaveEnvironment(place, tuple(Environment.model_fields)))


def _drive(store: SqlStore, record: Record, *ends: tuple[str, str, Outcome]) -> None:
    for step, next_step, outcome in ends:
        claim = take(store)
        assert claim.subject == record.id
        answer(store, claim, outcome, step=step, event=_EVENTS.get(step, ""), next_step=next_step)


def _gate(metric: str, operator: str, threshold: str, value: str, outcome: str = "pass") -> GateOutcome:
    words = {"pass": "is", "fail": "is not"}[outcome]
    message = f"{metric} {value} {words} {operator} {threshold}"
    return GateOutcome(
        metric=metric, operator=operator, threshold=threshold, value=value, outcome=outcome, message=message
    )


def _train(store: SqlStore, name: str, model: str, *, version: str, metrics: dict[str, str]) -> None:
    repository = {"iris": 1, "churn": 3}[model]
    training = make_training(id=name, model=model, repository_id=repository, repository=f"acme/{model}")
    write(store, StartTraining(training))
    first, value = next(iter(metrics.items()))
    facts: dict[str, Any] = {
        "metrics": metrics,
        "verdict": "pass",
        "sentence": f"{first} {value} is above 0.85; champion v{int(version) - 1} had 0.849",
        "gates": (_gate(first, "above", "0.85", value), _gate("f1", "at least", "0.8", "0.861")),
        "champion_metrics": {first: "0.849"},
        "champion_version": str(int(version) - 1),
        "parameters": {"seed": "42", "max_depth": "3"},
        "version": version,
        "run_id": "5f0c9b1d7a3e4a55",
        "exit_code": 0,
        "log_tail": ("loading 48211 rows", "epoch 1 of 1", f"{first}={value}", "saved the model"),
    }
    _drive(
        store,
        training,
        ("environment", "train", Done(message="environment 9c2f is ready")),
        ("train", "judge", Done(message="trained in 14 s")),
        ("judge", "hand_over", Done(facts=facts)),
        ("hand_over", "", Done(message=f"{model} {version} goes to staging")),
    )


def _hold(store: SqlStore) -> None:
    rollout = make_rollout(
        id="r-000000005",
        repository_id=4,
        repository="acme/churn-deploy",
        endpoint="churn-staging",
        model="churn",
        version="12",
    )
    write(store, OpenRollout(rollout))
    why = "3 of 412 requests were answered with 500"
    ended = Ended(Phase.ROLLED_BACK, "EndpointUnhealthy", f"back to version 11: {why}", facts={"serving": "11"})
    _drive(store, rollout, ("admit", "bake", Done(facts={"previous_version": "11"})), ("bake", "", ended))
    hold = make_hold(repository_id=4, model="churn", reason="EndpointUnhealthy", message=f"version 12 failed: {why}")
    write(store, SetHold(hold))


def _refuse(store: SqlStore) -> None:
    training = make_training(id=REFUSED, commit="a81f00c" * 5 + "a81f0")
    write(store, StartTraining(training))
    sentence = "accuracy 0.893 is not above 0.9; champion v6 has 0.953"
    facts: dict[str, Any] = {
        "metrics": {"accuracy": "0.893", "f1": "0.886"},
        "champion_metrics": {"accuracy": "0.953", "f1": "0.951"},
        "champion_version": "6",
        "verdict": "fail",
        "sentence": sentence,
        "gates": (_gate("accuracy", "above", "0.9", "0.893", "fail"), _gate("f1", "above", "0.8", "0.886")),
        "log_tail": ("fitting 120 rows", "accuracy=0.893"),
    }
    _drive(
        store,
        training,
        ("train", "judge", Done(message="trained in 9 s")),
        ("judge", "", Refused("GateRefused", sentence, facts=facts)),
    )


def _promote(store: SqlStore) -> None:
    promotion = make_promotion(
        id="p-000000007", environment="production", path="production", version="8", merge=MergeMode.REVIEW
    )
    write(store, OpenPromotion(promotion))
    facts = {"number": 12, "url": f"{FORGE}/acme/iris-deploy/pull/12"}
    checks = {"checks": {"launchpin/plan (production)": "success", "tests": "failure", "security": "pending"}}
    _drive(
        store,
        promotion,
        ("plan", "open_pull_request", Done()),
        ("open_pull_request", "await_merge", Done(facts=facts, message="pull request 12 is open")),
        ("await_merge", "", Wait(_LONG, "AwaitingMerge", "pull request 12 waits for a person's merge", facts=checks)),
    )


def _sign(store: SqlStore) -> None:
    size = store.audit_size()
    store.save_checkpoint(
        size, sign(Checkpoint(store.log_id, size, store.audit_root(size)), generate_key(store.log_id))
    )


def _bake(store: SqlStore) -> None:
    rollout = make_rollout(
        id=BAKING, environment="production", path="production", endpoint="iris-production", version="7"
    )
    write(store, OpenRollout(rollout))
    _drive(
        store,
        rollout,
        ("admit", "apply", Done(facts={"previous_version": "6"})),
        ("apply", "bake", Done(facts={"applied": True, "smoke": "pass", "bake_seconds": 120.0})),
        ("bake", "", Wait(_LONG, "Baking", "1834 requests, 0 errors, 45 s to go")),
    )


def _train_now(store: SqlStore) -> None:
    training = make_training(id="t-000000009", model="churn", repository_id=3, repository="acme/churn")
    write(store, StartTraining(training))
    claim = take(store)
    answer(store, claim, Done(message="environment 9c2f is ready"), step="environment", next_step="train")
    # Not before this afternoon is over: workers that leave it would be late.
    later = _LONG.total_seconds()
    failed = Exit(store.training(training.id), None, step="train", error="MLflow answered 503", retry_after=later)
    store.finish(take(store), failed)


def _deliver(store: SqlStore, body: str, *, guid: str = "", outcome: str, **facts: Any) -> None:  # noqa: ANN401 - facts
    delivery = make_delivery(body.encode(), **({"id": guid} if guid else {}))
    store.save_delivery(delivery)
    answer(store, take(store), Done(facts={"outcome": outcome, **facts}), step="triage")

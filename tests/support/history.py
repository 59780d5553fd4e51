"""A store in which a model has a past: versions over weeks, one that failed, merges by people. For pictures."""

from datetime import timedelta

from gitops.records import Environment, Health, MergeMode, Role, Sync
from gitops.steps import Done, Ended, Phase
from gitops.store import SqlStore
from gitops.verdicts import GateOutcome
from gitops.writes import (
    OpenPromotion,
    OpenRollout,
    SaveEnvironment,
    SaveRepository,
    SaveVersion,
    StartTraining,
)
from tests.support.fleet import FORGE, fill_fleet
from tests.support.store import (
    Clock,
    answer,
    make_environment,
    make_promotion,
    make_repository,
    make_rollout,
    make_training,
    make_version,
    take,
    write,
)

MODEL_REPOSITORY, DEPLOY_REPOSITORY = 5, 6
MERGED = "p-fraud-06"
FAILED = "r-fraud-05"
_PAST = timedelta(days=45)
# Days until the next one, AUC, recall, and who merged it; the fifth fails.
_VERSIONS = (
    (9, "0.861", "0.602", "ada"),
    (6, "0.874", "0.615", "ada"),
    (8, "0.880", "0.611", "grace"),
    (7, "0.879", "0.640", "ada"),
    (1, "0.893", "0.655", "grace"),
    (7, "0.896", "0.668", "ada"),
)


def fill_with_history(store: SqlStore, clock: Clock) -> None:
    """Play some weeks of the model `fraud`, and then the afternoon of the fleet."""
    now = clock()
    clock.time = now - _PAST
    for number, name in ((MODEL_REPOSITORY, "acme/fraud"), (DEPLOY_REPOSITORY, "acme/fraud-deploy")):
        role = Role.DEPLOY if number == DEPLOY_REPOSITORY else Role.MODEL
        where = {"clone_url": f"{FORGE}/{name}.git", "html_url": f"{FORGE}/{name}"}
        write(store, SaveRepository(make_repository(id=number, full_name=name, role=role, **where)))
    serving = ""
    for number, (days, auc, recall, who) in enumerate(_VERSIONS, start=1):
        serving = _play(store, clock, str(number), {"auc": auc, "recall": recall}, who, before=serving)
        clock.advance(timedelta(days=days))
    since = clock() - timedelta(days=_VERSIONS[-1][0])
    for name in ("staging", "production"):
        write(store, SaveEnvironment(_environment(name, serving).model_copy(update={"serving_since": since}), _FIELDS))
    clock.time = now
    fill_fleet(store, clock)


_FIELDS = tuple(Environment.model_fields)


def _environment(name: str, serving: str) -> Environment:
    return make_environment(
        repository_id=DEPLOY_REPOSITORY,
        repository="acme/fraud-deploy",
        path=name,
        name=name,
        model="fraud",
        endpoint=f"fraud-{name}",
        target="local",
        is_champion=name == "production",
        serving=serving,
        pinned=serving,
        pin_commit="c0ffee0" * 5 + "c0ffe",
        earlier=("6", "4", "3"),
        sync=Sync.SYNCED,
        health=Health.HEALTHY,
        url=f"http://127.0.0.1:8090/endpoints/fraud-{name}",
    )


def _play(store: SqlStore, clock: Clock, version: str, metrics: dict[str, str], who: str, *, before: str) -> str:
    """Train a version, merge it and roll it out to both environments; returns what serves then."""
    training = make_training(
        id=f"t-fraud-{version:0>2}",
        model="fraud",
        repository_id=MODEL_REPOSITORY,
        repository="acme/fraud",
        config_path="fraud/launchpin.yaml",
    )
    gate = GateOutcome(
        metric="auc",
        operator="above",
        threshold="0.85",
        value=metrics["auc"],
        outcome="pass",
        message=f"auc {metrics['auc']} is above 0.85",
    )
    write(store, StartTraining(training))
    facts = {
        "metrics": metrics,
        "verdict": "pass",
        "sentence": f"auc {metrics['auc']} is above 0.85",
        "gates": (gate,),
        "parameters": {"learning_rate": "0.1", "trees": "400"},
        "experiment_id": "3",
        "run_id": "5f0c9b1d7a3e4a55",
        "version": version,
        "promotions": (f"p-fraud-{version:0>2}",),
        "log_tail": ("reading 1204412 rows", "400 trees", f"auc={metrics['auc']}", "saved the model"),
    }
    answer(store, take(store), Done(facts=facts, message=f"fraud {version} goes to staging"), step="hand_over")
    judged = make_version(
        model="fraud",
        version=version,
        training_id=training.id,
        repository="acme/fraud",
        commit=training.commit,
        metrics=metrics,
        gates=(gate,),
    )
    write(store, SaveVersion(judged))
    clock.advance(timedelta(minutes=20))
    _merge(store, version, who, before)
    is_failing = version == "5"
    for name in ("staging", "production"):
        _roll_out(store, clock, name, version, before, is_failing=is_failing and name == "production")
    return before if is_failing else version


def _merge(store: SqlStore, version: str, who: str, before: str) -> None:
    promotion = make_promotion(
        id=f"p-fraud-{version:0>2}",
        training_id=f"t-fraud-{version:0>2}",
        repository_id=DEPLOY_REPOSITORY,
        repository="acme/fraud-deploy",
        environment="production",
        path="production",
        model="fraud",
        version=version,
        merge=MergeMode.REVIEW,
    )
    write(store, OpenPromotion(promotion))
    number = 10 + int(version)
    facts = {
        "number": number,
        "url": f"{FORGE}/acme/fraud-deploy/pull/{number}",
        "plan_digest": "9d3f" * 16,
        "previous_version": before,
        "branch": "launchpin/production/fraud",
        "merged_by": who,
        "reviews": ({"id": number, "login": "lin", "state": "APPROVED", "sha": "c0ffee0" * 5 + "c0ffe"},),
        "approved_by": ("lin",),
        "merge_sha": "beef" * 10,
    }
    answer(store, take(store), Done(facts=facts, message=f"merged by {who}"), step="await_merge")


def _roll_out(store: SqlStore, clock: Clock, name: str, version: str, before: str, *, is_failing: bool) -> None:
    rollout = make_rollout(
        id=f"r-fraud-{version:0>2}" if name == "production" else f"r-fraud-staging-{version:0>2}",
        repository_id=DEPLOY_REPOSITORY,
        repository="acme/fraud-deploy",
        environment=name,
        path=name,
        endpoint=f"fraud-{name}",
        model="fraud",
        version=version,
    )
    write(store, OpenRollout(rollout))
    applied = Done(facts={"applied": True, "serving": version, "previous_version": before})
    answer(store, take(store), applied, step="apply", event="applied", next_step="bake")
    clock.advance(timedelta(hours=3))
    if not is_failing:
        answer(store, take(store), Done(message=f"version {version} serves"), step="finish")
        return
    why = "31 of 900 requests were answered with 500"
    failed = Done(facts={"failure": "EndpointUnhealthy", "failure_message": why})
    answer(store, take(store), failed, step="bake", event="baked", next_step="restore")
    restored = Done(facts={"serving": before, "log_tail": ("Traceback (most recent call last):", "KeyError: 'amount'")})
    answer(store, take(store), restored, step="restore", event="restored", next_step="write_back")
    message = f"EndpointUnhealthy: {why} - version {before} serves again"
    ended = Ended(Phase.ROLLED_BACK, "EndpointUnhealthy", message, facts={"serving": before})
    answer(store, take(store), ended, step="write_back")

"""States that somebody on call meets, written to a store as the steps of the stories write them. One scene a function.

Every scene may be played on one store beside the others: each has a model of its own.
"""

from datetime import timedelta
from typing import Any, TypeVar, cast

from gitops.holding import EVERYWHERE
from gitops.ports import Exit
from gitops.records import (
    Environment,
    Health,
    Hold,
    MergeMode,
    Promotion,
    Record,
    Role,
    Rollout,
    Sync,
    Training,
)
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Stalled, Wait
from gitops.store import SqlStore
from gitops.writes import OpenPromotion, OpenRollout, SaveEnvironment, SaveRepository, SetHold, StartTraining
from tests.support.store import (
    LEASE,
    Clock,
    make_environment,
    make_hold,
    make_promotion,
    make_repository,
    make_rollout,
    make_training,
    write,
)

PIN = "4be19c2a" * 5
FORGE = "http://127.0.0.1:3000"
TRACEBACK = (
    "epoch 1 of 20",
    "Traceback (most recent call last):",
    '  File "train.py", line 41, in main',
    "    model.fit(frame[FEATURES], frame['label'])",
    "ValueError: could not convert string to float: 'n/a'",
)

R = TypeVar("R", bound=Record)


class Scenes:
    """A store with a clock in the test's hand, and the next number of a repository."""

    def __init__(self, store: SqlStore, clock: Clock) -> None:
        self.store, self.clock = store, clock
        self._number = 10

    def fine(self, model: str = "iris", *, name: str = "production") -> Environment:
        """Version 7 serves, as Git pins."""
        self._number += 2
        model_repository = make_repository(id=self._number - 1, full_name=f"acme/{model}")
        deploy = make_repository(id=self._number, full_name=f"acme/{model}-deploy", role=Role.DEPLOY)
        place = make_environment(
            repository_id=deploy.id,
            repository=deploy.full_name,
            path=name,
            name=name,
            endpoint=f"{model}-{name}",
            model=model,
            target="local",
            host="here",
            pinned="7",
            pin_commit=PIN,
            serving="7",
            serving_since=self.clock() - timedelta(hours=3),
            earlier=("6",),
            sync=Sync.SYNCED,
            health=Health.HEALTHY,
            url=f"http://127.0.0.1:8090/endpoints/{model}-{name}",
        )
        write(self.store, SaveRepository(model_repository), SaveRepository(deploy), SaveEnvironment(place, ()))
        return place

    def waits_for_review(
        self, model: str = "wine", *, number: int = 12, merge: MergeMode = MergeMode.REVIEW
    ) -> Promotion:
        """A pull request proposes version 8, and a person must merge it."""
        place = self.fine(model)
        training = self.trained(place, "8")
        return self._propose(place, training, number=number, merge=merge)

    def proposes_anew(self, old: Promotion, version: str) -> Promotion:
        """A newer version takes the place of an older one in the same pull request."""
        place = self.store.environment(old.repository_id, old.path)
        assert place is not None
        return self._propose(place, self.trained(place, version), number=old.facts.number or 0, merge=old.merge)

    def _propose(self, place: Environment, training: Training, *, number: int, merge: MergeMode) -> Promotion:
        promotion = make_promotion(
            training_id=training.id,
            cause={"kind": "training", "id": training.id},
            repository_id=place.repository_id,
            repository=place.repository,
            environment=place.name,
            path=place.path,
            model=place.model,
            version=training.facts.version or "",
            merge=merge,
        )
        write(self.store, OpenPromotion(promotion))
        facts: dict[str, object] = {"previous_version": "7", "plan_digest": "p" * 12}
        self.step(promotion, Done(facts=facts), "plan", "open_pull_request", "planned")
        url = f"{FORGE}/{place.repository}/pull/{number}"
        facts = {"number": number, "url": url, "head_sha": "f" * 40}
        self.step(promotion, Done(facts=facts), "open_pull_request", "await_merge", "proposed")
        self.clock.advance(timedelta(minutes=20))
        waits = ("AwaitingMerge", f"pull request {number} waits for a person's merge")
        if merge is MergeMode.AUTO:
            waits = ("ChecksPending", "waits for ci/test")
        self.step(promotion, Wait(timedelta(seconds=30), *waits), "await_merge")
        return self.read(promotion)

    def merged(self, model: str = "wine") -> Promotion:
        """The pull request was merged."""
        promotion = self.waits_for_review(model)
        self.clock.advance(timedelta(seconds=31))
        facts = {"merge_sha": "9" * 40, "merged_by": "grace"}
        self.step(promotion, Done(facts=facts, message="merged by grace"), "await_merge", "", "merged")
        return self.read(promotion)

    def rolls_out(self, place: Environment, version: str = "8") -> Rollout:
        """A rollout of a version begins, and has been verified."""
        rollout = make_rollout(
            cause={"kind": "compare", "id": "9" * 40},
            repository_id=place.repository_id,
            repository=place.repository,
            environment=place.name,
            path=place.path,
            endpoint=place.endpoint,
            model=place.model,
            version=version,
            commit="9" * 40,
        )
        write(self.store, OpenRollout(rollout))
        facts = {"previous_version": place.serving, "previous_configuration": "old"}
        self.step(rollout, Done(facts=facts), "admit", "verify", "admitted")
        self.step(rollout, Done(facts={"manifest_sha256": "e" * 64}), "verify", "prepare", "verified")
        self.clock.advance(timedelta(seconds=4))
        return self.read(rollout)

    def bakes(self, model: str = "pears") -> Rollout:
        """Version 8 has the traffic and is watched."""
        rollout = self.rolls_out(self.fine(model))
        self.step(rollout, Done(facts={"configuration": "new", "smoke": "pass"}), "prepare", "apply", "prepared")
        self.step(rollout, Done(facts={"applied": True, "serving": "8"}), "apply", "bake", "applied")
        self.clock.advance(timedelta(seconds=30))
        message = "412 requests, 0 errors, 90 s to go"
        self.step(rollout, Wait(timedelta(seconds=1), "Baking", message), "bake")
        place = self.store.environment(rollout.repository_id, rollout.path)
        drifts = {"pinned": "8", "pin_commit": "9" * 40, "sync": Sync.OUT_OF_SYNC, "sync_reason": "Baking"}
        fields = (*drifts, "message")
        if place is not None:
            now = place.model_copy(update={**drifts, "message": message})
            write(self.store, SaveEnvironment(now, fields))
        return self.read(rollout)

    def rolled_back(self, model: str = "churn") -> Rollout:
        """Version 8 was merged, failed with traffic, and version 7 serves again; the environment is held."""
        promotion = self.merged(model)
        (place,) = self.store.environments(repository_id=promotion.repository_id)
        rollout = self.rolls_out(place)
        self.step(rollout, Done(facts={"configuration": "new", "smoke": "pass"}), "prepare", "apply", "prepared")
        self.step(rollout, Done(facts={"applied": True, "serving": "8"}), "apply", "bake", "applied")
        self.clock.advance(timedelta(seconds=38))
        failed = {
            "failure": "EndpointUnhealthy",
            "failure_message": "7 of 20 requests failed: 500 KeyError: 'tenure_months'",
            "log_tail": ["  frame['tenure_months'] = frame.tenure * 12", "KeyError: 'tenure_months'"],
        }
        self.step(rollout, Done(facts=failed), "bake", "restore", "baked")
        self.step(rollout, Done(facts={"serving": "7"}), "restore", "write_back", "restored")
        hold = make_hold(
            repository_id=place.repository_id,
            path=place.path,
            environment=place.name,
            model=model,
            reason="EndpointUnhealthy",
            message="version 8 failed: EndpointUnhealthy: 7 of 20 requests failed: 500 KeyError: 'tenure_months'",
            rollout_id=rollout.id,
            cause={"kind": "rollout", "id": rollout.id},
        )
        writes = (SetHold(hold),)
        self.step(
            rollout, Done(facts={"write_back_sha": "5" * 40}, writes=writes), "write_back", "finish", "written_back"
        )
        why = f"EndpointUnhealthy: {failed['failure_message']} - version 7 serves"
        end = Ended(Phase.ROLLED_BACK, "EndpointUnhealthy", why, facts={"serving": "7", "previous": "7"})
        self.step(rollout, end, "finish")
        self.clock.advance(timedelta(minutes=12))
        return self.read(rollout)

    def trained(self, place: Environment, version: str) -> Training:
        """A training of a place's model ended well."""
        training = self._start(place)
        facts: dict[str, Any] = {"end": "exited", "exit_code": 0, "seconds": 12.5, "log_tail": ["saved the model"]}
        self.step(training, Done(facts={"environment_key": "k" * 64}), "environment", "train")
        self.clock.advance(timedelta(seconds=13))
        self.step(training, Done(facts=facts), "train", "judge", "trained")
        verdict = {"verdict": "pass", "sentence": "accuracy 0.953 is above 0.9", "metrics": {"accuracy": "0.953"}}
        self.step(training, Done(facts=verdict), "judge", "register", "judged")
        self.step(training, Done(facts={"version": version}), "register", "hand_over", "registered")
        message = f"{place.model} {version} goes to {place.name}"
        self.step(training, Done(message=message), "hand_over", "", "handed_over")
        return self.read(training)

    def fails_to_train(self, model: str = "plums") -> Training:
        """The newest training's script raised."""
        training = self._start(self.fine(model))
        self.step(training, Done(facts={"environment_key": "k" * 64}), "environment", "train")
        self.clock.advance(timedelta(seconds=41))
        facts = {"exit_code": 1, "end": "exited", "seconds": 40.2, "log_tail": list(TRACEBACK)}
        why = f"main ended with exit code 1: {TRACEBACK[-1]}"
        self.step(training, Ended(Phase.ERRORED, "TrainingFailed", why, facts=facts), "train", "", "trained")
        self.clock.advance(timedelta(minutes=5))
        return self.read(training)

    def waits_for_mlflow(self, model: str = "quince") -> Training:
        """A training is to be registered, and MLflow does not answer."""
        training = self._start(self.fine(model))
        self.step(training, Done(facts={"environment_key": "k" * 64}), "environment", "train")
        self.step(training, Done(facts={"exit_code": 0}), "train", "judge", "trained")
        self.step(training, Done(facts={"verdict": "pass"}), "judge", "register", "judged")
        for tried in range(3):
            self.raise_error(
                training, "RegistryUnavailable: MLflow at http://127.0.0.1:5000 does not answer", "register"
            )
            self.clock.advance(timedelta(seconds=46 if tried < 2 else 10))
        return self.read(training)

    def stalls(self, model: str = "figs") -> Training:
        """A training waits for a Python that is not installed here."""
        training = self._start(self.fine(model))
        message = "Python 3.9 is asked for; there are 3.11, 3.12"
        self.step(training, Stalled("NoInterpreter", message), "environment")
        self.clock.advance(timedelta(minutes=2))
        return self.read(training)

    def held(self, place: Environment, **changes: Any) -> Hold:  # noqa: ANN401 - any field of the hold
        """A person holds an environment."""
        here = {"repository_id": place.repository_id, "path": place.path, "environment": place.name}
        told = {"reason": "ByHand", "message": "a fair", "author": "grace", "model": place.model}
        hold = make_hold(**{**here, **told, **changes})
        write(self.store, SetHold(hold))
        return hold

    def paused(self) -> Hold:
        """A person pauses everything."""
        everywhere = {"repository_id": EVERYWHERE, "path": "", "environment": "", "model": "", "reason": "Paused"}
        hold = make_hold(**everywhere, message="a fair", author="grace")
        write(self.store, SetHold(hold))
        return hold

    def _start(self, place: Environment) -> Training:
        repository = place.repository.removesuffix("-deploy")
        training = make_training(
            repository_id=place.repository_id - 1, repository=repository, model=place.model, ref="refs/heads/main"
        )
        write(self.store, StartTraining(training))
        return self.read(training)

    def step(self, record: Record, outcome: Outcome, step: str, following: str = "", event: str = "") -> None:
        """Let a record's job answer so."""
        self._finish(record, Exit(None, outcome, step=step, event=event or step, next_step=following))

    def raise_error(self, record: Record, error: str, step: str) -> None:
        """Let a record's step raise what is tried again in 45 s."""
        self._finish(record, Exit(None, None, step=step, event=step, next_step=step, error=error, retry_after=45))

    def _finish(self, record: Record, end: Exit) -> None:
        claims = iter(lambda: self.store.claim(Queue.CONTROL, owner="test", lease=LEASE), None)
        claim = next(one for one in claims if one.subject == record.id)
        self.store.finish(claim, Exit(**{**end.__dict__, "record": self.read(record)}))

    def read(self, record: R) -> R:
        """Return a record as it is now."""
        reads: dict[type, Any] = {
            Training: self.store.training,
            Promotion: self.store.promotion,
            Rollout: self.store.rollout,
        }
        return cast("R", reads[type(record)](record.id))

"""The loop of one case in this process, over outsides that go away and come back; people and clocks play along.

Its adapters count what an outside asks them to wait by the case's clock.
"""

import hashlib
import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx

from gitops.audit.checkpoint import Checkpoint, SigningKey, sign
from gitops.bootstrap import stories
from gitops.forge.github import GitHubForge
from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.forge.pacing import WriteLimits
from gitops.leasing import LeaseTimes
from gitops.ports import EndpointStatus, JobView
from gitops.reconcile import Loop, run_next
from gitops.records import Cause, Delivery, Rollout
from gitops.registry.artifacts import Limits
from gitops.registry.mlflow import MlflowRegistry
from gitops.steps import Queue
from gitops.store import SqlStore
from gitops.targets.local import LocalTarget
from gitops.trainers.local import LocalTrainer
from tests.faults.walker_play import PreparedEnvironments, SharedClock
from tests.faults.walker_scenes import Scene
from tests.support.deps import make_deps, make_service

_SILENCE = 0.5
_PATIENT = 20.0
_BOT = "launchpin[bot]"
_RESTING = {"Comparing", "Anchoring", "Polling", "AwaitingMerge", "Held"}
_RECURRING = {"compare", "anchor", "poll"}
_ROUNDS = 150
_PATIENCE = 60.0
_LEASE = LeaseTimes(lease=timedelta(seconds=60), heartbeat=timedelta(days=1))


class Worker:
    """One worker and its database.

    Args:
        scene: where the case begins; every address in it may be a faulty one.
        hurried: the outside whose silence is borne for half a second only.
    """

    def __init__(self, scene: Scene, *, hurried: str = "") -> None:
        play, folder = scene.play, Path(scene.play.folder)
        self._scene = scene
        self.clock = SharedClock(folder / "clock")
        self.store = SqlStore(play.database, clock=self.clock)
        self.forge = GitHubForge(
            play.forge,
            play.token,
            login=_BOT,
            limits=WriteLimits(minute=100_000, hour=100_000),
            silence=_silence("forge", hurried),
            clock=self._seconds,
        )
        silence = _silence("host", hurried)
        self.target = LocalTarget(play.host, play.host_token, silence=silence, slowest=silence, clock=self._seconds)
        deps = make_deps(
            self.store,
            folder,
            service=make_service(folder, tracking_uri=play.tracking, tracking_uris=(play.tracking,), bot=_BOT),
            forge=self.forge,
            mirror=GitMirror(
                folder / "mirrors",
                forge_api=play.forge_git,
                token=play.token,
                limits=MirrorLimits(fetch=4 * _silence("forge", hurried)),
            ),
            environments=PreparedEnvironments(Path(play.python)),
            trainer=LocalTrainer(folder / "trainings", poll=0.02),
            registry=MlflowRegistry(
                play.tracking, limits=Limits(timeout=_silence("tracking", hurried)), clock=self._seconds
            ),
            targets={"local": self.target},
        )
        self._loop = Loop(deps, stories(), owner="away", times=_LEASE, clock=self.clock.seconds)

    def close(self) -> None:
        """Close everything that is kept open."""
        self.forge.close()
        self.target.close()
        self.store.close()

    # ------------------------------------------------------------ what happens

    def begin(self) -> None:
        """Deliver what the scene begins with, and sign a head that can be anchored."""
        if self._scene.play.delivery:
            told = json.loads(Path(self._scene.play.delivery).read_text(encoding="utf-8"))
            body = told.pop("body").encode()
            digest = hashlib.sha256(body).hexdigest()
            cause = Cause(kind="delivery", id=told["id"], body_sha256=digest, actor="ada")
            self.store.save_delivery(Delivery(body=body, cause=cause, **told))
        self.sign()

    def sign(self) -> None:
        """Sign the audit log's head, as the relay does."""
        origin = self._scene.play.origin
        size = self.store.audit_size()
        newest = self.store.newest_checkpoint()
        if origin and size and (newest is None or newest.size != size):
            key = SigningKey(origin, bytes(range(32)))
            self.store.save_checkpoint(size, sign(Checkpoint(origin, size, self.store.audit_root(size)), key))

    def settle(self, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass until nothing is left to do, or a condition holds; return whether it does."""
        for _ in range(_ROUNDS):
            self.run_ready()
            if until():
                return True
            jobs = [job for job in self.jobs() if not _is_resting(job)]
            if not jobs:
                return False
            self._await_host(jobs)
            self.clock.reach(min(job.not_before for job in jobs))
        raise AssertionError(f"nothing settles: {self.jobs()}")

    def finish(self) -> None:
        """Come to the end, sign the audit log, and look once more at everything that is looked at often."""
        self.settle()
        for _ in range(2):
            self.sign()
            for job in self.jobs():
                if job.kind in _RECURRING:
                    self.clock.reach(job.not_before)
            self.settle()

    def run_ready(self) -> None:
        """Do everything that is ready now."""
        while any(run_next(self._loop, queue) for queue in Queue):
            pass

    def wake_all(self) -> None:
        """Wake every job, as deliveries and people may at any time."""
        for job in self.jobs():
            if job.state in {"retrying", "waiting"}:
                self.store.wake(job.kind, job.subject)

    # ------------------------------------------------------------ what is seen

    def jobs(self) -> list[JobView]:
        """Return the jobs that are not idle, as people see them."""
        return [job for job in self.store.jobs() if job.state != "idle"]

    def troubled(self) -> list[JobView]:
        """Return the jobs that something keeps from going on."""
        return [job for job in self.jobs() if job.state in {"retrying", "stalled"} or _is_cause(job.reason)]

    # ------------------------------------------------------------ how

    def _seconds(self) -> float:
        return self.clock().timestamp()

    def _await_host(self, jobs: list[JobView]) -> None:
        """Let the endpoint host come as far as a rollout waits for: its processes take real time."""
        for job in jobs:
            if job.kind == "rollout" and job.reason in {"Starting", "Baking", "RollingBack"}:
                rollout = self.store.rollout(job.subject)
                if rollout is not None:
                    self._await_rollout(rollout)

    def _await_rollout(self, rollout: Rollout) -> None:
        target = self._scene.stage.host_process.target
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            state = target.configuration(rollout.facts.configuration or "")
            if state is None or state.readiness != "Starting":
                break
            time.sleep(0.01)  # the pace of looking, not the condition
        endpoint = target.describe(rollout.endpoint)
        if endpoint is None or endpoint.status is not EndpointStatus.BAKING:
            return
        if endpoint.version == self._scene.play.poisoned:
            httpx.post(f"{endpoint.url}/invocations", json={"inputs": ["poison"]}, trust_env=False, timeout=20)


def _silence(outside: str, hurried: str) -> float:
    return _SILENCE if outside == hurried else _PATIENT


def _is_resting(job: JobView) -> bool:
    return job.state == "waiting" and job.reason in _RESTING


def _is_cause(reason: str) -> bool:
    return reason.startswith(("Forge", "Registry", "EndpointHost"))

"""What runs inside of a walked process: a whole worker over real outsides, which works until nothing is left to do.

Time is a number in a file that all workers of a case share, as they would share a database's clock: waits and leases
cost none.
"""

import json
import mmap
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from gitops import failpoints
from gitops.audit.checkpoint import Checkpoint, SigningKey, sign
from gitops.bootstrap import stories
from gitops.environments import UvEnvironments
from gitops.errors import RetryError
from gitops.failpoints import FailpointError
from gitops.forge.github import GitHubForge
from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.forge.pacing import WriteLimits
from gitops.leasing import LeaseTimes
from gitops.ports import BuiltEnvironment, Claim, Deps, EndpointStatus, JobView, Lock
from gitops.reconcile import AnyStory, Loop, run_next
from gitops.records import Cause, Delivery, Rollout
from gitops.registry.mlflow import MlflowRegistry
from gitops.steps import Queue, Wait
from gitops.store import SqlStore
from gitops.targets.local import LocalTarget
from gitops.trainers.local import LocalTrainer
from tests.support.deps import make_deps, make_service

BOT = "launchpin[bot]"
LEASE = timedelta(seconds=60)
ENVIRONMENT = Lock(text="", digest="0" * 64, python="3", key="e" * 64)
_START = datetime(2026, 1, 31, 12, tzinfo=UTC)
_RESTING = {"Comparing", "Anchoring", "Polling", "AwaitingMerge", "Held"}
_RECURRING = {"compare", "anchor", "poll"}
_MOVING = {EndpointStatus.CREATING, EndpointStatus.UPDATING, EndpointStatus.ROLLING_BACK}
_PATIENCE = 60.0


@dataclass(frozen=True)
class Play:
    """Everything a worker needs to know, as it is handed to another process.

    Args:
        folder: the worker's home; the clock's file is in it.
        database: its URL.
        forge: the API, as the loop reaches it; git goes to `forge_git`.
        tracking: MLflow, as the loop reaches it.
        host: the endpoint host, as the loop reaches it.
        python: what stands for the environment's interpreter.
        environments: a folder where environments are built for real; empty for the one of `python`.
        delivery: a file with the delivery that begins the story; empty when something else does.
        parked: kinds of records, joined by commas, that this story leaves to another one: they wait as if held.
        poisoned: a version that is asked what it cannot answer while it bakes; empty for none.
        origin: the audit log's, where its head is to be signed and anchored; empty where that is another story.
        armed: failpoints, as `gitops.failpoints.arm` reads them.
        trace: a file that gets a line for every failpoint that is passed, with what was claimed; empty for none.
        rounds: how often time may pass before it must be over.
        parts: addresses, joined by commas, that must answer before time passes: of parts that are killed and come back.
        is_blind: whether nothing is found in MLflow that an earlier attempt made there; a test of the walker says so.
    """

    folder: str
    database: str
    forge: str
    forge_git: str
    token: str
    tracking: str
    host: str
    host_token: str
    python: str
    origin: str = ""
    environments: str = ""
    delivery: str = ""
    parked: str = ""
    poisoned: str = ""
    armed: str = ""
    trace: str = ""
    rounds: int = 150
    parts: str = ""
    is_blind: bool = False

    def to_json(self) -> str:
        """Return one line."""
        return json.dumps(asdict(self))


class SharedClock:
    """Seconds since the story began, in a file that every worker of a case maps."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(struct.pack("d", 0.0))
        with file.open("r+b") as handle:
            self._cell = mmap.mmap(handle.fileno(), 8)

    def seconds(self) -> float:
        """Return the seconds since the story began."""
        (seconds,) = struct.unpack("d", self._cell[:8])
        return float(seconds)

    def __call__(self) -> datetime:
        """Return the time."""
        return _START + timedelta(seconds=self.seconds())

    def reach(self, moment: datetime) -> None:
        """Let time pass until a moment; never back."""
        seconds = (max(moment, self()) - _START).total_seconds()
        self._cell[:8] = struct.pack("d", seconds)


class PreparedEnvironments:
    """One environment that was prepared before, whatever is asked for; implements `Environments`."""

    def __init__(self, python: Path) -> None:
        self._built = BuiltEnvironment(key=ENVIRONMENT.key, python=python)

    def lock(self, project: Path, *, declared: str = "") -> Lock:
        """Return the one lock."""
        del project, declared
        return ENVIRONMENT

    def lock_requirements(self, requirements: str, *, python: str) -> Lock:
        """Return the one lock."""
        del requirements, python
        return ENVIRONMENT

    def lock_of(self, key: str) -> Lock | None:
        """Return the one lock."""
        return ENVIRONMENT if key == ENVIRONMENT.key else None

    def build(self, lock: Lock) -> BuiltEnvironment:
        """Return the one environment."""
        del lock
        return self._built

    def find(self, key: str) -> BuiltEnvironment | None:
        """Return the one environment."""
        return self._built if key == ENVIRONMENT.key else None


def play(told: Mapping[str, Any]) -> None:
    """Work until nothing is left to do, or until a failpoint says otherwise."""
    cast = Play(**told)
    clock = SharedClock(Path(cast.folder) / "clock")
    store = _Noting(cast.database, clock=clock)
    times = LeaseTimes(lease=LEASE, heartbeat=timedelta(days=1))
    table = {**stories(), **{kind: _parked(stories()[kind]) for kind in cast.parked.split(",") if kind}}
    loop = Loop(_deps(cast, store), table, owner="walker", times=times, clock=clock.seconds)
    worker = Worker(cast, clock, loop)
    if cast.trace:
        stream = Path(cast.trace).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - open as long as we live
        failpoints.watch(lambda name: stream.write(f"{name} {store.at}\n"))
    failpoints.arm(cast.armed)
    worker.run()


def _parked(story: AnyStory) -> AnyStory:
    """Return a story that waits for ever in its first step."""
    first = replace(story.steps[0], run=lambda _deps, _record: Wait(timedelta(days=1), "Held", "left to another story"))
    return replace(story, steps=(first, *story.steps[1:]))


class _Noting(SqlStore):
    """A store that remembers what was claimed last: `rollout.apply` for example."""

    at = "-"

    def claim(self, *arguments: Any, **named: Any) -> Claim | None:  # noqa: ANN401 - the port's own
        """Claim, and remember."""
        self.at = "claim"
        claim = super().claim(*arguments, **named)
        if claim is not None:
            read = getattr(self, claim.kind, None)
            record = read(claim.subject) if read else None
            self.at = f"{claim.kind}.{getattr(record, 'step', '') or 'first'}"
        return claim


def _deps(cast: Play, store: SqlStore) -> Deps:
    folder = Path(cast.folder)
    service = make_service(folder, tracking_uri=cast.tracking, tracking_uris=(cast.tracking,), bot=BOT)
    limits = WriteLimits(minute=100_000, hour=100_000)
    built = UvEnvironments(Path(cast.environments)) if cast.environments else PreparedEnvironments(Path(cast.python))
    return make_deps(
        store,
        folder,
        service=service,
        forge=GitHubForge(cast.forge, cast.token, login=BOT, limits=limits),
        mirror=GitMirror(folder / "mirrors", forge_api=cast.forge_git, token=cast.token, limits=MirrorLimits(lock=0.2)),
        environments=built,
        trainer=LocalTrainer(folder / "trainings", poll=0.02),
        registry=(_BlindRegistry if cast.is_blind else MlflowRegistry)(cast.tracking),
        targets={"local": LocalTarget(cast.host, cast.host_token)},
    )


class _BlindRegistry(MlflowRegistry):
    """A registry that finds nothing of what was made before: the walker must notice."""

    def find_run(self, **_: Any) -> None:  # noqa: ANN401 - wrong on purpose
        """Find nothing."""
        return

    def find_version(self, *_: Any, **__: Any) -> None:  # noqa: ANN401 - wrong on purpose
        """Find nothing."""
        return


class Worker:
    """A worker, and beside it what people and clocks do in this story."""

    def __init__(self, cast: Play, clock: SharedClock, loop: Loop) -> None:
        self._cast = cast
        self._clock = clock
        self._loop = loop
        self._deps = loop.deps
        self._store = loop.deps.store

    def run(self) -> None:
        """Play the story to its end, sign the audit log, and look once more at everything that is looked at often."""
        if self._cast.delivery:
            self._insist(self._deliver)
        self._settle()
        # Who looked while a part was away looks again by the clock, which comes sooner here than a part comes back.
        self._await_parts()
        self._await_orders()
        if self._cast.origin:
            self._insist(self._sign)
        for job in self._jobs():
            if job.kind in _RECURRING:
                self._clock.reach(job.not_before)
        self._settle()

    def _insist(self, do: Any) -> None:  # noqa: ANN401 - a method
        """Do it again when a failpoint raised: whoever sends a delivery, or signs, comes back."""
        for _ in range(3):
            with suppress(FailpointError):
                do()
                return

    def _deliver(self) -> None:
        told = json.loads(Path(self._cast.delivery).read_text(encoding="utf-8"))
        body = told.pop("body").encode()
        cause = Cause(kind="delivery", id=told["id"], body_sha256=told["body_sha256"], actor="ada")
        self._store.save_delivery(Delivery(body=body, cause=cause, **told))

    def _sign(self) -> None:
        audit = self._deps.audit
        size = audit.audit_size()
        key = SigningKey(self._cast.origin, bytes(range(32)))
        newest = audit.newest_checkpoint()
        if newest is None or newest.size != size:
            audit.save_checkpoint(size, sign(Checkpoint(self._cast.origin, size, audit.audit_root(size)), key))

    def _settle(self) -> None:
        for _ in range(self._cast.rounds):
            self._run_ready()
            jobs = [job for job in self._jobs() if not _is_resting(job)]
            if not jobs:
                return
            self._await_outside(jobs)
            self._await_parts()
            self._clock.reach(min(job.not_before for job in jobs))
        raise AssertionError(f"nothing settles: {self._jobs()}")

    def _jobs(self) -> list[JobView]:
        return [job for job in self._store.jobs() if job.state != "idle"]

    def _run_ready(self) -> None:
        """Claim as workers do; an error that leaves a claim ends a worker's task, and the next message comes."""
        while True:
            try:
                if not any(run_next(self._loop, queue) for queue in Queue):
                    return
            except FailpointError:
                continue

    def _await_outside(self, jobs: list[JobView]) -> None:
        """Let the endpoint host come as far as the story waits for: its processes take real time."""
        for job in jobs:
            if job.kind == "rollout" and job.reason in {"Starting", "Baking", "RollingBack"}:
                rollout = self._store.rollout(job.subject)
                if rollout is not None:
                    with suppress(RetryError):
                        self._await_host(rollout)

    def _await_parts(self) -> None:
        """Let a part that was killed come back: it takes real time, while retries take none here."""
        deadline = time.monotonic() + _PATIENCE
        for part in filter(None, self._cast.parts.split(",")):
            while not _answers(part) and time.monotonic() < deadline:
                time.sleep(0.02)  # the pace of looking, not the condition

    def _await_orders(self) -> None:
        """Let the host come to the end of what it was asked for, by a worker that was overtaken, too.

        A version that starts for such an order changes nothing until it gets the traffic, and the comparison that finds
        it then comes sooner here.
        """
        deadline = time.monotonic() + _PATIENCE
        with suppress(RetryError):
            while time.monotonic() < deadline and any(
                each.status in _MOVING for each in self._deps.targets["local"].endpoints()
            ):
                time.sleep(0.02)  # the pace of looking, not the condition

    def _await_host(self, rollout: Rollout) -> None:
        target = self._deps.targets["local"]
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            state = target.configuration(rollout.facts.configuration or "")
            if state is None or state.readiness != "Starting":
                break
            time.sleep(0.01)  # the pace of looking, not the condition
        endpoint = target.describe(rollout.endpoint)
        if endpoint is None or endpoint.status is not EndpointStatus.BAKING:
            return
        if endpoint.version == self._cast.poisoned:
            httpx.post(f"{endpoint.url}/invocations", json={"inputs": ["poison"]}, trust_env=False, timeout=20)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False, timeout=5).is_success
    except httpx.TransportError:
        return False


def _is_resting(job: JobView) -> bool:
    """Return whether a job waits for nothing but a person, or for its next look."""
    return job.state == "stalled" or (job.state == "waiting" and job.reason in _RESTING)

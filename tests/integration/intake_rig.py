"""A world for the tests of what starts trainings: a model repository on the embedded forge, and no training worker."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gitops.bootstrap import stories
from gitops.cli.scaffold import Kind, Names, fill_template
from gitops.forge.github import GitHubForge
from gitops.forge.mirror import GitMirror, MirrorLimits
from gitops.ports import JobView
from gitops.reconcile import Loop, run_until_idle
from gitops.records import Delivery, Repository, Role, Training
from gitops.steps import Queue
from gitops.store import SqlStore
from gitops.writes import SaveRepository
from tests.support.deps import make_deps
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.payloads import push
from tests.support.payloads import repository as described
from tests.support.store import make_delivery, write

_BOT = "launchpin[bot]"


@dataclass
class Model:
    """A connected model repository, its clone, and the part of a worker that handles deliveries."""

    forge: ForgeUnderTest
    store: SqlStore
    repository: Repository
    clone: Path
    loop: Loop

    def git(self, *arguments: str) -> str:
        return self.forge.git(*arguments, cwd=self.clone).strip()

    def commit(self, path: str, text: str, *, branch: str = "main") -> str:
        """Commit and push one file; returns the commit."""
        file = self.clone / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", f"Write {path}")
        self.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def deliver(self, after: str, *, ref: str = "refs/heads/main", **changes: object) -> Delivery:
        body = push(
            ref=ref, after=after, repository=described(self.repository.id, self.repository.full_name), **changes
        )
        delivery = make_delivery(body, event="push", id=str(uuid.uuid4()))
        self.store.save_delivery(delivery)
        return delivery

    def handle(self) -> None:
        """Run what is ready on the control queue; trainings wait for a worker that never comes."""
        run_until_idle(self.loop, Queue.CONTROL)

    def outcome(self, delivery: Delivery) -> str:
        self.handle()
        ended = self.store.delivery(delivery.id)
        assert ended is not None
        return ":".join(part for part in (ended.facts.outcome, ended.facts.reason) if part)

    def poll(self) -> JobView:
        """Look at every ref as the timer does; returns how the job stands afterwards."""
        number = self.store.wake("poll", str(self.repository.id))
        self.handle()
        return next(job for job in self.store.jobs() if job.job == number)

    def mirror_with(self, *, limits: MirrorLimits | None = None, forge_api: str = "") -> None:
        """Read the repository through a new mirror."""
        root = self.clone.parent / f"mirrors-{uuid.uuid4().hex[:8]}"
        mirror = GitMirror(root, forge_api=forge_api or self.forge.api, token=self.forge.bot, limits=limits)
        self.loop = replace(self.loop, deps=replace(self.loop.deps, mirror=mirror))

    def check(self, commit: str, name: str = "launchpin/config (launchpin.yaml)") -> str:
        """Return what the check on a commit says, its conclusion first; empty where there is none."""
        found = self.forge.http().get(f"/repos/{self.repository.full_name}/commits/{commit}/check-runs").json()
        runs = [run for run in found["check_runs"] if run["name"] == name]
        assert len(runs) <= 1
        return "".join(f"{run['conclusion']}: {run['output']['summary']}" for run in runs)

    def trainings(self) -> list[Training]:
        return [record for record in self.store.recent("training", limit=500) if isinstance(record, Training)]


@pytest.fixture(scope="module")
def forge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


@pytest.fixture
def model(forge: ForgeUnderTest, store: SqlStore, tmp_path: Path) -> Model:
    made = GitHubForge(forge.api, forge.bot, login=_BOT).ensure_repository(f"acme/m-{uuid.uuid4().hex[:8]}")
    repository = Repository(id=made.id, full_name=made.full_name, role=Role.MODEL, clone_url=made.clone_url)
    write(store, SaveRepository(repository))
    clone = tmp_path / "clone"
    clone.mkdir()
    deps = make_deps(
        store,
        tmp_path,
        forge=GitHubForge(forge.api, forge.bot, login=_BOT),
        mirror=GitMirror(tmp_path / "mirrors", forge_api=forge.api, token=forge.bot),
    )
    built = Model(forge, store, repository, clone, Loop(deps=deps, stories=stories(), owner="test"))
    built.git("init", "-q", "-b", "main")
    built.git("remote", "add", "origin", made.clone_url)
    for path, content in fill_template(Kind.MODEL, Names("iris", "acme/iris-deploy")).items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_bytes(content)
    return built

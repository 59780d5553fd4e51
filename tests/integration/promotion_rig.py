"""A world for the tests of promotions: the embedded forge with two repositories, a training handed over."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.bootstrap import stories
from gitops.cli.scaffold import Kind, Names, fill_template
from gitops.forge.github import GitHubForge
from gitops.forge.mirror import GitMirror
from gitops.ports import CheckState, Commit
from gitops.reconcile import Loop, run_until_idle
from gitops.records import MergeMode, Promotion, Repository, Role, Training
from gitops.reviews import Review
from gitops.steps import Queue
from gitops.store import SqlStore
from gitops.writes import OpenPromotion, SaveRepository, SaveVersion, StartTraining
from tests.support.deps import make_deps
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.payloads import push
from tests.support.payloads import repository as described
from tests.support.store import (
    Clock,
    make_delivery,
    make_promotion,
    make_training,
    make_version,
    write,
)
from tests.support.story_ports import EmptyTarget, OneRunRegistry

BOT = "launchpin[bot]"
BRANCH = "launchpin/staging/iris"
CHECK = "launchpin/promote (staging)"
TRACKING = "http://127.0.0.1:2"  # as `make_service` has it


class InterruptedForge(GitHubForge):
    """The forge as one worker sees it, to whom something happens just before it commits, or reads reviews."""

    before_commit: Callable[[], object] = staticmethod(lambda: None)
    before_reviews: Callable[[], object] = staticmethod(lambda: None)

    def reviews(self, full_name: str, number: int) -> Sequence[Review]:
        self.before_reviews()
        return super().reviews(full_name, number)

    def commit_file(
        self, full_name: str, *, parent: str, branch: str, path: str, content: bytes, message: str, create: bool
    ) -> Commit:
        happen, self.before_commit = self.before_commit, lambda: None
        happen()
        return super().commit_file(
            full_name, parent=parent, branch=branch, path=path, content=content, message=message, create=create
        )


@dataclass
class World:
    """A model and a deploy repository on the forge, a training of the one, and the worker that promotes."""

    server: ForgeUnderTest
    forge: InterruptedForge
    store: SqlStore
    clock: Clock
    loop: Loop
    model: Repository
    deploy: Repository
    training: Training
    clone: Path
    model_clone: Path

    @property
    def person(self) -> GitHubForge:
        return GitHubForge(self.server.api, self.server.user, login="ada")

    def git(self, *arguments: str) -> str:
        return self.server.git(*arguments, cwd=self.clone).strip()

    def push(self, files: dict[str, bytes], *, branch: str = "main") -> str:
        """Commit and push files to the deploy repository as a person; returns the commit."""
        for path, content in files.items():
            (self.clone / path).parent.mkdir(parents=True, exist_ok=True)
            (self.clone / path).write_bytes(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "A person's")
        self.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")
        return self.git("rev-parse", "HEAD")

    def edit_branch(self) -> str:
        """Commit something to the promotion's branch as a person; returns the commit."""
        self.git("fetch", "-q", "origin")
        self.git("checkout", "-q", "--detach", f"origin/{BRANCH}")
        return self.push({"staging/notes.md": b"by hand\n"}, branch=BRANCH)

    def tell(self, head: str) -> None:
        """Deliver the push of a commit to the deploy repository."""
        body = push(after=head, repository=described(self.deploy.id, self.deploy.full_name))
        self.store.save_delivery(make_delivery(body, event="push", id=str(uuid.uuid4())))

    def handle(self) -> None:
        run_until_idle(self.loop, Queue.CONTROL)

    def promote(self, version: str = "1", **changes: object) -> str:
        """Open a promotion of a version; returns its id."""
        fields = {"repository_id": self.deploy.id, "repository": self.deploy.full_name, "training_id": self.training.id}
        promotion = make_promotion(version=version, **{"merge": MergeMode.REVIEW, **fields, **changes})
        recorded = make_version(version=version, training_id=self.training.id)
        write(self.store, SaveVersion(recorded), OpenPromotion(promotion))
        return promotion.id

    def now(self, promotion: str) -> Promotion:
        """Let the story go as far as it can; returns the promotion."""
        self.store.wake("promotion", promotion)
        self.handle()
        found = self.store.promotion(promotion)
        assert found is not None
        return found

    def head(self) -> str:
        return self.forge.head(self.deploy.full_name, BRANCH)

    def said(self, name: str = CHECK) -> CheckState | None:
        """Return how the promotion stands on the commit that was trained, once the forge was told."""
        self.clock.advance(timedelta(seconds=1))
        self.handle()
        return self.forge.checks(self.model.full_name, self.training.commit).get(name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


def connect(forge: GitHubForge, role: Role) -> Repository:
    made = forge.ensure_repository(f"acme/{role.value}-{uuid.uuid4().hex[:8]}")
    return Repository(id=made.id, full_name=made.full_name, role=role, clone_url=made.clone_url)


def fill(server: ForgeUnderTest, repository: Repository, clone: Path, kind: Kind, names: Names) -> str:
    clone.mkdir()
    for path, content in fill_template(kind, names).items():
        (clone / path).parent.mkdir(parents=True, exist_ok=True)
        (clone / path).write_bytes(content)
    for command in ("init -q -b main", f"remote add origin {repository.clone_url}", "add -A", "commit -q -m Begin"):
        server.git(*command.split(), cwd=clone)
    server.git("push", "-q", "origin", "HEAD:refs/heads/main", cwd=clone)
    return server.git("rev-parse", "HEAD", cwd=clone).strip()


@pytest.fixture
def world(server: ForgeUnderTest, store: SqlStore, clock: Clock, tmp_path: Path) -> World:
    forge = InterruptedForge(server.api, server.bot, login=BOT)
    model, deploy = connect(forge, Role.MODEL), connect(forge, Role.DEPLOY)
    names = Names("iris", deploy.full_name, TRACKING)
    commit = fill(server, model, tmp_path / "model", Kind.MODEL, names)
    fill(server, deploy, tmp_path / "deploy", Kind.DEPLOY, names)
    training = make_training(repository_id=model.id, repository=model.full_name, commit=commit)
    write(store, SaveRepository(model), SaveRepository(deploy), StartTraining(training))
    deps = make_deps(
        store,
        tmp_path,
        forge=forge,
        mirror=GitMirror(tmp_path / "mirrors", forge_api=server.api, token=server.bot),
        registry=OneRunRegistry(versions={("iris", "1"), ("iris", "2"), ("iris", "3")}),
        targets={"local": EmptyTarget()},
    )
    loop = Loop(deps=deps, stories=stories(), owner="test")
    built = World(server, forge, store, clock, loop, model, deploy, training, tmp_path / "deploy", tmp_path / "model")
    built.handle()
    return built

"""Promotions on a real forge, mirror and store: whose place it is, whose branch it is, and what the commit is told."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.bootstrap import stories
from gitops.cli.scaffold import Kind, Names, fill_template
from gitops.errors import RetryError, StalledError
from gitops.forge.github import GitHubForge
from gitops.forge.mirror import GitMirror
from gitops.ports import Ahead, CheckState, Commit
from gitops.reconcile import Loop, run_until_idle
from gitops.records import MergeMode, Promotion, Repository, Role, Training, TrainingFacts
from gitops.steps import Done, Phase, Queue
from gitops.store import SqlStore
from gitops.training import hand_over
from gitops.writes import OpenPromotion, SaveEnvironment, SaveRepository, SaveVersion, StartTraining
from tests.support.deps import make_deps
from tests.support.forge import ForgeUnderTest, running_forge
from tests.support.payloads import push
from tests.support.payloads import repository as described
from tests.support.store import (
    Clock,
    make_delivery,
    make_environment,
    make_promotion,
    make_training,
    make_version,
    write,
)
from tests.support.story_ports import EmptyTarget, OneRunRegistry

_BOT = "launchpin[bot]"
_BRANCH = "launchpin/staging/iris"
_CHECK = "launchpin/promote (staging)"
_ALL = ("name", "model", "is_champion")
_TRACKING = "http://127.0.0.1:2"  # as `make_service` has it


class InterruptedForge(GitHubForge):
    """The forge as one worker sees it, to whom something happens just before it commits."""

    before_commit: Callable[[], object] = staticmethod(lambda: None)

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
        self.git("checkout", "-q", "--detach", f"origin/{_BRANCH}")
        return self.push({"staging/notes.md": b"by hand\n"}, branch=_BRANCH)

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
        return self.forge.head(self.deploy.full_name, _BRANCH)

    def said(self, name: str = _CHECK) -> CheckState | None:
        """Return how the promotion stands on the commit that was trained."""
        return self.forge.checks(self.model.full_name, self.training.commit).get(name)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForgeUnderTest]:
    with running_forge(tmp_path_factory.mktemp("forge")) as running:
        yield running


def _connect(forge: GitHubForge, role: Role) -> Repository:
    made = forge.ensure_repository(f"acme/{role.value}-{uuid.uuid4().hex[:8]}")
    return Repository(id=made.id, full_name=made.full_name, role=role, clone_url=made.clone_url)


def _fill(server: ForgeUnderTest, repository: Repository, clone: Path, kind: Kind, names: Names) -> str:
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
    forge = InterruptedForge(server.api, server.bot, login=_BOT)
    model, deploy = _connect(forge, Role.MODEL), _connect(forge, Role.DEPLOY)
    names = Names("iris", deploy.full_name, _TRACKING)
    commit = _fill(server, model, tmp_path / "model", Kind.MODEL, names)
    _fill(server, deploy, tmp_path / "deploy", Kind.DEPLOY, names)
    training = make_training(repository_id=model.id, repository=model.full_name, commit=commit)
    write(store, SaveRepository(model), SaveRepository(deploy), StartTraining(training))
    deps = make_deps(
        store,
        tmp_path,
        forge=forge,
        mirror=GitMirror(tmp_path / "mirrors", forge_api=server.api, token=server.bot),
        registry=OneRunRegistry(versions={("iris", "1"), ("iris", "2")}),
        targets={"local": EmptyTarget()},
    )
    loop = Loop(deps=deps, stories=stories(), owner="test")
    built = World(server, forge, store, clock, loop, model, deploy, training, tmp_path / "deploy")
    built.handle()
    return built


# ---------------------------------------------------------------- whose place it is


def _handed(world: World) -> Training:
    return world.training.model_copy(update={"facts": TrainingFacts(version="1")})


def test_a_launchpin_yaml_that_names_the_place_of_another_model_changes_nothing_there(world: World) -> None:
    path = "production"
    theirs = make_environment(repository_id=world.deploy.id, path=path, name="live", model="wine", is_champion=True)
    write(world.store, SaveEnvironment(theirs, _ALL))
    with pytest.raises(
        StalledError, match=rf"launchpin.yaml: {path} of .*the model wine, not of iris: give iris a"
    ) as no:
        hand_over(world.loop.deps, _handed(world))
    assert no.value.reason == "OtherModel"
    assert world.store.environment(world.deploy.id, path) == theirs


def test_a_launchpin_yaml_names_its_own_places_and_those_of_nobody(world: World) -> None:
    for path, model in (("staging", ""), ("production", "iris")):
        known = make_environment(repository_id=world.deploy.id, path=path, name=path, model=model)
        write(world.store, SaveEnvironment(known, _ALL))
    outcome = hand_over(world.loop.deps, _handed(world))
    assert isinstance(outcome, Done)
    saved = {one.environment.path: one.environment for one in outcome.writes if isinstance(one, SaveEnvironment)}
    assert {path: (one.model, one.is_champion) for path, one in saved.items()} == {
        "staging": ("iris", False),
        "production": ("iris", True),
    }


def test_a_pin_of_another_model_stalls_even_when_it_names_the_same_number(world: World) -> None:
    text = (world.clone / "staging/buildspec.yml").read_text().replace('"iris"', '"wine"')
    world.push({"staging/buildspec.yml": text.replace('MODEL_VERSION=""', 'MODEL_VERSION="1"').encode()})
    now = world.now(world.promote("1"))
    assert (now.phase.is_final, now.reason) == (False, "OtherModel")


# ---------------------------------------------------------------- a wrong path


def test_a_path_that_the_deploy_repository_lacks_is_told_and_goes_on_once_it_is_pushed(world: World) -> None:
    promotion = world.promote(path="stage")
    now = world.now(promotion)
    assert (now.phase.is_final, now.reason) == (False, "EnvironmentMissing")
    for word in ("stage has no buildspec.yml", "deploy.environments.staging.path", "launchpin.yaml"):
        assert word in now.message
    assert world.said() is CheckState.FAILURE
    (job,) = (job for job in world.store.jobs() if (job.kind, job.subject) == ("promotion", promotion))
    assert job.not_before - world.clock.time <= timedelta(minutes=10)
    staging = {path.name: path.read_bytes() for path in (world.clone / "staging").iterdir()}
    world.tell(world.push({f"stage/{name}": content for name, content in staging.items()}))
    world.handle()
    after = world.store.promotion(promotion)
    assert after is not None
    assert (after.reason, after.facts.number) == ("AwaitingMerge", 1)
    assert world.said() is CheckState.PENDING


def test_a_buildspec_that_cannot_be_read_is_told_with_its_line(world: World) -> None:
    good = (world.clone / "staging/buildspec.yml").read_bytes()
    world.push({"staging/buildspec.yml": b"version: 0.2\nphases: [\n"})
    promotion = world.promote()
    now = world.now(promotion)
    assert (now.phase.is_final, now.reason) == (False, "ConfigInvalid")
    assert "staging/buildspec.yml:" in now.message
    assert world.said() is CheckState.FAILURE
    world.push({"staging/buildspec.yml": good})
    assert world.now(promotion).reason == "AwaitingMerge"


# ---------------------------------------------------------------- what the commit is told


def test_an_open_pull_request_announces_another_plan_when_the_base_asks_for_something_else(world: World) -> None:
    promotion = world.promote()
    first = world.now(promotion)
    endpoint = (world.clone / "staging" / "endpoint.yaml").read_bytes()
    head = world.push({"staging/endpoint.yaml": endpoint.replace(b"bake: 10s", b"bake: 25s")})
    again = world.now(promotion)
    assert again.facts.plan_digest != first.facts.plan_digest
    assert (again.facts.base_sha, again.facts.number) == (head, first.facts.number)
    body = world.forge.pull(world.deploy.full_name, first.facts.number or 0).body
    assert again.facts.plan_digest is not None
    assert again.facts.plan_digest in body
    # Another push that asks for nothing else changes no word.
    world.push({"README.md": b"words\n"})
    assert world.now(promotion).facts.plan_digest == again.facts.plan_digest


def test_the_commit_is_told_when_its_version_is_merged(world: World) -> None:
    promotion = world.promote()
    now = world.now(promotion)
    assert world.said() is CheckState.PENDING
    world.person.merge_pull(
        world.deploy.full_name, now.facts.number or 0, head_sha=now.facts.head_sha or "", title="Merge"
    )
    assert world.now(promotion).phase is Phase.SUCCEEDED
    assert world.said() is CheckState.SUCCESS


def test_the_commit_is_told_when_a_newer_version_takes_the_place(world: World) -> None:
    world.now(world.promote("1", training_id=world.training.id))
    newer = make_training(repository_id=world.model.id, repository=world.model.full_name)
    world.promote("2", training_id=newer.id)
    world.handle()
    assert world.said() is CheckState.NEUTRAL


def test_a_pull_request_that_a_person_closed_is_no_failure(world: World) -> None:
    promotion = world.promote()
    number = world.now(promotion).facts.number or 0
    world.person.close_pull(world.deploy.full_name, number)
    assert world.now(promotion).phase is Phase.REFUSED
    assert world.said() is CheckState.NEUTRAL


# ---------------------------------------------------------------- whose branch it is (I16)


def test_i16_a_persons_commits_stay_when_their_pull_request_was_closed(world: World) -> None:
    first = world.promote("1")
    number = world.now(first).facts.number or 0
    theirs = world.edit_branch()
    world.person.close_pull(world.deploy.full_name, number)
    assert world.now(first).reason == "PullRequestClosed"
    second = world.promote("2")
    assert world.now(second).reason == "BranchEdited"
    assert world.head() == theirs
    assert world.said() is CheckState.FAILURE
    # The way out that the sentence names.
    world.git("push", "-q", "origin", "--delete", _BRANCH)
    assert world.now(second).reason == "AwaitingMerge"


def test_i16_a_persons_branch_of_our_name_stays_when_no_pull_request_ever_was(world: World) -> None:
    theirs = world.push({"staging/notes.md": b"mine\n"}, branch=_BRANCH)
    assert world.now(world.promote()).reason == "BranchEdited"
    assert world.head() == theirs


def test_i16_a_persons_commits_stay_on_an_open_pull_request(world: World) -> None:
    number = world.now(world.promote("1")).facts.number
    theirs = world.edit_branch()
    now = world.now(world.promote("2"))
    assert (now.reason, f"pull request {number}" in now.message) == ("BranchEdited", True)
    assert world.head() == theirs


def test_i16_a_commit_that_a_person_pushes_while_our_branch_makes_way_stays(world: World) -> None:
    first = world.promote("1")
    world.person.close_pull(world.deploy.full_name, world.now(first).facts.number or 0)
    world.now(first)
    theirs = ""

    class PushedMeanwhile(InterruptedForge):
        def ahead(self, full_name: str, *, base: str, head: str) -> Ahead:
            nonlocal theirs
            found = super().ahead(full_name, base=base, head=head)
            theirs = theirs or world.edit_branch()
            return found

    forge = PushedMeanwhile(world.server.api, world.server.bot, login=_BOT)
    world.loop = replace(world.loop, deps=replace(world.loop.deps, forge=forge))
    second = world.promote("2")
    assert "BranchMoved" in world.now(second).message
    assert world.head() == theirs
    assert world.now(second).reason == "BranchEdited"


def test_i16_our_older_branch_makes_way_once_when_the_reply_is_lost(world: World) -> None:
    first = world.promote("1")
    world.person.close_pull(world.deploy.full_name, world.now(first).facts.number or 0)
    world.now(first)

    class Lossy(GitMirror):
        """The mirror as a worker has it whose connection breaks once, after the branch was deleted."""

        lost = 0

        def delete_branch(self, repository: Repository, branch: str, *, at: str) -> None:
            super().delete_branch(repository, branch, at=at)
            self.lost += 1
            raise RetryError("ForgeUnavailable", "the connection broke")

    mirror = Lossy(world.clone.parent / "mirrors", forge_api=world.server.api, token=world.server.bot)
    world.loop = replace(world.loop, deps=replace(world.loop.deps, mirror=mirror))
    second = world.promote("2")
    assert "ForgeUnavailable" in world.now(second).message
    assert world.head() == ""
    assert world.now(second).reason == "AwaitingMerge"
    assert mirror.lost == 1


def test_our_own_older_branch_makes_way(world: World) -> None:
    first = world.promote("1")
    world.person.close_pull(world.deploy.full_name, world.now(first).facts.number or 0)
    world.now(first)
    now = world.now(world.promote("2"))
    assert now.reason == "AwaitingMerge"
    ahead = world.forge.ahead(world.deploy.full_name, base=now.facts.base_sha or "", head=world.head())
    assert (ahead.commits, ahead.by_us) == (1, True)


def test_a_branch_that_was_merged_makes_way_with_a_persons_commits_on_it(world: World) -> None:
    first = world.promote("1")
    number = world.now(first).facts.number or 0
    theirs = world.edit_branch()
    world.person.merge_pull(world.deploy.full_name, number, head_sha=theirs, title="Merge")
    assert world.now(first).phase is Phase.SUCCEEDED
    assert world.now(world.promote("2")).reason == "AwaitingMerge"


def test_a_version_is_proposed_again_after_its_pin_was_merged_and_set_back(world: World) -> None:
    unpinned = (world.clone / "staging/buildspec.yml").read_bytes()
    first = world.promote("1")
    pull = world.now(first).facts
    world.person.merge_pull(world.deploy.full_name, pull.number or 0, head_sha=pull.head_sha or "", title="Merge")
    world.now(first)
    world.git("pull", "-q", "origin", "main")
    world.push({"staging/buildspec.yml": unpinned})
    again = world.now(world.promote("1"))
    assert (again.reason, again.facts.number) == ("AwaitingMerge", (pull.number or 0) + 1)


def test_a_worker_adds_nothing_to_a_branch_that_moved_since_it_began(world: World) -> None:
    first = world.now(world.promote("1"))
    other = GitHubForge(world.server.api, world.server.bot, login=_BOT)
    made: list[str] = []

    def commit_newer() -> None:
        newer = other.commit_file(
            world.deploy.full_name,
            parent=first.facts.head_sha or "",
            branch=_BRANCH,
            path="staging/buildspec.yml",
            content=b"# what the promotion that took the place wrote\n",
            message="Newer",
            create=False,
        )
        made.append(newer.sha)

    world.forge.before_commit = commit_newer
    now = world.now(world.promote("2"))
    assert (now.reason, "BranchMoved" in now.message) == ("Retrying", True)
    assert [world.head()] == made

"""How pushes are seen: real repositories on the embedded forge, the real mirror and store, and no training worker."""

import errno
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import InvalidOperation
from typing import Any, cast

import pytest

from gitops.audit.entry import format_time, parse
from gitops.config.launchpin import LaunchpinFile, parse_launchpin
from gitops.errors import RetryError
from gitops.forge.checkout import TreeLimits
from gitops.forge.mirror import MirrorLimits
from gitops.intake import poll_repository
from gitops.ports import Mirror
from gitops.reconcile import run_until_idle
from gitops.records import Repository
from gitops.steps import Queue, Wait
from gitops.writes import SaveRepository
from tests.integration.intake_rig import Model, forge, model
from tests.support.scripted import Scripted, serve_script
from tests.support.store import Clock, write

__all__ = ["forge", "model"]


def test_a_push_starts_one_training_of_its_head(model: Model) -> None:
    head = model.commit("README.md", "begin")
    assert model.outcome(model.deliver(head)).startswith("woke")
    assert [training.commit for training in model.trainings()] == [head]


def test_the_commits_own_time_is_on_record_when_its_training_starts(model: Model) -> None:
    head = model.commit("README.md", "begin")
    model.outcome(model.deliver(head))
    made = datetime.fromtimestamp(int(model.git("show", "-s", "--format=%ct", head)), UTC)
    (started,) = [one for one in map(parse, model.store.audit_entries(0, 100)) if one.kind == "training.started"]
    assert started.evidence["committed_at"] == format_time(made)


def test_i05_each_commit_is_trained_once_when_deliveries_come_five_times_in_any_order(model: Model) -> None:
    commits = [model.commit("train.py", f"# {number}\n") for number in range(8)]
    order = commits * 5
    random.Random(7).shuffle(order)  # noqa: S311 - an order, not a secret
    for commit in order:
        model.deliver(commit)
    model.handle()
    # Only the head is looked at: the others were never the head when anybody looked.
    assert [training.commit for training in model.trainings()] == [commits[-1]]


def test_i05_each_commit_is_trained_once_when_several_loops_handle_each_delivery_five_times(model: Model) -> None:
    commits = []
    for number in range(6):
        commits.append(model.commit("train.py", f"# {number}\n"))
        for _ in range(5):
            model.deliver(commits[-1])
        with ThreadPoolExecutor(3) as pool:
            loops = [replace(model.loop, owner=f"loop-{each}") for each in range(3)]
            list(pool.map(lambda loop: run_until_idle(loop, Queue.CONTROL), loops))
    assert sorted(training.commit for training in model.trainings()) == sorted(commits)


def test_i05_a_push_that_the_paths_filter_out_never_hides_an_earlier_one(model: Model) -> None:
    first = model.commit("train.py", "# first\n")
    model.outcome(model.deliver(first))
    matching = model.commit("train.py", "# second, its delivery is lost\n")
    head = model.commit("README.md", "only words")
    assert model.outcome(model.deliver(head)).startswith("woke")
    assert {training.commit for training in model.trainings()} == {first, head}
    assert matching not in {training.commit for training in model.trainings()}


def test_a_push_whose_paths_are_filtered_out_trains_nothing(model: Model) -> None:
    model.outcome(model.deliver(model.commit("train.py", "# first\n")))
    assert model.outcome(model.deliver(model.commit("README.md", "words"))) == "ignored:paths"
    assert len(model.trainings()) == 1


def test_attack_23_an_old_delivery_under_a_new_id_runs_nothing(model: Model) -> None:
    old = model.commit("train.py", "# old\n")
    model.outcome(model.deliver(old))
    head = model.commit("train.py", "# new\n")
    model.outcome(model.deliver(head))
    before = len(model.trainings())
    assert model.outcome(model.deliver(old)) == "ignored:known"
    assert len(model.trainings()) == before


def test_attack_30_a_push_with_2048_commits_is_handled_by_its_head_alone(model: Model) -> None:
    head = model.commit("train.py", "# one\n")
    many = [{"id": f"{number:040x}", "message": "m" * 200} for number in range(2048)]
    assert model.outcome(model.deliver(head, commits=many)).startswith("woke")
    assert [training.commit for training in model.trainings()] == [head]


def test_attack_30_many_branches_are_looked_at_without_a_training_each(model: Model) -> None:
    head = model.commit("train.py", "# one\n")
    refs = [f"HEAD:refs/heads/b/{number}" for number in range(300)]
    model.git("push", "-q", "origin", *refs)
    model.store.wake("poll", str(model.repository.id))
    model.handle()
    assert [(training.commit, training.ref) for training in model.trainings()] == [(head, "refs/heads/main")]


@pytest.mark.parametrize("branch", ["mainx", "xmain", "feature/main", "MAIN"])
def test_attack_31_a_branch_outside_the_filter_is_ignored(model: Model, branch: str) -> None:
    head = model.commit("train.py", "# one\n", branch=branch)
    assert model.outcome(model.deliver(head, ref=f"refs/heads/{branch}")) == "ignored:branch"
    assert model.trainings() == []


def test_a_push_is_seen_by_polling_when_its_delivery_never_came(model: Model) -> None:
    head = model.commit("train.py", "# one\n")
    model.store.wake("poll", str(model.repository.id))
    model.handle()
    (training,) = model.trainings()
    assert (training.commit, training.cause.kind) == (head, "poll")
    # The delivery that comes after all finds nothing left to do.
    assert model.outcome(model.deliver(head)) == "ignored:known"


def test_a_poll_comes_again_by_itself(model: Model) -> None:
    model.commit("train.py", "# one\n")
    number = model.store.wake("poll", str(model.repository.id))
    model.handle()
    (job,) = (job for job in model.store.jobs() if job.job == number)
    assert job.state == "waiting"
    wait = job.not_before - model.store.now()
    assert timedelta(seconds=162) <= wait <= timedelta(seconds=198)


def test_polls_of_many_repositories_do_not_fall_together(model: Model) -> None:
    deps = model.loop.deps
    outcomes = [poll_repository(deps, model.repository) for _ in range(5)]
    waits = {outcome.after for outcome in outcomes if isinstance(outcome, Wait)}
    assert len(waits) > 1


def test_a_push_back_to_a_commit_that_was_trained_is_known(model: Model) -> None:
    first = model.commit("train.py", "# first\n")
    model.outcome(model.deliver(first))
    model.outcome(model.deliver(model.commit("train.py", "# second\n")))
    before = len(model.trainings())
    model.git("push", "-q", "--force", "origin", f"{first}:refs/heads/main")
    delivery = model.deliver(first)
    assert model.outcome(delivery) == "ignored:known"
    ended = model.store.delivery(delivery.id)
    assert ended is not None
    assert ended.facts.woke == ()
    assert len(model.trainings()) == before
    ref = model.store.watched_ref(model.repository.id, "refs/heads/main")
    assert ref is not None
    assert ref.commit == first


def test_i04_attack_40_a_repository_that_is_too_large_ends_the_delivery_and_stalls_the_poll(model: Model) -> None:
    head = model.commit("weights.bin", "".join(random.choices("0123456789abcdef", k=200_000)))  # noqa: S311 - bytes
    small = MirrorLimits(mirror=20_000)
    model.mirror_with(limits=small)
    assert model.outcome(model.deliver(head)) == "rejected:repo_too_large"
    job = model.poll()
    assert (job.state, job.reason) == ("stalled", "repo_too_large")
    assert job.not_before - model.store.now() <= timedelta(minutes=10)
    model.mirror_with()
    assert model.poll().reason == "Polling"
    assert [training.commit for training in model.trainings()] == [head]


def test_i04_a_repository_that_moved_ends_the_delivery_and_stalls_the_poll(model: Model) -> None:
    with serve_script() as elsewhere:
        elsewhere.play(Scripted(301, "", {"Location": f"{model.forge.url}/acme/new.git/info/refs"}))
        moved = model.repository.model_copy(update={"clone_url": f"{elsewhere.base}/acme/old.git"})
        write(model.store, SaveRepository(moved))
        model.mirror_with(forge_api=f"{elsewhere.base}/api/v3")
        assert model.outcome(model.deliver("a" * 40)) == "rejected:RepositoryMoved"
        job = model.poll()
    assert (job.state, job.reason) == ("stalled", "RepositoryMoved")


def test_i04_a_repository_that_is_gone_ends_the_delivery_and_stalls_the_poll(model: Model) -> None:
    gone = model.repository.model_copy(update={"clone_url": f"{model.forge.url}/acme/gone.git"})
    write(model.store, SaveRepository(gone))
    assert model.outcome(model.deliver("a" * 40)) == "rejected:repository_unknown"
    job = model.poll()
    assert (job.state, job.reason) == ("stalled", "repository_unknown")


def test_a_branch_that_cannot_be_read_hides_no_other_one(model: Model) -> None:
    head = model.commit("train.py", "# one\n")
    for number in range(30):
        (model.clone / f"many-{number}").write_text("x")
    large = model.commit("more", "x", branch="a-large-one")
    model.mirror_with(limits=MirrorLimits(tree=TreeLimits(files=20)))
    job = model.poll()
    assert (job.state, job.reason) == ("stalled", "repo_too_large")
    assert "refs/heads/a-large-one" in job.message
    assert [training.commit for training in model.trainings()] == [head]
    assert model.check(large).startswith("failure: ")
    assert "20 files" in model.check(large)


ENDLESS = "search: {objective: {metric: f1}, space: {a: {min: 0, max: 1e300, step: 0.1}}}\n"


def test_a_space_that_cannot_be_counted_is_told_on_its_commit_and_the_other_branches_are_polled(model: Model) -> None:
    head = model.commit("train.py", "# one\n")
    config = (model.clone / "launchpin.yaml").read_text()
    endless = model.commit("launchpin.yaml", config + ENDLESS, branch="an-endless-one")
    job = model.poll()
    assert (job.state, job.reason) == ("waiting", "Polling")
    assert [training.commit for training in model.trainings()] == [head]
    assert "search.space.a.step" in model.check(endless)
    assert model.outcome(model.deliver(endless, ref="refs/heads/an-endless-one")) == "ignored:known"


def test_a_file_whose_reading_raises_what_nobody_foresaw_is_told_on_its_commit_and_holds_nobody_up(
    model: Model, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def parse(content: bytes, *, file: str) -> LaunchpinFile:
        if b"odd" in content:
            raise InvalidOperation("DivisionImpossible")
        return parse_launchpin(content, file=file)

    monkeypatch.setattr("gitops.arrivals.parse_launchpin", parse)
    head = model.commit("train.py", "# one\n")
    odd = model.commit("launchpin.yaml", (model.clone / "launchpin.yaml").read_text() + "# odd\n", branch="an-odd-one")
    assert model.outcome(model.deliver(odd, ref="refs/heads/an-odd-one")) == "ignored:config"
    assert "InvalidOperation: DivisionImpossible; Launchpin did not foresee this" in model.check(odd)
    assert "raised what its reader did not foresee" in caplog.text
    assert model.poll().reason == "Polling"
    assert [training.commit for training in model.trainings()] == [head]


class OddMirror:
    """A mirror of which one commit's files cannot be listed, for a cause that nobody foresaw."""

    def __init__(self, mirror: Mirror, odd: str, error: Exception) -> None:
        self._mirror, self._odd, self._error = mirror, odd, error

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the mirror has
        return getattr(self._mirror, name)

    def files(self, repository: Repository, commit: str) -> Sequence[str]:
        """Return a commit's files, unless it is the odd one."""
        if commit == self._odd:
            raise self._error
        return self._mirror.files(repository, commit)


@pytest.mark.parametrize(
    ("error", "state", "reason", "is_told"),
    [
        (ValueError("nobody foresaw this"), "stalled", "config_unreadable", True),
        (RetryError("MirrorBusy", "somebody else has it"), "waiting", "Retrying", False),
        (OSError(errno.ENOSPC, "No space left on device"), "stalled", "DiskLow", False),
    ],
    ids=["unforeseen", "busy", "full"],
)
def test_a_branch_whose_reading_raises_is_told_and_the_other_branches_are_polled(
    model: Model, error: Exception, state: str, reason: str, *, is_told: bool
) -> None:
    head = model.commit("train.py", "# one\n")
    odd = model.commit("train.py", "# odd\n", branch="an-odd-one")
    deps = model.loop.deps
    mirror = cast("Mirror", OddMirror(deps.mirror, odd, error))
    model.loop = replace(model.loop, deps=replace(deps, mirror=mirror))
    for _ in range(2):
        job = model.poll()
    assert (job.state, job.reason) == (state, reason)
    assert "refs/heads/an-odd-one" in job.message
    assert [training.commit for training in model.trainings()] == [head]
    assert model.check(odd).startswith("failure: ") is is_told
    model.loop = replace(model.loop, deps=deps)
    assert model.poll().reason == "Polling"


def test_a_push_with_a_wrong_file_says_what_is_wrong_in_its_outcome(model: Model) -> None:
    text = (model.clone / "launchpin.yaml").read_text().replace("entry_point:", "entrypoint:")
    delivery = model.deliver(model.commit("launchpin.yaml", text))
    assert model.outcome(delivery) == "ignored:config"
    ended = model.store.delivery(delivery.id)
    assert ended is not None
    assert "launchpin.yaml:" in ended.facts.detail
    assert "entry_point" in ended.facts.detail


def test_a_webhook_that_is_lost_is_found_by_the_poll_and_heard_again(model: Model, clock: Clock) -> None:
    def told() -> list[str]:
        kinds = [row.entry.kind for row in model.store.audit_recent(100)]
        return [kind for kind in reversed(kinds) if kind.startswith("hook.")]

    model.deliver(model.commit("train.py", "# first\n"))
    model.handle()
    clock.advance(timedelta(minutes=10))
    lost = model.commit("train.py", "# its delivery never comes\n")
    model.poll()
    assert lost in {training.commit for training in model.trainings()}
    assert told() == []  # it may be on its way
    for _ in range(3):
        clock.advance(timedelta(minutes=3))
        model.poll()
    assert told() == ["hook.lost"]
    assert model.store.tallies().hooks_lost == 1
    model.deliver(model.commit("train.py", "# mended\n"))
    model.handle()
    assert told() == ["hook.lost", "hook.heard"]
    assert model.store.tallies().hooks_lost == 0
    assert model.store.check_audit_joins() == []

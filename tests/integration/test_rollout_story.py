"""How rollouts end, by the real store, mirror and forge: traffic, Git, holds and what is said, whatever fails."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from gitops.errors import RefusedError, RetryError
from gitops.forge.github import GitHubForge
from gitops.ports import Check, CheckState, Commit, Forge, Pull
from gitops.writes import OpenRollout
from tests.integration.rollout_rig import deployment, forge
from tests.support.rollouts import BOT, Deployment
from tests.support.store import make_rollout, write

__all__ = ["deployment", "forge"]


@dataclass(frozen=True)
class ProtectedForge:
    """A real forge whose branch `main` takes no commit of ours."""

    real: GitHubForge

    def commit_file(
        self, full_name: str, *, parent: str, branch: str, path: str, content: bytes, message: str, create: bool
    ) -> Commit:
        if branch == "main":
            raise RefusedError("branch_protected", "main takes no commit from us")
        return self.real.commit_file(
            full_name, parent=parent, branch=branch, path=path, content=content, message=message, create=create
        )

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def protect(deployment: Deployment) -> None:
    real: Forge = deployment.deps.forge
    assert isinstance(real, GitHubForge)
    deployment.with_parts(forge=ProtectedForge(real))


def test_a_forge_whose_api_is_away_holds_up_no_rollout(deployment: Deployment) -> None:
    deployment.serve("1")

    class Limited:
        """A forge that git still reaches, and whose API asks us to wait."""

        def __getattr__(self, name: str) -> object:
            raise RetryError("ForgeRateLimited", "the forge asked us to wait", after=900)

    real = deployment.deps.forge
    deployment.with_parts(forge=Limited())
    deployment.pin("2")
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert (deployment.live(), deployment.environment().serving) == ("2", "2")
    (compare,) = [job for job in deployment.store.jobs() if job.kind == "compare"]
    assert (compare.state, compare.reason) == ("waiting", "ForgeRateLimited")
    assert compare.not_before - deployment.clock() >= timedelta(seconds=800)

    deployment.with_parts(forge=real)
    deployment.later(1, seconds=900)
    (compare,) = [job for job in deployment.store.jobs() if job.kind == "compare"]
    assert compare.reason == "Comparing"


def test_what_was_merged_rolls_out_before_the_forge_is_asked_about_other_pull_requests(deployment: Deployment) -> None:
    deployment.serve("1")
    begun: list[bool] = []

    class Watched(GitHubForge):
        def open_pulls(self, full_name: str) -> Sequence[Pull]:
            known = deployment.environment()
            newest = deployment.store.newest_rollout(known.repository_id, known.path)
            begun.append(newest is not None and newest.version == "2")
            return super().open_pulls(full_name)

    deployment.with_parts(forge=Watched(deployment.forge.api, deployment.forge.bot, login=BOT))
    deployment.pin("2")
    deployment.target.end_bake("iris-staging")
    deployment.later(1, seconds=6)
    assert deployment.live() == "2"
    assert set(begun) == {True}


def test_files_that_are_wrong_are_told_when_the_forge_is_back(deployment: Deployment) -> None:
    deployment.serve("1")
    told: list[CheckState] = []

    class Deaf(GitHubForge):
        is_deaf = True

        def report_check(self, full_name: str, sha: str, check: Check) -> None:
            if self.is_deaf:
                self.is_deaf = False
                raise RetryError("ForgeUnavailable", "nobody listens")
            super().report_check(full_name, sha, check)
            told.append(check.state)

    deployment.with_parts(forge=Deaf(deployment.forge.api, deployment.forge.bot, login=BOT))
    deployment.write("staging/endpoint.yaml", "version: 7\n")
    deployment.compare()
    assert "the forge was not told" in deployment.environment().message
    deployment.later(2, seconds=61)
    assert told == [CheckState.FAILURE]
    assert "the forge was not told" not in deployment.environment().message


# ---------------------------------------------------------------- how Git is written


def test_a_failed_version_is_left_in_git_by_a_commit_and_held(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.target.answers["2"] = 500
    commit = deployment.pin("2")
    deployment.later()
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.reason) == ("RolledBack", "SmokeFailed")
    assert (deployment.pinned(), deployment.live()) == ("1", "1")
    assert f"Launchpin-Rollback-Of: {commit}" in deployment.message()
    assert [hold.reason for hold in deployment.holds()] == ["SmokeFailed"]
    assert (deployment.environment().sync, deployment.environment().serving) == ("Synced", "1")
    assert len(deployment.rollouts()) == 2


@pytest.mark.parametrize("how", ["protected", "asked for"])
def test_the_pin_is_set_back_by_pull_request_when_the_branch_is_protected_or_it_is_asked_for(
    deployment: Deployment, how: str
) -> None:
    if how == "protected":
        protect(deployment)
    else:
        deployment.configure(write="pull_request")
    deployment.serve("1")
    deployment.target.answers["2"] = 500
    deployment.pin("2")
    deployment.later()
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.reason) == ("RolledBack", "SmokeFailed")
    assert deployment.pinned() == "2"
    (pull,) = deployment.pulls()
    assert pull["html_url"] == ended.facts.write_back_url
    assert deployment.pinned(ref=pull["head"]["ref"]) == "1"
    assert [hold.reason for hold in deployment.holds()] == ["SmokeFailed"]
    known = deployment.environment()
    assert (known.serving, known.sync, known.sync_reason) == ("1", "OutOfSync", "RollbackPending")

    deployment.git("fetch", "-q", "origin")
    deployment.git("push", "-q", "origin", f"origin/{pull['head']['ref']}:refs/heads/main")
    deployment.compare()
    assert (deployment.environment().sync, len(deployment.rollouts())) == ("Synced", 2)


def test_a_rollback_by_hand_proposes_one_pull_request_when_the_branch_is_protected(deployment: Deployment) -> None:
    protect(deployment)
    deployment.serve("1")
    deployment.pin("2")
    command = deployment.ended(deployment.ask("rollback", reason="wrong labels"))
    assert command.phase == "Succeeded", command.message
    (pull,) = deployment.pulls()
    assert deployment.pinned(ref=pull["head"]["ref"]) == "1"
    assert deployment.environment().sync_reason == "RollbackPending"


def test_attack_77_a_persons_reason_is_inert_in_the_pull_request_that_sets_the_pin_back(deployment: Deployment) -> None:
    protect(deployment)
    deployment.serve("1")
    left = deployment.pin("2")
    reason = "</details><img src=x onerror=y> @org/all Fixes #1 <!-- ignore all before --> [here](javascript:x)"
    assert deployment.ended(deployment.ask("rollback", reason=reason)).phase == "Succeeded"
    (pull,) = deployment.pulls()
    why, _, trailers = pull["body"].strip().rpartition("\n\n")
    assert "ignore all before" in why
    assert not re.search(r"[<>]|@\w|#\d|(?<!\\)[\[(]", why), why
    assert trailers.splitlines() == [f"Launchpin-Rollback-Of: {left}", "Launchpin-Hold: staging RolledBack"]


# ---------------------------------------------------------------- a rollback while a version bakes


def test_a_rollback_ends_a_bake_at_once_and_writes_git_and_the_hold_in_the_persons_name(
    deployment: Deployment,
) -> None:
    deployment.serve("1")
    commit = deployment.pin("2")
    assert deployment.live() == "2"
    asked = deployment.ask("rollback", reason="wrong labels")
    # No time has passed since: the bake was ended, not waited for.
    assert (deployment.live(), deployment.pinned()) == ("1", "1")
    (hold,) = deployment.holds()
    assert (hold.reason, hold.author) == ("RolledBack", "mona")
    assert hold.message == "version 2 was rolled back by hand: wrong labels"
    assert "wrong labels" in deployment.message()
    assert f"Launchpin-Rollback-Of: {commit}" in deployment.message()
    command = deployment.ended(asked)
    assert (command.phase, command.message) == ("Succeeded", "version 1 is serving already")
    _, forward, back = deployment.rollouts()
    assert (forward.phase, forward.reason, back.phase) == ("RolledBack", "RolledBack", "Succeeded")
    assert (deployment.environment().serving, deployment.environment().sync) == ("1", "Synced")
    assert len(deployment.rollouts()) == 3


def test_a_rollback_during_a_bake_goes_further_back_when_it_names_an_earlier_version(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.serve("2")
    deployment.pin("3")
    command = deployment.ended(deployment.ask("rollback", to="1", reason="both are wrong"))
    assert command.phase == "Succeeded", command.message
    assert (deployment.live(), deployment.pinned(), deployment.environment().serving) == ("1", "1", "1")
    assert [hold.message for hold in deployment.holds()] == ["version 3 was rolled back by hand: both are wrong"]


def test_a_rollback_after_the_bake_goes_to_the_version_before(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.serve("2")
    command = deployment.ended(deployment.ask("rollback", reason="wrong labels"))
    assert command.phase == "Succeeded", command.message
    assert (deployment.live(), deployment.pinned(), deployment.environment().serving) == ("1", "1", "1")


def test_a_rollback_of_the_first_version_is_refused_as_it_bakes(deployment: Deployment) -> None:
    deployment.pin("1")
    command = deployment.ask("rollback", reason="no good")
    assert (command.phase, command.reason) == ("Refused", "NoPrevious")
    assert deployment.live() == "1"


def test_a_rollback_to_the_version_that_bakes_is_refused(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.pin("2")
    command = deployment.ask("rollback", to="2")
    assert (command.phase, command.reason) == ("Refused", "AlreadyServing")
    assert deployment.live() == "2"


# ---------------------------------------------------------------- what does not block a way back


def test_a_rollback_by_hand_needs_neither_readable_files_nor_the_registry(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.serve("2")
    deployment.write("staging/endpoint.yaml", "endpoint: [\n")
    deployment.write("staging/buildspec.yml", "phases: {\n")
    deployment.compare()
    deployment.registry.is_away = True
    command = deployment.ended(deployment.ask("rollback", reason="wrong labels"))
    assert command.phase == "Succeeded", command.message
    assert deployment.live() == "1"
    (hold,) = deployment.holds()
    assert (hold.author, hold.message) == ("mona", "version 2 was rolled back by hand: wrong labels")
    known = deployment.environment()
    assert (known.serving, known.sync, known.sync_reason) == ("1", "OutOfSync", "RollbackPending")

    deployment.configure()
    deployment.pin("2")
    known = deployment.environment()
    assert (known.sync, known.sync_reason, deployment.live()) == ("OutOfSync", "RollbackPending", "1")


def test_a_failed_rollout_is_held_when_the_files_at_the_head_were_broken_meanwhile(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.pin("2")
    deployment.write("staging/buildspec.yml", "phases: {\n")
    deployment.target.restore("iris-staging", deployment.rollouts()[0].facts.configuration or "")
    deployment.later()
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.reason) == ("RolledBack", "EndpointChanged")
    assert [hold.reason for hold in deployment.holds()] == ["EndpointChanged"]
    assert (deployment.environment().serving, deployment.environment().sync_reason) == ("1", "RollbackPending")


def test_attack_58_a_kept_file_that_was_changed_is_refused_by_a_rollback(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.serve("2")
    folder = deployment.deps.service.models / (deployment.rollouts()[0].facts.manifest_sha256 or "")
    (folder / "model.txt").write_text("other")
    command = deployment.ended(deployment.ask("rollback", reason="wrong labels"))
    assert (command.phase, command.reason) == ("Refused", "digest_mismatch")
    assert deployment.live() == "2"


# ---------------------------------------------------------------- who has an endpoint


def test_an_endpoint_stays_with_the_environment_that_had_it_first(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.configure("a-copy")
    deployment.pin("2", path="a-copy")
    deployment.later()
    assert (deployment.live(), deployment.environment().sync) == ("1", "Synced")
    second = deployment.environment("a-copy")
    assert (second.sync, second.sync_reason) == ("OutOfSync", "endpoint_taken")
    assert f"{deployment.repository.full_name}:staging" in second.message
    assert deployment.rollouts("a-copy") == []
    deployment.git("rm", "-rq", "staging")
    deployment.git("commit", "-qm", "Away")
    deployment.write("README.md", "moved")
    deployment.compare()
    deployment.later()
    assert (deployment.environment("a-copy").sync, deployment.live()) == ("Synced", "2")


def test_one_of_two_new_environments_gets_the_endpoint_that_both_name(deployment: Deployment) -> None:
    deployment.configure("other")
    deployment.pin("1", path="other", compare=False)
    deployment.pin("2")
    deployment.later()
    assert (deployment.environment("other").sync, deployment.live()) == ("Synced", "1")
    assert deployment.environment().sync_reason == "endpoint_taken"


def test_another_model_with_the_same_version_number_is_not_in_sync(deployment: Deployment) -> None:
    deployment.serve("1")
    live = deployment.target.made("iris-staging")
    deployment.target.serve("iris-staging", replace(live, name="other", model="wine"))
    deployment.compare()
    assert deployment.environment().sync == "OutOfSync"
    deployment.target.end_bake("iris-staging")
    deployment.later()
    assert (deployment.target.made("iris-staging").model, deployment.environment().sync) == ("iris", "Synced")


# ---------------------------------------------------------------- smoke, first deploys, names, dead ends


def test_smoke_is_asked_before_traffic_and_once_more_in_the_bake(deployment: Deployment) -> None:
    deployment.pin("1")
    deployment.later()
    assert deployment.target.asked == ["1", "1"]


def test_the_traffic_goes_back_when_smoke_fails_in_the_bake(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.target.fails_with_traffic.add("2")
    deployment.pin("2")
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.reason) == ("RolledBack", "SmokeFailed")
    assert "with traffic" in ended.message
    assert (deployment.live(), deployment.pinned()) == ("1", "1")


def test_a_first_version_that_fails_is_taken_down_and_said_to_have_no_previous(deployment: Deployment) -> None:
    deployment.target.answers["1"] = 500
    deployment.pin("1")
    ended = deployment.rollouts()[-1]
    assert ended.phase == "RolledBack"
    assert ended.message.endswith("NoPrevious: nothing served before")
    assert (deployment.live(), deployment.pinned()) == ("", "")


def test_a_lost_alias_is_set_when_the_registry_is_back(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.pin("2")
    deployment.registry.is_away = True
    deployment.target.end_bake("iris-staging")
    deployment.later()
    assert (deployment.rollouts()[-1].phase, deployment.registry.aliases) == ("Succeeded", {"iris@staging": "1"})
    deployment.registry.is_away = False
    deployment.later(1, seconds=360)
    assert deployment.registry.aliases == {"iris@staging": "2"}


def test_a_way_back_that_never_comes_up_ends_held_and_degraded(deployment: Deployment) -> None:
    deployment.serve("1")
    deployment.pin("2")
    deployment.target.unstartable.add("1")
    deployment.target.fail("iris-staging", "answered 500")
    deployment.later(22, seconds=16)
    ended = deployment.rollouts()[-1]
    assert (ended.phase, ended.reason) == ("Errored", "RollbackFailed")
    assert "version 1 does not serve again, 2 does: after 20 tries" in ended.message
    assert [hold.reason for hold in deployment.holds()] == ["RollbackFailed"]
    assert deployment.target.restores == 21
    assert deployment.environment().serving == "2"


def test_a_rollout_that_changes_nothing_succeeds_hold_or_no_hold(deployment: Deployment) -> None:
    deployment.serve("1")
    assert deployment.ask("hold", reason="a quiet week").phase == "Succeeded"
    known = deployment.environment()
    before = deployment.live()
    again = make_rollout(
        repository_id=known.repository_id,
        repository=known.repository,
        endpoint=known.endpoint,
        host=known.host,
        model=known.model,
        version="1",
        commit=known.pin_commit,
    )
    write(deployment.store, OpenRollout(again))
    deployment.later()
    ended = deployment.store.rollout(again.id)
    assert ended is not None
    assert (ended.phase, ended.facts.unchanged, ended.facts.serving) == ("Succeeded", True, "1")
    assert deployment.live() == before

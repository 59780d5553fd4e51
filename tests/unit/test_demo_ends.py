"""The act of the kills says what was lost: what its trainings come to is compared with a run where nothing dies."""

import click
import pytest

from gitops.cli.demo import demo
from gitops.cli.demo.ends import OVERTAKEN, judge_pushes
from gitops.cli.demo.stage import SceneError
from gitops.records import Training
from gitops.steps import Phase
from tests.support.store import make_training

OLD, MIDDLE, NEW = (letter * 40 for letter in "abc")


def training(commit: str, phase: Phase = Phase.SUCCEEDED, reason: str = "") -> Training:
    return make_training(commit=commit, phase=phase, reason=reason)


def in_line(old: str, new: str) -> bool:
    return old < new


def elsewhere(old: str, new: str) -> bool:
    del old, new
    return False


def test_push_without_a_training_was_overtaken_where_a_newer_one_that_was_trained_holds_it() -> None:
    ends = judge_pushes((OLD, MIDDLE, NEW), [training(OLD), training(NEW)], is_ancestor=in_line)
    assert ends == [Phase.SUCCEEDED, OVERTAKEN, Phase.SUCCEEDED]
    ends = judge_pushes((OLD, NEW), [training(OLD, Phase.SUPERSEDED), training(NEW)], is_ancestor=elsewhere)
    assert ends == [Phase.SUPERSEDED, Phase.SUCCEEDED]


def test_push_without_a_training_was_lost_where_git_has_it_in_no_trained_one() -> None:
    with pytest.raises(SceneError, match="push bbbbbbbbbbbb was lost"):
        judge_pushes((OLD, MIDDLE, NEW), [training(OLD), training(NEW)], is_ancestor=elsewhere)
    with pytest.raises(SceneError, match="push cccccccccccc was lost"):
        judge_pushes((OLD, MIDDLE, NEW), [training(OLD), training(MIDDLE)], is_ancestor=in_line)


@pytest.mark.parametrize("phase", [Phase.ERRORED, Phase.REFUSED, Phase.CANCELLED])
def test_training_that_ended_as_it_does_not_where_nothing_dies_fails_the_act(phase: Phase) -> None:
    trainings = [training(OLD, phase, "WorkerLost"), training(NEW)]
    with pytest.raises(SceneError, match=f"push aaaaaaaaaaaa ended {phase} \\(WorkerLost\\)"):
        judge_pushes((OLD, NEW), trainings, is_ancestor=in_line)


def test_last_push_cannot_be_superseded_and_none_is_trained_twice() -> None:
    with pytest.raises(SceneError, match="ended Superseded"):
        judge_pushes((OLD, NEW), [training(OLD), training(NEW, Phase.SUPERSEDED)], is_ancestor=in_line)
    with pytest.raises(SceneError, match="trained 2 times"):
        judge_pushes((OLD, NEW), [training(OLD), training(OLD), training(NEW)], is_ancestor=in_line)


@pytest.mark.parametrize("arguments", [["--part", "web"], ["--act", "worse", "--part", "web"]])
def test_part_to_kill_without_the_act_that_kills_is_refused_with_the_way_out(arguments: list[str]) -> None:
    with pytest.raises(click.UsageError, match="say --act kill too"):
        demo.main(arguments, standalone_mode=False)

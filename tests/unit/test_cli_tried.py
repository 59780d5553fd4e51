"""What `launchpin train --local` ends with: the exit code says who must change something."""

import pytest

from gitops.cli.exits import ExitCode
from gitops.cli.tried import code_of
from gitops.rehearsal import STEPS, Rehearsed
from gitops.steps import Done, Ended, Outcome, Phase, Refused, Stalled
from tests.support.store import make_training


def rehearsed(outcome: Outcome, verdict: str = "") -> Rehearsed:
    training = make_training()
    facts = training.facts.model_copy(update={"verdict": verdict or None})
    return Rehearsed(training.model_copy(update={"facts": facts}), "judge", outcome)


@pytest.mark.parametrize(
    ("outcome", "verdict", "code"),
    [
        (Done(), "pass", ExitCode.OK),
        (Refused("GateRefused", "0.8 is not above 0.9"), "fail", ExitCode.REFUSED),
        (Refused("Inconclusive", "accuracy was not logged"), "inconclusive", ExitCode.INCONCLUSIVE),
        (Refused("NoModel", "no run logged a model"), "", ExitCode.INCONCLUSIVE),
        (Refused("NoEnvironment", "add a requirements.txt"), "", ExitCode.USAGE),
        (Refused("NoMLproject", "write one"), "", ExitCode.USAGE),
        (Refused("EnvironmentUnresolvable", "no solution"), "", ExitCode.INCONCLUSIVE),
        (Stalled("NoInterpreter", "Python 3.8 is not installed"), "", ExitCode.INCONCLUSIVE),
        (Ended(Phase.ERRORED, "TrainingFailed", "exit code 1"), "", ExitCode.INCONCLUSIVE),
        (Ended(Phase.ERRORED, "TrainingTimedOut", "too long"), "", ExitCode.INCONCLUSIVE),
    ],
    ids=lambda value: getattr(value, "reason", "") or None,
)
def test_exit_code_says_who_must_change_something(outcome: Outcome, verdict: str, code: ExitCode) -> None:
    assert code_of(rehearsed(outcome, verdict)) is code


def test_nothing_after_the_verdict_is_rehearsed() -> None:
    assert [step.name for step in STEPS][-1] == "judge"
    assert {"register", "hand_over"} & {step.name for step in STEPS} == set()

"""What came of `launchpin train --local`: the verdict in words, as JSON, and as an exit code."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from gitops.cli.exits import ExitCode
from gitops.cli.runs import metrics_line
from gitops.cli.show import duration, print_json
from gitops.cli.trials import show_trials
from gitops.records import Training, Version
from gitops.rehearsal import Rehearsed
from gitops.steps import Done
from gitops.telling.trials import tell_trial
from gitops.trainers.redaction import show_controls
from gitops.trials import TrialView, objective_of, view

# A file that is missing is the person's to write; of all else that keeps a verdict away nobody knows whose it is.
_FILES = frozenset({"ConfigMissing", "NoMLproject", "NoEnvironment"})
_NOTHING = "nothing was registered, and nothing was pinned"
_PARTS = {"environment": "environment", "search": "searching", "train": "training", "judge": "judging"}


@dataclass(frozen=True)
class Tried:
    """A try that is over.

    Args:
        champion_words: where the champion comes from, or why there is none.
        has_versus: whether a gate compares with it.
        changes: how many files differed from the commit.
        home: the folder of all tries, as the person named it.
        log: the script's; None when it never came so far.
        seconds: for each step, and for `all`.
    """

    rehearsed: Rehearsed
    champion: Version | None
    champion_words: str
    has_versus: bool
    changes: int
    home: Path
    log: Path | None
    seconds: Mapping[str, float]

    @property
    def training(self) -> Training:
        """What was learned."""
        return self.rehearsed.training


def code_of(rehearsed: Rehearsed) -> ExitCode:
    """Return the exit code of a try: whether its files, its model or what is around them must change."""
    outcome = rehearsed.outcome
    if isinstance(outcome, Done):
        return ExitCode.OK
    if outcome.reason in _FILES:
        return ExitCode.USAGE
    return ExitCode.REFUSED if rehearsed.training.facts.verdict == "fail" else ExitCode.INCONCLUSIVE


def show_tried(tried: Tried, *, as_json: bool) -> int:
    """Print what came of a try and return the exit code."""
    code = code_of(tried.rehearsed)
    if as_json:
        print_json({"ok": code is ExitCode.OK, **to_json(tried)})
        return code
    for line in _lines(tried):
        click.echo(show_controls(line))
    return code


def to_json(tried: Tried) -> dict[str, object]:
    """Return a try as programs read it."""
    training, outcome = tried.training, tried.rehearsed.outcome
    facts = training.facts.model_dump(mode="json")
    names = (
        "metrics",
        "parameters",
        "trials",
        "trial",
        "gates",
        "tier",
        "tiers",
        "run_id",
        "experiment_id",
        "candidate_run_id",
        "exit_code",
        "lock_sha256",
    )
    return {
        "verdict": facts["verdict"],
        "reason": "" if isinstance(outcome, Done) else outcome.reason,
        "message": outcome.message,
        "step": tried.rehearsed.step,
        "model": training.model,
        "commit": training.commit,
        "branch": training.branch,
        "uncommitted": tried.changes,
        "champion": tried.champion.version if tried.champion else None,
        "champion_from": tried.champion_words,
        **{name: facts[name] for name in names},
        "seconds": {name: round(value, 3) for name, value in tried.seconds.items()},
        "log": str(tried.log) if tried.log else None,
        "searched": [tell_trial(training, one).model_dump(mode="json") for one in _trials(tried)],
        "artifacts": [str(path) for path in _artifacts(tried)],
        "tracking_store": str(tried.home / "mlflow" / "mlflow.db"),
    }


def _lines(tried: Tried) -> Iterator[str]:
    facts, outcome = tried.training.facts, tried.rehearsed.outcome
    if tried.rehearsed.trials:
        yield from show_trials(_trials(tried), tried.training.facts.objective.get("metric", "")).splitlines()
    if facts.verdict:
        yield _gates_head(tried)
        yield from (f"  {gate.outcome:<12}  {gate.message}" for gate in facts.gates)
    if facts.tiers:
        yield "tiers, best first:"
        yield from (f"  {tier.name}: {tier.outcome}, {tier.message}" for tier in facts.tiers)
    if facts.metrics:
        yield f"metrics    {metrics_line(facts.metrics)}"
    if tried.log is not None:
        yield f"log        {tried.log}"
    yield from (f"artifacts  {path}" for path in _artifacts(tried))
    parts = [f"{word} {duration(tried.seconds[name])}" for name, word in _PARTS.items() if name in tried.seconds]
    yield f"took       {duration(tried.seconds['all'])}: {', '.join(parts)}"
    if isinstance(outcome, Done):
        yield f"pass: {outcome.message}; {_NOTHING}"
    else:
        yield f"{facts.verdict or outcome.reason}: {outcome.message}; {_NOTHING}"


def _trials(tried: Tried) -> Sequence[TrialView]:
    return view(tried.rehearsed.trials, objective=objective_of(tried.training))


def _gates_head(tried: Tried) -> str:
    if not tried.has_versus:
        return "gates:"
    if tried.champion:
        return f"gates, with {tried.champion_words}:"
    return f"gates ({tried.champion_words}; a gate `versus: champion` passes without one, as after a push):"


def _artifacts(tried: Tried) -> Iterator[Path]:
    """Give the folders of what was logged: the candidate's run, or the try's, and its model."""
    facts = tried.training.facts
    experiment = tried.home / "mlflow" / "artifacts" / (facts.experiment_id or "-")
    model = (facts.candidate_model or "").removeprefix("models:/")
    for path in (experiment / (facts.candidate_run_id or facts.run_id or "-"), experiment / "models" / (model or "-")):
        if (path / "artifacts").is_dir():
            yield path / "artifacts"

"""What a run in which nothing died comes to, and whether this one came to the same."""

from collections.abc import Callable, Sequence

from gitops.cli.demo import scenes
from gitops.cli.demo.stage import SceneError, Stage
from gitops.plans import promotion_branch
from gitops.records import Training
from gitops.steps import Phase

OVERTAKEN = "Overtaken"
"""What a push is called that nobody trained, because a newer one that was trained has it in its history."""

_NEWEST = 200


def pushed_trainings(stage: Stage, pushed: Sequence[str]) -> list[Training]:
    """Return every training of these commits."""
    records = stage.store.recent("training", limit=_NEWEST)
    return [record for record in records if isinstance(record, Training) and record.commit in pushed]


def is_ancestor(stage: Stage, old: str, new: str) -> bool:
    """Return whether git has the older commit of the model repository in the newer one's history."""
    return stage.git(stage.model_folder, "merge-base", old, new).strip() == old


def judge_pushes(
    pushed: Sequence[str], trainings: Sequence[Training], *, is_ancestor: Callable[[str, str], bool]
) -> list[Phase | str]:
    """Return how each push ended: `Succeeded`, `Superseded` or `Overtaken`.

    Args:
        pushed: commits, the oldest first.
        trainings: of these commits, all over.
        is_ancestor: whether the first commit is in the history of the second.

    Raises:
        SceneError: a push came to nothing, was trained twice, or ended as it does not where nothing dies.
    """
    by_commit: dict[str, list[Training]] = {commit: [] for commit in pushed}
    for training in trainings:
        by_commit[training.commit].append(training)
    ends: list[Phase | str] = []
    for place, commit in enumerate(pushed):
        if found := by_commit[commit]:
            ends.append(_judge(commit, found, is_last=place == len(pushed) - 1))
        elif any(by_commit[newer] and is_ancestor(commit, newer) for newer in pushed[place + 1 :]):
            ends.append(OVERTAKEN)
        else:
            raise SceneError(f"push {commit[:12]} was lost: it has no training, nor has a newer push that holds it")
    return ends


def _judge(commit: str, trainings: Sequence[Training], *, is_last: bool) -> Phase:
    if len(trainings) > 1:
        raise SceneError(f"push {commit[:12]} was trained {len(trainings)} times")
    (training,) = trainings
    # The newest push has no newer one that could take its place.
    if training.phase is Phase.SUCCEEDED or (training.phase is Phase.SUPERSEDED and not is_last):
        return training.phase
    told = f"{training.reason}: {training.message}".strip(": ")
    raise SceneError(f"push {commit[:12]} ended {training.phase} ({told}), as it does not where nothing dies")


def see_pinned(stage: Stage, version: str) -> None:
    """See that staging's pin and what serves there are a version.

    Raises:
        SceneError: when one of them is another.
    """
    known = scenes.find_environment(stage, scenes.STAGING)
    for what, there in (("pinned", known.pinned), ("serving", known.serving)):
        if there != version:
            raise SceneError(f"version {there} is {what} in staging, not {version}", log=stage.log("control"))


def see_one_proposal(stage: Stage) -> str:
    """Return the one open pull request for production on the forge.

    Raises:
        SceneError: when there are more, or none.
    """
    branch = promotion_branch(scenes.PRODUCTION, stage.example.model)
    with stage.forge() as forge:
        answer = forge.get(f"/repos/{stage.example.deploy}/pulls", params={"state": "open", "per_page": 100})
    found = [pull["number"] for pull in answer.raise_for_status().json() if pull["head"]["ref"] == branch]
    if len(found) != 1:
        raise SceneError(f"{len(found)} pull requests for production are open, not one: {found}")
    return str(found[0])

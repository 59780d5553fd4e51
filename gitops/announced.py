"""Holds what was merged against the plan that its pull request announced, before a version of it is rolled out."""

from gitops.desired import Desired, digest_of, is_touched
from gitops.errors import StalledError
from gitops.ports import Deps
from gitops.records import Promotion, Repository, Rollout, Version
from gitops.steps import Ended, Phase
from gitops.writes import Wake


def check_plan(
    deps: Deps,
    rollout: Rollout,
    repository: Repository,
    *,
    environment: str,
    desired: Desired,
    version: Version | None,
) -> Ended | None:
    """Hold the merged tree against the plan that the pull request announced.

    What was pushed to the environment's files after the merge was announced by nobody: its plan is what is there.

    Args:
        repository: the deploy repository.
        environment: its name.
        desired: what the rollout's commit asks for.
        version: the one it pins; None for one without a verdict.

    Returns:
        None when nothing else was announced; the end of a rollout whose environment was changed while it stood, since a
        new one takes its place.

    Raises:
        StalledError: `PlanChanged`.
    """
    promotion = deps.store.promotion_of(rollout.repository_id, environment, rollout.model, rollout.version)
    if promotion is None or promotion.facts.plan_digest is None or promotion.path != rollout.path:
        return None  # another folder's environment may have the same name
    digest = digest_of(desired, environment=environment, host=rollout.host, version=version)
    if digest == promotion.facts.plan_digest:
        return None
    merge = promotion.facts.merge_sha or _find_merge(deps, repository, promotion)
    if not merge or _was_touched(deps, rollout, repository, merge, rollout.commit):
        return None
    head = deps.mirror.heads(repository).get(f"refs/heads/{repository.default_branch}", rollout.commit)
    if _was_touched(deps, rollout, repository, rollout.commit, head):
        again = (Wake("compare", str(repository.id)),)
        return Ended(Phase.SUPERSEDED, "NewerPin", f"{rollout.path} was changed at {head[:12]}", writes=again)
    message = (
        f"pull request {promotion.facts.number} announced plan {promotion.facts.plan_digest[:12]}, the merged tree is "
        f"{digest[:12]}: push a change to {desired.buildspec}, a comment will do, to roll out what is there now"
    )
    raise StalledError("PlanChanged", message)


def _find_merge(deps: Deps, repository: Repository, promotion: Promotion) -> str:
    """Return the merge that the promotion has not seen yet, or never will since a newer one took its place.

    Empty where the pull request was not merged: a person pinned the version by hand.
    """
    if promotion.facts.number is None:
        return ""
    pull = deps.forge.pull(repository.full_name, promotion.facts.number)
    return pull.merge_sha if pull.merged else ""


def _was_touched(deps: Deps, rollout: Rollout, repository: Repository, old: str, new: str) -> bool:
    if old == new:
        return False
    return is_touched(rollout.path, deps.mirror.changed_paths(repository, old, new))

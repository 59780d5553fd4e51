"""The story of a promotion: from a version to a pin merged in the deploy repository.

One branch and one pull request for each (deploy repository, environment, model), updated in place. A person's commits
on it are never overwritten, and a pull request that a person closed is not opened again for that version.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from gitops.buildspec import set_pin
from gitops.desired import Desired, check_pin, digest_of, read_desired
from gitops.errors import ConflictError, InputError, NotFoundError, RefusedError, RetryError, StalledError
from gitops.holding import say_held
from gitops.plans import promotion_branch
from gitops.ports import Check, CheckState, Commit, Deps, Pull
from gitops.records import MergeMode, Promotion, Repository, Version
from gitops.reviews import MOST_KEPT, approvers
from gitops.steps import Done, Ended, Outcome, Phase, Refused, Step, Story, Wait
from gitops.texts import PullText, code, pull_text, short
from gitops.tiers import TIER_UNKNOWN, tier_facts
from gitops.writes import DeclineVersion, Wake

_LOOK = timedelta(seconds=30)
_MOST_CHECKS, _LONGEST_NAME = 50, 200  # of a commit, as they are kept


def plan(deps: Deps, promotion: Promotion) -> Outcome:
    """Read what the environment asks for now, and what it would ask for with this version."""
    if deps.store.is_declined(promotion.repository_id, promotion.environment, promotion.model, promotion.version):
        return Refused("PullRequestClosed", f"a person closed the pull request of version {promotion.version} here")
    _, base, now = _read_base(deps, promotion)
    if now.pin.model_version == promotion.version:
        return Ended(Phase.SUCCEEDED, "AlreadyPinned", f"{promotion.path} pins {promotion.version} already")
    digest = _plan_digest(deps, promotion, now)
    return Done(
        facts={
            "branch": promotion_branch(promotion.environment, promotion.model),
            "base_sha": base,
            "previous_version": now.pin.model_version,
            "plan_digest": digest,
            **tier_facts(_version(deps, promotion), now.place, now.endpoint),
        },
        message=f"{promotion.environment}: {now.pin.model_version or 'nothing'} -> {promotion.version}",
    )


def _plan_digest(deps: Deps, promotion: Promotion, now: Desired) -> str:
    """Return the digest of what the environment would ask for with this version, once that is allowed.

    Raises:
        RefusedError: as `check_pin`.
        StalledError: `TierUnknown`: who mends the file lets it go on.
    """
    wanted = replace(now, pin=set_pin(now.text, version=promotion.version).new)
    try:
        check_pin(deps, wanted)
    except RefusedError as error:
        if error.reason == TIER_UNKNOWN:
            raise StalledError(error.reason, error.message) from error
        raise
    host = deps.targets[now.endpoint.target].host()
    return digest_of(wanted, environment=promotion.environment, host=host, version=_version(deps, promotion))


def _read_base(deps: Deps, promotion: Promotion) -> tuple[Repository, str, Desired]:
    repository = deps.store.repository(promotion.repository_id)
    if repository is None:
        raise StalledError("RepositoryMissing", f"{promotion.repository} is not connected any more: launchpin add it")
    base = _base(deps, repository)
    if not base:
        raise StalledError("BranchMissing", f"{repository.full_name} has no branch {repository.default_branch} yet")
    now = _read_place(deps, promotion, repository, base)
    if now.pin.model_name != promotion.model:
        other = f"{now.buildspec} pins the model {now.pin.model_name}"
        raise StalledError("OtherModel", f"{other}, not {promotion.model}: give each its own directory")
    return repository, base, now


def _base(deps: Deps, repository: Repository) -> str:
    """Return the default branch's commit; the mirror is fetched only where the forge has another one."""
    branch = repository.default_branch
    now = deps.forge.head(repository.full_name, branch)
    if not now or deps.mirror.heads(repository).get(f"refs/heads/{branch}") != now:
        deps.mirror.fetch(repository)
    return deps.mirror.heads(repository).get(f"refs/heads/{branch}", "")


def _read_place(deps: Deps, promotion: Promotion, repository: Repository, base: str) -> Desired:
    """Return what the environment asks for; a person mends the files, or names another path."""
    try:
        return read_desired(deps, repository, commit=base, path=promotion.path)
    except NotFoundError as error:
        way_out = f"push that file, or mend deploy.environments.{promotion.environment}.path in launchpin.yaml"
        raise StalledError("EnvironmentMissing", f"{repository.full_name}: {error.message}: {way_out}") from error
    except (InputError, RefusedError) as error:
        raise StalledError("ConfigInvalid", f"{repository.full_name}: {error}: mend the file") from error


def _version(deps: Deps, promotion: Promotion) -> Version:
    version = deps.store.version(promotion.model, promotion.version)
    if version is None:
        raise StalledError("VersionUnknown", f"{promotion.model} {promotion.version} has no verdict of Launchpin's")
    return version


def open_pull_request(deps: Deps, promotion: Promotion) -> Outcome:
    """Put the pin on the promotion's branch, and open or update its one pull request."""
    repository, base, now = _read_base(deps, promotion)
    if now.pin.model_version == promotion.version:
        return Ended(Phase.SUCCEEDED, "AlreadyPinned", f"{promotion.path} pins {promotion.version} by now")
    branch = promotion.facts.branch or ""
    seen = _look_at_branch(deps, repository, branch, base=base)
    text = _words(deps, promotion, now)
    head = deps.effects.once(
        "commit_pin",
        f"pin:{promotion.id}:{base}",
        look=lambda: _find_commit(deps, repository, seen, now, promotion),
        act=lambda: _commit(deps, repository, seen, now=now, promotion=promotion, subject=text.commit),
        result=Commit,
    )
    pull = deps.effects.once(
        "open_pull_request",
        f"pull:{promotion.id}",
        look=lambda: _find_open(deps, repository, branch),
        act=lambda: _open(deps, repository, branch, text),
        result=Pull,
    )
    if (pull.title, pull.body) != (text.title, text.body):
        pull = deps.forge.update_pull(repository.full_name, pull.number, title=text.title, body=text.body)
    _report_plan(deps, promotion, repository, head.sha, url=pull.url)
    return Done(
        facts={"number": pull.number, "url": pull.url, "head_sha": head.sha, "base_sha": base},
        message=f"pull request {pull.number} is open",
    )


@dataclass(frozen=True)
class Branch:
    """A promotion's branch as it was when the step began; every commit of the branch beyond the base is ours.

    Args:
        base: the default branch's commit.
        head: the branch's commit, empty when there is no such branch.
        is_open: whether a pull request from it is open.
        is_ahead: whether it has commits that were not merged.
    """

    name: str
    base: str
    head: str
    is_open: bool
    is_ahead: bool


def _look_at_branch(deps: Deps, repository: Repository, name: str, *, base: str) -> Branch:
    """Return the branch, unless a person's commits are on it, which nobody but a person merges or deletes (I16)."""
    head = deps.forge.head(repository.full_name, name)
    pull = deps.forge.find_pull(repository.full_name, head=name, base=repository.default_branch)
    is_open = pull is not None and pull.state == "open"
    if not head or (pull is not None and pull.merged and pull.head_sha == head):
        return Branch(name, base, head, is_open=is_open, is_ahead=False)
    ahead = deps.forge.ahead(repository.full_name, base=base, head=head)
    if ahead.commits and not ahead.by_us:
        way_out = f"merge or close pull request {pull.number}" if pull and is_open else "merge or delete the branch"
        raise StalledError("BranchEdited", f"a person committed to {name}: {way_out}")
    return Branch(name, base, head, is_open=is_open, is_ahead=ahead.commits > 0)


def _words(deps: Deps, promotion: Promotion, now: Desired) -> PullText:
    version = _version(deps, promotion)
    links = {
        "version": deps.registry.version_url(promotion.model, promotion.version),
        "training": f"{deps.service.base_url}/trainings/{promotion.training_id}",
    }
    return pull_text(
        promotion,
        version,
        deps.store.training(promotion.training_id),
        previous=now.pin.model_version,
        digest=promotion.facts.plan_digest or "",
        links=links,
        reason=_reason(deps, promotion),
    )


def _reason(deps: Deps, promotion: Promotion) -> str:
    """Return what the person said who asked for a promotion by hand."""
    command = deps.store.command(promotion.cause.id) if promotion.cause.kind == "command" else None
    return command.arguments.get("reason", "") if command else ""


def _find_commit(deps: Deps, repository: Repository, seen: Branch, now: Desired, promotion: Promotion) -> Commit | None:
    """Return the branch's head where it pins the version already in what is the base's file else.

    All commits that it has beyond the base are ours then, and ours change the pin alone.
    """
    if not seen.is_ahead:
        return None
    content = deps.forge.read_file(repository.full_name, ref=seen.head, path=now.buildspec)
    return Commit(sha=seen.head) if content == set_pin(now.text, version=promotion.version).data else None


def _commit(
    deps: Deps, repository: Repository, seen: Branch, *, now: Desired, promotion: Promotion, subject: str
) -> Commit:
    """Commit the pin on top of our open proposal, or on a fresh branch from the base, for which an older one makes way.

    It goes on top of the head that the step began with: whoever was superseded meanwhile finds it moved, and adds
    nothing.
    """
    found = _find_commit(deps, repository, seen, now, promotion)
    if found is not None:
        return found
    is_new = not (seen.head and seen.is_open)
    try:
        if seen.head and is_new:
            deps.mirror.delete_branch(repository, seen.name, at=seen.head)
        return deps.forge.commit_file(
            repository.full_name,
            parent=seen.base if is_new else seen.head,
            branch=seen.name,
            path=now.buildspec,
            content=set_pin(now.text, version=promotion.version).data,
            message=subject,
            create=is_new,
        )
    except ConflictError as error:
        raise RetryError("BranchMoved", f"{seen.name} moved while the pin was written: {error}") from error


def _find_open(deps: Deps, repository: Repository, branch: str) -> Pull | None:
    pull = deps.forge.find_pull(repository.full_name, head=branch, base=repository.default_branch)
    return pull if pull is not None and pull.state == "open" else None


def _open(deps: Deps, repository: Repository, branch: str, text: PullText) -> Pull:
    return _find_open(deps, repository, branch) or deps.forge.open_pull(
        repository.full_name, head=branch, base=repository.default_branch, title=text.title, body=text.body
    )


def _report_plan(deps: Deps, promotion: Promotion, repository: Repository, sha: str, *, url: str) -> None:
    check = Check(
        _plan_title(promotion),
        CheckState.SUCCESS,
        f"{promotion.facts.previous_version or 'nothing'} -> {promotion.version}, plan {promotion.facts.plan_digest}",
        url=url,
    )
    deps.forge.report_check(repository.full_name, sha, check)


def _plan_title(promotion: Promotion) -> str:
    return f"launchpin/plan ({promotion.environment})"


def await_merge(deps: Deps, promotion: Promotion) -> Outcome:
    """Wait for the merge; make it where launchpin.yaml says so, the checks are green and nothing holds it."""
    pull = deps.forge.pull(promotion.repository, promotion.facts.number or 0)
    if pull.merged:
        _note_merge(deps, promotion, pull)
        return _merged(deps, promotion, pull)
    if pull.state != "open":
        return _closed(deps, promotion, pull)
    if planned := _plan_again(deps, promotion, pull):
        return planned
    holds = deps.store.holds(repository_id=promotion.repository_id, path=promotion.path)
    if holds:
        known = deps.store.environment(promotion.repository_id, promotion.path)
        return Wait(_LOOK, "Held", f"held, {say_held(holds[0], known.endpoint if known else promotion.path)}")
    checks = deps.forge.checks(promotion.repository, pull.head_sha)
    facts = {"checks": {name[:_LONGEST_NAME]: checks[name].value for name in sorted(checks)[:_MOST_CHECKS]}}
    if promotion.merge is MergeMode.REVIEW:
        return Wait(_LOOK, "AwaitingMerge", f"pull request {pull.number} waits for a person's merge", facts=facts)
    return replace(_merge(deps, promotion, pull, checks), facts=facts)


def _merged(deps: Deps, promotion: Promotion, pull: Pull) -> Outcome:
    """Say who merged it, and who approved what was merged.

    A forge that is away for the reviews is asked again, as for anything else; the rollout does not wait for that. One
    that refuses to tell them would refuse for ever: then they are not known.
    """
    merge: dict[str, object] = {"merge_sha": pull.merge_sha, "merged_by": pull.merged_by}
    message, compare = f"merged by {pull.merged_by}", (Wake("compare", str(promotion.repository_id)),)
    try:
        reviews = deps.forge.reviews(promotion.repository, pull.number)
    except RetryError as error:
        after = max(_LOOK, timedelta(seconds=error.after))
        return Wait(after, error.reason, f"{message}; its reviews: {error.message}", writes=compare, facts=merge)
    except (StalledError, NotFoundError, RefusedError):
        return Done(facts=merge, writes=compare, message=message)
    approved = approvers(reviews, head=pull.head_sha)
    if approved:
        message += f", approved by {', '.join(approved)}"
    return Done(
        facts={**merge, "reviews": tuple(reviews[-MOST_KEPT:]), "approved_by": approved},
        writes=compare,
        message=message,
    )


def _plan_again(deps: Deps, promotion: Promotion, pull: Pull) -> Wait | None:
    """Announce another plan when the base branch asks for something else than when the pull request was opened."""
    repository, base, now = _read_base(deps, promotion)
    if base == promotion.facts.base_sha or now.pin.model_version == promotion.version:
        return None
    try:
        digest = _plan_digest(deps, promotion, now)
    except (RefusedError, StalledError) as error:
        # Its merge would be refused now: whoever merges by hand must see so on the pull request.
        no = Check(
            _plan_title(promotion), CheckState.FAILURE, short(f"{error.reason}: {error}"), code(str(error), limit=1000)
        )
        deps.forge.report_check(repository.full_name, pull.head_sha, no)
        raise
    changes = {"plan_digest": digest, "previous_version": now.pin.model_version}
    facts = {"base_sha": base, **changes, **tier_facts(_version(deps, promotion), now.place, now.endpoint)}
    if digest != promotion.facts.plan_digest or promotion.reason == TIER_UNKNOWN:
        planned = promotion.model_copy(update={"facts": promotion.facts.model_copy(update=facts)})
        text = _words(deps, planned, now)
        deps.forge.update_pull(repository.full_name, pull.number, title=text.title, body=text.body)
        _report_plan(deps, planned, repository, pull.head_sha, url=pull.url)
    return Wait(timedelta(0), "Planned", "the base branch moved", facts=facts)


def _closed(deps: Deps, promotion: Promotion, pull: Pull) -> Outcome:
    by = pull.closed_by or "a person"
    if pull.closed_by == deps.service.bot:
        return Ended(Phase.CANCELLED, "PullRequestClosed", "Launchpin closed the pull request itself")
    decline = DeclineVersion(promotion.repository_id, promotion.environment, promotion.model, promotion.version, by=by)
    message = f"{by} closed pull request {pull.number}: version {promotion.version} is not proposed here again"
    return Refused("PullRequestClosed", message, writes=(decline,))


def _merge(deps: Deps, promotion: Promotion, pull: Pull, checks: Mapping[str, CheckState]) -> Wait:
    if pull.head_sha != promotion.facts.head_sha:
        return Wait(_LOOK, "BranchEdited", f"pull request {pull.number} has another head than ours: merge it by hand")
    red = sorted(name for name, state in checks.items() if state is CheckState.FAILURE)
    if red:
        return Wait(_LOOK, "ChecksRed", f"these checks failed: {', '.join(red)[:200]}")
    pending = sorted(name for name, state in checks.items() if state is CheckState.PENDING)
    if pending:
        return Wait(_LOOK, "ChecksPending", f"waits for {', '.join(pending)[:200]}")
    try:
        deps.effects.once(
            "merge_pull_request",
            _merge_key(promotion, pull),
            look=lambda: _find_merge(deps, promotion, pull),
            act=lambda: Commit(
                sha=deps.forge.merge_pull(
                    promotion.repository, pull.number, head_sha=pull.head_sha, title=f"{pull.title} (#{pull.number})"
                )
            ),
            result=Commit,
        )
    except ConflictError as error:
        return Wait(_LOOK, "NotMergeable", f"pull request {pull.number} cannot be merged: {error.message}")
    return Wait(timedelta(0), "Merged", "reads who merged it")


def _merge_key(promotion: Promotion, pull: Pull) -> str:
    return f"merge:{promotion.id}:{pull.head_sha}"


def _note_merge(deps: Deps, promotion: Promotion, pull: Pull) -> None:
    """Follow up a merge of ours whose answer was lost: the pull request says itself that it took place."""
    if pull.merged_by == deps.service.bot:
        merge = Commit(sha=pull.merge_sha)
        deps.effects.recover("merge_pull_request", _merge_key(promotion, pull), look=lambda: merge, result=Commit)


def _find_merge(deps: Deps, promotion: Promotion, pull: Pull) -> Commit | None:
    now = deps.forge.pull(promotion.repository, pull.number)
    return Commit(sha=now.merge_sha) if now.merged else None


PROMOTION = Story(
    "promotion",
    (
        Step("plan", plan, event="planned"),
        Step("open_pull_request", open_pull_request, event="proposed"),
        Step("await_merge", await_merge, event="merged"),
    ),
    lambda deps, subject: deps.store.promotion(subject),
    is_reported=True,
)

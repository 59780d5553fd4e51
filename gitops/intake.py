"""How pushes are seen: by a delivery, or by looking at the refs now and then. Both come to the same.

Per ref the last commit considered is kept; the diff to the head decides, so a lost, doubled or reordered delivery
changes nothing. What is wrong with a launchpin.yaml goes to the commit's check, and nothing trains.
"""

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import PurePosixPath

from gitops.checkouts import new_training
from gitops.config.launchpin import launchpin_files, parse_launchpin
from gitops.disk.space import DISK_LOW
from gitops.errors import InputError, NotFoundError, RefusedError, StalledError
from gitops.hooks import hear, look_at_hook
from gitops.payloads import Ping, read_event
from gitops.ports import Check, CheckState, Deps
from gitops.ports.tallies import HOOK_REF
from gitops.records import Cause, Delivery, Repository, Role, Training, WatchedRef
from gitops.steps import Done, Outcome, Stalled, Step, Story, Wait
from gitops.texts import code, short
from gitops.triggers import Concern, Decision, decide, is_branch_watched, is_path_watched
from gitops.writes import MoveRef, StartTraining, Wake, Write

# What the mirror says of a repository that it will not, or cannot, take until a person changes something.
_UNREADABLE = (RefusedError, StalledError, NotFoundError, InputError)


@dataclass(frozen=True)
class Considered:
    """What looking at a ref came to.

    Args:
        reason: why nothing trains, where nothing does: `branch`, `paths`, `no_config`, `config`, `known` or `gone`.
    """

    writes: tuple[Write, ...] = ()
    trainings: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


def handle_delivery(deps: Deps, delivery: Delivery) -> Outcome:
    """Read a delivery strictly and look at what it concerns; every delivery ends with one outcome (I4)."""
    try:
        event = read_event(delivery.event, delivery.body)
    except InputError as error:
        return _ended("rejected", error.reason, str(error))
    decision = decide(event)
    if event is None or isinstance(event, Ping):
        return _ended("ignored", decision.reason)
    repository = None if isinstance(event, Ping) else deps.store.repository(event.repository.id)
    if repository is None:
        return _ended("rejected", "repo_not_allowed", "launchpin add connects a repository")
    if decision.concern is Concern.NOTHING:
        return _ended("ignored", decision.reason)
    return _look(deps, delivery, decision, repository)


def _look(deps: Deps, delivery: Delivery, decision: Decision, repository: Repository) -> Outcome:
    outcome = _look_at(deps, delivery, decision, repository)
    hook, is_seen = deps.store.watched_ref(repository.id, HOOK_REF), outcome.facts["outcome"] != "rejected"
    heard = hear(hook, repository, now=deps.store.now(), is_seen=is_seen)
    return replace(outcome, writes=(*heard, *outcome.writes))


def _look_at(deps: Deps, delivery: Delivery, decision: Decision, repository: Repository) -> Done:
    if repository.role is Role.DEPLOY:
        return _ended("woke", "", woke=(f"compare:{repository.id}",), writes=(Wake("compare", str(repository.id)),))
    if decision.concern is not Concern.REF:
        return _ended("ignored", "pull_request")
    try:
        deps.mirror.fetch(repository)
        head = deps.mirror.heads(repository).get(decision.ref, "")
        considered = consider(deps, repository, decision.ref, head=head, cause=delivery.cause)
    except _UNREADABLE as error:
        if error.reason == DISK_LOW:
            raise  # not the delivery's fault: it waits until there is room
        return _ended("rejected", error.reason, str(error))
    if considered.trainings:
        woke = tuple(f"training:{training}" for training in considered.trainings)
        return _ended("woke", "", woke=woke, writes=considered.writes)
    return _ended("ignored", considered.reason, considered.detail, writes=considered.writes)


def _ended(
    outcome: str, reason: str, detail: str = "", *, woke: tuple[str, ...] = (), writes: tuple[Write, ...] = ()
) -> Done:
    facts = {"outcome": outcome, "reason": reason, "detail": detail[:500], "woke": list(woke)}
    return Done(facts=facts, writes=writes, message=f"{outcome}:{reason}" if reason else outcome)


def _give_up(deps: Deps, delivery: Delivery, error: Exception) -> Outcome:
    """Reject a delivery whose handling failed for good, so that it holds nobody up."""
    del deps, delivery
    return _ended("rejected", "handling_failed", f"{type(error).__name__}: {error}")


def poll_repository(deps: Deps, repository: Repository) -> Outcome:
    """Look at every branch of a model repository, as if all its deliveries were lost.

    A branch that cannot be read hides no other one; it is said, and looked at again.
    """
    writes: list[Write] = []
    wrong: list[Stalled] = []
    is_missed = False
    try:
        deps.mirror.fetch(repository)
        heads = deps.mirror.heads(repository)
    except _UNREADABLE as error:
        return Stalled(error.reason, str(error))
    for ref, head in heads.items():
        known = deps.store.watched_ref(repository.id, ref)
        if known is not None and known.commit == head:
            continue
        try:
            writes += consider(deps, repository, ref, head=head, cause=Cause(kind="poll")).writes
            is_missed = is_missed or known is not None
        except _UNREADABLE as error:
            wrong.append(Stalled(error.reason, f"{ref}: {error}"))
    writes += look_at_hook(deps, repository, is_missed=is_missed)
    if wrong:
        return replace(wrong[0], writes=tuple(writes))
    after = deps.service.poll * random.uniform(0.9, 1.1)  # noqa: S311 - spreads the looks, guards nothing
    return Wait(after, "Polling", "looks for pushes whose delivery was lost", writes=tuple(writes))


def consider(deps: Deps, repository: Repository, ref: str, *, head: str, cause: Cause) -> Considered:
    """Return what the head of a ref starts, compared with the last commit that was considered.

    Args:
        head: the commit in the mirror, empty when the branch is gone.
    """
    known = deps.store.watched_ref(repository.id, ref)
    if not head:
        return Considered(reason="gone")
    if known is not None and known.commit == head:
        return Considered(reason="known")
    move = MoveRef(WatchedRef(repository_id=repository.id, ref=ref, commit=head))
    try:
        files = launchpin_files(deps.mirror.files(repository, head))
    except InputError as error:
        _report_config(deps, repository, head, error)
        return Considered((move,), reason="config", detail=str(error))
    if not files:
        return Considered((move,), reason="no_config")
    changed = tuple(deps.mirror.changed_paths(repository, known.commit if known else "", head))
    starts: list[Training] = []
    reasons: list[tuple[str, str]] = []
    for path in files:
        training, reason, detail = _consider_file(
            deps, repository, ref, head=head, path=path, changed=changed, cause=cause
        )
        starts += [training] if training else []
        reasons += [] if training else [(reason, detail)]
    committed = deps.mirror.committed_at(repository, head) if starts else None
    writes: tuple[Write, ...] = (move, *(StartTraining(training, committed) for training in starts))
    reason, detail = reasons[0] if reasons and not starts else ("", "")
    return Considered(writes, tuple(training.id for training in starts), reason, detail)


def _consider_file(
    deps: Deps, repository: Repository, ref: str, *, head: str, path: str, changed: tuple[str, ...], cause: Cause
) -> tuple[Training | None, str, str]:
    try:
        content = deps.mirror.read(repository, head, path) or b""
        file = parse_launchpin(content, file=path)
    except (InputError, RefusedError) as error:
        _report_config(deps, repository, head, error, path=path)
        return None, "config", str(error)
    if not is_branch_watched(file, ref):
        return None, "branch", ""
    root = str(PurePosixPath(path).parent).removeprefix(".")
    if not is_path_watched(file, changed, root=root):
        return None, "paths", ""
    training = new_training(repository, ref, head, content=content, file=file, cause=cause)
    # The ref may be back at a commit that it had before.
    return (None, "known", "") if deps.store.training_of(training) else (training, "", "")


def _report_config(
    deps: Deps, repository: Repository, head: str, error: InputError | RefusedError, *, path: str = "launchpin.yaml"
) -> None:
    """Put a configuration's mistake on the commit that has it."""
    line = error.line if isinstance(error, InputError) else 0
    check = Check(
        f"launchpin/config ({path})",
        CheckState.FAILURE,
        short(str(error)),
        summary=f"{code(str(error), limit=1000)}\n\nNothing was trained. Mend the file and push again.",
        path=path,
        line=line,
    )
    deps.forge.report_check(repository.full_name, head, check)


def _load_delivery(deps: Deps, subject: str) -> Delivery | None:
    return deps.store.delivery(subject)


def _load_model_repository(deps: Deps, subject: str) -> Repository | None:
    repository = deps.store.repository(int(subject))
    return repository if repository is not None and repository.role is Role.MODEL else None


DELIVERY = Story(
    "delivery",
    (Step("handle", handle_delivery, deadline=timedelta(minutes=5)),),
    _load_delivery,
    failed=_give_up,
    attempts=3,
)
POLL = Story("poll", (Step("poll", poll_repository, deadline=timedelta(minutes=5)),), _load_model_repository)

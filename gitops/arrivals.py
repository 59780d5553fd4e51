"""What a delivery, or a look at a ref, comes to: it wakes whom it concerns, and a new head of a branch is trained.

Per ref the last commit considered is kept; the diff to the head decides, so a lost, doubled or reordered delivery
changes nothing. What is wrong with a launchpin.yaml goes to the commit's check, and nothing trains.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from gitops.checkouts import new_training
from gitops.config.launchpin import LaunchpinFile, launchpin_files, parse_launchpin
from gitops.disk.space import DISK_LOW, is_disk_full
from gitops.errors import (
    InputError,
    LaunchpinError,
    NotFoundError,
    RefusedError,
    RetryError,
    StaleEpochError,
    StalledError,
)
from gitops.hooks import hear
from gitops.payloads import Ping, read_event
from gitops.ports import Check, CheckState, Deps
from gitops.ports.tallies import HOOK_REF
from gitops.records import Cause, Delivery, Repository, Role, Training, WatchedRef
from gitops.steps import Done
from gitops.texts import code, short
from gitops.triggers import Concern, Decision, decide, is_branch_watched, is_path_watched
from gitops.writes import MoveRef, StartTraining, Wake, Write

_log = logging.getLogger(__name__)

UNREADABLE = (RefusedError, StalledError, NotFoundError, InputError)
"""What the mirror says of a repository that it will not, or cannot, take until a person changes something."""

_SHOWN = 500  # characters of what nobody foresaw


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


def handle_delivery(deps: Deps, delivery: Delivery, *, is_new: bool = True) -> Done:
    """Read a delivery strictly and look at what it concerns; every delivery ends with one outcome (I4).

    Args:
        is_new: it has just come, which says that the webhook is heard.
    """
    try:
        event = read_event(delivery.event, delivery.body)
    except InputError as error:
        return ended("rejected", error.reason, str(error))
    decision = decide(event)
    if event is None or isinstance(event, Ping):
        return ended("ignored", decision.reason)
    repository = None if isinstance(event, Ping) else deps.store.repository(event.repository.id)
    if repository is None:
        return ended("rejected", "repo_not_allowed", "launchpin add connects a repository")
    if decision.concern is Concern.NOTHING:
        return ended("ignored", decision.reason)
    look = _look if is_new else _look_at
    return look(deps, delivery, decision, repository)


def _look(deps: Deps, delivery: Delivery, decision: Decision, repository: Repository) -> Done:
    outcome = _look_at(deps, delivery, decision, repository)
    hook, is_seen = deps.store.watched_ref(repository.id, HOOK_REF), outcome.facts["outcome"] != "rejected"
    heard = hear(hook, repository, now=deps.store.now(), is_seen=is_seen)
    return replace(outcome, writes=(*heard, *outcome.writes))


def _look_at(deps: Deps, delivery: Delivery, decision: Decision, repository: Repository) -> Done:
    if repository.role is Role.DEPLOY:
        return ended("woke", "", woke=(f"compare:{repository.id}",), writes=(Wake("compare", str(repository.id)),))
    if decision.concern is not Concern.REF:
        return ended("ignored", "pull_request")
    try:
        deps.mirror.fetch(repository)
        head = deps.mirror.heads(repository).get(decision.ref, "")
        considered = consider(deps, repository, decision.ref, head=head, cause=delivery.cause)
    except UNREADABLE as error:
        if error.reason == DISK_LOW:
            raise  # not the delivery's fault: it waits until there is room
        return ended("rejected", error.reason, str(error))
    if considered.trainings:
        woke = tuple(f"training:{training}" for training in considered.trainings)
        return ended("woke", "", woke=woke, writes=considered.writes)
    return ended("ignored", considered.reason, considered.detail, writes=considered.writes)


def ended(
    outcome: str, reason: str, detail: str = "", *, woke: tuple[str, ...] = (), writes: tuple[Write, ...] = ()
) -> Done:
    """Return how a delivery ends.

    Args:
        outcome: `woke`, `ignored` or `rejected`.
        woke: the jobs that were woken, `training:<id>` for example.
    """
    facts = {"outcome": outcome, "reason": reason, "detail": detail[:500], "woke": list(woke)}
    return Done(facts=facts, writes=writes, message=f"{outcome}:{reason}" if reason else outcome)


def consider(deps: Deps, repository: Repository, ref: str, *, head: str, cause: Cause) -> Considered:
    """Return what the head of a ref starts, compared with the last commit that was considered.

    A commit that cannot be read has that said in its check, whatever it is that it holds.

    Args:
        head: the commit in the mirror, empty when the branch is gone.

    Raises:
        Exception: whatever reading it raised, foreseen or not.
    """
    try:
        return _consider(deps, repository, ref, head=head, cause=cause)
    except Exception as error:
        if _is_of_commit(error):
            _report_unreadable(deps, repository, head, error)
        raise


def _is_of_commit(error: Exception) -> bool:
    """Return whether an error is about what a commit holds: not about who is away, or what an operator must mend."""
    if isinstance(error, OSError) and is_disk_full(error):
        return False
    return not isinstance(error, (RetryError, StaleEpochError, StalledError))


def _consider(deps: Deps, repository: Repository, ref: str, *, head: str, cause: Cause) -> Considered:
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
        file = _parse(content, file=path)
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


def _parse(content: bytes, *, file: str) -> LaunchpinFile:
    """Read a launchpin.yaml; what the reader did not foresee is told like a mistake of the file, and keeps nobody up.

    Raises:
        InputError: as `parse_launchpin`, or `config_unreadable`.
    """
    try:
        return parse_launchpin(content, file=file)
    except InputError:
        raise
    except Exception as error:
        _log.exception("%s raised what its reader did not foresee", file)
        message = f"{type(error).__name__}: {error}"[:_SHOWN]
        way_out = "Launchpin did not foresee this: write the last change in another way, and report it with the file"
        raise InputError("config_unreadable", f"{message}; {way_out}", file=file) from error


def _report_unreadable(deps: Deps, repository: Repository, head: str, error: Exception) -> None:
    """Put what keeps a commit from being read on the commit, once, however often its branch is looked at."""
    told: InputError | RefusedError
    if isinstance(error, (InputError, RefusedError)):
        told = error
    elif isinstance(error, LaunchpinError):
        told = RefusedError(error.reason, str(error))
    else:
        _log.error("%s at %s cannot be read", repository.full_name, head, exc_info=error)
        told = InputError("config_unreadable", f"{type(error).__name__}: {error}"[:_SHOWN])
    deps.effects.renew(
        "report_check",
        f"unreadable:{repository.id}:{head}",
        content=str(told),
        act=lambda: _report_config(deps, repository, head, told),
    )


def _report_config(
    deps: Deps, repository: Repository, head: str, error: InputError | RefusedError, *, path: str = "launchpin.yaml"
) -> None:
    """Put a configuration's mistake on the commit that has it."""
    line = error.line if isinstance(error, InputError) else 0
    check = Check(
        f"launchpin/config ({path})",
        CheckState.FAILURE,
        short(str(error)),
        summary=f"{code(str(error), limit=1000)}\n\nNothing was trained. Mend it and push again.",
        path=path,
        line=line,
    )
    deps.forge.report_check(repository.full_name, head, check)

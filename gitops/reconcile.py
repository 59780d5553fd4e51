"""The loop: claim a job, read its record, run the first step not yet done, write how it ended. Knows no story by name.

Everything a step says is written at one exit, in one transaction. A step that raises, or whose worker is lost, is tried
again until its attempts are used up; a worker that lost its lease writes nothing.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from gitops.disk.space import DISK_LOW, disk_low, is_disk_full
from gitops.effects import RecordedEffects
from gitops.errors import InputError, RefusedError, RetryError, StaleEpochError, StalledError
from gitops.failpoints import failpoint
from gitops.leasing import HeldLease, LeaseTimes, Shift
from gitops.observing import watched
from gitops.ports import Claim, Deps, Exit, Store
from gitops.records import Frozen, Record
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Refused, Stalled, Step, Story, Wait
from gitops.telemetry.context import note
from gitops.writes import Wake

E = TypeVar("E", bound=Frozen)
AnyStory = Story[Deps, Any]
AnyStep = Step[Deps, Any]
AnyFailed = Callable[[Deps, Any, Exception], Outcome]

_log = logging.getLogger(__name__)
_FIRST_RETRY = 5.0
_LONGEST_RETRY = 300.0
# While the database is away a worker asks again after a moment: it has nothing else to do.
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0
# So often an answer is tried on a database that takes everything else, before the answer is what is wrong.
_WRITES = 3
# How long the forge may be left without news of a record: forges limit writes, and people look when something is new.
_SOON = timedelta(seconds=1)
_PROGRESS = timedelta(seconds=30)


@dataclass(frozen=True)
class Loop:
    """One worker's view of the work.

    Args:
        deps: without effects and lease, which belong to a claim.
        stories: by kind, from bootstrap.
        owner: names this worker in leases, for people only.
        shift: what this worker holds, and whether it was asked to stop.
        clock: seconds that never step back, by which this worker knows how long an answer was on its way.
    """

    deps: Deps
    stories: Mapping[str, AnyStory]
    owner: str
    times: LeaseTimes = field(default_factory=LeaseTimes)
    shift: Shift = field(default_factory=Shift)
    clock: Callable[[], float] = time.monotonic


class _UnforeseenError(RetryError):
    """What a step raised that nobody foresaw: it uses up an attempt."""


def run_until_idle(loop: Loop, queue: Queue, *, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Run ready jobs of a queue until none is ready, or the worker is asked to stop.

    A database that is away is waited for: whoever woke this worker may not come again soon. What goes wrong around a
    step ends with that claim, whose lease runs out; the next one is made all the same.

    Returns:
        How many claims were made.
    """
    count = failures = 0
    while not loop.shift.is_ending and not is_stopping():
        try:
            lease = _claim(loop, queue)
        except RetryError as error:
            failures += 1
            _log.warning("%s queue: nothing claimed: %s", queue, error)
            _pause(failures)
            continue
        if lease is None:
            break
        failures = 0
        count += 1
        try:
            _carry_out(loop, lease)
        except Exception:  # noqa: BLE001 - one claim that goes wrong must not cost the others their turn
            _log.exception("%s %s: given up here, its lease runs out", lease.claim.kind, lease.claim.subject)
    return count


def run_next(loop: Loop, queue: Queue) -> bool:
    """Claim the oldest ready job of a queue and run one step of it; False when none was ready.

    Raises:
        RetryError: the database is away.
    """
    lease = _claim(loop, queue)
    if lease is not None:
        _carry_out(loop, lease)
    return lease is not None


def _claim(loop: Loop, queue: Queue) -> HeldLease | None:
    claim = loop.deps.store.claim(queue, owner=loop.owner, lease=loop.times.lease)
    if claim is None:
        return None
    return HeldLease(loop.deps.store, claim, times=loop.times, shift=loop.shift, clock=loop.clock)


def _pause(failures: int) -> None:
    time.sleep(random.uniform(_FIRST_PAUSE, min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(failures, 10))))  # noqa: S311 - spreads the tries, guards nothing


def _carry_out(loop: Loop, lease: HeldLease) -> None:
    claim = lease.claim
    failpoint("claim.after")
    with watched(loop.deps.store, claim) as watch:
        try:
            with lease:
                end = _run_step(loop, claim, lease)
                failpoint("finish.before")
                _finish(loop, claim, end)
                failpoint("finish.after")
            watch.end(end)
        except StaleEpochError as error:
            watch.lose()
            _log.warning("%s %s: %s", claim.kind, claim.subject, error)


def _finish(loop: Loop, claim: Claim, end: Exit) -> None:
    """Write how the claim ended, however long the database is away: the lease is kept meanwhile.

    Raises:
        StaleEpochError: the job is somebody else's.
        RetryError: the worker must stop, and the database is still away.
    """
    refused = failures = 0
    while True:
        try:
            return _write(loop.deps.store, claim, end)
        except RetryError as error:
            if loop.shift.is_over:
                raise
            failures += 1
            _log.warning("%s %s: the end of %s is not written yet: %s", claim.kind, claim.subject, end.step, error)
            if error.reason != "DatabaseBusy" and _takes_others(loop, claim):
                refused += 1
            if refused == _WRITES:
                end = _unwritable(end, error, claim)
            _pause(failures)


def _takes_others(loop: Loop, claim: Claim) -> bool:
    """Return whether the database takes another write about the same claim.

    Raises:
        StaleEpochError: the job is somebody else's.
    """
    try:
        is_ours = loop.deps.store.renew(claim, lease=loop.times.lease)
    except RetryError:
        return False
    if not is_ours:
        raise StaleEpochError(claim.job, claim.epoch)
    return True


def _write(store: Store, claim: Claim, end: Exit) -> None:
    """Write how the claim ended; what cannot be written is an error of the step, shown and tried again."""
    try:
        store.finish(claim, end)
    except (StaleEpochError, RetryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever keeps the answer from being written is shown and tried again
        _log.exception("%s %s: what step %s answered cannot be written", claim.kind, claim.subject, end.step)
        store.finish(claim, _unwritable(end, error, claim))


def _unwritable(end: Exit, error: Exception, claim: Claim) -> Exit:
    later = _later(RetryError("Unwritable", f"{type(error).__name__}: {error}"[:500]), claim.attempts)
    return replace(end, outcome=None, error=_shown(later), is_unforeseen=True, retry_after=later.after)


def _run_step(loop: Loop, claim: Claim, lease: HeldLease) -> Exit:
    story = loop.stories.get(claim.kind)
    if story is None:
        return Exit(record=None, outcome=None)
    try:
        subject = story.load(loop.deps, claim.subject)
    except StaleEpochError:
        raise
    except Exception as error:  # noqa: BLE001 - a row that cannot be read is shown and tried again, like a step
        return _unread(error, claim)
    if subject is None or (isinstance(subject, Record) and subject.phase.is_final):
        return Exit(record=None, outcome=None)
    record = subject if isinstance(subject, Record) else None
    try:
        step = story.step(record.step if record else "")
    except KeyError:
        message = (
            f"this version of Launchpin has no step {record.step if record else ''!r} of a {story.kind}: upgrade it"
        )
        return Exit(record, Stalled("StepUnknown", message), recurring=record is None)
    if step.queue is not claim.queue:
        return Exit(record, None, step=step.name, next_step=step.name, queue=step.queue, recurring=record is None)
    lease.allow(step.deadline)
    note(step=step.name)
    deps = replace(loop.deps, effects=RecordedEffects(loop.deps.store, lease), lease=lease)
    is_poison = claim.lost > 0 and claim.attempts + claim.lost >= story.attempts
    answer = (_give_up_lost if is_poison else _ask)(story, step, deps, subject, claim)
    return _exit(story, step, record, answer)


def _unread(error: Exception, claim: Claim) -> Exit:
    """Return the exit of a job whose subject cannot be read now."""
    if isinstance(error, RetryError):
        later, is_unforeseen = _later(error, claim.retries), False
    else:
        _log.error("%s %s cannot be read", claim.kind, claim.subject, exc_info=error)
        later, is_unforeseen = _later(RetryError("Retrying", f"{type(error).__name__}: {error}"), claim.attempts), True
    return Exit(None, None, error=_shown(later), is_unforeseen=is_unforeseen, retry_after=later.after)


def _shown(error: RetryError) -> str:
    return f"{error.reason}: {error.message}"


def _ask(story: AnyStory, step: AnyStep, deps: Deps, subject: object, claim: Claim) -> Outcome | Exception:
    """Run the step, and turn the errors that are answers into answers."""
    try:
        return step.run(deps, subject)
    except StaleEpochError:
        raise
    except (RefusedError, InputError) as error:
        return Refused(error.reason, str(error))
    except StalledError as error:
        return _stalled(error, claim)
    except RetryError as error:
        return _later(error, claim.retries)
    except Exception as error:  # noqa: BLE001 - a step may raise anything; that is counted, not fatal
        if isinstance(error, OSError) and is_disk_full(error):
            return _stalled(disk_low(str(error)), claim)
        return _count(error, story, step, deps, subject, claim)


def _stalled(error: StalledError, claim: Claim) -> Stalled:
    """Return the answer that waits for a person; where a disk is low, what nobody needs is removed at once."""
    collects = error.reason == DISK_LOW and claim.kind != "gc"
    return Stalled(error.reason, error.message, writes=(Wake("gc", "home"),) if collects else ())


def _give_up_lost(story: AnyStory, step: AnyStep, deps: Deps, subject: object, claim: Claim) -> Outcome | Exception:
    """End a story whose step loses its worker again and again, without running the step once more."""
    message = f"{step.name} lost its worker {claim.lost} times: it may use more memory than there is, or crash"
    _log.error("%s %s: %s", claim.kind, claim.subject, message)
    if not isinstance(subject, Record):
        return Stalled("WorkerLost", message)
    if story.failed is not None and claim.lost < 2 * story.attempts:
        return _fail(story.failed, deps, subject, RetryError("WorkerLost", message), claim)
    return _given_up(story, subject, "WorkerLost", message)


def _count(
    error: Exception, story: AnyStory, step: AnyStep, deps: Deps, subject: object, claim: Claim
) -> Outcome | Exception:
    """Try again after an error nobody foresaw, until the attempts are used up."""
    _log.error("%s %s: step %s raised", claim.kind, claim.subject, step.name, exc_info=error)
    if claim.attempts + claim.lost + 1 < story.attempts or not isinstance(subject, Record):
        return _unforeseen(error, claim)
    if story.failed is not None:
        return _fail(story.failed, deps, subject, error, claim)
    return _given_up(story, subject, "GaveUp", f"{step.name} failed {claim.attempts + 1} times: {error}")


def _given_up(story: AnyStory, record: Record, reason: str, message: str) -> Ended:
    """End a story whose steps have no say in it; what they left open is for a job of its own."""
    writes = (Wake(story.cleared_by, record.id),) if story.cleared_by else ()
    return Ended(Phase.ERRORED, reason, message, writes=writes)


def _unforeseen(error: Exception, claim: Claim) -> RetryError:
    later = _later(RetryError("Retrying", f"{type(error).__name__}: {error}"), claim.attempts)
    return _UnforeseenError(later.reason, later.message, after=later.after)


def _fail(failed: AnyFailed, deps: Deps, subject: object, error: Exception, claim: Claim) -> Outcome | Exception:
    """Ask the story how it ends; when that raises too, ask again later, for a story must not hang half ended."""
    try:
        return failed(deps, subject, error)
    except StaleEpochError:
        raise
    except RetryError as another:
        return _later(another, claim.retries)
    except Exception as another:  # noqa: BLE001 - the same as for a step
        _log.exception("%s %s: the end of a failed story failed", claim.kind, claim.subject)
        return _unforeseen(another, claim)


def _later(error: RetryError, tries: int) -> RetryError:
    """Return the error with the wait before the next try: full jitter, longer each time, never under what was asked.

    Args:
        tries: how often it was tried for this cause before.
    """
    longest = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(tries + 1, 10))
    wait = max(error.after, random.uniform(_FIRST_RETRY, longest))  # noqa: S311 - spreads retries, guards nothing
    return RetryError(error.reason, error.message, after=wait)


def _exit(story: AnyStory, step: AnyStep, record: Record | None, answer: Outcome | Exception) -> Exit:
    here = Exit(
        record,
        None,
        step=step.name,
        event=step.event or step.name,
        next_step=step.name,
        queue=step.queue,
        recurring=record is None,
    )
    if isinstance(answer, RetryError):
        is_unforeseen = isinstance(answer, _UnforeseenError)
        return replace(here, error=_shown(answer), is_unforeseen=is_unforeseen, retry_after=answer.after)
    if isinstance(answer, Exception):
        raise answer
    following = story.after(step.name, then=answer.then) if isinstance(answer, Done) else None
    told = _told(story, record, answer, is_end=following is None and not isinstance(answer, Wait))
    if not isinstance(answer, Done):
        return replace(here, outcome=told)
    return replace(
        here,
        outcome=told,
        next_step=following.name if following else "",
        queue=following.queue if following else step.queue,
    )


def _told(story: AnyStory, record: Record | None, outcome: Outcome, *, is_end: bool) -> Outcome:
    """Have the forge told of the outcome, by a job of its own: of an end at once, of the way there now and then."""
    if record is None or not story.is_reported:
        return outcome
    within = timedelta(0) if is_end else _SOON
    if isinstance(outcome, Wait) and outcome.reason == record.reason:
        within = _PROGRESS
    return replace(outcome, writes=(*outcome.writes, Wake("report", f"{story.kind}:{record.id}", within)))

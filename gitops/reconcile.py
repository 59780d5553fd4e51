"""The loop: claim a job, read its record, run the first step not yet done, write how it ended. Knows no story by name.

Everything a step says is written at one exit, in one transaction. A step that raises is tried again; a worker that lost
its lease writes nothing.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, TypeVar

from gitops.errors import InputError, RefusedError, RetryError, StaleEpochError, StalledError
from gitops.failpoints import failpoint
from gitops.ports import Claim, Deps, Exit, Store
from gitops.records import Frozen, LeaseTimes, Record
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Refused, Stalled, Step, Story
from gitops.writes import Wake

E = TypeVar("E", bound=Frozen)
AnyStory = Story[Deps, Any]
AnyStep = Step[Deps, Any]
AnyFailed = Callable[[Deps, Any, Exception], Outcome]

_log = logging.getLogger(__name__)
_FIRST_RETRY = 5.0
_LONGEST_RETRY = 300.0


@dataclass(frozen=True)
class Loop:
    """One worker's view of the work.

    Args:
        deps: without effects and lease, which belong to a claim.
        stories: by kind, from bootstrap.
        owner: names this worker in leases, for people only.
    """

    deps: Deps
    stories: Mapping[str, AnyStory]
    owner: str
    times: LeaseTimes = field(default_factory=LeaseTimes)


def run_until_idle(loop: Loop, queue: Queue, *, is_stopping: Callable[[], bool] = lambda: False) -> int:
    """Run ready jobs of a queue until none is ready.

    Returns:
        How many claims were made.
    """
    count = 0
    while not is_stopping() and run_next(loop, queue):
        count += 1
    return count


def run_next(loop: Loop, queue: Queue) -> bool:
    """Claim the oldest ready job of a queue and run one step of it; False when none was ready."""
    claim = loop.deps.store.claim(queue, owner=loop.owner, lease=loop.times.lease)
    if claim is None:
        return False
    failpoint("claim.after")
    try:
        end = _run_step(loop, claim)
        failpoint("finish.before")
        _finish(loop.deps.store, claim, end)
        failpoint("finish.after")
    except StaleEpochError as error:
        _log.warning("%s %s: %s", claim.kind, claim.subject, error)
    return True


def _finish(store: Store, claim: Claim, end: Exit) -> None:
    """Write how the claim ended; what cannot be written is an error of the step, shown and tried again."""
    try:
        store.finish(claim, end)
    except (StaleEpochError, RetryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever keeps the answer from being written is shown and tried again
        _log.exception("%s %s: what step %s answered cannot be written", claim.kind, claim.subject, end.step)
        later = _later(RetryError("Unwritable", f"{type(error).__name__}: {error}"[:500]), claim)
        store.finish(claim, replace(end, outcome=None, error=str(later), retry_after=later.after))


def _run_step(loop: Loop, claim: Claim) -> Exit:
    story = loop.stories.get(claim.kind)
    subject = story.load(loop.deps, claim.subject) if story else None
    if story is None or subject is None or (isinstance(subject, Record) and subject.phase.is_final):
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
    with HeldLease(loop.deps.store, claim, times=loop.times, deadline=step.deadline.total_seconds()) as lease:
        deps = replace(loop.deps, effects=RecordedEffects(loop.deps.store, claim), lease=lease)
        answer = _ask(story, step, deps, subject, claim)
    return _exit(story, step, record, answer)


def _ask(story: AnyStory, step: AnyStep, deps: Deps, subject: object, claim: Claim) -> Outcome | Exception:
    """Run the step, and turn the errors that are answers into answers."""
    try:
        return step.run(deps, subject)
    except StaleEpochError:
        raise
    except (RefusedError, InputError) as error:
        return Refused(error.reason, str(error))
    except StalledError as error:
        return Stalled(error.reason, error.message)
    except RetryError as error:
        return _later(error, claim)
    except Exception as error:  # noqa: BLE001 - a step may raise anything; that is counted, not fatal
        return _count(error, story, step, deps, subject, claim)


def _count(
    error: Exception, story: AnyStory, step: AnyStep, deps: Deps, subject: object, claim: Claim
) -> Outcome | Exception:
    """Try again after an error nobody foresaw, until the attempts are used up."""
    _log.error("%s %s: step %s raised", claim.kind, claim.subject, step.name, exc_info=error)
    if claim.attempts + 1 < story.attempts or not isinstance(subject, Record):
        return _later(RetryError("Retrying", f"{type(error).__name__}: {error}"), claim)
    if story.failed is not None:
        return _fail(story.failed, deps, subject, error, claim)
    return Ended(Phase.ERRORED, "GaveUp", f"{step.name} failed {claim.attempts + 1} times: {error}")


def _fail(failed: AnyFailed, deps: Deps, subject: object, error: Exception, claim: Claim) -> Outcome | Exception:
    """Ask the story how it ends; when that raises too, ask again later, for a story must not hang half ended."""
    try:
        return failed(deps, subject, error)
    except StaleEpochError:
        raise
    except RetryError as another:
        return _later(another, claim)
    except Exception as another:  # noqa: BLE001 - the same as for a step
        _log.exception("%s %s: the end of a failed story failed", claim.kind, claim.subject)
        return _later(RetryError("Retrying", f"{type(another).__name__}: {another}"), claim)


def _later(error: RetryError, claim: Claim) -> RetryError:
    """Return the error with the wait before the next try: full jitter, longer each time, never under what was asked."""
    longest = min(_LONGEST_RETRY, _FIRST_RETRY * 2 ** min(claim.attempts + 1, 10))
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
        return replace(here, error=f"{answer.reason}: {answer.message}", retry_after=answer.after)
    if isinstance(answer, Exception):
        raise answer
    told = _told(story, record, answer)
    if not isinstance(answer, Done):
        return replace(here, outcome=told)
    following = story.after(step.name)
    return replace(
        here,
        outcome=told,
        next_step=following.name if following else "",
        queue=following.queue if following else step.queue,
    )


def _told(story: AnyStory, record: Record | None, outcome: Outcome) -> Outcome:
    """Have the forge told of the outcome, by a job of its own."""
    if record is None or not story.is_reported:
        return outcome
    return replace(outcome, writes=(*outcome.writes, Wake("report", f"{story.kind}:{record.id}")))


class HeldLease:
    """Keeps a claim alive while its step runs, and knows when it is lost.

    Args:
        deadline: seconds after which heartbeats stop, whatever the step does.
    """

    def __init__(self, store: Store, claim: Claim, *, times: LeaseTimes, deadline: float) -> None:
        self._store = store
        self._claim = claim
        self._times = times
        self._ends = time.monotonic() + deadline
        self._lost = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"lease-{claim.job}", daemon=True)

    def __enter__(self) -> Self:
        """Start the heartbeats."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the heartbeats."""
        self._over.set()
        self._thread.join()

    @property
    def lost(self) -> int:
        """How often a worker was lost while it held this job since the last progress."""
        return self._claim.lost

    def is_held(self) -> bool:
        """Return False once the lease was lost or the deadline has passed."""
        return not self._lost.is_set()

    def _beat(self) -> None:
        while not self._over.wait(self._times.heartbeat.total_seconds()):
            if time.monotonic() > self._ends or not self._renew():
                self._lost.set()
                return

    def _renew(self) -> bool:
        try:
            return self._store.renew(self._claim, lease=self._times.lease)
        except RetryError as error:
            # The database may be back before the lease ends: the next beat asks again.
            _log.warning("lease of job %s not renewed: %s", self._claim.job, error)
            return True


@dataclass(frozen=True)
class RecordedEffects:
    """Effects as rows: the intent is committed before the call, the result after; recovery looks before it acts."""

    store: Store
    claim: Claim

    def once(self, name: str, key: str, *, look: Callable[[], E | None], act: Callable[[], E], result: type[E]) -> E:
        """Make the effect happen exactly once over all attempts; see `gitops.ports.Effects`."""
        was_intended, observed = self.store.intend(self.claim, key, name)
        if observed is not None:
            return result.model_validate_json(observed)
        found = look() if was_intended else None
        if found is None:
            failpoint(f"{name}.before")
            found = act()
            failpoint(f"{name}.after")
        self.store.observe(self.claim, key, found.model_dump_json())
        return found

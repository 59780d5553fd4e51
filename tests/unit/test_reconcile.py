"""The loop over the real store: what becomes of a story's answers, errors and jobs."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gitops.errors import InputError, RefusedError, RetryError, StalledError
from gitops.ports import Deps
from gitops.reconcile import AnyStory, Loop, run_next, run_until_idle
from gitops.records import Training
from gitops.steps import Done, Ended, Outcome, Phase, Queue, Refused, Stalled, Step, Story, Wait
from tests.support.deps import make_deps
from tests.support.reconcile import QUIET, Run, World, fail, say, world

__all__ = ["world"]

# ------------------------------------------------------------ outcomes


def test_story_succeeds_when_every_step_is_done(world: World) -> None:
    loop = world.loop(say(Done(facts={"run_id": "r1"})), say(Done(facts={"exit_code": 0}, message="trained")))

    assert run_next(loop, Queue.CONTROL)
    assert (world.now.phase, world.now.step) == (Phase.RUNNING, "second")
    assert run_until_idle(loop, Queue.CONTROL) == 1

    assert (world.now.phase, world.now.step, world.now.message) == (Phase.SUCCEEDED, "second", "trained")
    assert (world.now.facts.run_id, world.now.facts.exit_code) == ("r1", 0)
    assert world.job is None
    assert not run_next(loop, Queue.CONTROL)


def test_step_is_run_again_when_it_waits(world: World) -> None:
    outcomes: list[Outcome] = [Wait(timedelta(minutes=2), "Review", "waits for mona"), Done()]
    loop = world.loop(lambda _deps, _record: outcomes.pop(0))

    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase.is_final, world.now.reason, world.now.message) == (False, "Review", "waits for mona")
    assert world.due_in == 120
    world.wait_out()
    run_until_idle(loop, Queue.CONTROL)
    assert world.now.phase is Phase.SUCCEEDED


def test_story_ends_when_a_step_refuses(world: World) -> None:
    run_until_idle(world.loop(say(Refused("GateRefused", "too bad"))), Queue.CONTROL)

    assert (world.now.phase, world.now.reason, world.now.message) == (Phase.REFUSED, "GateRefused", "too bad")
    assert world.job is None


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RefusedError("NoModel", "log one"), "log one"),
        (InputError("NoModel", "no such key", file="a.yaml", field="x.y", line=3), "a.yaml:3: x.y: no such key"),
    ],
)
def test_story_is_refused_when_a_step_raises_that_a_rule_said_no(world: World, error: Exception, message: str) -> None:
    run_until_idle(world.loop(fail(error)), Queue.CONTROL)

    assert (world.now.phase, world.now.reason, world.now.message) == (Phase.REFUSED, "NoModel", message)


@pytest.mark.parametrize("run", [say(Stalled("NoAccess", "grant it")), fail(StalledError("NoAccess", "grant it"))])
def test_story_is_looked_at_when_woken_or_after_a_while_when_it_stalled(world: World, run: Run) -> None:
    loop = world.loop(run)

    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase.is_final, world.now.reason, world.now.message) == (False, "NoAccess", "grant it")
    assert world.due_in == 600
    world.store.wake("training", world.training.id)
    assert run_until_idle(loop, Queue.CONTROL) == 1
    world.wait_out()
    assert run_until_idle(loop, Queue.CONTROL) == 1


def test_story_ends_as_the_step_says_when_it_ends_early(world: World) -> None:
    run_until_idle(world.loop(say(Ended(Phase.CANCELLED, "Cancelled", "by mona")), fail(OSError())), Queue.CONTROL)

    assert (world.now.phase, world.now.step, world.now.message) == (Phase.CANCELLED, "first", "by mona")


class Told:
    """A loop whose reports are counted: what the forge was told of, each time."""

    def __init__(self, world: World, *steps: Run, is_reported: bool = True) -> None:
        self.world, self.subjects = world, list[str]()
        loop = world.loop(*steps, is_reported=is_reported)
        report: AnyStory = Story("report", (Step("tell", self._tell),), lambda _deps, subject: subject)
        self._loop = replace(loop, stories={**loop.stories, "report": report})

    def _tell(self, _: Deps, subject: str) -> Outcome:
        self.subjects.append(subject)
        return Done()

    def after(self, seconds: float) -> int:
        """Let time pass, and return how often the forge was told by then."""
        self.world.clock.advance(timedelta(seconds=seconds))
        run_until_idle(self._loop, Queue.CONTROL)
        return len(self.subjects)


@pytest.mark.parametrize("is_reported", [True, False])
def test_the_forge_is_told_by_a_job_of_its_own_when_such_records_are_reported(world: World, is_reported: bool) -> None:
    told = Told(world, say(Wait(timedelta(hours=1), "Review")), is_reported=is_reported)
    told.after(0)
    told.after(1)
    assert told.subjects == ([f"training:{world.training.id}"] if is_reported else [])


def test_the_forge_is_told_once_of_steps_that_follow_each_other_within_a_second_and_at_once_of_the_end(
    world: World,
) -> None:
    last: list[Outcome] = [Wait(timedelta(seconds=5), "Review"), Done()]
    told = Told(world, say(Done()), say(Done()), lambda _deps, _record: last.pop(0))
    assert (told.after(0), told.after(1)) == (0, 1)
    assert told.after(5) == 2


def test_the_forge_is_told_of_progress_in_one_wait_twice_a_minute(world: World) -> None:
    left = iter(range(100, 0, -1))
    told = Told(world, lambda _deps, _record: Wait(timedelta(seconds=1), "Baking", f"{next(left)} s to go"))
    assert (told.after(0), told.after(1)) == (0, 1)
    counts = [told.after(1) for _ in range(65)]
    assert (counts[28], counts[-1]) == (1, 3)


# ------------------------------------------------------------ errors


def test_story_gives_up_when_a_step_raised_five_times(world: World) -> None:
    loop = world.loop(fail(ValueError("odd")))

    for attempt in range(1, 5):
        assert run_until_idle(loop, Queue.CONTROL) == 1
        assert (world.now.reason, world.now.message) == ("Retrying", "Retrying: ValueError: odd")
        assert world.job is not None
        assert (world.job.attempts, world.job.state) == (attempt, "retrying")
        assert 5 <= world.due_in <= min(300, 5 * 2**attempt)
        world.wait_out()
    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, world.now.reason) == (Phase.ERRORED, "GaveUp")
    assert world.now.message == "first failed 5 times: odd"


def test_attempts_count_from_none_when_a_step_made_progress(world: World) -> None:
    outcomes: list[Outcome | None] = [None, None, Wait(timedelta(0), "Here"), None, None, Done()]

    def run(_deps: Deps, _record: Training) -> Outcome:
        outcome = outcomes.pop(0)
        if outcome is None:
            raise ValueError("odd")
        return outcome

    loop = world.loop(run, attempts=3)
    while world.job is not None:
        world.wait_out()
        run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, outcomes) == (Phase.SUCCEEDED, [])


def test_story_ends_as_it_says_when_its_attempts_are_used_up(world: World) -> None:
    def failed(_deps: Deps, record: Training, error: Exception) -> Outcome:
        return Ended(Phase.ERRORED, "Broken", f"{record.model}: {error}")

    run_until_idle(world.loop(fail(ValueError("odd")), attempts=1, failed=failed), Queue.CONTROL)

    assert (world.now.phase, world.now.reason, world.now.message) == (Phase.ERRORED, "Broken", "iris: odd")


@pytest.mark.parametrize("another", [ValueError("odder"), RetryError("ForgeUnavailable", "odder", after=900)])
def test_story_is_ended_later_when_its_end_raises_too(world: World, another: Exception) -> None:
    errors = [another]

    def failed(_deps: Deps, _record: Training, error: Exception) -> Outcome:
        if errors:
            raise errors.pop()
        return Ended(Phase.ERRORED, "Broken", str(error))

    loop = world.loop(fail(ValueError("odd")), attempts=1, failed=failed)
    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert not world.now.phase.is_final
    assert "odder" in world.now.message
    assert world.due_in >= (900 if isinstance(another, RetryError) else 5)
    world.wait_out()
    run_until_idle(loop, Queue.CONTROL)

    assert (world.now.phase, world.now.message) == (Phase.ERRORED, "odd")


def test_story_never_ends_when_the_outside_is_away_for_long(world: World) -> None:
    loop = world.loop(fail(RetryError("ForgeUnavailable", "no route")))

    for _ in range(20):
        assert run_until_idle(loop, Queue.CONTROL) == 1
        assert 5 <= world.due_in <= 300
        world.wait_out()

    assert not world.now.phase.is_final
    assert (world.now.reason, world.now.message) == ("Retrying", "ForgeUnavailable: no route")


def test_next_try_waits_as_long_as_the_outside_asked_when_it_did(world: World) -> None:
    run_until_idle(world.loop(fail(RetryError("RateLimited", "later", after=1234))), Queue.CONTROL)

    assert world.due_in == 1234


def test_error_is_shown_and_tried_again_when_an_answer_cannot_be_written(world: World) -> None:
    outcomes = [Done(facts={"no_such_fact": 1}), Done()]
    loop = world.loop(lambda _deps, _record: outcomes.pop(0), say(Done()))

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert (world.now.step, world.now.phase) == ("", Phase.PENDING)
    assert "no_such_fact" in world.now.message
    world.wait_out()
    run_until_idle(loop, Queue.CONTROL)

    assert world.now.phase is Phase.SUCCEEDED


# ------------------------------------------------------------ jobs


def test_step_moves_to_its_queue_when_it_wants_another_kind_of_worker(world: World) -> None:
    ran: list[str] = []

    def run(name: str) -> Run:
        def note(_deps: Deps, _record: Training) -> Outcome:
            ran.append(name)
            return Done()

        return note

    loop = world.loop(
        Step("plan", run("plan")), Step("train", run("train"), queue=Queue.TRAINING), Step("judge", run("judge"))
    )

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert (ran, world.now.step) == (["plan"], "train")
    assert run_until_idle(loop, Queue.TRAINING) == 1
    assert (ran, world.now.step) == (["plan", "train"], "judge")
    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert (ran, world.now.phase) == (["plan", "train", "judge"], Phase.SUCCEEDED)


def test_job_moves_without_running_when_it_was_claimed_from_the_wrong_queue(world: World) -> None:
    loop = world.loop(Step("train", say(Done()), queue=Queue.TRAINING))

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert (world.now.phase, world.now.step) == (Phase.PENDING, "")
    assert run_until_idle(loop, Queue.TRAINING) == 1
    assert world.now.phase is Phase.SUCCEEDED


def test_job_is_over_when_its_record_is_gone_or_final_or_nobody_knows_its_story(world: World) -> None:
    loop = world.loop(say(Done()))
    run_until_idle(loop, Queue.CONTROL)
    for kind, subject in (("training", world.training.id), ("training", "t-gone"), ("nonsense", "x")):
        world.store.wake(kind, subject)
        run_until_idle(loop, Queue.CONTROL)

    assert {job.kind for job in world.store.jobs()} <= {"poll"}


def test_no_step_is_run_when_the_record_was_ended_meanwhile(world: World) -> None:
    ended = world.now.model_copy(update={"phase": Phase.SUPERSEDED})
    loop = world.loop(fail(AssertionError("was run")), load=lambda _deps, _subject: ended)

    assert run_until_idle(loop, Queue.CONTROL) == 1
    assert world.job is None
    assert world.now.message == ""


def test_recurring_job_never_ends_whatever_its_step_answers(world: World) -> None:
    answers: list[Outcome | Exception] = [
        *[ValueError("odd")] * 7,
        Wait(timedelta(minutes=3), "Poll"),
        Stalled("NoAccess", "grant it"),
        Refused("NoModel", "none"),
        Done(),
        Wait(timedelta(minutes=3), "Poll"),
    ]

    def run(_deps: Deps, subject: str) -> Outcome:
        assert subject == "acme/iris"
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    story: AnyStory = Story(kind="sweep", steps=(Step("look", run),), load=lambda _deps, subject: subject)
    loop = Loop(make_deps(world.store, world.folder), {"sweep": story}, "test", QUIET)
    while answers:
        world.store.wake("sweep", "acme/iris")
        run_until_idle(loop, Queue.CONTROL)

    job = next(job for job in world.store.jobs() if job.kind == "sweep")
    assert (job.state, job.reason) == ("waiting", "Poll")


def test_no_more_is_claimed_when_the_worker_is_stopping(world: World) -> None:
    loop = world.loop(say(Done()), say(Done()))

    assert run_until_idle(loop, Queue.CONTROL, is_stopping=lambda: True) == 0
    assert run_until_idle(loop, Queue.CONTROL, is_stopping=lambda: world.now.step == "second") == 1

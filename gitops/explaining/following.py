"""What happens next by itself, and on whom something waits: from a record's phase, its step, its reason and its job.

Nothing is promised that the records do not say: a job says when it is looked at next, a step says what comes after it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gitops.explaining.answers import answer_to, split_reason
from gitops.explaining.explanation import Hint, Reading, Statement, Who
from gitops.ports import JobView
from gitops.records import Direction, Hold, MergeMode, Promotion, Rollout, Training
from gitops.steps import Phase
from gitops.words import until

Story = Training | Promotion | Rollout

STOPPED = "Nothing happens by itself while the stack is down; started again, it goes on where it was."
UNTIL_RESUMED = "it waits until the pause is lifted"
RESUME = Hint("launchpin resume --all", "lifts the pause")


@dataclass(frozen=True)
class Doing:
    """One step in words: what is done in it, and what comes of it by itself."""

    now: str
    then: str


DOING: Mapping[tuple[str, str], Doing] = {
    ("training", "environment"): Doing("its environment is built", "it trains and is judged by its gates"),
    ("training", "search"): Doing("its trials are tried", "the best of them is judged by its gates"),
    ("training", "train"): Doing("its script runs", "its gates judge it"),
    ("training", "judge"): Doing("its gates judge it", "it is registered where they hold"),
    ("training", "register"): Doing("its version is registered", "it is proposed where launchpin.yaml says"),
    ("training", "hand_over"): Doing("its version is handed over", "pull requests propose it"),
    ("promotion", "plan"): Doing("its merge is planned", "a pull request proposes it"),
    ("promotion", "open_pull_request"): Doing("its pull request is opened", "it waits for its merge"),
    ("promotion", "await_merge"): Doing("it waits for its merge", "the merge rolls it out"),
    ("rollout", "admit"): Doing("it waits for its turn", "the version is verified, and started without traffic"),
    ("rollout", "verify"): Doing("the version is verified", "it is started and asked its smoke questions"),
    ("rollout", "prepare"): Doing("the version starts without traffic", "it gets the traffic once it answers well"),
    ("rollout", "apply"): Doing("the version gets the traffic", "it is watched, and goes back by itself if it fails"),
    ("rollout", "bake"): Doing("the version is watched", "it stays, or goes back by itself if it fails"),
    ("rollout", "restore"): Doing("the version before gets the traffic", "Git is made to say so, with a hold"),
    ("rollout", "write_back"): Doing("Git is made to name what serves", "the environment stays held"),
    ("rollout", "finish"): Doing("what serves is recorded", "environments that need this one, if any, get it proposed"),
}
"""Every step of the stories that are explained; a test compares."""

JOBS: Mapping[str, str] = {
    "training": "a training",
    "trial": "a trial",
    "promotion": "a promotion",
    "rollout": "a rollout",
    "command": "a command",
    "delivery": "the reading",
    "poll": "the poll",
    "compare": "the comparison",
    "anchor": "the anchoring in Git",
    "report": "the check",
    "alias": "the alias in MLflow",
    "runs": "the end in MLflow",
    "gc": "the removal of what nobody needs",
    "route": "the sorting of messages",
    "notify": "the messages to a channel",
}
"""Every kind of job in words; a test compares."""

# A step that only a newer release has.
_UNKNOWN = Doing("its step is done", "its next step follows")
_AT_ONCE = frozenset({"leased", "ready"})
_FIRST = {"training": "environment", "promotion": "plan", "rollout": "admit"}
# What says no more under a pause than that it waits: it was looked at before the pause, or waits for its end.
_WAITING = frozenset({"Held", "AwaitingMerge", "ChecksPending"})
_IDLE_UNLESS_BACK = frozenset({"restore", "write_back"})


def kind_of(record: Story) -> str:
    """Return a record's kind, as jobs call it."""
    return type(record).__name__.lower()


def doing(record: Story) -> Doing:
    """Return the step that a record stands at, in words."""
    kind = kind_of(record)
    step = record.step or _FIRST[kind]
    if isinstance(record, Rollout):
        return _rolling(record, step)
    if isinstance(record, Promotion) and record.merge is MergeMode.AUTO and step == "await_merge":
        return Doing("it waits for its checks", "Launchpin merges it when they have passed, and it rolls out")
    return DOING.get((kind, step), _UNKNOWN)


def _rolling(rollout: Rollout, step: str) -> Doing:
    """Return a rollout's step; what only a way back needs does nothing on the way forward."""
    is_back = bool(rollout.facts.failure) or rollout.direction is Direction.ROLLBACK
    if not is_back:
        return DOING.get(("rollout", "finish" if step in _IDLE_UNLESS_BACK else step), _UNKNOWN)
    if rollout.facts.failure and step in {"apply", "bake"}:
        step = "restore"
    if step == "finish":
        return Doing("what serves is recorded", "the environment stays held")
    if rollout.direction is Direction.ROLLBACK and step in {"apply", "bake"}:
        return Doing("the earlier version gets the traffic", "Git is made to say so, with a hold")
    return DOING.get(("rollout", step), _UNKNOWN)


def is_stopped(record: Story, reading: Reading) -> bool:
    """Return whether the pause keeps a record at its step: before a merge, or before a rollout that follows a pin."""
    if reading.pause is None or record.phase.is_final:
        return False
    match record:
        case Promotion():
            return record.step == "await_merge"
        case Rollout():
            return record.direction is not Direction.ROLLBACK and record.step in {"", "admit"}
        case _:
            return False


def _reason(record: Story, reading: Reading) -> tuple[str, str]:
    """Return the reason that says most, with its message: that of the pause for what waits for its end."""
    if record.reason in _WAITING and is_stopped(record, reading):
        return "Paused", record.message
    return split_reason(record.reason, record.message)


def paused(pause: Hold) -> Statement:
    """Return who paused everything, since when and why."""
    text = f"everything is paused by {pause.author}: {pause.message}"
    return Statement(text, reason=pause.reason, who=Who.OPERATOR, since=pause.created_at)


def until_lifted(*, is_paused: bool, is_held: bool) -> Statement:
    """Return what goes on, and what does not, where automation stops."""
    what = "the pause and the hold are" if is_paused and is_held else "the pause is" if is_paused else "the hold is"
    return Statement(f"Launchpin proposes new versions, and neither merges nor rolls out until {what} lifted.")


def waits(record: Story, title: str, reading: Reading) -> Statement | None:
    """Return what an open record waits for, and on whom; None for one that is over, or simply goes on.

    Args:
        title: the record in words, `rollout r-1 of v8` for example.
    """
    if record.phase.is_final or not record.reason:
        return None
    reason, message = _reason(record, reading)
    job = reading.job(kind_of(record), record.id)
    who = _who(record, answer_to(reason).who, job)
    tried = f" (tried {job.tries} times)" if job is not None and job.state == "retrying" and job.tries > 1 else ""
    match reason:
        case "Paused" if is_stopped(record, reading):
            text = f"{title} waits until the pause is lifted"
        case "Held":
            text = f"{title} waits until the hold is lifted"
        case "AwaitingMerge":
            text = f"{title} waits for a merge, by {name_of(who, record)}"
        case _:
            on = f", on {name_of(who, record)}" if who.is_person else ""
            text = f"{title}: {': '.join(part for part in (reason, message) if part)}{tried}{on}"
    return Statement(text, record.id, reason, who, due=job.not_before if job is not None else None)


def _who(record: Story, who: Who, job: JobView | None) -> Who:
    """Return who has to act: a stalled job waits for a person whatever its reason, one that is retried for nobody."""
    if job is not None and job.state == "stalled" and not who.is_person:
        return Who.OPERATOR
    if isinstance(record, Training) and who is Who.OWNER:
        return Who.AUTHOR
    return Who.ITSELF if job is not None and job.state == "retrying" else who


def stalled_on(reason: str) -> Who:
    """Return who has to act where a job is stalled for a reason: a person, whatever the reason says."""
    who = answer_to(reason).who
    return who if who.is_person else Who.OPERATOR


def name_of(who: Who, record: Story) -> str:
    """Return in words who is meant by a record's answer."""
    repository = record.repository
    names = {
        Who.AUTHOR: f"whoever pushes to {repository}" if isinstance(record, Training) else "the model's author",
        Who.MERGER: f"whoever may merge in {repository}",
        Who.OWNER: f"whoever may push to {repository}",
        Who.OPERATOR: "whoever runs this stack",
        Who.ASKER: "whoever asked for it",
    }
    return names.get(who, "nobody")


def follows(record: Story, title: str, reading: Reading) -> Statement:
    """Return what happens next with a record by itself, and what a person does where nothing does."""
    reason, _ = _reason(record, reading)
    job = reading.job(kind_of(record), record.id)
    answer = answer_to(reason)
    who = Who.NOBODY if _is_settled(record) else answer.who if record.phase.is_final else _who(record, answer.who, job)
    text = _over(record, reason) if record.phase.is_final else _open(record, reason, job, reading)
    when = job.not_before if job is not None and not record.phase.is_final else None
    return Statement(f"{title}: {text}", record.id, reason, who, due=when)


def _is_settled(record: Story) -> bool:
    return record.phase in {Phase.SUCCEEDED, Phase.SUPERSEDED, Phase.CANCELLED}


def _over(record: Story, reason: str) -> str:
    answer = answer_to(reason or record.phase.value)
    if _is_settled(record) or not answer.do:
        return f"it is over; {answer.then}" if answer.then else "it is over"
    return f"not tried again by itself. To go on, {answer.do}"


def _open(record: Story, reason: str, job: JobView | None, reading: Reading) -> str:
    """Return what happens next with a record that is not over."""
    answer, step = answer_to(reason), doing(record)
    then = answer.then or step.then
    if is_stopped(record, reading) and (reason != "Paused" or (job is not None and job.state in _AT_ONCE)):
        then = UNTIL_RESUMED
    if job is None or not reading.is_up:
        return f"it waits to be woken; then {then}" if reading.is_up else "nothing, while the stack is down"
    due = "at once" if job.not_before <= reading.now else until(job.not_before, reading.now)
    match job.state:
        case "leased":
            return f"{step.now}, at this moment; then {then}"
        case "ready":
            queued = "as soon as a training worker is free" if job.queue == "training" else "at once"
            return f"{step.now} {queued}; then {then}"
        case "retrying":
            return f"tried again by itself, {due}; then {then}" + (f". It may help to {answer.do}" if answer.do else "")
        case "stalled":
            do = answer.do or "follow the message"
            return f"{do}; then {then}. Next look: {due}, or when a push, a merge or a resume wakes it"
        case _:
            do = f"{answer.do}; then " if answer.who.is_person and answer.do else ""
            return f"{do}{then}. Next look: {due}"


def job_follows(job: JobView, name: str, reading: Reading) -> Statement:
    """Return how it stands with a job in trouble that is told of by itself: a comparison, a poll, an older training.

    Args:
        name: what it is about, as people call it; empty where that is said beside it.
    """
    reason, message = split_reason(job.reason, job.message)
    is_stalled = job.state == "stalled"
    who = stalled_on(reason) if is_stalled else Who.ITSELF
    what = f"{JOBS.get(job.kind, job.kind)} of {name}: " if name else ""
    why = ": ".join(part for part in (reason, message) if part)
    due = until(job.not_before, reading.now) if reading.is_up else "once the stack is up"
    looked = f"next look {due}" if is_stalled else f"tried again by itself {due} (tried {job.tries} times)"
    return Statement(f"{what}{why}; {looked}", job.subject, reason, who, due=job.not_before)

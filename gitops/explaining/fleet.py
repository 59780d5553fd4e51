"""What needs somebody's attention, of everything: one line for each thing, the worst first. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from gitops.explaining.answers import answer_to
from gitops.explaining.endpoint import Place, drift, label
from gitops.explaining.explanation import Hint, Reading, Who, quote
from gitops.explaining.following import RESUME, is_stopped, job_follows, kind_of, waits
from gitops.ports import JobView
from gitops.records import Health, Promotion, Sync, Training
from gitops.steps import Phase
from gitops.words import age

_TROUBLED = frozenset({"stalled", "retrying"})
_STORIES = frozenset({"training", "promotion", "rollout"})
_NAMED = 3
# What ended a story because it was meant to: somebody was told, and nobody is needed.
_AS_INTENDED = frozenset({"GateRefused", "PullRequestClosed", "Cancelled"})


class Rank(IntEnum):
    """How bad it is; the lower, the sooner somebody should look."""

    PAUSED = 0
    BROKEN = 1
    HELD = 2
    DRIFTS = 3
    STUCK = 4
    FAILED = 5
    ASKS = 6
    RETRIES = 7


@dataclass(frozen=True)
class PartTrouble:
    """A part of the stack that is not as it should be.

    Args:
        text: what is wrong, in one sentence; that it is in that state where it is empty.
        look: a command that shows more; the part's log where it is empty.
    """

    name: str
    state: str
    text: str = ""
    look: str = ""

    @property
    def sentence(self) -> str:
        """What is wrong, whoever saw it."""
        return self.text or f"part {self.name} is {self.state.lower()}"

    @property
    def hint(self) -> Hint:
        """What shows more."""
        return Hint(self.look or f"launchpin logs {self.name}", "why")


@dataclass(frozen=True)
class Fleet:
    """What was read of everything.

    Args:
        places: every environment; of those at rest the record alone.
        trainings: the newest of each model.
        names: what a job's subject is called, by kind and subject, where people know another name.
    """

    places: Sequence[Place] = ()
    trainings: Sequence[Training] = ()
    names: Mapping[tuple[str, str], str] | None = None


@dataclass(frozen=True)
class Concern:
    """One thing that somebody may have to look at.

    Args:
        name: what it is about, as `launchpin explain` takes it; empty for a part of the stack or a recurring job.
        text: one sentence.
        who: who has to act.
    """

    rank: Rank
    name: str
    text: str
    reason: str = ""
    who: Who = Who.OPERATOR
    hint: Hint | None = None


def find_concerns(fleet: Fleet, parts: Sequence[PartTrouble], reading: Reading) -> tuple[Concern, ...]:
    """Return everything that needs attention, the worst first."""
    found = [*_of_pause(fleet, reading), *_of_parts(parts), *_of_places(fleet, reading)]
    found += [*_of_trainings(fleet), *_of_jobs(fleet, reading)]
    return tuple(sorted(found, key=lambda one: (one.rank, one.name, one.text)))


def summarize(concerns: Sequence[Concern], fleet: Fleet, reading: Reading) -> str:
    """Return the whole in one line."""
    if not reading.is_up:
        return "The stack is down: nothing goes on. What follows is as it was last seen."
    people = sum(1 for one in concerns if one.who.is_person)
    asks = sum(1 for one in concerns if one.rank is Rank.ASKS)
    others = len(concerns) - people
    alone = "1 thing goes on by itself" if others == 1 else f"{others} things go on by themselves"
    if people > asks:
        needs = "1 thing needs somebody" if people == 1 else f"{people} things need somebody"
    elif asks:
        needs = f"Nothing is wrong; {'1 pull request waits' if asks == 1 else f'{asks} pull requests wait'} for a merge"
    else:
        return f"Nothing needs anybody: {alone}." if others else _well(fleet)
    return f"{needs}; {alone}." if others else f"{needs}."


def _well(fleet: Fleet) -> str:
    serving = sum(1 for place in fleet.places if place.serving)
    if not serving:
        return "Nothing is wrong. Nothing serves yet."
    return f"Nothing is wrong: {'1 endpoint serves' if serving == 1 else f'{serving} endpoints serve'} what Git pins."


def _of_pause(fleet: Fleet, reading: Reading) -> Iterator[Concern]:
    """Give the pause, with what waits for its end: no concern of its own."""
    pause, kept = reading.pause, list(dict.fromkeys(_kept(fleet, reading)))
    if pause is None:
        return
    named, more = kept[:_NAMED], len(kept) - _NAMED
    names = [*named, f"{more} more"] if more > 0 else named
    listed = " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
    keeps = f"; it keeps {listed} waiting" if listed else ""
    since = f"for {age(pause.created_at, reading.now)}"
    text = f"everything is paused by {pause.author} {since}: {pause.message}{keeps}"
    yield Concern(Rank.PAUSED, "", text, pause.reason, Who.OPERATOR, RESUME)


def _kept(fleet: Fleet, reading: Reading) -> Iterator[str]:
    """Give the names of the endpoints and pull requests that go on when the pause ends."""
    for place in fleet.places:
        if any(is_stopped(one, reading) for one in place.rollouts):
            yield place.name
        yield from (_name(one, place) for one in place.proposals if is_stopped(one, reading))


def _name(promotion: Promotion, place: Place) -> str:
    return f"{promotion.repository}#{promotion.facts.number}" if promotion.facts.number else place.name


def _of_parts(parts: Iterable[PartTrouble]) -> Iterator[Concern]:
    for part in parts:
        yield Concern(Rank.BROKEN, "", part.sentence, part.state, hint=part.hint)


def _of_places(fleet: Fleet, reading: Reading) -> Iterator[Concern]:
    for place in fleet.places:
        state = _of_state(place, reading)
        if state is not None:
            yield state
        for promotion in place.proposals:
            if concern := _of_proposal(promotion, place, reading):
                yield concern


def _of_state(place: Place, reading: Reading) -> Concern | None:
    """Return what is wrong with an endpoint itself, the worst of it."""
    one, hint = place.environment, Hint(f"launchpin explain {quote(place.name)}", "all of it")
    if one.health is Health.DEGRADED:
        text = f"degraded, {label(place.serving)} serves: {one.message or one.sync_reason}".rstrip(": ")
        return Concern(Rank.BROKEN, place.name, text, one.sync_reason, Who.OPERATOR, hint)
    if place.holds:
        hold = place.holds[0]
        text = f"held by {hold.author} for {age(hold.created_at, reading.now)}: {hold.message}"
        return Concern(Rank.HELD, place.name, text, hold.reason, Who.OPERATOR, hint)
    moving = place.moving
    if moving is not None:
        told = waits(moving, label(moving.version), reading)
        who = told.who if told is not None and told.who is not None else Who.ITSELF
        is_stuck = told is not None and who.is_person
        job = reading.job("rollout", moving.id)
        if told is None or told.reason == "Paused" or not (is_stuck or (job is not None and job.state in _TROUBLED)):
            return None
        return Concern(Rank.STUCK if is_stuck else Rank.RETRIES, place.name, told.text, told.reason, who, hint)
    if one.sync is not Sync.OUT_OF_SYNC:
        return None
    text = f"out of sync: {drift(place)}. {one.message}".rstrip(". ")
    return Concern(Rank.DRIFTS, place.name, text, one.sync_reason, answer_to(one.sync_reason).who, hint)


def _of_proposal(promotion: Promotion, place: Place, reading: Reading) -> Concern | None:
    """Return what a promotion waits for, unless that is told already or no trouble at all."""
    told = waits(promotion, f"{label(promotion.version)} for {place.name}", reading)
    is_told = told is not None and (told.reason == "Paused" or (told.reason == "Held" and bool(place.holds)))
    if told is None or told.who is None or is_told:
        return None
    name = _name(promotion, place)
    job = reading.job("promotion", promotion.id)
    hint = Hint(f"launchpin explain {quote(name)}", "all of it")
    if told.reason == "AwaitingMerge":
        return Concern(Rank.ASKS, name, told.text, told.reason, told.who, hint)
    if told.who.is_person:
        return Concern(Rank.STUCK, name, told.text, told.reason, told.who, hint)
    is_retried = job is not None and job.state in _TROUBLED
    return Concern(Rank.RETRIES, name, told.text, told.reason, told.who, hint) if is_retried else None


def _of_trainings(fleet: Fleet) -> Iterator[Concern]:
    """Give the newest training of each model where it came to nothing and somebody must mend something."""
    for one in fleet.trainings:
        if one.phase not in {Phase.REFUSED, Phase.ERRORED} or one.reason in _AS_INTENDED:
            continue
        why = ": ".join(part for part in (one.reason, one.message) if part)
        text = f"the newest training of {one.model} came to nothing: {why}"
        hint = Hint(f"launchpin explain {one.id}", "all of it")
        yield Concern(Rank.FAILED, one.id, text, one.reason, answer_to(one.reason).who, hint)


def _of_jobs(fleet: Fleet, reading: Reading) -> Iterator[Concern]:
    """Give the jobs in trouble that nothing above tells about."""
    told = {(kind_of(one), one.id) for place in fleet.places for one in place.rollouts}
    told |= {(kind_of(one), one.id) for place in fleet.places for one in place.promotions}
    for thing, job in reading.jobs.items():
        if job.state in _TROUBLED and thing not in told:
            yield _of_job(job, (fleet.names or {}).get(thing, job.subject), reading)


def _of_job(job: JobView, name: str, reading: Reading) -> Concern:
    is_story = job.kind in _STORIES
    told = job_follows(job, "" if is_story else name, reading)
    hint = Hint(f"launchpin explain {job.subject}", "all of it") if is_story else None
    look = answer_to(told.reason).look
    rank = Rank.STUCK if job.state == "stalled" else Rank.RETRIES
    shown = hint or (Hint(look, "why") if look else None)
    return Concern(rank, job.subject if is_story else "", told.text, told.reason, told.who or Who.OPERATOR, shown)

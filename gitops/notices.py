"""Which state changes somebody is told of, how loudly, and what two of them have in common. Pure.

A notice is made from the very event that the audit log gets, in the same transaction, so that nothing is told that did
not happen and nothing that happened is lost. How it reads, and to whom it goes, is decided when it is sent.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from gitops.audit.entry import Actor, Event, EvidenceValue, Service, Subject, canonical, stamp
from gitops.records import Frozen

QUIET = timedelta(minutes=10)
"""So long nobody is woken again about the same subject for the same reason: what flaps must not flood."""

REPEATED = "Repeated"
"""The outcome of a notice that wakes nobody, because the same did a moment ago; who wants to know all hears of it."""

PATIENCE = timedelta(hours=24)
"""So long a message is tried; what could not be told by then is no news any more."""

_BY_HAND = "RolledBack"
_KEPT = ("reason", "message", "serving", "previous", "direction", "sentence", "merged_by", "merge_sha", "url", "number")
_LONGEST = 1000  # characters of one text; a message is for a person
_OF_THE_SAME = ("repo_id", "env", "endpoint", "model", "ref", "name")


class News(StrEnum):
    """What came to be, as rules in notify.yaml name it; the reference has the line below each."""

    TRAINING_SUCCEEDED = "TrainingSucceeded"
    """A training is over: judged and registered."""
    TRAINING_REFUSED = "TrainingRefused"
    """A gate or a rule said no."""
    TRAINING_ERRORED = "TrainingErrored"
    """A training broke."""
    PROPOSED = "Proposed"
    """A pull request proposes a version."""
    MERGED = "Merged"
    """It was merged."""
    PROMOTION_REFUSED = "PromotionRefused"
    """It was closed, or may not be merged."""
    PROMOTION_ERRORED = "PromotionErrored"
    """A promotion broke."""
    DEPLOYED = "Deployed"
    """A version serves."""
    REMOVED = "Removed"
    """The pin was emptied and nothing serves any more."""
    ROLLOUT_REFUSED = "RolloutRefused"
    """A pin may not be rolled out."""
    ROLLOUT_ERRORED = "RolloutErrored"
    """A rollout broke."""
    ROLLED_BACK = "RolledBack"
    """A version failed and the one before serves again; nobody is woken where a person asked for it."""
    ROLLBACK_FAILED = "RollbackFailed"
    """The way back failed."""
    STALLED = "Stalled"
    """Something cannot go on until a person changes something; told once for each stall."""
    HELD = "Held"
    """A person put an environment, or everything, on hold."""
    RESUMED = "Resumed"
    """A hold was lifted."""
    HOOK_LOST = "HookLost"
    """A push was found that no delivery told of within two minutes; told once until one arrives."""
    HOOK_HEARD = "HookHeard"
    """Deliveries arrive again."""


class Severity(StrEnum):
    """Whether somebody must look now, or may read it tomorrow."""

    WAKE = "wake"
    TELL = "tell"


WAKING = frozenset({News.ROLLED_BACK, News.ROLLBACK_FAILED, News.ROLLOUT_ERRORED, News.STALLED, News.HOOK_LOST})
"""What wakes somebody, unless a person asked for it."""


class Notice(Frozen):
    """One state change that is told, as it is kept until it was.

    Args:
        id: stable, so that whoever gets it twice can tell.
        severity: a rollback that a person asked for wakes nobody.
        reason: CamelCase or snake_case, of the record; empty where there is none.
        subject: what notices about the same thing have in common.
        entry: the event in the form of an audit entry, its evidence cut to what a message says.
        routed_at: when it was decided who is told.
        outcome: why nobody was, where nobody was; or `REPEATED`.
    """

    id: str
    news: News
    severity: Severity
    reason: str
    subject: str
    environment: str
    model: str
    entry: str
    created_at: datetime
    routed_at: datetime | None = None
    outcome: str = ""

    @property
    def voice(self) -> Severity:
        """How loud it is told: what is repeated wakes nobody."""
        return Severity.TELL if self.outcome == REPEATED else self.severity


class LetterState(StrEnum):
    """How far a notice came on its way to one channel."""

    WAITING = "waiting"
    SENT = "sent"
    GIVEN_UP = "given_up"


class Letter(Frozen):
    """A notice on its way to one channel, or to one receiver of it for whom it was not taken with the others.

    Args:
        channel: as notify.yaml names it; `CHANNEL:RECEIVER` for one receiver.
        tries: in vain so far.
        reason: why the last try failed, or why it was given up.
        message: what the other side said.
        due: when it is tried next.
        settled_at: when it was sent or given up.
    """

    notice_id: str
    channel: str
    state: LetterState
    tries: int
    reason: str
    message: str
    due: datetime
    created_at: datetime
    settled_at: datetime | None = None


def tell(event: Event, *, id: str, log_id: str, moment: datetime, service: Service) -> Notice | None:  # noqa: A002 - the field's name
    """Return what is told of a state change; None for the many that only the audit log keeps.

    Args:
        event: as the audit log gets it.
        id: of the notice, where there is one.
        log_id: the audit log's origin.
        moment: the database's clock.
        service: which Launchpin tells it.
    """
    found = grade(event)
    if found is None:
        return None
    news, severity = found
    kept = {name: _short(event.evidence[name]) for name in _KEPT if name in event.evidence}
    entry = stamp(msgspec.structs.replace(event, evidence=kept), log_id=log_id, moment=moment, service=service)
    return Notice(
        id=id,
        news=news,
        severity=severity,
        reason=text_of(event, "reason"),
        subject=_subject(event, severity),
        environment=event.subject.env,
        model=event.subject.model,
        entry=canonical(entry).decode(),
        created_at=moment,
    )


def stalled_job(kind: str, subject: str, *, reason: str, message: str) -> Event:
    """Return the event of recurring work that waits for a person: told, and no entry of the audit log."""
    return Event(
        kind="job.stalled",
        actor=Actor(type="service", login="launchpin"),
        subject=Subject(name=f"{kind} {subject}"),
        to="Stalled",
        evidence={"reason": reason, "message": message},
    )


def grade(event: Event) -> tuple[News, Severity] | None:
    """Return what an event is for people, and how loud; None where nobody is told."""
    noun, _, verb = event.kind.partition(".")
    if verb == "stalled":
        return News.STALLED, Severity.WAKE
    news = _of_rollout(event, verb) if noun == "rollout" else _of_others(event)
    if news is None:
        return None
    is_asked_for = news is News.ROLLED_BACK and (verb == "succeeded" or text_of(event, "reason") == _BY_HAND)
    return news, Severity.WAKE if news in WAKING and not is_asked_for else Severity.TELL


def text_of(event: Event, name: str) -> str:
    """Return a text of the evidence, empty where it is none."""
    value = event.evidence.get(name, "")
    return value if isinstance(value, str) else ""


def _of_rollout(event: Event, verb: str) -> News | None:
    is_back, reason = text_of(event, "direction") == "rollback", text_of(event, "reason")
    match verb:
        case "succeeded" if is_back:
            news = News.ROLLED_BACK
        case "succeeded":
            news = News.DEPLOYED if event.subject.version else News.REMOVED
        case "rolled_back":
            news = News.ROLLBACK_FAILED if is_back and reason != _BY_HAND else News.ROLLED_BACK
        case "errored":
            news = News.ROLLBACK_FAILED if reason == "RollbackFailed" else News.ROLLOUT_ERRORED
        case "refused":
            news = News.ROLLOUT_REFUSED
        case _:
            return None
    is_nothing_new = verb == "succeeded" and event.evidence.get("unchanged") is True
    return None if is_nothing_new else news


_PLAIN: Mapping[str, News] = {
    "training.succeeded": News.TRAINING_SUCCEEDED,
    "training.refused": News.TRAINING_REFUSED,
    "training.errored": News.TRAINING_ERRORED,
    "promotion.proposed": News.PROPOSED,
    "promotion.refused": News.PROMOTION_REFUSED,
    "promotion.errored": News.PROMOTION_ERRORED,
    "hold.lifted": News.RESUMED,
    "hook.lost": News.HOOK_LOST,
    "hook.heard": News.HOOK_HEARD,
}


def _of_others(event: Event) -> News | None:
    if event.kind == "promotion.succeeded":
        return News.MERGED if text_of(event, "merged_by") else None
    if event.kind == "hold.set":
        # What a rollout holds, its own end tells.
        return None if event.subject.rollout_id else News.HELD
    return _PLAIN.get(event.kind)


def _subject(event: Event, severity: Severity) -> str:
    """Return what an event is about; where it only tells, no two are about the same."""
    noun = event.kind.partition(".")[0]
    same = [str(getattr(event.subject, name)) for name in _OF_THE_SAME]
    if noun == "trial":
        # What keeps one trial of a search waiting keeps the others waiting, too.
        same[-1] = event.subject.training_id
    if severity is Severity.TELL:
        same += [event.subject.version, event.subject.sha, str(event.subject.revision)]
        same += [event.subject.training_id, event.subject.promotion_id, event.subject.rollout_id]
    return "\n".join([noun, *same])


def _short(value: EvidenceValue) -> EvidenceValue:
    return value[: _LONGEST - 1] + "…" if isinstance(value, str) and len(value) > _LONGEST else value


def is_repeated(notice: Notice, told: Mapping[tuple[str, str, str], datetime]) -> bool:
    """Return whether somebody was woken by the same a moment ago.

    Args:
        told: when each was told last, by `same_as`.
    """
    last = told.get(same_as(notice))
    return notice.severity is Severity.WAKE and last is not None and notice.created_at - last < QUIET


def same_as(notice: Notice) -> tuple[str, str, str]:
    """Return what two notices share that say the same: news, subject and reason."""
    return notice.news.value, notice.subject, notice.reason

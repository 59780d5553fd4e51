"""A notice in words for people: a headline, a sentence, the facts beside it, and where to look. Pure."""

from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from gitops.audit.entry import Actor, Entry, Event, Service, parse, stamp
from gitops.explaining.answers import answer_to
from gitops.explaining.phrases import phrase
from gitops.notices import News, Notice, Severity, text_of
from gitops.words import cut, short

_LONGEST_TITLE = 150
_LONGEST_SENTENCE = 1000
_TITLES = {
    News.TRAINING_SUCCEEDED: "{model} {version} was trained and judged",
    News.TRAINING_REFUSED: "{model} was trained and refused",
    News.TRAINING_ERRORED: "a training of {model} broke",
    News.PROPOSED: "{model} {version} is proposed for {environment}",
    News.MERGED: "{model} {version} was merged for {environment}",
    News.PROMOTION_REFUSED: "{model} {version} does not go to {environment}",
    News.PROMOTION_ERRORED: "the promotion of {model} {version} to {environment} broke",
    News.DEPLOYED: "{model} {version} serves in {environment}",
    News.REMOVED: "nothing serves in {environment} any more",
    News.ROLLOUT_REFUSED: "{model} {version} may not roll out to {environment}",
    News.ROLLOUT_ERRORED: "the rollout of {model} {version} to {environment} broke",
    News.ROLLED_BACK: "{environment} went back from {model} {version}",
    News.ROLLBACK_FAILED: "{environment} could not go back: look at once",
    News.STALLED: "{what} waits for a person",
    News.HELD: "{environment} is on hold",
    News.RESUMED: "the hold of {environment} is lifted",
    News.HOOK_LOST: "the webhook of {repository} seems lost",
    News.HOOK_HEARD: "the webhook of {repository} is heard again",
}


@dataclass(frozen=True)
class Message:
    """What a person reads, and what a program needs to know of it.

    Args:
        id: stable over all tries and channels.
        title: one line.
        sentence: what happened, with its reason.
        do: what is to be done; empty for nothing.
        facts: a name and a value each, in order.
        url: the page that shows more.
        entry: the event behind it.
    """

    id: str
    news: News | None
    severity: Severity
    reason: str
    title: str
    sentence: str
    do: str
    facts: tuple[tuple[str, str], ...]
    url: str
    entry: Entry

    @property
    def moment(self) -> datetime:
        """When it happened."""
        return self.entry.time


def to_message(notice: Notice, *, base_url: str) -> Message:
    """Return a notice in words.

    Args:
        base_url: of the dashboard.

    Raises:
        InputError: the notice holds no entry: another release wrote it.
    """
    entry = parse(notice.entry.encode())
    return Message(
        id=notice.id,
        news=notice.news,
        severity=notice.voice,
        reason=notice.reason,
        title=cut(_title(notice.news, entry), _LONGEST_TITLE),
        sentence=cut(_sentence(entry), _LONGEST_SENTENCE),
        do=answer_to(notice.reason).do if notice.reason and notice.voice is Severity.WAKE else "",
        facts=_facts(entry),
        url=base_url + _page(entry),
        entry=entry,
    )


def trial_message(id: str, *, moment: datetime, service: Service, log_id: str, base_url: str) -> Message:  # noqa: A002 - the field's name
    """Return what `launchpin notify test` sends."""
    event = Event(kind="notify.tested", actor=Actor(type="service", login="launchpin"))
    return Message(
        id=id,
        news=None,
        severity=Severity.TELL,
        reason="",
        title="a test of this channel",
        sentence="Somebody typed `launchpin notify test`. Nothing happened.",
        do="",
        facts=(),
        url=base_url,
        entry=stamp(event, log_id=log_id, moment=moment, service=service),
    )


def _title(news: News, entry: Entry) -> str:
    subject = entry.subject
    words = {
        "model": subject.model or "a model",
        "version": f"v{subject.version}" if subject.version else "without a version",
        "environment": subject.env or "everything",
        "repository": subject.repo or "a repository",
        "what": _what(entry),
    }
    return _TITLES[news].format_map(words)


def _what(entry: Entry) -> str:
    noun, subject = entry.kind.partition(".")[0], entry.subject
    if noun == "job":
        return f"the job {subject.name}"
    where = f" to {subject.env}" if subject.env else ""
    return f"a {noun} of {subject.model}{where}" if subject.model else f"a {noun}"


def _sentence(entry: Entry) -> str:
    """Return what happened as the incident's screen says it; of work without entries, why it waits."""
    if entry.kind != "job.stalled":
        return phrase(entry)
    return f"{entry.subject.name} waits: {text_of(entry, 'reason')}: {text_of(entry, 'message')}"


def _facts(entry: Entry) -> tuple[tuple[str, str], ...]:
    subject = entry.subject
    rows = (
        ("environment", subject.env),
        ("endpoint", subject.endpoint),
        ("model", subject.model),
        ("version", subject.version),
        ("serving now", text_of(entry, "serving")),
        ("repository", subject.repo),
        ("commit", short(subject.sha)),
        ("pull request", text_of(entry, "url") or (str(subject.pr) if subject.pr else "")),
        ("by", entry.actor.login if entry.actor.type == "user" else ""),
        ("reason", text_of(entry, "reason")),
    )
    return tuple((name, cut(value, 200)) for name, value in rows if value)


def _page(entry: Entry) -> str:
    """Return the page of what an entry is about."""
    subject = entry.subject
    if subject.rollout_id:
        return f"/rollouts/{quote(subject.rollout_id, safe='')}"
    return f"/trainings/{quote(subject.training_id, safe='')}" if subject.training_id else "/"

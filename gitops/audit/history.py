"""The trail as a story: which version served where from when to when, what it came from, and why it ended.

It reads what `at` reads, and `rollout.opened` for who asked to go back and for the folder whose endpoint moved: where
the same folder's next rollout moves another endpoint, the old one has lost its environment, and its last time ends.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from gitops.audit.at import (
    BY_HAND,
    OPENED,
    RESTORED,
    ROLLED_BACK,
    Folder,
    Folders,
    Span,
    approvers_of,
    find_merge,
    find_training,
    is_rollback,
    moves_traffic,
    serving_spans,
    text_of,
)
from gitops.audit.entry import Entry

_REFUSED = frozenset({"promotion.refused", "rollout.refused"})
_OF_FOLDERS = frozenset({OPENED, "promotion.opened"})
_BY_TIER = frozenset({"TierTooLow", "TierUnknown"})


@dataclass(frozen=True)
class Tenure:
    """A time in which one version served on an endpoint; facts that no entry states are empty.

    Args:
        start: when traffic went to it.
        end: when traffic left it, or its environment was given another endpoint; None while it serves.
        ended: why it ended, in a few words.
        repo: the model repository it was trained from.
        sha: the commit it was trained from.
        verdict: `pass`, or what the judging said.
        approved_by: the logins that approved what was merged; None where no reviews are on record.
        merged_by: the login that merged it.
        pull: the number of that pull request in the deploy repository, 0 when none is on record.
        merge_sha: the merge's commit there.
        rollout_id: the rollout that brought it into service.
    """

    endpoint: str
    env: str
    model: str
    version: str
    start: datetime
    end: datetime | None
    ended: str = ""
    repo: str = ""
    sha: str = ""
    training_id: str = ""
    verdict: str = ""
    approved_by: tuple[str, ...] | None = None
    merged_by: str = ""
    pull: int = 0
    merge_sha: str = ""
    rollout_id: str = ""


@dataclass
class _Chapter:
    """What moved an endpoint's traffic as long as it belonged to its environment.

    Args:
        left: when the environment was given another endpoint, and that one's name; None as long as it was not.
    """

    moves: list[Entry] = field(default_factory=list)
    left: tuple[datetime, str] | None = None


@dataclass(frozen=True)
class KeptOut:
    """A version that was not let in somewhere, since its tier is too low there.

    Args:
        time: when that was said.
        endpoint: where it was pinned all the same; empty where it was not proposed.
    """

    env: str
    model: str
    version: str
    time: datetime
    reason: str
    message: str
    endpoint: str = ""


class _Trail:
    """The entries that matter here, by what they are about; read once, however long the trail is."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.last: datetime | None = None
        self._chapters: dict[str, list[_Chapter]] = defaultdict(list)
        self._by_version: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        self._of_rollouts: dict[tuple[str, str], Entry] = {}
        self._folders = Folders()
        self._endpoints: dict[Folder, str] = {}
        self._owners: dict[str, Folder] = {}
        for entry in entries:
            self.last = entry.time
            self._folders.read(entry)
            subject = entry.subject
            if moves_traffic(entry):
                self._move(entry)
            else:
                self._by_version[subject.model, subject.version].append(entry)
            if entry.kind in {OPENED, ROLLED_BACK}:
                self._of_rollouts.setdefault((entry.kind, subject.rollout_id), entry)

    def _move(self, entry: Entry) -> None:
        endpoint = entry.subject.endpoint
        folder = self._folders.of(entry.subject.rollout_id)
        if folder is not None:
            self._give(endpoint, folder, entry.time)
        chapters = self._chapters[endpoint]
        if not chapters or chapters[-1].left:
            chapters.append(_Chapter())
        chapters[-1].moves.append(entry)

    def _give(self, endpoint: str, folder: Folder, moment: datetime) -> None:
        """Take note of which endpoint an environment has, and end the time of the one that it had."""
        before = self._endpoints.get(folder, endpoint)
        if before != endpoint and self._owners.get(before) == folder:
            self._chapters[before][-1].left = moment, endpoint
        self._endpoints[folder] = endpoint
        self._owners[endpoint] = folder

    def tenures(self, name: str) -> Iterator[Tenure]:
        """Give every time that a version served.

        Args:
            name: an endpoint, REPOSITORY:PATH, or a model.
        """
        meant = self._folders.named(name)
        for endpoint, chapters in self._chapters.items():
            for chapter in chapters:
                spans = serving_spans(chapter.moves, endpoint, self._folders)
                for span, following in zip(spans, (*spans[1:], None), strict=False):
                    is_there = meant is not None and self._folders.of(span.rollout_id) == meant
                    if span.version and (is_there or name in {span.endpoint, span.model}):
                        yield _tenure(self, span, following, chapter.left)

    def about(self, span: Span) -> list[Entry]:
        """Return what was recorded about a span's version before any rollout."""
        return self._by_version[span.model, span.version]

    def merge_of(self, span: Span, until: datetime) -> Entry | None:
        """Return the merge that led to a span, as far as it was recorded by then."""
        return find_merge(self.about(span), span, until, self._folders)

    def of_rollout(self, kind: str, rollout_id: str) -> Entry | None:
        """Return the first entry of a kind about a rollout."""
        return self._of_rollouts.get((kind, rollout_id))


def known_names(entries: Iterable[Entry]) -> list[str]:
    """Return the endpoints, their places and the models that any entry is about, whether anything served or not."""
    found = {name for entry in entries for name in (entry.subject.endpoint, entry.subject.model, place_of(entry))}
    return sorted(found - {""})


def place_of(entry: Entry) -> str:
    """Return the place that a rollout began to be for, as REPOSITORY:PATH; empty for every other entry."""
    path = text_of(entry, "path") if entry.kind == OPENED else ""
    return f"{entry.subject.repo}:{path}" if path and entry.subject.repo else ""


def tenures(entries: Iterable[Entry], name: str) -> list[Tenure]:
    """Return every time that a version served, the oldest first.

    Args:
        entries: the trail in tree order, verified by the caller.
        name: an endpoint, REPOSITORY:PATH, or a model: then of every endpoint that it served on.
    """
    found = _Trail(entries).tenures(name)
    return sorted(found, key=lambda tenure: (tenure.start, tenure.endpoint))


def kept_out(entries: Iterable[Entry], name: str) -> list[KeptOut]:
    """Return every time that a version was not let in for its tier, the oldest first.

    Args:
        entries: the trail in tree order, verified by the caller.
        name: an endpoint, REPOSITORY:PATH, or a model.
    """
    names: dict[tuple[str, str, str], set[str | Folder]] = defaultdict(set)
    folders = Folders()
    found: list[Entry] = []
    for entry in entries:
        folders.read(entry)
        if entry.subject.endpoint:
            names[_place(entry)].add(entry.subject.endpoint)
        if entry.kind in _OF_FOLDERS:
            names[_place(entry)].add((entry.subject.repo_id, text_of(entry, "path")))
        if entry.kind in _REFUSED and text_of(entry, "reason") in _BY_TIER:
            found.append(entry)
    meant = {name, folders.named(name)}
    return [_kept_out(one) for one in found if name == one.subject.model or meant & names[_place(one)]]


def _place(entry: Entry) -> tuple[str, str, str]:
    """Return what an endpoint's rollouts and the promotions to it have in common."""
    return entry.subject.repo, entry.subject.env, entry.subject.model


def _kept_out(entry: Entry) -> KeptOut:
    return KeptOut(
        env=entry.subject.env,
        model=entry.subject.model,
        version=entry.subject.version,
        time=entry.time,
        reason=text_of(entry, "reason"),
        message=text_of(entry, "message"),
        endpoint=entry.subject.endpoint,
    )


def _tenure(trail: _Trail, span: Span, following: Span | None, left: tuple[datetime, str] | None) -> Tenure:
    end, ended = span.end, ""
    if following is not None:
        ended = _why_ended(trail, following)
    elif left is not None:
        end, ended = left[0], f"its environment moved to endpoint {left[1]}"
    # A merge may be recorded after the traffic has moved.
    until = end or trail.last or span.start
    trained = find_training(trail.about(span), span, until)
    merged = trail.merge_of(span, until)
    return Tenure(
        endpoint=span.endpoint,
        env=span.env,
        model=span.model,
        version=span.version,
        start=span.start,
        end=end,
        ended=ended,
        repo=trained.subject.repo if trained else "",
        sha=trained.subject.sha if trained else "",
        training_id=trained.subject.training_id if trained else "",
        verdict=text_of(trained, "verdict"),
        approved_by=approvers_of(merged),
        merged_by=text_of(merged, "merged_by"),
        pull=merged.subject.pr if merged else 0,
        merge_sha=text_of(merged, "merge_sha"),
        rollout_id=span.rollout_id,
    )


def _why_ended(trail: _Trail, following: Span) -> str:
    """Return why a version made way for what served next."""
    if following.kind in {RESTORED, ROLLED_BACK}:
        return _why_failed(trail.of_rollout(ROLLED_BACK, following.rollout_id))
    if not following.version:
        return "taken out of service"
    opened = trail.of_rollout(OPENED, following.rollout_id)
    if opened is not None and is_rollback(opened):
        return f"rolled back to v{following.version} by {opened.actor.login}"
    return f"replaced by v{following.version}"


def _why_failed(ended: Entry | None) -> str:
    """Return why a rollout gave the traffic back; it says so itself once Git follows."""
    reason, message = text_of(ended, "reason"), text_of(ended, "message")
    why = message.removeprefix(f"{reason}: ").rpartition(" - ")[0] or message
    if reason == BY_HAND:
        return f"rolled back: {why}"
    return ": ".join(("failed", *filter(None, (reason, why))))

"""An incident as Markdown, ready to be pasted into a post-mortem: what served, the timeline, the last lines. Pure.

Whatever foreign text it quotes mentions nobody and is no markup, wherever it is pasted.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gitops.audit.history import Tenure
from gitops.explaining.explanation import Explanation, Part
from gitops.explaining.incident import Moment
from gitops.texts import code, fenced, inert

_LONGEST = 500


@dataclass(frozen=True)
class Incident:
    """Everything that a post-mortem begins with.

    Args:
        now: when it was written.
        explanation: how things are now.
        moments: what happened, oldest first.
        served: the times of service that it touches, oldest first.
        log_id: the origin of the audit log.
        size: how many entries the log had.
    """

    now: datetime
    explanation: Explanation
    moments: Sequence[Moment]
    served: Sequence[Tenure]
    log_id: str
    size: int


def served_meanwhile(tenures: Iterable[Tenure], moments: Sequence[Moment]) -> tuple[Tenure, ...]:
    """Return the times of service that were not over when the incident's first rollout began."""
    begin = next((one.time for one in moments if "rollout" in one.what), moments[0].time if moments else None)
    return tuple(one for one in tenures if begin is None or one.end is None or one.end >= begin)


def to_markdown(incident: Incident) -> str:
    """Return the whole document."""
    explanation = incident.explanation
    blocks = [
        f"# Incident: {inert(explanation.name)}",
        f"{inert(explanation.headline, limit=_LONGEST)}",
        _source(incident),
    ]
    if incident.served:
        blocks += ["## What served", _table(("version", "from", "to", "for", "why it ended"), _served_rows(incident))]
    if incident.moments:
        blocks += ["## Timeline", _table(("when", "what", "who", "caused by", "entry"), _rows(incident.moments))]
    blocks += _last_lines(explanation)
    blocks += _open_ends(explanation)
    return "\n\n".join(blocks)


def _source(incident: Incident) -> str:
    which = "The log holds nothing about this."
    if incident.moments:
        numbers = [moment.number for moment in incident.moments]
        which = f"The entries are between {min(numbers)} and {max(numbers)} of {incident.size}, counted from 0."
    written = f"Written at {_moment(incident.now)} from the audit log {code(incident.log_id)}. {which}"
    return f"{written} All times are UTC; `launchpin audit export` writes the proof."


def _moment(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _served_rows(incident: Incident) -> Iterator[tuple[str, ...]]:
    for one in incident.served:
        end = one.end or incident.now
        until = _moment(one.end) if one.end else "serves"
        yield f"v{one.version}", _moment(one.start), until, span((end - one.start).total_seconds()), one.ended


def span(seconds: float) -> str:
    """Return a length of time to the second: `38 s`, `4 min 05 s`, `3 h 20 min`, `2 d 3 h`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, left = divmod(minutes, 60)
    days, rest_hours = divmod(hours, 24)
    if days:
        return f"{days} d {rest_hours} h"
    if hours:
        return f"{hours} h {left:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _rows(moments: Iterable[Moment]) -> Iterator[tuple[str, ...]]:
    for one in moments:
        yield _moment(one.time), one.what, one.who, one.cause, str(one.number)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(inert(cell, limit=_LONGEST) for cell in row)} |" for row in rows]
    return "\n".join(lines)


def _last_lines(explanation: Explanation) -> Iterator[str]:
    found = [one for one in explanation.parts.get(Part.FAILED, ()) if one.tail]
    if found:
        yield "## Last lines"
    for one in found:
        when = f"{_moment(one.since)}: " if one.since is not None else ""
        yield f"{when}{inert(one.text, limit=_LONGEST)}\n\n{fenced(one.tail)}"


def _open_ends(explanation: Explanation) -> Iterator[str]:
    """Give what is still held or waited for, and what happens next."""
    parts = [(part, explanation.parts.get(part, ())) for part in (Part.WAITS, Part.NEXT)]
    lines = [
        f"- {part}: {inert(one.text, limit=_LONGEST)}{f', since {_moment(one.since)}' if one.since else ''}"
        for part, statements in parts
        for one in statements
    ]
    if lines:
        yield "## Still open"
        yield "\n".join(lines)

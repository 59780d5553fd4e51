"""How `launchpin status` shows the parts of a service: as the database knows them, for nobody sees their processes."""

from collections.abc import Iterator
from datetime import timedelta

from gitops.cli.show import table
from gitops.telling.service import PartView, PartWord, Service
from gitops.trainers.redaction import show_controls
from gitops.words import age, cut, lasting, until

_WIDE = 80
_MOST = 20


def show_service(service: Service) -> str:
    """Return the parts, who leads, what is in hand, and what waits for what."""
    lines = [table(("PART", "STATE", "READY", "OLDEST", "IN HAND"), map(_row, service.parts))]
    lines += [f"  {_fit(line)}" for line in _lines(service)]
    if service.waiting:
        rows = [(one.reason, one.state, one.kind, one.count) for one in service.waiting]
        lines += ["", table(("WAITS FOR", "STATE", "OF", "JOBS"), rows)]
    return "\n".join(lines)


def _row(part: PartView) -> tuple[object, ...]:
    if part.state in {PartWord.LEADS, PartWord.GONE, PartWord.MISSING}:
        return part.name, part.state, "", "", ""
    oldest = lasting(timedelta(seconds=part.oldest)) if part.ready else ""
    return part.name, part.state, part.ready or "", oldest, part.held or ""


def _lines(service: Service) -> Iterator[str]:
    hands = service.hands
    leader = hands.leader
    if leader is None:
        yield "no relay was ever here: nothing goes on by itself until one is started"
    elif leader.until > hands.now:
        yield f"{leader.owner} leads for {age(leader.since, hands.now)}"
    else:
        yield f"{leader.owner} led until {age(leader.until, hands.now)} ago: nothing goes on by itself"
    for job in hands.held[:_MOST]:
        ends = f"its lease ends {until(job.until, hands.now)}" if job.until > hands.now else "its lease ran out"
        yield f"{job.worker} has {job.kind} {job.subject}: {ends}"
    if len(hands.held) > _MOST:
        yield f"and {len(hands.held) - _MOST} more in hand"


def _fit(text: str) -> str:
    return show_controls(cut(text, _WIDE - 2))

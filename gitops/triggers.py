"""What a delivery or a moved ref starts or wakes. Pure: events and configuration in, decisions out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gitops.config.globs import matches_any
from gitops.config.launchpin import LaunchpinFile
from gitops.payloads import ZERO_SHA, CheckEvent, CommentEvent, Event, Ping, PullRequestEvent, Push

_PREFIX = "refs/heads/"


class Concern(StrEnum):
    """What a delivery concerns, so that the loop that owns it looks again."""

    REF = "ref"
    PULLS = "pulls"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Decision:
    """What to do about a delivery.

    Args:
        concern: what must be looked at again.
        reason: why nothing is done, where nothing is.
        ref: the ref that moved, for `Concern.REF`.
    """

    concern: Concern
    reason: str = ""
    ref: str = ""


def decide(event: Event | None) -> Decision:
    """Return what a delivery from a connected repository concerns."""
    match event:
        case None:
            return Decision(Concern.NOTHING, "event")
        case Ping():
            return Decision(Concern.NOTHING, "ping")
        case Push():
            return _decide_push(event)
        case PullRequestEvent():
            return Decision(Concern.NOTHING, "fork") if event.is_fork else Decision(Concern.PULLS)
        case CommentEvent():
            return Decision(Concern.NOTHING, "comment")
        case CheckEvent():
            return Decision(Concern.PULLS)


def _decide_push(push: Push) -> Decision:
    if not push.ref.startswith(_PREFIX):
        return Decision(Concern.NOTHING, "not_a_branch")
    if ZERO_SHA.fullmatch(push.after):
        return Decision(Concern.NOTHING, "deleted")
    return Decision(Concern.REF, ref=push.ref)


def is_branch_watched(file: LaunchpinFile, ref: str) -> bool:
    """Return whether pushes to this ref train by this file."""
    return ref.startswith(_PREFIX) and matches_any(ref.removeprefix(_PREFIX), file.on.push.branches)


def is_path_watched(file: LaunchpinFile, changed: Sequence[str], *, root: str) -> bool:
    """Return whether any changed path trains by this file.

    Args:
        changed: paths relative to the repository.
        root: the folder of the launchpin.yaml, empty at the top; its path patterns are relative to it.
    """
    prefix = f"{root}/" if root else ""
    inside = (path.removeprefix(prefix) for path in changed if path.startswith(prefix))
    return any(matches_any(path, file.on.push.paths) for path in inside)

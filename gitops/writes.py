"""The closed set of changes that a step may ask for beside its own facts. Values only: the store carries them out.

They are written in the transaction that ends the step, each with its audit entry where it changes a state, so that a
step never writes by itself and nothing is half done.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gitops.lockfile import Lock
from gitops.records import Environment, Hold, Promotion, Repository, Rollout, Training, Version, WatchedRef
from gitops.spaces import Space
from gitops.trials import Trial


@dataclass(frozen=True)
class StartTraining:
    """Insert a training and its job; nothing happens when the same commit, configuration and nonce were trained.

    Args:
        committed_at: when its commit was made, for the audit trail; None when that is not known.
        step: where it begins, the first step by default.
    """

    training: Training
    committed_at: datetime | None = None
    step: str = ""


@dataclass(frozen=True)
class KeepSpace:
    """Keep the space that a training searches, as it was accepted; what is kept of it already stays as it is."""

    training_id: str
    space: Space


@dataclass(frozen=True)
class StartTrial:
    """Insert a trial and its job; nothing happens when its training has one of this number."""

    trial: Trial


@dataclass(frozen=True)
class CancelTraining:
    """End a training, whoever works on it; nothing happens when it is over already.

    Args:
        by: who calls it off.
        reason: why, empty when nothing was said.
    """

    training_id: str
    by: str
    reason: str = ""


@dataclass(frozen=True)
class OpenPromotion:
    """Insert a promotion and its job; an open one of the same repository, environment and model is superseded."""

    promotion: Promotion


@dataclass(frozen=True)
class RefusePromotion:
    """Insert a promotion that a rule said no to before it began: nothing is done for it, and no open one makes way.

    Args:
        reason: why, from the closed set.
        message: the same as one sentence.
    """

    promotion: Promotion
    reason: str
    message: str


@dataclass(frozen=True)
class OpenRollout:
    """Insert a rollout and its job; a pending one of the same endpoint is superseded, a running one is waited for."""

    rollout: Rollout


@dataclass(frozen=True)
class MoveRef:
    """Remember the last commit considered of a ref (inserts the ref when it is new)."""

    ref: WatchedRef


@dataclass(frozen=True)
class SaveRepository:
    """Connect a repository, or renew what is known of it."""

    repository: Repository


@dataclass(frozen=True)
class KeepLock:
    """Keep the lock that a training or a rollout names, for whoever must build its environment again."""

    lock: Lock


@dataclass(frozen=True)
class SaveVersion:
    """Record a version with its verdict; the same version again changes nothing."""

    version: Version


@dataclass(frozen=True)
class SaveEnvironment:
    """Write what is known of an environment (key: repository id and path; inserted when it is new).

    Args:
        fields: of an environment that is known, only these change, since several stories write to one row.
    """

    environment: Environment
    fields: tuple[str, ...]


@dataclass(frozen=True)
class SetHold:
    """Put a hold on an environment, or on everything: a pause."""

    hold: Hold


@dataclass(frozen=True)
class LiftHold:
    """Lift every open hold of an environment, or the pause, and wake what waited for it."""

    repository_id: int
    path: str
    by: str
    reason: str = ""


@dataclass(frozen=True)
class DeclineVersion:
    """Remember that a person closed the pull request of this version: it is not proposed again there."""

    repository_id: int
    environment: str
    model: str
    version: str
    by: str


@dataclass(frozen=True)
class ReconsiderVersion:
    """Forget that a person closed the pull request of this version there: somebody asks for it by hand.

    Args:
        by: who asks.
    """

    repository_id: int
    environment: str
    model: str
    version: str
    by: str


@dataclass(frozen=True)
class Wake:
    """Make a job ready now (and make it if it is not there).

    Args:
        kind: the story's kind.
        subject: what the job is about, as the story's `load` reads it.
        within: how long it may be left, so that several wakes are one. More than a second is for what comes again by
            itself: a job that is held at this moment is not woken by it.
    """

    kind: str
    subject: str
    within: timedelta = timedelta(0)


@dataclass(frozen=True)
class Audit:
    """Append one audit entry that belongs to no other write.

    Args:
        kind: `noun.verb`.
        subject: names of `gitops.audit.entry.Subject` fields.
        evidence: JSON without floats.
    """

    kind: str
    subject: dict[str, str | int]
    evidence: dict[str, object]


@dataclass(frozen=True)
class RouteNotice:
    """Decide who is told of something, once; each channel has a letter from then on, and a job that sends it.

    Args:
        outcome: why nobody is, where nobody is; `REPEATED` where nobody is woken.
    """

    notice_id: str
    channels: tuple[str, ...]
    outcome: str = ""


@dataclass(frozen=True)
class SettleLetter:
    """Say how a try to send a letter ended.

    Args:
        is_sent: the other side has it.
        is_away: the other side takes nothing now, whatever it is: what else was tried in vain waits, too.
        after: when it is tried again; None when it is over. Of one that was sent: when those are who are left.
        left: receivers that the other side may take it for later; each gets a letter of their own.
    """

    notice_id: str
    channel: str
    is_sent: bool
    is_away: bool = False
    reason: str = ""
    message: str = ""
    after: timedelta | None = None
    left: tuple[str, ...] = ()


Write = (
    StartTraining
    | KeepSpace
    | StartTrial
    | CancelTraining
    | OpenPromotion
    | RefusePromotion
    | OpenRollout
    | MoveRef
    | SaveRepository
    | KeepLock
    | SaveVersion
    | SaveEnvironment
    | SetHold
    | LiftHold
    | DeclineVersion
    | ReconsiderVersion
    | Wake
    | Audit
    | RouteNotice
    | SettleLetter
)

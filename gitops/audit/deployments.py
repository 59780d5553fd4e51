"""Every deployment that the trail tells of: how long it took from the commit, whether it failed, and for how long.

A deployment is a forward rollout that gave a version the traffic, also one that was taken back. Going back is none:
neither a rollout that restores what served before, nor a rollback that a person asks for, nor a pin that a person sets
back in Git, which is a forward rollout to a lower version that served on this endpoint before.

One pass over the entries, whatever their number; what was read stays read, so that a log that grows is followed.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gitops.audit.at import (
    APPLIED,
    BY_HAND,
    OPENED,
    RESTORED,
    ROLLED_BACK,
    SUCCEEDED,
    is_rollback,
    moves_traffic,
    served_by,
    text_of,
)
from gitops.audit.entry import Entry, parse

_AT_ONCE = timedelta(0)
_NUMBER = re.compile(r"[0-9]{1,18}")
_Version = tuple[str, str]  # a model and a version's number
_NOTHING: _Version = ("", "")


@dataclass(slots=True, eq=False)
class Deployment:
    """A version that was given an endpoint's traffic by its pin.

    Args:
        at: when it was given the traffic.
        repo_id: the deploy repository, whose rollout it was.
        lead: from its commit to the traffic; None when that is not on record, or it had served there before.
        is_lead_of_commit: whether the lead begins at the commit's own time, not when its push arrived.
        failed_from: from when on it counts as failed: its traffic where its own rollout found out, else when somebody
            asked for the way back; None as long as it has not failed.
        restored: from then to the traffic of a good version; None as long as none serves.
    """

    env: str
    model: str
    version: str
    at: datetime
    repo_id: int = 0
    lead: timedelta | None = None
    is_lead_of_commit: bool = False
    failed_from: datetime | None = None
    restored: timedelta | None = None

    @property
    def has_failed(self) -> bool:
        """Whether its rollout gave the traffic back, or a person went back from it."""
        return self.failed_from is not None

    @property
    def is_down(self) -> bool:
        """Whether it failed, and no good version has served since."""
        return self.has_failed and self.restored is None


@dataclass(frozen=True, slots=True)
class _Origin:
    """When a version's commit was made, or its push arrived."""

    begun: datetime
    is_commit: bool


@dataclass(slots=True)
class _Place:
    """One endpoint of a deploy repository.

    Args:
        serving: the version that has the traffic.
        brought: every version that had it, each with the last deployment that brought it, where one did.
        failed: deployments that failed, and no good version has served since.
        asked: when somebody last asked to go back from a version.
    """

    serving: _Version = _NOTHING
    brought: dict[_Version, Deployment | None] = field(default_factory=dict)
    failed: list[Deployment] = field(default_factory=list)
    asked: dict[_Version, datetime] = field(default_factory=dict)

    def serve(self, served: _Version) -> None:
        """Give a version the traffic."""
        self.serving = served
        if served[1]:
            self.brought.setdefault(served, None)

    def fail(self, version: _Version, noticed: datetime | None = None) -> None:
        """Say that the deployment of a version has failed; each fails once.

        Args:
            noticed: when somebody was first known to think so; None where its own rollout found out.
        """
        deployment = self.brought.get(version)
        if deployment is not None and not deployment.has_failed:
            deployment.failed_from = noticed or deployment.at
            self.failed.append(deployment)

    def restore(self, moment: datetime) -> None:
        """Say that a good version has the traffic from a moment on."""
        for deployment in self.failed:
            deployment.restored = max(moment - (deployment.failed_from or deployment.at), _AT_ONCE)
        self.failed.clear()


@dataclass(slots=True)
class _Rollout:
    """A rollout that is not over.

    Args:
        begun: when it was opened.
        is_rollback: a person asked for it, to leave the version `leaves`.
        moved_at: when it gave its version the traffic; None as long as it did not.
        deploys: the version, where that was a deployment.
    """

    begun: datetime
    is_rollback: bool = False
    leaves: str = ""
    moved_at: datetime | None = None
    deploys: _Version | None = None


class Ledger:
    """The deployments of a trail, in tree order.

    Args:
        deployments: all of them, the oldest first.
        since, until: the times of the first and the last entry; None while there is none.
    """

    def __init__(self) -> None:
        self.deployments: list[Deployment] = []
        self.since: datetime | None = None
        self.until: datetime | None = None
        self._models: dict[str, set[int]] = defaultdict(set)
        self._environments: dict[str, set[int]] = defaultdict(set)
        self._begun: dict[str, _Origin] = {}  # by training
        self._committed: dict[tuple[int, str], datetime] = {}
        self._origins: dict[_Version, _Origin] = {}
        self._places: dict[tuple[int, str], _Place] = defaultdict(_Place)
        self._rollouts: dict[str, _Rollout] = {}
        self._take: Mapping[str, Callable[[Entry], None]] = {
            "training.started": self._begin_training,
            "training.registered": self._name_version,
            "training.succeeded": self._name_version,
            OPENED: self._open,
            APPLIED: self._apply,
            "rollout.baked": self._bake,
            RESTORED: self._give_back,
            ROLLED_BACK: self._roll_back,
            SUCCEEDED: self._succeed,
            "rollout.refused": self._end,
            "rollout.errored": self._end,
            "rollout.superseded": self._end,
            "rollout.cancelled": self._end,
        }
        # An entry's bytes have one form, in which its kind cannot hide. To take one too many apart does no harm.
        kinds = "|".join(map(re.escape, self._take))
        self._matters = re.compile(f'"kind":"(?:{kinds})"'.encode())

    def read(self, lines: Iterable[bytes]) -> None:
        """Read entries on from where the last reading ended; only those that matter are taken apart.

        Args:
            lines: the entries' bytes in tree order, verified by the caller.

        Raises:
            InputError: one is no entry.
        """
        last = b""
        for last in lines:
            if self.since is None or self._matters.search(last):
                self.add(parse(last))
        if last:
            self.until = parse(last).time

    def add(self, entry: Entry) -> None:
        """Read the next entry."""
        if self.since is None:
            self.since = entry.time
        self.until = entry.time
        take = self._take.get(entry.kind)
        if take is None:
            return
        self._models[entry.subject.model].add(entry.subject.repo_id)
        self._environments[entry.subject.env].add(entry.subject.repo_id)
        take(entry)

    def models(self, sees: Callable[[int], bool] = lambda _: True) -> list[str]:
        """Return the names of all models, deployed or not.

        Args:
            sees: whether what a repository's entries name is told, by its number.
        """
        return _names(self._models, sees)

    def environments(self, sees: Callable[[int], bool] = lambda _: True) -> list[str]:
        """Return the names of all environments; `sees` as in `models`."""
        return _names(self._environments, sees)

    def _begin_training(self, entry: Entry) -> None:
        subject = entry.subject
        commit = subject.repo_id, subject.sha
        # A training that is tried once more does not say it again.
        committed = _committed_at(entry) or self._committed.get(commit)
        if committed is not None:
            self._committed[commit] = committed
        origin = _Origin(committed or entry.time, is_commit=committed is not None)
        self._begun[subject.training_id] = origin

    def _name_version(self, entry: Entry) -> None:
        subject = entry.subject
        origin = self._begun.get(subject.training_id)
        if origin is not None and subject.version:
            self._origins[subject.model, subject.version] = origin

    def _open(self, entry: Entry) -> None:
        leaves = text_of(entry, "from_version")
        self._rollouts[entry.subject.rollout_id] = _Rollout(entry.time, is_rollback(entry), leaves)
        if is_rollback(entry):
            self._place(entry).asked[entry.subject.model, leaves] = entry.time

    def _apply(self, entry: Entry) -> None:
        place, served = self._place(entry), served_by(entry)
        rollout = self._rollouts.setdefault(entry.subject.rollout_id, _Rollout(entry.time))
        if rollout.moved_at is not None:
            return
        rollout.moved_at = entry.time
        if rollout.is_rollback:
            left = (entry.subject.model, rollout.leaves) if rollout.leaves else place.serving
            place.fail(left, noticed=rollout.begun)
        elif _is_set_back(place, served):
            place.fail(place.serving, noticed=rollout.begun)
        elif served[1]:
            deployment = self._deploy(entry, place, served)
            place.asked.pop(served, None)
            place.brought[served] = deployment
            rollout.deploys = served
        place.serve(served)

    def _deploy(self, entry: Entry, place: _Place, served: _Version) -> Deployment:
        model, version = served
        origin = self._origins.get(served)
        deployment = Deployment(entry.subject.env, model, version, entry.time, repo_id=entry.subject.repo_id)
        if origin is not None and served not in place.brought:
            deployment.lead = max(entry.time - origin.begun, _AT_ONCE)
            deployment.is_lead_of_commit = origin.is_commit
        self.deployments.append(deployment)
        return deployment

    def _bake(self, entry: Entry) -> None:
        failure = text_of(entry, "failure")
        if failure:
            self._fail(entry, failure)

    def _fail(self, entry: Entry, failure: str) -> None:
        """Say that what a rollout deployed has failed; a bake that a person ended failed when that was asked for."""
        rollout, place = self._rollouts.get(entry.subject.rollout_id), self._place(entry)
        if rollout is not None and rollout.deploys:
            noticed = place.asked.get(rollout.deploys, entry.time) if failure == BY_HAND else None
            place.fail(rollout.deploys, noticed=noticed)

    def _give_back(self, entry: Entry) -> None:
        place = self._place(entry)
        self._fail(entry, text_of(entry, "reason"))
        if not moves_traffic(entry):
            return
        served = served_by(entry)
        place.serve(served)
        # Where it went back to a version that failed itself, nothing good serves yet.
        brought = place.brought.get(served)
        if served[1] and (brought is None or not brought.is_down):
            place.restore(entry.time)

    def _roll_back(self, entry: Entry) -> None:
        self._give_back(entry)
        self._end(entry)

    def _succeed(self, entry: Entry) -> None:
        rollout = self._rollouts.get(entry.subject.rollout_id)
        place, served = self._place(entry), served_by(entry)
        place.serve(served)
        if served[1]:
            place.restore((rollout.moved_at if rollout else None) or entry.time)
        self._end(entry)

    def _end(self, entry: Entry) -> None:
        self._rollouts.pop(entry.subject.rollout_id, None)

    def _place(self, entry: Entry) -> _Place:
        return self._places[entry.subject.repo_id, entry.subject.endpoint]


def _names(known: Mapping[str, set[int]], sees: Callable[[int], bool]) -> list[str]:
    return sorted(name for name, repositories in known.items() if name and any(map(sees, repositories)))


def _committed_at(entry: Entry) -> datetime | None:
    """Return when a commit was made, as it says itself; None when it does not, or says that we had it before."""
    try:
        moment = datetime.fromisoformat(text_of(entry, "committed_at"))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None and moment <= entry.time else None


def _is_set_back(place: _Place, served: _Version) -> bool:
    """Return whether a pin leads back to a lower version that served here before."""
    model, version = served
    before, now = _number(place.serving[1]), _number(version)
    is_lower = before is not None and now is not None and now < before
    return is_lower and model == place.serving[0] and served in place.brought


def _number(version: str) -> int | None:
    return int(version) if _NUMBER.fullmatch(version) else None

"""What programs are told of how often, how fast and how well versions are deployed; kept as `shapes` are."""

from datetime import date, datetime

from gitops.records import Frozen


class Spread(Frozen):
    """How long something took, of those deployments of which it is known: half of them, and nine of ten, no longer."""

    median_seconds: float
    p90_seconds: float
    count: int


class LeadTime(Spread):
    """From the commit to the traffic; `from_commit` of them begin at the commit, the others when its push arrived."""

    from_commit: int


class DoraWeek(Frozen):
    """What was deployed in the week that began on a Monday, in UTC; so many of the deployments failed."""

    monday: date
    deployments: int
    failed: int


class DoraFigures(Frozen):
    """DORA's four figures of an environment; without a deployment they are null.

    Args:
        failed: deployments that their rollout took back, or that a person went back from.
        change_failure_rate: their part of all, from 0 to 1.
        not_restored: failed ones since which no good version has served.
    """

    environment: str
    deployments: int
    deployments_per_week: float | None
    lead_time: LeadTime | None
    failed: int
    change_failure_rate: float | None
    time_to_restore: Spread | None
    not_restored: int


class DoraOfAll(DoraFigures):
    """The figures of everything in an environment."""

    weeks: tuple[DoraWeek, ...]


class DoraOfModel(DoraFigures):
    """The figures of one model in an environment."""

    model: str


class Dora(Frozen):
    """The figures of a time, as the audit trail proves them; `since` is when it begins."""

    start: datetime
    end: datetime
    since: datetime | None
    fleet: tuple[DoraOfAll, ...]
    models: tuple[DoraOfModel, ...]

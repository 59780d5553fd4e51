"""How often, how fast and how well versions are deployed: who may know it, and what programs are told of it.

What programs are told is kept as `shapes` are.
"""

from datetime import date, datetime

from gitops.audit.deployments import Ledger
from gitops.audit.figures import Report, Selection, Window, measure
from gitops.errors import UnknownNameError
from gitops.records import Frozen


def read_figures(ledger: Ledger, window: Window, selection: Selection) -> Report:
    """Return the figures of a window.

    Raises:
        UnknownNameError: nothing that the selection sees has its model's or environment's name, and something has one.
    """
    models, environments = ledger.models(selection.sees), ledger.environments(selection.sees)
    for what, name, known in (("model", selection.model, models), ("environment", selection.environment, environments)):
        if name and known and name not in known:
            raise UnknownNameError(what, name, known)
    return measure(ledger, window, selection=selection)


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
        deployments_per_week: in the part of the window that is on record, or in a week where that is shorter.
        failed: deployments that their rollout took back, or that a person went back from.
        change_failure_rate: their part of all, from 0 to 1.
        time_to_restore: to a good version's traffic: from the failed one's where its own rollout found out, else from
            when somebody asked for the way back.
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

"""DORA's four figures from the trail: deployment frequency, lead time, change failure rate, time to restore. Pure.

What each means is DORA's (https://dora.dev/guides/dora-metrics-four-keys/); what is counted here is what the trail can
prove. Each deployment of a window is judged by all that the trail knows of it, also by what came after the window.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta

from gitops.audit.deployments import Deployment, Ledger
from gitops.errors import InputError

MOST_DAYS = 366
"""The longest window that is asked for."""

_WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Window:
    """A time of which figures are told, its start excluded and its end included.

    Raises:
        InputError: a moment without its zone, or an end that is not after the start.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise InputError("audit_time", "give both moments with their zone, 2026-01-31T12:00:00Z for example")
        if self.start >= self.end:
            raise InputError("audit_time", "the window's end must be after its start")

    @staticmethod
    def last(days: int, *, until: datetime) -> "Window":
        """Return the window of the last days before a moment."""
        return Window(until - timedelta(days=days), until)

    def __contains__(self, moment: datetime) -> bool:
        return self.start < moment <= self.end


@dataclass(frozen=True)
class Spread:
    """How long something took, of those deployments of which it is known.

    Args:
        most: nine of ten took no longer.
        count: how many are known, at least one.
    """

    median: timedelta
    most: timedelta
    count: int


@dataclass(frozen=True)
class Figures:
    """The figures of some deployments; without any, all but the count are None, since nothing is known then.

    Args:
        deployments: forward rollouts that gave a version the traffic, also those that were taken back.
        per_week: deployment frequency: deployments in seven days of the window, as far as it is known. Never more than
            there were: of less than a week nobody knows how a week would go on.
        lead_time: from a version's commit to its first traffic in the environment.
        leads_of_commit: how many of the lead times begin at the commit's own time; the others when its push arrived.
        failed: deployments that their own rollout took back, or that a person went back from.
        failure_rate: change failure rate: the failed ones' part of all, from 0 to 1.
        time_to_restore: from when deployments counted as failed to the traffic of a good version.
        down: failed ones since which no good version has served.
    """

    deployments: int = 0
    per_week: float | None = None
    lead_time: Spread | None = None
    leads_of_commit: int = 0
    failed: int = 0
    failure_rate: float | None = None
    time_to_restore: Spread | None = None
    down: int = 0


@dataclass(frozen=True)
class Week:
    """What was deployed in a week; the first and the last one that are told of may be parts of a week.

    Args:
        monday: its first day, in UTC.
        failed: so many of the deployments.
    """

    monday: date
    deployments: int
    failed: int


@dataclass(frozen=True)
class Row:
    """The figures of an environment: of one model there, or of all, which alone are told by the week."""

    environment: str
    figures: Figures
    model: str = ""
    weeks: tuple[Week, ...] = ()


@dataclass(frozen=True)
class Report:
    """The figures of a window.

    Args:
        since: when the trail begins, before which nothing is known; None when it is empty.
        fleet: a row for each environment that anything was ever deployed to, by name.
        models: a row for each environment and model likewise; those with most deployments first.
    """

    window: Window
    since: datetime | None
    fleet: tuple[Row, ...]
    models: tuple[Row, ...]

    @property
    def is_empty(self) -> bool:
        """Whether the window has no deployment."""
        return not any(row.figures.deployments for row in self.fleet)

    def models_of(self, environment: str) -> tuple[Row, ...]:
        """Return the rows of an environment's models."""
        return tuple(row for row in self.models if row.environment == environment)


@dataclass(frozen=True)
class Selection:
    """Which deployments are told of.

    Args:
        model: only this model's; empty for all.
        environment: only of this one; empty for all.
        sees: whether a deploy repository's are told, by its number.
    """

    model: str = ""
    environment: str = ""
    sees: Callable[[int], bool] = field(default=lambda _: True)

    def __contains__(self, deployment: Deployment) -> bool:
        return (
            self.model in {"", deployment.model}
            and self.environment in {"", deployment.env}
            and self.sees(deployment.repo_id)
        )


def measure(ledger: Ledger, window: Window, *, selection: Selection | None = None) -> Report:
    """Return the figures of a window: of each environment, and of each model there.

    Args:
        selection: which deployments; all by default. The fleet is made of these alone.
    """
    chosen = selection or Selection()
    fleet: dict[str, list[Deployment]] = defaultdict(list)
    models: dict[tuple[str, str], list[Deployment]] = defaultdict(list)
    for deployment in ledger.deployments:
        if deployment.at > window.end or deployment not in chosen:
            continue
        # One before the window makes a row, which may be empty.
        found = [deployment] if deployment.at in window else []
        fleet[deployment.env] += found
        models[deployment.env, deployment.model] += found
    since = ledger.since
    rows = [Row(env, figures_of(found, window, since=since), model) for (env, model), found in models.items()]
    return Report(
        window=window,
        since=since,
        fleet=tuple(
            Row(env, figures_of(found, window, since=since), weeks=_weeks(found, window, since=since))
            for env, found in sorted(fleet.items())
        ),
        models=tuple(sorted(rows, key=lambda row: (row.environment, -row.figures.deployments, row.model))),
    )


def figures_of(deployments: Sequence[Deployment], window: Window, *, since: datetime | None) -> Figures:
    """Return the figures of deployments that are all in a window.

    Args:
        since: when the trail begins.
    """
    if not deployments:
        return Figures()
    failed = sum(one.has_failed for one in deployments)
    return Figures(
        deployments=len(deployments),
        per_week=len(deployments) * (_WEEK / max(_WEEK, window.end - max(window.start, since or window.start))),
        lead_time=_spread([one.lead for one in deployments if one.lead is not None]),
        leads_of_commit=sum(one.is_lead_of_commit for one in deployments),
        failed=failed,
        failure_rate=failed / len(deployments),
        time_to_restore=_spread([one.restored for one in deployments if one.restored is not None]),
        down=sum(one.is_down for one in deployments),
    )


def _spread(lengths: list[timedelta]) -> Spread | None:
    """Return the middle of some lengths, and the shortest that nine of ten do not exceed."""
    if not lengths:
        return None
    lengths.sort()
    count = len(lengths)
    middle = (lengths[(count - 1) // 2] + lengths[count // 2]) / 2
    return Spread(middle, lengths[-(-9 * count // 10) - 1], count)


def _weeks(deployments: Sequence[Deployment], window: Window, *, since: datetime | None) -> tuple[Week, ...]:
    # Before the trail begins nothing is known, not even that there was nothing.
    known = [max(window.start, since or window.start), *(one.at for one in deployments)]
    monday, last = _monday(min(known)), _monday(window.end)
    counts: dict[date, list[int]] = {}
    while monday <= last:
        counts[monday] = [0, 0]
        monday += _WEEK
    for one in deployments:
        count = counts[_monday(one.at)]
        count[0] += 1
        count[1] += one.has_failed
    return tuple(Week(monday, *count) for monday, count in counts.items())


def _monday(moment: datetime) -> date:
    day = moment.astimezone(UTC).date()
    return day - timedelta(days=day.weekday())


def to_plain(report: Report) -> dict[str, object]:
    """Return a report as JSON has it, on the command line and from the API; lengths of time are seconds."""
    return {
        "start": report.window.start.isoformat(),
        "end": report.window.end.isoformat(),
        "since": report.since.isoformat() if report.since else None,
        "fleet": [_plain_row(row) for row in report.fleet],
        "models": [_plain_row(row) for row in report.models],
    }


def _plain_row(row: Row) -> dict[str, object]:
    figures = row.figures
    lead = _plain_spread(figures.lead_time)
    plain: dict[str, object] = {
        "environment": row.environment,
        "deployments": figures.deployments,
        "deployments_per_week": figures.per_week,
        "lead_time": lead | {"from_commit": figures.leads_of_commit} if lead else None,
        "failed": figures.failed,
        "change_failure_rate": figures.failure_rate,
        "time_to_restore": _plain_spread(figures.time_to_restore),
        "not_restored": figures.down,
    }
    if row.model:
        return {"model": row.model} | plain
    return plain | {"weeks": [asdict(week) | {"monday": week.monday.isoformat()} for week in row.weeks]}


def _plain_spread(spread: Spread | None) -> dict[str, float] | None:
    if spread is None:
        return None
    return {
        "median_seconds": spread.median.total_seconds(),
        "p90_seconds": spread.most.total_seconds(),
        "count": spread.count,
    }

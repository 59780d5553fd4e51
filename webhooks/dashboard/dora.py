"""What the page of DORA's figures shows: an environment's figures, its weeks as bars, its models. Pure."""

from dataclasses import dataclass

from gitops.audit.figures import Figures, Report, Row, Week

PERIODS = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "a year"))
"""Those that the page offers; any other number of days is shown, too."""

_MOST_MODELS = 100
_SLOT, _BAR, _HEIGHT = 28.0, 18.0, 64.0


@dataclass(frozen=True)
class Bar:
    """One week's bar; lengths are the drawing's own units, from its upper left corner.

    Args:
        kept: how high the part of those is that did not fail; it stands below the failed ones'.
    """

    week: Week
    x: float
    kept: float
    failed: float

    @property
    def top(self) -> float:
        """Where the failed ones' part begins."""
        return _HEIGHT - self.kept - self.failed

    @property
    def middle(self) -> float:
        """Where the other part begins."""
        return _HEIGHT - self.kept


@dataclass(frozen=True)
class Chart:
    """An environment's deployments by the week.

    Args:
        most: deployments of the busiest week.
        words: the drawing in a sentence.
    """

    bars: tuple[Bar, ...]
    width: float
    most: int
    words: str
    height: float = _HEIGHT
    bar_width: float = _BAR


@dataclass(frozen=True)
class EnvironmentFigures:
    """One environment.

    Args:
        models: the busiest of its models; `others` is how many there are beside.
    """

    name: str
    figures: Figures
    chart: Chart
    models: tuple[Row, ...]
    others: int


@dataclass(frozen=True)
class DoraPage:
    """The whole page."""

    days: int
    report: Report
    environments: tuple[EnvironmentFigures, ...]
    periods: tuple[tuple[int, str], ...] = PERIODS

    @property
    def is_begun_later(self) -> bool:
        """Whether the trail begins within the time that is asked for."""
        return self.report.since is not None and self.report.since > self.report.window.start


def read_dora_page(report: Report, days: int) -> DoraPage:
    """Bring a report into the order of the page."""
    return DoraPage(days, report, tuple(_environment(report, row) for row in report.fleet))


def _environment(report: Report, row: Row) -> EnvironmentFigures:
    models = report.models_of(row.environment)
    others = max(0, len(models) - _MOST_MODELS)
    return EnvironmentFigures(row.environment, row.figures, draw(row.weeks), models[:_MOST_MODELS], others)


def draw(weeks: tuple[Week, ...]) -> Chart:
    """Return weeks as bars, the busiest one as high as the drawing."""
    most = max((week.deployments for week in weeks), default=0)
    unit = _HEIGHT / most if most else 0.0
    bars = tuple(
        Bar(week, at * _SLOT + (_SLOT - _BAR) / 2, (week.deployments - week.failed) * unit, week.failed * unit)
        for at, week in enumerate(weeks)
    )
    return Chart(bars, len(weeks) * _SLOT, most, _say(weeks))


def _say(weeks: tuple[Week, ...]) -> str:
    count, failed = sum(week.deployments for week in weeks), sum(week.failed for week in weeks)
    busiest = max(weeks, key=lambda week: week.deployments, default=None)
    if busiest is None or not count:
        return "No deployments."
    told = f"{count} deployment{'s' * (count != 1)}, {failed or 'none'} failed"
    return f"{told}; most in the week of {busiest.monday.day} {busiest.monday:%B %Y}: {busiest.deployments}."

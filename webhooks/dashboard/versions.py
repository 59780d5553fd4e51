"""A part of a model's versions as its page shows them; what serves stands in every part. Writes nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gitops.ports import Mark
from gitops.records import Environment, Version
from webhooks.dashboard.charts import Line, draw_lines
from webhooks.dashboard.sight import Sight

PAGE = 40
"""Versions of a part: as many dots as can be told apart on a phone."""

_MOST_LINES = 6
_MOST_COLUMNS = 4
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class VersionRow:
    """A version, with where it serves.

    Args:
        is_champion: whether it is the one to beat.
        is_apart: it belongs to another part of the list, and stands here because it serves.
    """

    version: Version
    serves: tuple[Environment, ...]
    is_champion: bool = False
    is_apart: bool = False


@dataclass(frozen=True)
class VersionsPart:
    """A part of a model's versions.

    Args:
        found: the versions of this part, newest first, and one more where there are older ones.
        rows: the same without that one, and those that serve.
        metrics: names of the table's columns.
        more_metrics: how many metrics have no column.
        lines: each metric over these versions.
        more_lines: how many metrics are not drawn.
    """

    found: tuple[Version, ...]
    rows: tuple[VersionRow, ...]
    metrics: tuple[str, ...]
    more_metrics: int
    lines: tuple[Line, ...]
    more_lines: int

    @property
    def newest(self) -> Version | None:
        """The newest of this part; None where it has none."""
        return self.found[0] if self.found else None

    @property
    def apart(self) -> int:
        """How many stand here only because they serve."""
        return sum(row.is_apart for row in self.rows)

    @property
    def has_champion_drawn(self) -> bool:
        """Whether the champion has a dot."""
        return any(dot.is_champion for line in self.lines for dot in line.dots)


def read_versions(
    sight: Sight, model: str, environments: Sequence[Environment], *, champion: str, after: Mark | None
) -> VersionsPart:
    """Read a part of a model's versions, and those that serve in one of its environments.

    Args:
        champion: the version to beat, empty for none.
        after: begin after this version; None at the newest.
    """
    found = sight.store.versions(model, limit=PAGE + 1, repositories=sight.access.seen, after=after)
    part = found[:PAGE]
    apart = _read_serving(sight, model, environments, besides={one.version for one in part})
    shown = sorted([*part, *apart], key=_age, reverse=True)
    names = {one.version for one in apart}
    gated = [gate.metric for one in part[:1] for gate in one.gates]
    known = sorted(part[0].metrics) if part else []
    columns = list(dict.fromkeys([*(name for name in gated if name in known), *known]))
    lines = draw_lines(shown, champion=champion, first=gated, apart=names)
    return VersionsPart(
        found=tuple(found),
        rows=tuple(
            VersionRow(
                one,
                tuple(place for place in in_order(environments) if place.serving == one.version),
                is_champion=one.version == champion,
                is_apart=one.version in names,
            )
            for one in shown
        ),
        metrics=tuple(columns[:_MOST_COLUMNS]),
        more_metrics=len(columns[_MOST_COLUMNS:]),
        lines=lines[:_MOST_LINES],
        more_lines=len(lines[_MOST_LINES:]),
    )


def _read_serving(
    sight: Sight, model: str, environments: Sequence[Environment], *, besides: Collection[str]
) -> list[Version]:
    wanted = {(model, one.serving) for one in environments if one.serving and one.serving not in besides}
    found = sight.store.named_versions(wanted) if wanted else ()
    return [one for one in found if sight.all or sight.record(sight.store.training(one.training_id))]


def _age(version: Version) -> tuple[datetime, int, str]:
    """Return what versions are sorted by, as the store does it."""
    return version.created_at or _NEVER, len(version.version), version.version


def in_order(environments: Sequence[Environment]) -> list[Environment]:
    """Return environments in the order in which a version passes them: the champion's last."""
    return sorted(environments, key=lambda one: (one.is_champion, one.name == "production", one.name))

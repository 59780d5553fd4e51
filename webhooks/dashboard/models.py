"""What the pages of all models and of one model show. Writes nothing."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gitops.audit.history import Tenure
from gitops.explaining import Explanation
from gitops.records import Environment, Promotion, Rollout, Training, Version
from webhooks.dashboard.charts import Bands, Line, draw_bands, draw_lines
from webhooks.dashboard.overview import Place, read_places
from webhooks.dashboard.sight import Sight
from webhooks.dashboard.stories import Moving, moving
from webhooks.dashboard.trail import Trail

PAGE = 50
_MOST_VERSIONS = 50
_MOST_TRAININGS = 10
_MOST_EXPLAINED = 6
_MOST_TENURES = 40


@dataclass(frozen=True)
class ModelRow:
    """A model in the list of all."""

    name: str
    newest: Version | None
    environments: tuple[Environment, ...]

    @property
    def champion(self) -> str:
        """The version that serves where the champion does, empty when none does."""
        return next((one.serving for one in self.environments if one.is_champion and one.serving), "")


@dataclass(frozen=True)
class ModelsPage:
    """The models, by name.

    Args:
        wanted: what names were asked to hold.
        count: how many such models there are.
        after: the last name of this page; empty at the end.
    """

    now: datetime
    rows: tuple[ModelRow, ...]
    wanted: str
    count: int
    after: str
    is_first: bool


def read_models_page(sight: Sight, *, wanted: str = "", after: str = "") -> ModelsPage:
    """Read a page of all models: those that have an environment or a version."""
    seen = sight.access.seen
    found = [name for name in sight.store.model_names(repositories=seen) if wanted.casefold() in name.casefold()]
    left = [name for name in found if not after or name > after]
    page = left[:PAGE]
    newest = {one.model: one for one in sight.store.newest_versions(page, repositories=seen)}
    places: dict[str, list[Environment]] = defaultdict(list)
    for one in sight.environments:
        places[one.model].append(one)
    rows = tuple(ModelRow(name, newest.get(name), tuple(_in_order(places[name]))) for name in page)
    return ModelsPage(
        now=sight.reading.now,
        rows=rows,
        wanted=wanted,
        count=len(found),
        after=page[-1] if len(left) > len(page) else "",
        is_first=not after,
    )


def _in_order(environments: Sequence[Environment]) -> list[Environment]:
    return sorted(environments, key=lambda one: (one.is_champion, one.name == "production", one.name))


@dataclass(frozen=True)
class VersionRow:
    """A version, with where it serves."""

    version: Version
    serves: tuple[Environment, ...]


@dataclass(frozen=True)
class ModelPage:
    """Everything about a model.

    Args:
        explained: what goes on at each environment.
        metrics: names of the table's columns.
        bands: what served when, None where nothing did.
        tenures: the same, newest first.
        is_whole: whether what is remembered of the log reaches back to its beginning.
    """

    now: datetime
    name: str
    champion: str
    places: tuple[Place, ...]
    explained: Mapping[str, Explanation]
    versions: tuple[VersionRow, ...]
    metrics: tuple[str, ...]
    bands: Bands | None
    tenures: tuple[Tenure, ...]
    is_whole: bool
    lines: tuple[Line, ...]
    trainings: tuple[Training, ...]
    moving: tuple[Moving, ...]
    environments: tuple[Environment, ...]
    html_urls: Mapping[int, str]
    commits: Mapping[str, str]


def read_model_page(sight: Sight, trail: Trail, name: str, models: Path) -> ModelPage | None:
    """Read a model's page; None where there is nothing of it that whoever asks may see."""
    environments = [one for one in sight.store.environments(model=name) if sight.sees(one.repository_id)]
    versions = sight.store.versions(name, limit=_MOST_VERSIONS, repositories=sight.access.seen)
    trainings = sight.page(Training, _MOST_TRAININGS, model=name)
    if not (environments or versions or trainings):
        return None
    places = read_places(sight, environments, models)
    champion = next((p.environment.serving for p in places if p.environment.is_champion and p.environment.serving), "")
    tenures, is_whole = trail.tenures(sight, name)
    return ModelPage(
        now=sight.reading.now,
        name=name,
        champion=champion,
        places=places,
        explained={
            p.environment.path: sight.explain(sight.library.place(p.environment)) for p in places[:_MOST_EXPLAINED]
        },
        versions=tuple(_version_row(one, environments) for one in versions),
        metrics=_columns(versions),
        bands=draw_bands(tenures, sight.reading.now),
        tenures=tuple(reversed(tenures[-_MOST_TENURES:])),
        is_whole=is_whole,
        lines=draw_lines(versions, champion=champion, first=_gated(versions)),
        trainings=tuple(trainings),
        moving=tuple(moving(one, sight.reading.job(_kind(one), one.id)) for one in sight.stories if one.model == name),
        environments=tuple(environments),
        html_urls=sight.html_urls,
        commits={one.full_name: one.html_url for one in sight.repositories},
    )


def _kind(record: Training | Promotion | Rollout) -> str:
    return type(record).__name__.lower()


def _version_row(version: Version, environments: Sequence[Environment]) -> VersionRow:
    return VersionRow(version, tuple(one for one in _in_order(environments) if one.serving == version.version))


def _gated(versions: Sequence[Version]) -> list[str]:
    return [gate.metric for version in versions[:1] for gate in version.gates]


def _columns(versions: Sequence[Version], most: int = 4) -> tuple[str, ...]:
    """Return the metrics that the table of versions shows: those of the newest version's gates, then its others."""
    newest = versions[0] if versions else None
    known = sorted(newest.metrics) if newest else []
    return tuple(dict.fromkeys([*(name for name in _gated(versions) if name in known), *known]))[:most]

"""What the pages of all models and of one model show. Writes nothing."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gitops.audit.history import Tenure
from gitops.explaining import Explanation
from gitops.ports import Mark
from gitops.records import Environment, Promotion, Rollout, Training, Version
from webhooks.dashboard.charts import Bands, draw_bands, keep_newest
from webhooks.dashboard.crowns import champion_among
from webhooks.dashboard.overview import Place, champion_of, read_places
from webhooks.dashboard.sight import Sight
from webhooks.dashboard.stories import Moving, moving
from webhooks.dashboard.trail import Trail
from webhooks.dashboard.versions import VersionsPart, in_order, read_versions

PAGE = 50
_MOST_TRAININGS = 10
_MOST_EXPLAINED = 6
_MOST_TENURES = 60


@dataclass(frozen=True)
class ModelRow:
    """A model in the list of all; `champion` is the version to beat, empty for none."""

    name: str
    newest: Version | None
    champion: str
    environments: tuple[Environment, ...]


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
    crowned = sight.store.crowned(page)
    rows = tuple(
        ModelRow(name, newest.get(name), champion_among(places[name], crowned.get(name)), tuple(in_order(places[name])))
        for name in page
    )
    return ModelsPage(
        now=sight.reading.now,
        rows=rows,
        wanted=wanted,
        count=len(found),
        after=page[-1] if len(left) > len(page) else "",
        is_first=not after,
    )


@dataclass(frozen=True)
class ModelPage:
    """Everything about a model.

    Args:
        champion: the version to beat, empty for none.
        explained: what goes on at the first of its environments, by repository and path.
        part: its versions, those that were asked for.
        bands: what served when, None where nothing did.
        tenures: the same, newest first.
        older_tenures: how many more are remembered.
        is_whole: whether what is remembered of the log reaches back to its beginning.
        has_older_trainings: whether there are more trainings than these.
    """

    now: datetime
    name: str
    champion: str
    places: tuple[Place, ...]
    explained: Mapping[tuple[int, str], Explanation]
    part: VersionsPart
    bands: Bands | None
    tenures: tuple[Tenure, ...]
    older_tenures: int
    is_whole: bool
    trainings: tuple[Training, ...]
    has_older_trainings: bool
    moving: tuple[Moving, ...]
    environments: tuple[Environment, ...]
    html_urls: Mapping[int, str]
    commits: Mapping[str, str]


def read_model_page(
    sight: Sight, trail: Trail, name: str, *, models: Path, after: Mark | None = None
) -> ModelPage | None:
    """Read a model's page; None where there is nothing of it that whoever asks may see.

    Args:
        models: where files of versions are kept on this machine, for the examples in command lines.
        after: the version after which the table of versions begins; None at the newest.
    """
    environments = [one for one in sight.store.environments(model=name) if sight.sees(one.repository_id)]
    trainings = sight.page(Training, _MOST_TRAININGS + 1, model=name)
    places = read_places(sight, environments, models)
    champion = champion_of(places)
    part = read_versions(sight, name, environments, champion=champion, after=after)
    if not (environments or part.rows or trainings):
        return None
    tenures, is_whole = trail.tenures(sight, name)
    shown = keep_newest(tenures, _MOST_TENURES)
    since = shown[-_MOST_TENURES].start if len(shown) > _MOST_TENURES else None
    return ModelPage(
        now=sight.reading.now,
        name=name,
        champion=champion,
        places=places,
        explained={
            _where(p.environment): sight.explain(sight.library.place(p.environment)) for p in places[:_MOST_EXPLAINED]
        },
        part=part,
        bands=draw_bands(shown, sight.reading.now, since=since),
        tenures=tuple(reversed(shown)),
        older_tenures=len(tenures) - len(shown),
        is_whole=is_whole,
        trainings=tuple(trainings[:_MOST_TRAININGS]),
        has_older_trainings=len(trainings) > _MOST_TRAININGS,
        moving=tuple(moving(one, sight.reading.job(_kind(one), one.id)) for one in sight.stories if one.model == name),
        environments=tuple(environments),
        html_urls=sight.html_urls,
        commits={one.full_name: one.html_url for one in sight.repositories},
    )


def _where(one: Environment) -> tuple[int, str]:
    return one.repository_id, one.path


def _kind(record: Training | Promotion | Rollout) -> str:
    return type(record).__name__.lower()

"""What the front page shows: everything that runs, what needs somebody, and what is moving. Writes nothing.

However many models there are, it asks the same few questions; only those that the page holds are looked at closely.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path

from gitops.explaining import Concern
from gitops.explaining.fleet import Rank
from gitops.ports import AuditNote, AuditRow, JobView
from gitops.records import Environment, Health, Hold, Promotion, Rollout, Sync, Training
from gitops.telling.explained import look_at_all
from webhooks.dashboard import links
from webhooks.dashboard.crowns import Crown, crown
from webhooks.dashboard.sight import Sight
from webhooks.dashboard.stories import Moving, moving
from webhooks.dashboard.words import curl_line, read_example

PAGE = 50
"""Models on a page where there are too many to show each as a card."""

MOST_CARDS = 8
"""Models that are shown as cards."""

_MOST_MOVING = 20
_MOST_JOBS = 20
_MOST_TRAININGS = 6
_MOST_ENTRIES = 18
_MOST_CONCERNS = 8
_TROUBLED = {"retrying", "stalled"}
_STORIES = {"training", "promotion", "rollout"}


@dataclass(frozen=True)
class Place:
    """One environment.

    Args:
        holds: the open ones of its own; the oldest first.
        arriving: the version that Git pins and that does not serve yet, empty when there is none.
        curl: a command line that asks the endpoint; empty when nothing answers there.
        has_example: whether that line holds the model's own input example.
        crown: what it says of the champion; None where it is not marked as the champion's, or nothing serves.
    """

    environment: Environment
    holds: tuple[Hold, ...]
    arriving: str
    curl: str = ""
    has_example: bool = False
    crown: Crown | None = None


@dataclass(frozen=True)
class Model:
    """A model with its environments, the champion's last; `champion` is the version to beat, empty for none."""

    name: str
    champion: str
    places: tuple[Place, ...]


@dataclass(frozen=True)
class Attention:
    """One thing that somebody may have to look at, and the page that says more; empty where there is none."""

    concern: Concern
    page: str


@dataclass(frozen=True)
class Listing:
    """The models of a page.

    Args:
        wanted: what names were asked to hold.
        count: how many such models there are.
        after: the last name of this page; empty at the end.
        columns: the environments' names, where models are rows.
    """

    models: tuple[Model, ...]
    wanted: str
    count: int
    after: str
    is_first: bool
    columns: tuple[str, ...]

    @property
    def is_dense(self) -> bool:
        """Whether each model is a row."""
        return self.count > MOST_CARDS


@dataclass(frozen=True)
class Overview:
    """Everything on the front page.

    Args:
        pause: the hold on everything, None when there is none.
        needs: what needs somebody, in one sentence.
        more_moving: how many more things are on their way than are shown.
        size: entries of the audit log; None for whoever does not see all of it.
    """

    now: datetime
    pause: Hold | None
    headline: str
    summary: str
    tone: str
    needs: str
    attention: tuple[Attention, ...]
    more_attention: int
    listing: Listing
    moving: tuple[Moving, ...]
    more_moving: int
    jobs: tuple[JobView, ...]
    trainings: tuple[Training, ...]
    commits: Mapping[int, str]
    entries: tuple[AuditRow, ...]
    size: int | None
    head: AuditNote | None
    is_connected: bool


def read_overview(sight: Sight, models: Path, *, wanted: str = "", after: str = "") -> Overview:
    """Read the front page.

    Args:
        models: where files of versions are kept on this machine, for the examples in command lines.
        wanted: models whose names hold this alone.
        after: begin after this name.
    """
    store = sight.store
    stories = sight.stories
    look = look_at_all(sight.outlook)
    # The pause is told by itself, above everything.
    concerns = [one for one in look.concerns if one.rank is not Rank.PAUSED]
    headline, tone = next(_headlines(sight, stories))
    shown = [moving(one, sight.reading.job(_kind(one), one.id)) for one in stories[:_MOST_MOVING]]
    return Overview(
        now=sight.reading.now,
        pause=sight.pause,
        headline=headline,
        summary=_summary(sight, stories),
        tone=tone,
        needs=look.headline if sight.environments or concerns else "",
        attention=tuple(Attention(one, links.page_of(one.name, look.fleet)) for one in concerns[:_MOST_CONCERNS]),
        more_attention=max(0, len(concerns) - _MOST_CONCERNS),
        listing=_list(sight, models, wanted=wanted, after=after),
        moving=tuple(shown),
        more_moving=len(stories) - len(shown),
        jobs=_jobs(sight),
        trainings=tuple(sight.page(Training, _MOST_TRAININGS)),
        commits=sight.html_urls,
        entries=tuple(store.audit_recent(_MOST_ENTRIES)) if sight.all else (),
        size=store.audit_size() if sight.all else None,
        head=store.newest_checkpoint() if sight.all else None,
        is_connected=bool(sight.repositories),
    )


def _kind(record: Training | Promotion | Rollout) -> str:
    return type(record).__name__.lower()


def _jobs(sight: Sight) -> tuple[JobView, ...]:
    """Return the jobs in trouble that are about no story: those have rows of their own."""
    return tuple(job for job in sight.jobs if job.state in _TROUBLED and job.kind not in _STORIES)[:_MOST_JOBS]


def _list(sight: Sight, models: Path, *, wanted: str, after: str) -> Listing:
    by_model: dict[str, list[Environment]] = defaultdict(list)
    for one in sight.environments:
        if wanted.casefold() in one.model.casefold():
            by_model[one.model].append(one)
    names = sorted(by_model)
    is_dense = len(names) > MOST_CARDS
    left = [name for name in names if not after or name > after] if is_dense else names
    page = left[:PAGE]
    places = _places(sight, [one for name in page for one in by_model[name]], None if is_dense else models)
    listed = _by_model(places)
    return Listing(
        models=listed,
        wanted=wanted,
        count=len(names),
        after=page[-1] if len(left) > len(page) else "",
        is_first=not after or not is_dense,
        columns=order_columns(listed) if is_dense else (),
    )


def order_columns(models: Iterable[Model]) -> tuple[str, ...]:
    """Return the environments' names in the order in which most models have them, the champion's last."""
    places: dict[str, list[int]] = defaultdict(list)
    for model in models:
        for at, place in enumerate(reversed(model.places)):
            places[place.environment.name].append(at)
    return tuple(sorted(places, key=lambda name: (-sum(places[name]) / len(places[name]), name)))


def _places(sight: Sight, found: Sequence[Environment], models: Path | None) -> list[Place]:
    """Return environments with what is open there, and with a command line where there is room for one."""
    holds = defaultdict(list)
    for hold in sight.holds:
        holds[hold.repository_id, hold.path].append(hold)
    digests: dict[tuple[str, str], str] = {}
    if models is not None:
        served = {(one.model, one.serving) for one in found if one.serving}
        digests = {(one.model, one.version): one.manifest_sha256 for one in sight.store.named_versions(served)}
    crowned = sight.store.crowned({one.model for one in found if one.is_champion and one.serving})
    by_model: dict[str, list[Environment]] = defaultdict(list)
    for one in found:
        by_model[one.model].append(one)
    crowns = [crown(one, crowned.get(one.model), by_model[one.model]) for one in found]
    return [
        _place(one, holds[one.repository_id, one.path], digests, models, crowns[at]) for at, one in enumerate(found)
    ]


def _place(
    found: Environment,
    holds: Sequence[Hold],
    digests: Mapping[tuple[str, str], str],
    models: Path | None,
    its_crown: Crown | None,
) -> Place:
    digest = digests.get((found.model, found.serving), "")
    example = read_example(models, digest) if models is not None and digest else ""
    return Place(
        environment=found,
        holds=tuple(holds),
        arriving=found.pinned if found.pinned != found.serving else "",
        curl=curl_line(found.url, example=example) if found.serving and models is not None else "",
        has_example=bool(example),
        crown=its_crown,
    )


def read_places(sight: Sight, found: Sequence[Environment], models: Path) -> tuple[Place, ...]:
    """Return the environments of one model in the order in which a version passes them."""
    return tuple(place for model in _by_model(_places(sight, found, models)) for place in model.places)


def _by_model(places: Iterable[Place]) -> tuple[Model, ...]:
    """Group environments by model in the order that a version passes them: the champion's last."""
    ordered = sorted(
        places, key=lambda p: (p.environment.model, p.environment.is_champion, p.environment.name == "production")
    )
    return tuple(
        Model(name, champion_of(group := tuple(found)), group)
        for name, found in groupby(ordered, key=lambda place: place.environment.model)
    )


def champion_of(places: Sequence[Place]) -> str:
    """Return the version to beat, where it serves in one of these places of a model; empty where none does."""
    return next((one.environment.serving for one in places if one.crown is not None and one.crown.is_champion), "")


def _headlines(sight: Sight, stories: Sequence[Training | Promotion | Rollout]) -> Iterator[tuple[str, str]]:
    """Give what the page may be in one sentence, each with its tone, the worst first."""
    if not sight.outlook.is_up:
        yield "Nothing goes on: no relay leads, and no worker has a job.", "bad"
    if sight.pause:
        yield "Everything is paused.", "warn"
    places, held_at = sight.environments, {(one.repository_id, one.path) for one in sight.holds}
    busy = {(one.repository_id, one.path) for one in stories if isinstance(one, Rollout)}
    held = [p for p in places if (p.repository_id, p.path) in held_at]
    sick = [p for p in places if p.health is Health.DEGRADED]
    drifting = [p for p in places if p.sync is Sync.OUT_OF_SYNC and (p.repository_id, p.path) not in busy]
    if sick:
        yield f"{_some(sick, places)} degraded.", "bad"
    if sight.outlook.wrong:
        count = len(sight.outlook.wrong)
        told = "1 part of Launchpin is" if count == 1 else f"{count} parts of Launchpin are"
        yield f"{told} not well: what follows may be old.", "bad"
    if held:
        yield f"{_some(held, places)} held until somebody resumes.", "warn"
    if drifting:
        yield f"{_some(drifting, places)} out of sync with Git.", "warn"
    if stories:
        yield f"{len(stories)} {'change is' if len(stories) == 1 else 'changes are'} on the way.", "busy"
    if not any(p.serving for p in places):
        yield "Nothing serves yet.", "calm"
    yield "What Git pins is what runs.", "good"


def _summary(sight: Sight, stories: Sequence[object]) -> str:
    """Return the page in numbers; empty when there is nothing to count."""
    models = len({one.model for one in sight.environments})
    counts = (
        (models, "model", "models"),
        (len(sight.environments), "endpoint", "endpoints"),
        (len({(one.repository_id, one.path) for one in sight.holds}), "held", "held"),
        (len(stories), "change on the way", "changes on the way"),
    )
    return " \N{MIDDLE DOT} ".join(f"{count:,} {one if count == 1 else more}" for count, one, more in counts if count)


def _some(these: Sequence[Environment], places: Sequence[Environment]) -> str:
    if len(places) == 1:
        return "The endpoint is"
    return f"{len(these):,} of {len(places):,} endpoints {'is' if len(these) == 1 else 'are'}"

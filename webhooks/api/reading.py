"""What the API tells: lists, single things, what served when, and the trail.

Whoever may look at one repository sees what belongs to it, and nothing of the others is there for them.
"""

from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar, cast

from fastapi import APIRouter, Path, Query, Request, Response

from gitops import records
from gitops.access import EVERYWHERE, Access, may_see_command
from gitops.errors import InputError, UnknownNameError
from gitops.ports import Wanted
from gitops.roles import AccessRole
from gitops.steps import Phase
from gitops.telling import shapes, showing
from gitops.telling.library import Library
from gitops.telling.lists import read_versions, show_version
from gitops.telling.subjects import find_place
from webhooks.api.names import Endpoint, Model, Number, OfEndpoint, OfModel, OfRepository
from webhooks.api.paging import USUAL, Cursor, Limit, Place, by_age, cursors_of, mark_at
from webhooks.askers import asker_of
from webhooks.problems import ProblemError
from webhooks.trail import TrailReader

if TYPE_CHECKING:
    from gitops.store import SqlStore

router = APIRouter(prefix="/api/v1")

R = TypeVar("R", bound=records.Record)
S = TypeVar("S", bound=records.Frozen)

_PAGE = 1000

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
OfPhase = Annotated[Phase | None, Query(alias="phase", description="Only in this phase.")]


def store_of(request: Request) -> "SqlStore":
    """Return the store of this process."""
    return cast("SqlStore", request.app.state.store)


def library_of(request: Request) -> Library:
    """Return the store as whoever asks may see it."""
    return Library(store_of(request), _access(request).seen)


def names_of(request: Request, repositories: Iterable[int]) -> dict[int, str]:
    """Return the names of connected repositories, by numeric id."""
    wanted = frozenset(repositories)
    return {one.id: one.full_name for one in store_of(request).repositories(ids=wanted)} if wanted else {}


def missing(what: str) -> NoReturn:
    """End a request for what is not there.

    Raises:
        ProblemError: 404.
    """
    raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", f"There is no such {what} here, or none that you may see.")


def _access(request: Request) -> Access:
    return asker_of(request).access


def _sees(request: Request, repository_id: int) -> bool:
    return _access(request).may(AccessRole.VIEWER, repository_id)


def _page(
    request: Request,
    kind: type[R],
    show: Callable[[R], S],
    *,
    limit: int,
    cursor: str,
    **filters: str | None,
) -> shapes.Page[S]:
    name, cursors = kind.__name__.lower(), cursors_of(request)
    wanted = Wanted(
        limit + 1,
        mark_at(cursors.read(cursor, of=name)),
        _access(request).seen,
        {name: value for name, value in filters.items() if value},
    )
    found = cast("list[R]", list(store_of(request).page(name, wanted)))
    return cursors.part(found, show, by_age, limit=limit, of=name)


# ---------------------------------------------------------------- stories


@router.get("/trainings")
def trainings(
    request: Request,
    model: OfModel = "",
    repository: OfRepository = "",
    phase: OfPhase = None,
    limit: Limit = USUAL,
    cursor: Cursor = "",
) -> shapes.Page[shapes.Training]:
    """List trainings, newest first."""
    filters = {"model": model, "repository": repository, "phase": phase}
    return _page(request, records.Training, showing.training, limit=limit, cursor=cursor, **filters)


@router.get("/trainings/{training_id}")
def training(request: Request, training_id: Id) -> shapes.Training:
    """Show a training."""
    return showing.training(training_of(request, training_id))


def training_of(request: Request, training_id: str) -> records.Training:
    """Return a training that whoever asks may see.

    Raises:
        ProblemError: 404.
    """
    found = store_of(request).training(training_id)
    if found is None or not _sees(request, found.repository_id):
        missing("training")
    return found


@router.get("/promotions")
def promotions(
    request: Request,
    model: OfModel = "",
    repository: OfRepository = "",
    phase: OfPhase = None,
    limit: Limit = USUAL,
    cursor: Cursor = "",
) -> shapes.Page[shapes.Promotion]:
    """List promotions, newest first."""
    filters = {"model": model, "repository": repository, "phase": phase}
    return _page(request, records.Promotion, showing.promotion, limit=limit, cursor=cursor, **filters)


@router.get("/promotions/{promotion_id}")
def promotion(request: Request, promotion_id: Id) -> shapes.Promotion:
    """Show a promotion."""
    found = store_of(request).promotion(promotion_id)
    if found is None or not _sees(request, found.repository_id):
        missing("promotion")
    return showing.promotion(found)


@router.get("/rollouts")
def rollouts(
    request: Request,
    model: OfModel = "",
    repository: OfRepository = "",
    endpoint: OfEndpoint = "",
    phase: OfPhase = None,
    limit: Limit = USUAL,
    cursor: Cursor = "",
) -> shapes.Page[shapes.Rollout]:
    """List rollouts, newest first."""
    filters: dict[str, str | None] = {"model": model, "repository": repository, "endpoint": endpoint, "phase": phase}
    of_place, colon, path = endpoint.partition(":")
    # Where another repository is asked for as well, nothing is called so, and nothing is found.
    if colon and repository in {"", of_place}:
        filters |= {"repository": of_place, "path": path, "endpoint": ""}
    return _page(request, records.Rollout, showing.rollout, limit=limit, cursor=cursor, **filters)


@router.get("/rollouts/{rollout_id}")
def rollout(request: Request, rollout_id: Id) -> shapes.Rollout:
    """Show a rollout."""
    found = store_of(request).rollout(rollout_id)
    if found is None or not _sees(request, found.repository_id):
        missing("rollout")
    return showing.rollout(found)


@router.get("/commands/{command_id}")
def command(request: Request, command_id: Id) -> shapes.Command:
    """Show what became of something that was asked for, to whoever asked and still sees it, and whoever sees all."""
    found = store_of(request).command(command_id)
    if found is None or not may_see_command(_access(request), found):
        missing("command")
    return showing.command(found)


@router.get("/deliveries")
def deliveries(
    request: Request, phase: OfPhase = None, limit: Limit = USUAL, cursor: Cursor = ""
) -> shapes.Page[shapes.Delivery]:
    """List webhook deliveries, newest first."""
    return _page(request, records.Delivery, showing.delivery, limit=limit, cursor=cursor, phase=phase)


@router.get("/deliveries/{guid}")
def delivery(request: Request, guid: Id) -> shapes.Delivery:
    """Show what became of a delivery."""
    found = store_of(request).delivery(guid.lower())
    if found is None:
        missing("delivery")
    return showing.delivery(found)


# ---------------------------------------------------------------- what is known


@router.get("/repositories")
def repositories(request: Request, limit: Limit = USUAL, cursor: Cursor = "") -> shapes.Page[shapes.Repository]:
    """List the connected repositories, by name."""
    cursors = cursors_of(request)
    place = cursors.read(cursor, of="repository")
    after = (place[0], int(place[1])) if place else None
    found = store_of(request).repositories(ids=_access(request).seen, after=after, limit=limit + 1)
    return cursors.part(found, showing.repository, _by_name, limit=limit, of="repository")


def _by_name(repository: records.Repository) -> Place:
    return repository.full_name, str(repository.id)


def repository_of(request: Request, name: str) -> records.Repository:
    """Return the repository of a name, which whoever asks may see.

    Raises:
        ProblemError: 404, or 409 where a name has gone from one to another and both are known.
    """
    found = [each for each in store_of(request).repositories() if each.full_name == name and _sees(request, each.id)]
    if not found:
        missing("repository")
    if len(found) > 1:
        detail = f"Two repositories were called {name}: connect the older one again under its new name."
        raise ProblemError(HTTPStatus.CONFLICT, "repository_unclear", detail, field="repository")
    return found[0]


def endpoints_of(request: Request, model: str, *, limit: int, cursor: str) -> shapes.Page[shapes.Endpoint]:
    """List endpoints, by repository and path.

    Args:
        model: only of this one; empty for all.
    """
    cursors, store = cursors_of(request), store_of(request)
    place = cursors.read(cursor, of="endpoint")
    after = (int(place[0]), place[1]) if place else None
    seen = _access(request).seen
    found = store.environments(model=model or None, repositories=seen, after=after, limit=limit + 1)
    show = partial(showing.endpoint, holds=store.holds())
    return cursors.part(found, show, _by_path, limit=limit, of="endpoint")


def _by_path(environment: records.Environment) -> Place:
    return str(environment.repository_id), environment.path


@router.get("/endpoints/{name:path}")
def endpoint(request: Request, response: Response, name: Endpoint) -> shapes.Endpoint:
    """Show an endpoint, by its name or as REPOSITORY:PATH."""
    found = environment_of(request, name)
    standing = store_of(request).standing(found.repository_id, found.path)
    if standing is None:
        missing("endpoint")
    response.headers["ETag"] = standing.tag
    return showing.endpoint(standing.environment, standing.holds)


def environment_of(request: Request, name: str) -> records.Environment:
    """Return the environment that an endpoint's name means, of those that whoever asks may see.

    Raises:
        ProblemError: 404, or 409 where several are called so.
    """
    try:
        return find_place(library_of(request), name)
    except UnknownNameError:
        missing("endpoint")
    except InputError as error:
        raise ProblemError(HTTPStatus.CONFLICT, error.reason, error.message, field="endpoint") from error


@router.get("/models/{model}/versions")
def versions(request: Request, model: Model, limit: Limit = USUAL, cursor: Cursor = "") -> shapes.Page[shapes.Version]:
    """List a model's versions that have a verdict of ours, newest first, as `GET /versions` does."""
    return versions_of(request, model, limit=limit, cursor=cursor)


def versions_of(request: Request, model: str, *, limit: int, cursor: str) -> shapes.Page[shapes.Version]:
    """List the versions of a model, newest first.

    Raises:
        UnknownNameError: nobody knows the model.
    """
    name, cursors, library = f"versions of {model}", cursors_of(request), library_of(request)
    found = read_versions(library, model, limit=limit + 1, after=mark_at(cursors.read(cursor, of=name)))
    show = partial(show_version, environments=library.environments_of(model))
    return cursors.part(found, show, by_age, limit=limit, of=name)


@router.get("/models/{model}/versions/{version}")
def version(request: Request, model: Model, version: Number) -> shapes.Version:
    """Show a version."""
    found = version_of(request, model, version)
    return show_version(found, library_of(request).environments_of(model))


def version_of(request: Request, model: str, version: str) -> records.Version:
    """Return a version, which whoever asks may see: it belongs to the repository that it was trained from.

    Raises:
        ProblemError: 404.
    """
    store = store_of(request)
    found = store.version(model, version)
    origin = store.training(found.training_id) if found is not None else None
    if found is None or not _sees(request, origin.repository_id if origin else EVERYWHERE):
        missing("version")
    return found


@router.get("/holds")
def holds(request: Request, model: OfModel = "", limit: Limit = USUAL, cursor: Cursor = "") -> shapes.Page[shapes.Hold]:
    """List holds, lifted ones too, newest first."""
    filters = {"model": model} if model else {}
    seen = _access(request).seen
    # A pause is on everything, and so is for everybody.
    places = None if seen is None else seen | {EVERYWHERE}
    cursors = cursors_of(request)
    after = mark_at(cursors.read(cursor, of="hold"))
    found = store_of(request).past_holds(Wanted(limit + 1, after, places, filters))
    return cursors.part(found, showing.hold, by_age, limit=limit, of="hold")


# ---------------------------------------------------------------- the trail


def trail_of(request: Request) -> TrailReader:
    """Return what reads the trail in this process."""
    return cast("TrailReader", request.app.state.trail)


@router.get(
    "/audit/entries",
    response_class=Response,
    responses={HTTPStatus.OK: {"content": {"application/jsonl": {"schema": {"type": "string"}}}}},
)
def audit_entries(
    request: Request,
    start: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
) -> Response:
    """Give entries of the audit log from a position on: their exact bytes, one a line, as an export holds them."""
    found = store_of(request).audit_entries(start, limit)
    return Response(b"".join(raw + b"\n" for raw in found), media_type="application/jsonl")

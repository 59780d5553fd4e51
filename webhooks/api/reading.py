"""What the API tells: lists, single things, what served when, and the trail.

Whoever may look at one repository sees what belongs to it, and nothing of the others is there for them.
"""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar, cast

from fastapi import APIRouter, Path, Query, Request, Response

from gitops import records
from gitops.access import Access
from gitops.audit.at import serving_at
from gitops.audit.entry import Entry, parse
from gitops.ports import Wanted
from gitops.roles import AccessRole
from gitops.steps import Phase
from webhooks.api import shapes, showing
from webhooks.api.paging import Cursor, Limit, read_cursor, write_cursor
from webhooks.askers import asker_of
from webhooks.problems import ProblemError

if TYPE_CHECKING:
    from gitops.store import SqlStore

router = APIRouter(prefix="/api/v1")

R = TypeVar("R", bound=records.Record)
S = TypeVar("S", bound=records.Frozen)

_MODEL = r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,249}$"
_REPOSITORY = r"^[A-Za-z0-9-]{1,100}/[A-Za-z0-9._-]{1,100}$"
_PAGE = 1000

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Model = Annotated[str, Path(pattern=_MODEL)]
OfModel = Annotated[str | None, Query(alias="model", pattern=_MODEL, description="Only of this model.")]
OfRepository = Annotated[
    str | None, Query(alias="repository", pattern=_REPOSITORY, description="Only of this repository, OWNER/NAME.")
]
OfPhase = Annotated[Phase | None, Query(alias="phase", description="Only in this phase.")]
OfEndpoint = Annotated[str | None, Query(alias="endpoint", pattern=r"^[A-Za-z0-9._-]{1,100}$")]


def store_of(request: Request) -> "SqlStore":
    """Return the store of this process."""
    return cast("SqlStore", request.app.state.store)


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
    wanted = Wanted(
        limit + 1,
        read_cursor(cursor),
        _access(request).seen,
        {name: value for name, value in filters.items() if value is not None},
    )
    found = cast("list[R]", list(store_of(request).page(kind.__name__.lower(), wanted)))
    return shapes.Page(items=tuple(map(show, found[:limit])), next=write_cursor(found, limit=limit))


def tag(response: Response, shown: records.Frozen) -> None:
    """Name what is shown, for `If-Match`."""
    response.headers["ETag"] = etag_of(shown)


def etag_of(shown: records.Frozen) -> str:
    """Return the entity tag of what is shown."""
    return f'"{hashlib.sha256(shown.model_dump_json().encode()).hexdigest()[:32]}"'


# ---------------------------------------------------------------- stories


@router.get("/trainings")
def trainings(
    request: Request,
    model: OfModel = None,
    repository: OfRepository = None,
    phase: OfPhase = None,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> shapes.Page[shapes.Training]:
    """List trainings, newest first."""
    filters = {"model": model, "repository": repository, "phase": phase}
    return _page(request, records.Training, showing.training, limit=limit, cursor=cursor, **filters)


@router.get("/trainings/{training_id}")
def training(request: Request, response: Response, training_id: Id) -> shapes.Training:
    """Show a training."""
    found = store_of(request).training(training_id)
    if found is None or not _sees(request, found.repository_id):
        missing("training")
    shown = showing.training(found)
    tag(response, shown)
    return shown


@router.get("/promotions")
def promotions(
    request: Request,
    model: OfModel = None,
    repository: OfRepository = None,
    phase: OfPhase = None,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> shapes.Page[shapes.Promotion]:
    """List promotions, newest first."""
    filters = {"model": model, "repository": repository, "phase": phase}
    return _page(request, records.Promotion, showing.promotion, limit=limit, cursor=cursor, **filters)


@router.get("/promotions/{promotion_id}")
def promotion(request: Request, response: Response, promotion_id: Id) -> shapes.Promotion:
    """Show a promotion."""
    found = store_of(request).promotion(promotion_id)
    if found is None or not _sees(request, found.repository_id):
        missing("promotion")
    shown = showing.promotion(found)
    tag(response, shown)
    return shown


@router.get("/rollouts")
def rollouts(
    request: Request,
    model: OfModel = None,
    repository: OfRepository = None,
    endpoint: OfEndpoint = None,
    phase: OfPhase = None,
    limit: Limit = 50,
    cursor: Cursor = "",
) -> shapes.Page[shapes.Rollout]:
    """List rollouts, newest first."""
    filters = {"model": model, "repository": repository, "endpoint": endpoint, "phase": phase}
    return _page(request, records.Rollout, showing.rollout, limit=limit, cursor=cursor, **filters)


@router.get("/rollouts/{rollout_id}")
def rollout(request: Request, response: Response, rollout_id: Id) -> shapes.Rollout:
    """Show a rollout."""
    found = store_of(request).rollout(rollout_id)
    if found is None or not _sees(request, found.repository_id):
        missing("rollout")
    shown = showing.rollout(found)
    tag(response, shown)
    return shown


@router.get("/commands/{command_id}")
def command(request: Request, command_id: Id) -> shapes.Command:
    """Show what became of something that was asked for: whoever asked sees it, and whoever sees everything."""
    found = store_of(request).command(command_id)
    access = _access(request)
    is_own = found is not None and found.cause.actor == access.person.login
    if found is None or not (is_own or access.may(AccessRole.VIEWER)):
        missing("command")
    return showing.command(found)


@router.get("/deliveries")
def deliveries(
    request: Request, phase: OfPhase = None, limit: Limit = 50, cursor: Cursor = ""
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
def repositories(request: Request) -> tuple[shapes.Repository, ...]:
    """List the connected repositories, by name."""
    known = store_of(request).repositories()
    return tuple(showing.repository(each) for each in known if _sees(request, each.id))


@router.get("/endpoints")
def endpoints(request: Request, model: OfModel = None) -> tuple[shapes.Endpoint, ...]:
    """List the endpoints: what Git pins, what serves, and how it does."""
    store = store_of(request)
    holds = store.holds()
    known = store.environments(model=model)
    return tuple(showing.endpoint(each, holds) for each in known if _sees(request, each.repository_id))


@router.get("/endpoints/{name:path}")
def endpoint(request: Request, response: Response, name: Annotated[str, Path(max_length=500)]) -> shapes.Endpoint:
    """Show an endpoint, by its name or as REPOSITORY:PATH."""
    shown = endpoint_of(request, name)
    tag(response, shown)
    return shown


def endpoint_of(request: Request, name: str) -> shapes.Endpoint:
    """Return the endpoint of a name that whoever asks may see.

    Raises:
        ProblemError: 404.
    """
    found = [each for each in endpoints(request) if name in (each.endpoint, each.id)]
    if len(found) != 1:
        missing("endpoint")
    return found[0]


@router.get("/models/{model}/versions")
def versions(
    request: Request, model: Model, limit: Annotated[int, Query(ge=1, le=1000)] = 50
) -> tuple[shapes.Version, ...]:
    """List the versions of a model that have a verdict of ours, newest first."""
    found = _visible(request, store_of(request).versions(model, limit=limit))
    return tuple(map(showing.version, found))


@router.get("/models/{model}/versions/{version}")
def version(request: Request, model: Model, version: Annotated[str, Path(pattern=r"^[0-9]{1,18}$")]) -> shapes.Version:
    """Show a version."""
    found = store_of(request).version(model, version)
    if found is None or not _visible(request, [found]):
        missing("version")
    return showing.version(found)


def _visible(request: Request, found: Sequence[records.Version]) -> list[records.Version]:
    """Return the versions that came from repositories which whoever asks may see."""
    seen = _access(request).seen
    if seen is None:
        return list(found)
    names = {each.full_name for each in store_of(request).repositories() if each.id in seen}
    return [each for each in found if each.repository in names]


@router.get("/holds")
def holds(request: Request, model: OfModel = None, limit: Limit = 50, cursor: Cursor = "") -> shapes.Page[shapes.Hold]:
    """List holds, lifted ones too, newest first."""
    filters = {"model": model} if model is not None else {}
    found = list(store_of(request).past_holds(Wanted(limit + 1, read_cursor(cursor), _access(request).seen, filters)))
    return shapes.Page(items=tuple(map(showing.hold, found[:limit])), next=write_cursor(found, limit=limit))


# ---------------------------------------------------------------- the trail


@router.get("/audit/at")
def audit_at(
    request: Request,
    endpoint: Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{1,100}$")],
    time: Annotated[datetime, Query(description="With its zone, as 2026-01-31T12:00:00Z.")],
) -> shapes.Serving:
    """Tell what served on an endpoint at a time, trained from which commit, judged how, approved by whom."""
    if time.tzinfo is None:
        detail = "Give the time with its zone, as 2026-01-31T12:00:00Z."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "time", detail, field="time")
    return showing.serving(serving_at(_trail(store_of(request)), endpoint, time=time))


def _trail(store: "SqlStore") -> list[Entry]:
    size = store.audit_size()
    return [
        parse(raw) for start in range(0, size, _PAGE) for raw in store.audit_entries(start, min(_PAGE, size - start))
    ]


@router.get("/audit/entries")
def audit_entries(
    request: Request,
    start: Annotated[int, Query(ge=0, le=2**53)] = 0,
    limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
) -> Response:
    """Give entries of the audit log from a position on: their exact bytes, one a line, as an export holds them."""
    found = store_of(request).audit_entries(start, limit)
    return Response(b"".join(raw + b"\n" for raw in found), media_type="application/jsonl")

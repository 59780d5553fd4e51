"""The pages that show something, one function each; what they show is read by the room of that name."""

import re
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

from fastapi import APIRouter, Request, Response

from gitops.audit.at import Answer, serving_at
from gitops.audit.entry import parse
from gitops.audit.figures import MOST_DAYS, Selection, Window
from gitops.ports import Wanted
from webhooks.api.paging import by_age, cursors_of, mark_at
from webhooks.api.reading import trail_of
from webhooks.dashboard.asked import Asked
from webhooks.dashboard.details import read_promotion_page, read_rollout_page, read_training_page
from webhooks.dashboard.dora import read_dora_page
from webhooks.dashboard.installation import read_settings_page
from webhooks.dashboard.models import read_model_page, read_models_page
from webhooks.dashboard.overview import read_overview
from webhooks.dashboard.planned import read_plan_page
from webhooks.dashboard.render import show
from webhooks.dashboard.searched import read_trial_page
from webhooks.dashboard.sight import sight_of
from webhooks.dashboard.trail import Filters, Trail, kinds_of_log, read_timeline
from webhooks.dashboard.versions import PAGE as _VERSIONS
from webhooks.problems import ProblemError

if TYPE_CHECKING:
    from gitops.records import Delivery

router = APIRouter(include_in_schema=False)

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST = 200
_ENTRIES = 50
_DELIVERIES = 50
_LETTERS = 100
_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
_POSITION = re.compile(r"[0-9]{1,16}")
_DAYS = re.compile(r"[1-9][0-9]{0,2}")


@router.get("/")
def overview(request: Request) -> Response:
    """Show what runs where, what needs somebody, and what is moving."""
    wanted, after = _asked(request, "q"), _asked(request, "after")
    page = read_overview(sight_of(request), _home(request) / "models", wanted=wanted, after=after)
    return show(request, "overview.html", page=page)


@router.get("/models")
def models(request: Request) -> Response:
    """Show all models."""
    page = read_models_page(sight_of(request), wanted=_asked(request, "q"), after=_asked(request, "after"))
    return show(request, "models.html", page=page)


@router.get("/models/{model}")
def model(request: Request, model: str) -> Response:
    """Show one model, and its versions from a place on."""
    cursor, cursors, of = _asked(request, "cursor"), cursors_of(request), f"versions of {model}"
    page = None
    if 0 < len(model) <= _LONGEST and model.isprintable():
        after, models = mark_at(cursors.read(cursor, of=of)), _home(request) / "models"
        page = read_model_page(sight_of(request), _trail(request), model, models=models, after=after)
    if page is None:
        _missing("model")
    older = cursors.write(page.part.found, by_age, limit=_VERSIONS, of=of)
    return show(request, "model.html", still=bool(cursor), page=page, older=older, cursor=cursor)


@router.get("/models/{model}/plan")
def plan(request: Request, model: str) -> Response:
    """Show what a version of a model would do to an endpoint."""
    page, (endpoint, version) = None, (request.query_params.get(name, "").strip() for name in ("endpoint", "version"))
    if 0 < len(model) <= _LONGEST and model.isprintable():
        page = read_plan_page(sight_of(request), model, endpoint=endpoint, version=version)
    if page is None:
        _missing("endpoint of that model")
    return show(request, "plan.html", still=page.plan is None, page=page)


@router.get("/trainings/{training_id}")
def training(request: Request, training_id: str) -> Response:
    """Show one training."""
    tracking = request.app.state.settings.tracking_uri
    page = None
    if _ID.fullmatch(training_id):
        sight, home = sight_of(request), _home(request)
        asked = Asked.read(request.query_params)
        page = read_training_page(sight, _trail(request), training_id, home=home, tracking=tracking, asked=asked)
    return show(request, "training.html", page=page) if page else _missing("training")


@router.get("/trainings/{training_id}/trials/{number}/log")
def trial_log(request: Request, training_id: str, number: str) -> Response:
    """Show the log of one trial of a search."""
    tracking = request.app.state.settings.tracking_uri
    page = None
    if _ID.fullmatch(training_id) and _NUMBER.fullmatch(number):
        sight, home = sight_of(request), _home(request)
        page = read_trial_page(sight, training_id, int(number), home=home, tracking=tracking)
    return show(request, "trial.html", page=page) if page else _missing("trial")


@router.get("/promotions/{promotion_id}")
def promotion(request: Request, promotion_id: str) -> Response:
    """Show one promotion."""
    tracking = request.app.state.settings.tracking_uri
    page = None
    if _ID.fullmatch(promotion_id):
        page = read_promotion_page(sight_of(request), _trail(request), promotion_id, tracking=tracking)
    return show(request, "promotion.html", page=page) if page else _missing("promotion")


@router.get("/rollouts/{rollout_id}")
def rollout(request: Request, rollout_id: str) -> Response:
    """Show one rollout."""
    page = read_rollout_page(sight_of(request), _trail(request), rollout_id) if _ID.fullmatch(rollout_id) else None
    return show(request, "rollout.html", page=page) if page else _missing("rollout")


@router.get("/dora")
def dora(request: Request, days: str = "30") -> Response:
    """Show how often, how fast and how well versions are deployed."""
    if not _DAYS.fullmatch(days) or int(days) > MOST_DAYS:
        detail = f"Ask for a number of days from 1 to {MOST_DAYS}, as `/dora?days=90`."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, field="days")
    sight = sight_of(request)
    window = Window.last(int(days), until=sight.reading.now)
    report = trail_of(request).measure(sight.store, window, Selection(sees=sight.sees))
    return show(request, "dora.html", page=read_dora_page(report, int(days)))


# ---------------------------------------------------------------- the audit log


@router.get("/audit")
def audit(request: Request) -> Response:
    """Show the audit log, newest first, as far as it was asked for."""
    below = _asked(request, "below")
    if below and not _POSITION.fullmatch(below):
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "cursor", "Go on with the page's own link.", field="below")
    filters = Filters(
        kind=_asked(request, "kind"),
        name=_asked(request, "name"),
        actor=_asked(request, "actor"),
        since=_moment(request, "since"),
        until=_moment(request, "until"),
    )
    sight = sight_of(request)
    timeline = read_timeline(sight.store, filters, below=int(below) if below else None, limit=_ENTRIES)
    return show(
        request,
        "audit.html",
        still=bool(below) or filters.are_set,
        timeline=timeline,
        below=below,
        kinds=kinds_of_log(),
        endpoints=sorted({one.endpoint for one in sight.environments if one.endpoint}),
        head=sight.store.newest_checkpoint(),
        log_id=sight.store.log_id,
        now=sight.reading.now,
    )


@router.get("/audit/at")
def audit_at(request: Request) -> Response:
    """Tell what served on an endpoint at a time."""
    sight = sight_of(request)
    endpoint, time = _asked(request, "endpoint"), _moment(request, "time")
    answer: Answer | None = None
    if endpoint and time is not None:
        with trail_of(request).turn():
            answer = serving_at(sight.library.entries(), endpoint, time=time)
    endpoints = sorted({one.endpoint for one in sight.environments if one.endpoint})
    return show(
        request,
        "audit_at.html",
        still=True,
        answer=answer,
        endpoint=endpoint,
        time=time,
        endpoints=endpoints,
        now=sight.reading.now,
    )


@router.get("/audit/verify")
def audit_verify(request: Request) -> Response:
    """Verify the audit log on this server, within a time."""
    from webhooks.dashboard.verifying import read_key, verify_log  # noqa: PLC0415 - cryptography, for this page alone

    sight = sight_of(request)
    with trail_of(request).turn():
        found = verify_log(sight.store, read_key(request.app.state.settings))
    return show(request, "audit_verify.html", still=True, found=found, log_id=sight.store.log_id)


# ---------------------------------------------------------------- deliveries and settings


@router.get("/deliveries")
def deliveries(request: Request) -> Response:
    """Show webhook deliveries, newest first."""
    sight, cursor, cursors = sight_of(request), _asked(request, "cursor"), cursors_of(request)
    found = list(sight.store.page("delivery", Wanted(_DELIVERIES + 1, mark_at(cursors.read(cursor, of="delivery")))))
    return show(
        request,
        "deliveries.html",
        still=bool(cursor),
        deliveries=cast("list[Delivery]", found[:_DELIVERIES]),
        next=cursors.write(found, by_age, limit=_DELIVERIES, of="delivery"),
        cursor=cursor,
        now=sight.reading.now,
    )


@router.get("/deliveries/{guid}")
def delivery(request: Request, guid: str) -> Response:
    """Show one delivery."""
    sight = sight_of(request)
    found = sight.store.delivery(guid.lower()) if _ID.fullmatch(guid) else None
    if found is None:
        _missing("delivery")
    return show(request, "delivery.html", delivery=found, now=sight.reading.now)


@router.get("/messages")
def messages(request: Request) -> Response:
    """Show who was told of what, newest first."""
    sight = sight_of(request)
    letters = [(letter, one, parse(one.entry.encode())) for letter, one in sight.store.letters(limit=_LETTERS)]
    return show(request, "messages.html", letters=letters, most=_LETTERS, now=sight.reading.now)


@router.get("/settings")
def settings(request: Request) -> Response:
    """Show what is connected, what doctor would say, and what is set."""
    page = read_settings_page(sight_of(request), request.app.state.settings, wanted=_asked(request, "q"))
    return show(request, "settings.html", page=page)


# ---------------------------------------------------------------- what all of them need


def _home(request: Request) -> Path:
    home: Path = request.app.state.settings.home
    return home.absolute()


def _trail(request: Request) -> Trail:
    return cast("Trail", request.app.state.log_end)


def _asked(request: Request, name: str) -> str:
    """Return a part of the query, cut to what any of ours has."""
    text = request.query_params.get(name, "").strip()[:_LONGEST]
    return text if text.isprintable() else ""


def _moment(request: Request, name: str) -> datetime | None:
    """Return a moment as a form has it: in UTC where it names no zone.

    Raises:
        ProblemError: 422 `time`.
    """
    text = _asked(request, name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        detail = f"{name}: write a time as 2026-01-31T12:00, in UTC."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "time", detail, field=name) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _missing(what: str) -> NoReturn:
    detail = f"There is no such {what} here, or none that you may see."
    raise ProblemError(HTTPStatus.NOT_FOUND, "not_found", detail)

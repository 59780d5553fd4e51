"""Forms: what a page asks for goes the way of the API, into one command row that a worker carries out.

A form is opened by a link, says what will happen, and is sent with the session's token and a key of its own, so that a
double click asks once.
"""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from gitops.eligibility import check_search, check_trial, check_unregistered, ways_back
from gitops.errors import RefusedError
from gitops.grammar import VERBS, Argument, Kind, Verb
from gitops.records import Direction, Environment, Hold, Rollout
from gitops.standing import Standing
from gitops.telling import showing
from gitops.trials import objective_of, view
from webhooks.api.arguments import read_arguments
from webhooks.api.asking import ask_for, find_target
from webhooks.api.reading import store_of
from webhooks.dashboard.actions import tell, tell_trial
from webhooks.dashboard.details import read_command_page
from webhooks.dashboard.links import model_page, story_page
from webhooks.dashboard.render import show
from webhooks.dashboard.session import Change, require_change
from webhooks.dashboard.sight import Sight, sight_of
from webhooks.dashboard.words import label
from webhooks.matrix import ACTIONS
from webhooks.problems import ProblemError

router = APIRouter(include_in_schema=False)

Changing = Annotated[Change, Depends(require_change)]

_TITLES: Mapping[str, tuple[str, str]] = {
    "hold": ("Hold {0}", "Hold it"),
    "resume": ("Resume {0}", "Resume it"),
    "pause": ("Pause everything", "Pause everything"),
    "rollback": ("Roll {0} back", "Roll it back"),
    "promote": ("Promote {0}", "Propose it"),
    "train": ("Train {0}", "Train it"),
    "retry": ("Try {0} again", "Try it now"),
    "cancel": ("Cancel {0}", "Call it off"),
    "register": ("Register {0}", "Register it"),
    "redeliver": ("Handle delivery {0} again", "Handle it again"),
}
_GRAVE = frozenset({"rollback", "pause", "cancel"})
_TARGETS = frozenset({Kind.ENDPOINT, Kind.STORY, Kind.TRAINING, Kind.REPOSITORY, Kind.DELIVERY})
_TRY_AGAIN = frozenset({HTTPStatus.PRECONDITION_FAILED, HTTPStatus.UNPROCESSABLE_ENTITY})


@dataclass(frozen=True)
class Choice:
    """One of a field's values; the first one is what a form begins with."""

    value: str
    words: str


@dataclass(frozen=True)
class Entry:
    """A field of a form.

    Args:
        choices: what there is to choose from; empty for a field to write into.
    """

    argument: Argument
    title: str
    value: str
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True)
class Form:
    """A form that says what will happen.

    Args:
        fixed: what is not to be changed here.
        match: the endpoint's entity tag as it is shown; empty where the form is about none.
        key: makes one request of however many clicks.
        back: where whoever thinks better of it goes.
        wrong: why the form is shown again.
    """

    verb: Verb
    title: str
    button: str
    is_grave: bool
    sentences: tuple[str, ...]
    fixed: Mapping[str, str]
    fields: tuple[Entry, ...]
    match: str
    key: str
    back: str
    wrong: str = ""


def _open(request: Request, verb: Verb, unverified: Mapping[str, str], *, wrong: str = "") -> Form:
    """Return the form for what a link or a form sent again asks for.

    Raises:
        ProblemError: 403 or 404 for what whoever asks may not do, or look at; 409 for a trial that cannot be chosen;
            422 for what is no value.
    """
    given = _take(verb, unverified)
    place: Environment | None = None
    # What it is about is looked up as soon as it is named; a form without that has a field for it.
    if verb.name == "pause" or any(_is_target(one) and one.name in given for one in verb.arguments):
        given, place = find_target(request, verb, given)
    sight = sight_of(request)
    standing = store_of(request).standing(place.repository_id, place.path) if place is not None else None
    is_of_all = verb.name == "resume" and "all" in given
    title, button = _TITLES[verb.name]
    fixed = {one.name: given[one.name] for one in verb.arguments if one.name in given and _is_fixed(one)}
    left = [one for one in verb.arguments if one.name not in fixed and one.kind is not Kind.FLAG]
    asked = [one for one in left if not (is_of_all and one.kind is Kind.ENDPOINT)]
    return Form(
        verb=verb,
        title=title.format("everything" if is_of_all else _name(verb, given, place)),
        button=button,
        is_grave=verb.name in _GRAVE,
        sentences=(
            *_tell_trial(sight, verb, given),
            *tell(verb.name, place, _holds(sight, place, is_of_all=is_of_all), back=_way_back(standing)),
        ),
        fixed=fixed,
        fields=tuple(_entry(sight, verb, one, given, place) for one in asked),
        match=standing.tag if standing is not None and {"endpoint", "to"} & fixed.keys() else "",
        key=uuid.uuid4().hex,
        back=_back(given, place),
        wrong=wrong,
    )


def _holds(sight: Sight, place: Environment | None, *, is_of_all: bool) -> list[Hold]:
    if is_of_all:
        return [sight.pause] if sight.pause else []
    here = (place.repository_id, place.path) if place else None
    return [one for one in sight.holds if (one.repository_id, one.path) == here]


def _tell_trial(sight: Sight, verb: Verb, given: Mapping[str, str]) -> Iterator[str]:
    """Give what the trial is that a form is about.

    Raises:
        ProblemError: 409, with why it cannot be chosen.
    """
    searched = sight.store.training(given.get("training", "")) if verb.name == "register" else None
    if searched is None:
        return
    try:
        check_search(searched)
        if "trial" not in given:
            return
        number, trials = int(given["trial"]), sight.store.trials(searched.id)
        chosen = check_trial(searched, next((one for one in trials if one.number == number), None), number)
        run = chosen.facts.candidate_run_id or ""
        check_unregistered(chosen, sight.store.versions_of_runs(chosen.model, [run]).get(run, ""))
    except RefusedError as error:
        raise ProblemError(HTTPStatus.CONFLICT, error.reason, error.message, field="trial") from error
    objective = objective_of(searched)
    shown = {one.number: one for one in view(trials, objective=objective)}
    best = next((one for one in shown.values() if one.is_best and one.number != number), None)
    yield tell_trial(shown[number], best, objective.metric if objective else "")


def _take(verb: Verb, unverified: Mapping[str, str]) -> dict[str, str]:
    """Return the arguments that have the right shape; of the others nothing is kept but in the form's own fields."""
    known = {one.name: unverified.get(one.name, "").strip() for one in verb.arguments}
    wrong = next(
        (one for one in verb.arguments if known[one.name] and _is_fixed(one) and not one.takes(known[one.name])), None
    )
    if wrong is not None:
        detail = f"{wrong.name}: write {wrong.limit}"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, field=wrong.name)
    return {name: value for name, value in known.items() if value}


def _is_target(argument: Argument) -> bool:
    return argument.kind in _TARGETS and _is_fixed(argument)


def _is_fixed(argument: Argument) -> bool:
    """Return whether a link chooses an argument for good: what it is about, but no reason, and no other version."""
    return not argument.is_option or argument.kind in {Kind.FLAG, Kind.NUMBER, Kind.ENDPOINT}


def _name(verb: Verb, given: Mapping[str, str], place: Environment | None) -> str:
    if verb.name == "promote":
        to = f" to {place.endpoint or place.name}" if place is not None else ""
        return f"{given.get('model', '')} {label(given.get('version'))}{to}"
    if verb.name == "register":
        return f"{'trial ' + given['trial'] if 'trial' in given else 'a trial'} of {given.get('training', 'a search')}"
    if place is not None:
        return place.endpoint or place.name
    return next((given[one.name] for one in verb.arguments if one.name in given and _is_fixed(one)), "")


def _entry(sight: Sight, verb: Verb, argument: Argument, given: Mapping[str, str], place: Environment | None) -> Entry:
    title = argument.name.replace("_", " ").capitalize()
    choices: tuple[Choice, ...] = ()
    if verb.name == "rollback" and argument.name == "to" and place is not None:
        served = sight.store.ways_back(place.repository_id, place.path, model=place.model)
        title, last = "Version", Choice("", "the last good one before this one")
        choices = (last, *(Choice(one, label(one)) for one in ways_back(place, served)))
    if verb.name == "promote" and argument.name == "to":
        version = given.get("version", "")
        here = [one for one in sight.environments if one.model == given.get("model") and one.serving != version]
        may = [one for one in here if sight.access.may(verb.who, one.repository_id)]
        title = "Where"
        choices = tuple(Choice(showing.place_of(one), _words(one)) for one in may)
    return Entry(argument, title, given.get(argument.name, ""), choices)


def _words(one: Environment) -> str:
    serves = f"serves {label(one.serving)}" if one.serving else "nothing serves"
    return f"{one.name} ({one.endpoint or one.path}, {serves})"


def _way_back(standing: Standing | None) -> Rollout | None:
    """Return the rollback that is not over, the last where there are several."""
    rollouts = standing.rollouts if standing is not None else ()
    return next((one for one in reversed(rollouts) if one.direction is Direction.ROLLBACK), None)


def _back(given: Mapping[str, str], place: Environment | None) -> str:
    if place is not None:
        return model_page(place.model) or "/"
    if "delivery" in given:
        return f"/deliveries/{quote(given['delivery'])}"
    training = given.get("training") or given.get("name", "")
    if training.startswith("t-"):
        return story_page("training", training)
    return model_page(given.get("model", "")) or "/"


def _add(verb: Verb) -> None:
    def ask(request: Request) -> Response:
        form = _open(request, verb, request.query_params)
        return show(request, "action.html", still=True, form=form)

    def carry_out(request: Request, change: Changing) -> Response:
        given = {
            name: value.strip() for name, value in change.form.items() if not name.startswith("_") and value.strip()
        }
        try:
            arguments = read_arguments(verb, given)
            kept = ask_for(
                request, verb, arguments, key=change.form.get("_key"), if_match=change.form.get("_match") or None
            )
        except ProblemError as error:
            if error.status not in _TRY_AGAIN:
                raise
            form = _open(request, verb, given, wrong=error.detail)
            return show(request, "action.html", status=error.status, still=True, form=form)
        return RedirectResponse(f"/commands/{quote(kept.id)}", HTTPStatus.SEE_OTHER)

    ask.__doc__, carry_out.__doc__ = f"Say what this would do: {verb.help}", verb.help
    router.add_api_route(f"/actions/{verb.name}", ask, methods=["GET"])
    router.add_api_route(f"/actions/{verb.name}", carry_out, methods=["POST"])


for _name_of_verb in ACTIONS:
    _add(VERBS[_name_of_verb])


@router.get("/commands/{command_id}")
def command(request: Request, command_id: str) -> Response:
    """Show what became of something that was asked for."""
    page = read_command_page(sight_of(request), command_id)
    if page is None:
        raise ProblemError(
            HTTPStatus.NOT_FOUND, "not_found", "There is no such command here, or none that you may see."
        )
    return show(request, "command.html", page=page)

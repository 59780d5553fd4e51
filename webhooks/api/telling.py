"""What the API answers where a verb only reads: one route for each such verb, made from the table of verbs.

Each tells what the command line prints with `--json`, as far as whoever asks may look at it; a list that may be long is
given part by part.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from gitops.audit.at import read_time
from gitops.audit.entry import Entry
from gitops.audit.figures import Selection, Window, to_plain
from gitops.errors import InputError
from gitops.grammar import VERBS, Verb
from gitops.records import Rollout
from gitops.settings import Settings
from gitops.telling import answers, shapes, showing
from gitops.telling.dora import Dora
from gitops.telling.explained import (
    explain,
    find_incident,
    look_at_all,
    look_from,
    tell_attention,
    tell_explanation,
    tell_incident,
)
from gitops.telling.library import Library
from gitops.telling.lists import check_model, moving, read_history, read_serving, tell_history, tell_status
from gitops.telling.logs import find_logged, follow, tell_log
from gitops.telling.planning import tell_plan
from gitops.telling.runs import Asked, ask_mlflow, read_runs, tell_runs
from gitops.telling.trials import find_search, read_trials, tell_trials
from webhooks.api.arguments import MODELS, Arguments, part_of
from webhooks.api.following import stream_log
from webhooks.api.reading import endpoints_of, library_of, store_of, trail_of, versions_of
from webhooks.problems import ProblemError

if TYPE_CHECKING:
    from pydantic import BaseModel

router = APIRouter(prefix="/api/v1")

_Given = Mapping[str, str]


# ---------------------------------------------------------------- a verb each


def _status(_: Request, library: Library, __: _Given) -> answers.Status:
    return tell_status(library, library.environments, moving(library))


def _explain(request: Request, library: Library, given: _Given) -> "BaseModel":
    reading = library.reading()
    subject, is_incident = given.get("subject", ""), "incident" in given
    if is_incident and not subject:
        detail = "incident wants an endpoint, a training or a pull request: name one as subject"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "subject_missing", detail, field="subject")
    if is_incident:
        with trail_of(request).turn():
            return tell_incident(find_incident(library, subject, reading))
    outlook = look_from(library, reading, is_service=request.app.state.is_service)
    if subject:
        return tell_explanation(explain(outlook, subject), outlook)
    return tell_attention(look_at_all(outlook), outlook)


def _runs(request: Request, library: Library, given: _Given) -> answers.Runs:
    asked = Asked(
        given.get("model", ""),
        given.get("best", ""),
        "lowest" in given,
        given.get("where", ""),
        int(given.get("limit", 10)),
    )
    return tell_runs(read_runs(library, asked, ask_mlflow(_settings(request).tracking_uri)), asked)


def _trials(_: Request, library: Library, given: _Given) -> answers.Trials:
    searched = find_search(library, given.get("training", ""))
    found = read_trials(library, searched, sort=given.get("sort", ""), is_lowest="lowest" in given)
    return tell_trials(searched, found)


def _versions(request: Request, _: Library, given: _Given) -> shapes.Page[shapes.Version]:
    return versions_of(request, given["model"], limit=int(given["limit"]), cursor=given.get("cursor", ""))


def _endpoints(request: Request, library: Library, given: _Given) -> shapes.Page[shapes.Endpoint]:
    model = given.get("model", "")
    found = endpoints_of(request, model, limit=int(given["limit"]), cursor=given.get("cursor", ""))
    if model and not found.items:
        check_model(library, model)
    return found


def _dora(request: Request, library: Library, given: _Given) -> Dora:
    store = store_of(request)
    window = Window.last(int(given.get("days", 30)), until=store.now())
    selection = Selection(given.get("model", ""), given.get("env", ""), sees=library.sees)
    return Dora.model_validate(to_plain(trail_of(request).measure(store, window, selection)))


def _audit_at(request: Request, library: Library, given: _Given) -> shapes.Serving:
    try:
        moment = library.store.now() if given["time"] == "now" else read_time(given["time"])
    except InputError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "time", error.message, field="time") from error
    # One that never served is known all the same.
    others = (name for one in library.environments for name in (one.endpoint, showing.place_of(one)))
    with trail_of(request).turn():
        return showing.serving(read_serving(_readable(library), given["endpoint"], time=moment, others=others))


def _history(request: Request, library: Library, given: _Given) -> answers.History:
    limit = int(given.get("limit", 20))
    with trail_of(request).turn():
        found, others = read_history(_readable(library), given["name"])
    return tell_history(given["name"], found, others, limit=limit)


def _readable(library: Library) -> Callable[[], Iterable[Entry]]:
    """Return what reads the audit log, as far as whoever asks may know it."""
    return lambda: filter(library.may_read, library.entries())


def _logs(request: Request, library: Library, given: _Given) -> "answers.Log | Response":
    logged = find_logged(library, given.get("name", ""))
    home = _settings(request).home
    if "follow" in given:
        last = request.headers.get("last-event-id", "")
        return stream_log(request, logged.repository_id, follow(library, logged, home, place=last))
    limit = int(given.get("limit", 1000))
    if not isinstance(logged, Rollout):
        return tell_log(logged, home, tuple, limit=limit)
    with trail_of(request).turn():
        return tell_log(logged, home, library.entries, limit=limit)


def _plan(_: Request, library: Library, given: _Given) -> answers.Plan:
    return tell_plan(library, given["endpoint"], given.get("version", ""))


def _schema(_: Request, __: Library, given: _Given) -> Response:
    from gitops.config.schema import schema_of  # noqa: PLC0415 - nothing else here reads these files

    return Response(schema_of(given["kind"]), media_type="application/schema+json")


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


@dataclass(frozen=True)
class Telling:
    """How a verb is answered.

    Args:
        answer: what its answer holds, for the description.
        kinds: further kinds of answer, by media type.
        is_part: whether it is a list, of which a part is given.
    """

    tell: Callable[[Request, Library, _Given], "BaseModel | Response"]
    answer: Any
    kinds: tuple[str, ...] = ()
    is_part: bool = False


TELLINGS: Mapping[str, Telling] = {
    "status": Telling(_status, answers.Status),
    "explain": Telling(_explain, answers.Explained | answers.Attention | answers.Timeline),
    "runs": Telling(_runs, answers.Runs),
    "trials": Telling(_trials, answers.Trials),
    "versions": Telling(_versions, shapes.Page[shapes.Version], is_part=True),
    "endpoints": Telling(_endpoints, shapes.Page[shapes.Endpoint], is_part=True),
    "history": Telling(_history, answers.History),
    "dora": Telling(_dora, Dora),
    "logs": Telling(_logs, answers.Log, ("text/event-stream",)),
    "plan": Telling(_plan, answers.Plan),
    "audit at": Telling(_audit_at, shapes.Serving),
    "schema": Telling(_schema, None, ("application/schema+json",)),
}
"""Every verb that only reads."""


def _route(verb: Verb, telling: Telling) -> Callable[..., Any]:
    def tell(request: Request, arguments: Arguments) -> Any:  # noqa: ANN401 - as the table of tellings says
        return telling.tell(request, library_of(request), arguments.as_text())

    def tell_all(request: Request) -> Any:  # noqa: ANN401 - as above
        return telling.tell(request, library_of(request), {})

    tell.__annotations__["arguments"] = Annotated[part_of(verb) if telling.is_part else MODELS[verb.name], Query()]
    route: Callable[..., Any] = tell if verb.arguments else tell_all
    route.__name__, route.__doc__ = _name_of(verb), verb.help
    return route


def _name_of(verb: Verb) -> str:
    return verb.name.replace(" ", "_")


for _name, _telling in TELLINGS.items():
    _verb = VERBS[_name]
    router.add_api_route(
        _verb.route.removeprefix(router.prefix),
        _route(_verb, _telling),
        methods=["GET"],
        response_model=_telling.answer,
        response_class=Response if _telling.answer is None else JSONResponse,
        responses={HTTPStatus.OK: {"content": {kind: {"schema": {}} for kind in _telling.kinds}}},
        summary=_verb.help,
        operation_id=_name_of(_verb),
    )

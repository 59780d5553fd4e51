"""Who may do what, as an admin says: a route for each verb of the table of authority, carried out at once.

What gives somebody something takes a session, so that no token gives what outlives it.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Request

from gitops import access
from gitops.access import EVERYWHERE, LOCAL
from gitops.authority import AUTHORITY
from gitops.grammar import Verb
from gitops.people import check_may_leave, check_provider, find_person, name_person
from gitops.records import Frozen
from gitops.roles import AccessRole
from gitops.telling import shapes
from webhooks.api.arguments import MODELS, Arguments
from webhooks.api.reading import repository_of, store_of
from webhooks.askers import asker_of

router = APIRouter(prefix="/api/v1")

Given = Mapping[str, str]


class Person(Frozen):
    """Somebody who may sign in, and what they may do.

    Args:
        id: ours.
        provider: who vouches for them; `local` for whoever signs in by a link.
        subject: the provider's own id of them, empty where there is none.
        disabled_at: since when they may not sign in; null while they may.
    """

    id: str
    login: str
    name: str
    provider: str
    subject: str
    disabled_at: datetime | None
    grants: tuple[shapes.Grant, ...]


def _shown(request: Request, person: access.Person) -> Person:
    store = store_of(request)
    names = {each.id: each.full_name for each in store.repositories()}
    grants = (
        shapes.Grant(
            repository=""
            if each.repository_id == EVERYWHERE
            else names.get(each.repository_id, str(each.repository_id)),
            role=each.role,
        )
        for each in store.grants(person.id)
    )
    known = person.model_dump(exclude={"created_at"})
    return Person(**known, grants=tuple(grants))


def list_people(request: Request) -> tuple[Person, ...]:
    """List everybody with their roles."""
    return tuple(_shown(request, each) for each in store_of(request).people())


def _grant(request: Request, given: Given) -> access.Person:
    place, provider = _place(request, given), given.get("provider", LOCAL)
    check_provider(provider, request.app.state.settings.issuers)
    person = name_person(store_of(request), provider, given["login"], subject=given.get("subject", ""))
    role = AccessRole(given["role"])
    store_of(request).grant(person.id, role, repository_id=place, actor=asker_of(request).actor)
    return person


def _revoke(request: Request, given: Given) -> access.Person:
    place, person = _place(request, given), _named(request, given)
    store_of(request).ungrant(person.id, repository_id=place, actor=asker_of(request).actor)
    return person


def _disable(request: Request, given: Given) -> access.Person:
    person = _named(request, given)
    check_may_leave(person)
    store_of(request).disable_person(person.id, actor=asker_of(request).actor)
    return _named(request, given)


def _place(request: Request, given: Given) -> int:
    return repository_of(request, given["repository"]).id if "repository" in given else EVERYWHERE


def _named(request: Request, given: Given) -> access.Person:
    return find_person(store_of(request), given.get("provider", LOCAL), given["login"])


_DEEDS: Mapping[str, Callable[[Request, Given], access.Person]] = {
    "people grant": _grant,
    "people revoke": _revoke,
    "people disable": _disable,
}


def _route(verb: Verb) -> Callable[..., Person]:
    deed = _DEEDS[verb.name]

    def change(request: Request, arguments: Arguments) -> Person:
        return _shown(request, deed(request, arguments.as_text()))

    change.__name__, change.__doc__ = verb.name.replace(" ", "_"), verb.help
    annotations: dict[str, Any] = change.__annotations__
    annotations["arguments"] = Annotated[MODELS[verb.name], Body()]
    return change


for _verb in AUTHORITY.values():
    router.add_api_route(
        _verb.route.removeprefix(router.prefix),
        _route(_verb) if _verb.changes else list_people,
        methods=["POST" if _verb.changes else "GET"],
        summary=_verb.help,
        operation_id=_verb.name.replace(" ", "_"),
    )

"""Who asks, and the tokens and grants: read by everybody for themselves, changed by an admin."""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from gitops.access import (
    EVERYWHERE,
    LOCAL,
    LONGEST_DAYS,
    Person,
    Token,
    check_token_name,
    digest_secret,
    mint_token_text,
)
from gitops.errors import InputError, NotFoundError, RefusedError
from gitops.identifiers import new_id
from gitops.people import find_person
from gitops.ports import Mark
from gitops.records import Frozen
from gitops.roles import AccessRole
from gitops.telling import shapes, showing
from webhooks.api.keys import HEADER, Key, read_once
from webhooks.api.paging import USUAL, Cursor, Limit, by_age, cursors_of, mark_at
from webhooks.api.reading import missing, names_of, store_of
from webhooks.askers import asker_of
from webhooks.problems import ProblemError

router = APIRouter(prefix="/api/v1")


@router.get("/me")
def me(request: Request) -> shapes.Me:
    """Say who asks, and what they may do."""
    access = asker_of(request).access
    places = sorted({place for place in {*access.roles, *access.kept_to} if access.role_on(place) is not None})
    names = names_of(request, places)
    return shapes.Me(
        login=access.person.login,
        name=access.person.name,
        provider=access.person.provider,
        method=access.method,
        token_id=access.token_id,
        most=access.most,
        grants=tuple(
            shapes.Grant(
                repository="" if place == EVERYWHERE else names.get(place, str(place)),
                role=access.role_on(place) or AccessRole.VIEWER,
            )
            for place in places
        ),
    )


@router.get("/tokens")
def tokens(request: Request, limit: Limit = USUAL, cursor: Cursor = "") -> shapes.Page[shapes.Token]:
    """List your tokens, newest first; an admin sees everybody's, and a token only itself."""
    cursors = cursors_of(request)
    found = _tokens_of(request, limit=limit + 1, after=mark_at(cursors.read(cursor, of="token")))
    names = names_of(request, (place for each in found for place in each.repositories))
    logins = {each.id: each.login for each in store_of(request).people(ids=frozenset(one.person_id for one in found))}

    def show(each: Token) -> shapes.Token:
        return showing.token(each, login=logins.get(each.person_id, ""), names=names)

    return cursors.part(found, show, by_age, limit=limit, of="token")


def _tokens_of(request: Request, *, limit: int, after: Mark | None) -> Sequence[Token]:
    """Return tokens that whoever asks may list and end: one that leaked shows and ends no other."""
    store, access = store_of(request), asker_of(request).access
    if access.may(AccessRole.ADMIN):
        return store.tokens(after=after, limit=limit)
    own = access.token_id or None
    return store.tokens(person_id=access.person.id, token_id=own, after=after, limit=limit)


class WantedToken(Frozen):
    """A token to make.

    Args:
        name: what it is for, in your words.
        role: the most it may do; it never may more than you.
        repositories: OWNER/NAME of those it is kept to; empty for all that you may see.
        days: until it ends.
        login: whose it is, said by an admin; yours where it is left out.
        provider: who vouches for them.
    """

    name: str
    role: AccessRole
    repositories: tuple[str, ...] = ()
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)] = 30
    login: str = ""
    provider: str = LOCAL


@router.post("/tokens", status_code=HTTPStatus.CREATED)
def make_token(
    request: Request, wanted: WantedToken, response: Response, idempotency_key: Key = None
) -> shapes.NewToken:
    """Make a token of yours, or as an admin another one's; its text is shown this once, and never again."""
    store, asker = store_of(request), asker_of(request)
    access = asker.access
    once = read_once(asker, idempotency_key, "tokens", wanted.model_dump(mode="json"))
    if once is not None and (earlier := store.asked_before(once)):
        raise _made_before(earlier)
    try:
        name = check_token_name(wanted.name)
    except InputError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason, error.message, field=error.field) from error
    known = {each.full_name: each.id for each in store.repositories(ids=access.seen)}
    strange = [each for each in wanted.repositories if each not in known]
    if strange:
        detail = f"There is no repository {strange[0]!r} here, or none that you may see."
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "repository", detail, field="repositories")
    owner = _owner_of(request, wanted)
    if not access.may_anywhere(wanted.role):
        detail = f"You have the role {wanted.role} nowhere: ask for less."
        raise ProblemError(HTTPStatus.FORBIDDEN, "not_allowed", detail, field="role")
    token_id = new_id("k")
    text = mint_token_text(token_id)
    token = Token(
        id=token_id,
        person_id=owner.id,
        name=name,
        secret_sha256=digest_secret(text),
        role=wanted.role,
        repositories=tuple(known[each] for each in wanted.repositories),
        expires_at=store.now() + timedelta(days=wanted.days),
    )
    kept = store.save_token(token, actor=asker.actor, once=once)
    if kept.id != token.id:
        raise _made_before(kept.id)
    names = {number: name for name, number in known.items()}
    shown = showing.token(kept, login=owner.login, names=names)
    response.headers["Cache-Control"] = "no-store"
    return shapes.NewToken(**shown.model_dump(), text=text)


def _made_before(token_id: str) -> ProblemError:
    """Return what is said of a token that was made with this key: nobody keeps its text, so it cannot be sent again."""
    which = f"Token {token_id} was made with this key, and its text was sent then; nobody keeps that."
    way_out = f"If it did not reach you, end the token (`DELETE /api/v1/tokens/{token_id}`) and ask with a new key."
    return ProblemError(HTTPStatus.CONFLICT, "token_made", f"{which} {way_out}", field=HEADER)


def _owner_of(request: Request, wanted: WantedToken) -> Person:
    """Return whose a token is to be.

    Raises:
        ProblemError: 403 where whoever asks is no admin of everything.
        NotFoundError: `UnknownPerson`.
        RefusedError: `NoGrant` or `PersonDisabled`.
    """
    access = asker_of(request).access
    if not wanted.login:
        return access.person
    if not access.may(AccessRole.ADMIN):
        detail = f"{access.person.login} may make tokens of their own alone: leave login out."
        raise ProblemError(HTTPStatus.FORBIDDEN, "not_allowed", detail, field="login")
    owner = find_person(store_of(request), wanted.provider, wanted.login)
    if owner.disabled_at is not None:
        raise RefusedError("PersonDisabled", f"{owner.login} was disabled on {owner.disabled_at:%Y-%m-%d}, for good")
    if not store_of(request).grants(owner.id):
        raise RefusedError(
            "NoGrant", f"{owner.login} may do nothing yet, and so would the token: grant something first"
        )
    return owner


@router.delete("/tokens/{token_id}", status_code=HTTPStatus.NO_CONTENT)
def revoke_token(request: Request, token_id: Annotated[str, Path(pattern=r"^k-[a-z0-9]{1,40}$")]) -> None:
    """End a token of yours; an admin ends anybody's, and a token only itself. Twice does no harm."""
    store, asker = store_of(request), asker_of(request)
    if not _may_end(request, token_id):
        missing("token")
    try:
        store.revoke_token(token_id, actor=asker.actor)
    except NotFoundError:
        missing("token")


def _may_end(request: Request, token_id: str) -> bool:
    access = asker_of(request).access
    if access.may(AccessRole.ADMIN):
        return True
    is_own = bool(store_of(request).tokens(person_id=access.person.id, token_id=token_id))
    return is_own and access.token_id in ("", token_id)

"""The rows of people, grants, tokens and sessions.

What finds its own work done, because its commit's answer was lost, says that it did it.

Each change of what somebody may do has its audit entry, in the same transaction. A session changes nothing: what is
done in it is recorded, with who did it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, update

from gitops.access import (
    Access,
    Grant,
    Person,
    Session,
    Token,
    access_by_session,
    access_by_token,
    claimed_login,
    is_secret_of,
    read_token_id,
)
from gitops.audit.entry import Actor, Event, Subject
from gitops.errors import NotFoundError, RefusedError
from gitops.identifiers import new_id
from gitops.ports import Mark, Once
from gitops.roles import AccessRole
from gitops.store.entries import to_evidence
from gitops.store.once import find_earlier
from gitops.store.pages import following, older
from gitops.store.rows import insert_new, read_all, read_one, to_row, write_row
from gitops.store.tables import grants, people, sessions, tokens
from gitops.store.transaction import Transaction

if TYPE_CHECKING:
    from sqlalchemy.sql import ColumnElement


def ensure_person(tx: Transaction, provider: str, login: str, *, subject: str, name: str) -> Person:
    """Return the person whom an admin names so; see `Accounts.ensure_person`.

    Raises:
        RefusedError: `LoginTaken`.
    """
    here = people.c.provider == provider
    named = read_one(tx.connection, people, Person, here, people.c.login == login, is_locked=True)
    if named is not None and not subject:
        return named
    of_subject = (here, people.c.subject == subject)
    known = read_one(tx.connection, people, Person, *of_subject, is_locked=True) if subject else None
    if known is None and named is not None and not named.subject:
        # They were named before anybody knew their id.
        return _change(tx, named, subject=subject, name=name or named.name)
    if named is not None and named != known:
        _free(tx, named)
    if known is not None:
        return _change(tx, known, login=login, name=name or known.name)
    new = Person(id=new_id("u"), provider=provider, subject=subject, login=login, name=name, created_at=tx.now)
    insert_new(tx.connection, people, to_row(new))
    kept = read_one(tx.connection, people, Person, here, people.c.login == login)
    if kept is None or kept.subject != subject:
        # Somebody else was named so at this very moment.
        raise _taken(kept or new)
    return kept


def greet_person(tx: Transaction, person_id: str, *, login: str, name: str) -> Person:
    """Follow what a provider calls a person; see `Accounts.greet_person`.

    Raises:
        NotFoundError: `UnknownPerson`.
    """
    known = _person(tx, person_id)
    is_called_so = login in {"", known.login}
    return _change(
        tx,
        known,
        login=known.login if is_called_so else claimed_login(login, known.subject),
        name=name or known.name,
    )


def _change(tx: Transaction, known: Person, **changes: str) -> Person:
    now = known.model_copy(update=changes)
    if now != known:
        write_row(tx.connection, people, to_row(now), fields=tuple(changes))
    return now


def _free(tx: Transaction, holder: Person) -> None:
    """Take a login from somebody who left, for whoever an admin says has it now.

    Raises:
        RefusedError: `LoginTaken` where they did not leave.
    """
    if holder.disabled_at is None:
        raise _taken(holder)
    _change(tx, holder, login=claimed_login(holder.login, holder.subject or holder.id))


def _taken(holder: Person) -> RefusedError:
    who = f"{holder.login!r} is the person with the id {holder.subject or holder.id} here"
    left = f"`launchpin people disable {holder.login} --provider {holder.provider}` if they left"
    message = f"{who}, of {holder.provider}: {left}; else name this one otherwise, any login will do beside the id"
    return RefusedError("LoginTaken", message)


def find_person(connection: Connection, provider: str, subject: str) -> Person | None:
    """Return the person who has an id at a provider; an empty id is nobody's."""
    here = (people.c.provider == provider, people.c.subject == subject)
    return read_one(connection, people, Person, *here) if subject else None


def read_people(
    connection: Connection, *, ids: frozenset[str] | None, after: tuple[str, str] | None, limit: int
) -> Sequence[Person]:
    """Return everybody, by login; those of one login the oldest first."""
    order = (people.c.login, people.c.id)
    where: list[ColumnElement[bool]] = [] if ids is None else [people.c.id.in_(sorted(ids))]
    where += [] if after is None else following(*order, after)
    return read_all(connection, people, Person, *where, order=order, limit=limit)


def read_grants(connection: Connection, person_id: str) -> list[Grant]:
    """Return what a person was granted."""
    return read_all(connection, grants, Grant, grants.c.person_id == person_id, order=(grants.c.repository_id,))


def save_grant(
    tx: Transaction, person_id: str, role: AccessRole, *, repository_id: int, actor: Actor, once: Once | None
) -> None:
    """Give a role, in place of the one held there.

    Raises:
        NotFoundError: `UnknownPerson`.
        ConflictError: `IdempotencyKeyUsed`.
    """
    if find_earlier(tx, once, subject=person_id):
        return
    person = _person(tx, person_id)
    held = _held(tx, person_id, repository_id)
    if held is not None and held.role is role:
        return
    new = Grant(person_id=person_id, repository_id=repository_id, role=role, by=actor.login, created_at=tx.now)
    write_row(tx.connection, grants, to_row(new))
    _tell(tx, "grant.given", person, actor=actor, repository_id=repository_id, before=held, after=role)


def drop_grant(tx: Transaction, person_id: str, *, repository_id: int, actor: Actor, once: Once | None) -> bool:
    """Take a role away.

    Raises:
        NotFoundError: `UnknownPerson`.
        ConflictError: `IdempotencyKeyUsed`.
    """
    if find_earlier(tx, once, subject=person_id):
        return tx.is_again
    person = _person(tx, person_id)
    held = _held(tx, person_id, repository_id)
    if held is None:
        return tx.is_again
    here = (grants.c.person_id == person_id, grants.c.repository_id == repository_id)
    tx.connection.execute(delete(grants).where(*here))
    _tell(tx, "grant.taken", person, actor=actor, repository_id=repository_id, before=held)
    return True


def _held(tx: Transaction, person_id: str, repository_id: int) -> Grant | None:
    here = (grants.c.person_id == person_id, grants.c.repository_id == repository_id)
    return read_one(tx.connection, grants, Grant, *here, is_locked=True)


def _tell(
    tx: Transaction,
    kind: str,
    person: Person,
    *,
    actor: Actor,
    repository_id: int = 0,
    before: Grant | None = None,
    after: str = "",
) -> None:
    evidence = {"login": person.login, "provider": person.provider}
    event = Event(
        kind=kind,
        actor=actor,
        subject=Subject(repo_id=repository_id, name=person.id),
        from_=before.role if before else "",
        to=after,
        evidence=to_evidence(evidence),
    )
    tx.record(event)


def _person(tx: Transaction, person_id: str) -> Person:
    found = read_one(tx.connection, people, Person, people.c.id == person_id, is_locked=True)
    if found is None:
        raise NotFoundError("UnknownPerson", f"nobody here has the id {person_id!r}")
    return found


def disable_person(tx: Transaction, person_id: str, *, actor: Actor, once: Once | None) -> bool:
    """End every session and token of a person.

    Raises:
        NotFoundError: `UnknownPerson`.
        ConflictError: `IdempotencyKeyUsed`.
    """
    if find_earlier(tx, once, subject=person_id):
        return tx.is_again
    person = _person(tx, person_id)
    if person.disabled_at is not None:
        return tx.is_again
    tx.connection.execute(update(people).where(people.c.id == person_id).values(disabled_at=tx.now))
    tx.connection.execute(delete(sessions).where(sessions.c.person_id == person_id))
    _tell(tx, "person.disabled", person, actor=actor)
    return True


# ---------------------------------------------------------------- tokens


def save_token(tx: Transaction, token: Token, *, actor: Actor, once: Once | None) -> Token:
    """Keep a token, or return the one that was made with that key.

    Raises:
        NotFoundError: `UnknownPerson`.
        ConflictError: `IdempotencyKeyUsed`.
    """
    earlier = find_earlier(tx, once, subject=token.id)
    made = read_one(tx.connection, tokens, Token, tokens.c.id == earlier) if earlier else None
    if made is not None:
        return made
    person = _person(tx, token.person_id)
    new = token.model_copy(update={"created_at": tx.now})
    if insert_new(tx.connection, tokens, to_row(new)):
        known: dict[str, object] = {"login": person.login, "name": new.name, "repositories": list(new.repositories)}
        known["expires_at"] = new.expires_at.isoformat()
        _tell_of_token(tx, "token.made", new, actor=actor, to=new.role, evidence=known)
    return new


def read_tokens(
    connection: Connection, *, person_id: str | None, token_id: str | None, after: Mark | None, limit: int
) -> Sequence[Token]:
    """Return tokens, newest first."""
    wanted = {"person_id": person_id, "id": token_id}
    where: list[ColumnElement[bool]] = [tokens.c[name] == value for name, value in wanted.items() if value is not None]
    where += [] if after is None else older(tokens, after)
    newest = (tokens.c.created_at.desc(), tokens.c.id.desc())
    return read_all(connection, tokens, Token, *where, order=newest, limit=limit)


def revoke_token(tx: Transaction, token_id: str, *, actor: Actor) -> bool:
    """End a token.

    Raises:
        NotFoundError: `UnknownToken`.
    """
    found = read_one(tx.connection, tokens, Token, tokens.c.id == token_id, is_locked=True)
    if found is None:
        raise NotFoundError("UnknownToken", f"there is no token {token_id!r}: `launchpin token list` shows them")
    if found.revoked_at is not None:
        return tx.is_again
    tx.connection.execute(update(tokens).where(tokens.c.id == token_id).values(revoked_at=tx.now))
    _tell_of_token(tx, "token.revoked", found, actor=actor, from_=found.role, evidence={"name": found.name})
    return True


def _tell_of_token(
    tx: Transaction,
    kind: str,
    token: Token,
    *,
    actor: Actor,
    evidence: dict[str, object],
    to: str = "",
    from_: str = "",
) -> None:
    subject = Subject(name=token.id)
    tx.record(Event(kind=kind, actor=actor, subject=subject, from_=from_, to=to, evidence=to_evidence(evidence)))


def read_token_access(connection: Connection, unverified_text: str, *, now: datetime) -> Access | None:
    """Return what a token may do, None for a text that is no good token's."""
    token_id = read_token_id(unverified_text)
    token = read_one(connection, tokens, Token, tokens.c.id == token_id) if token_id else None
    if token is None or not is_secret_of(unverified_text, token):
        return None
    person = read_one(connection, people, Person, people.c.id == token.person_id)
    return access_by_token(token, person, read_grants(connection, person.id), now=now) if person else None


# ---------------------------------------------------------------- sessions


def open_session(tx: Transaction, session: Session) -> None:
    """Keep a session; those that are over go.

    Raises:
        NotFoundError: `UnknownPerson`.
    """
    _person(tx, session.person_id)
    tx.connection.execute(delete(sessions).where(sessions.c.expires_at <= tx.now))
    insert_new(tx.connection, sessions, to_row(session, created_at=tx.now))


def read_session_access(connection: Connection, session_id: str, *, now: datetime) -> tuple[Session, Access] | None:
    """Return an open session and what its person may do."""
    session = read_one(connection, sessions, Session, sessions.c.id == session_id)
    person = read_one(connection, people, Person, people.c.id == session.person_id) if session else None
    if session is None or person is None:
        return None
    access = access_by_session(session, person, read_grants(connection, person.id), now=now)
    return (session, access) if access else None


def close_session(tx: Transaction, session_id: str) -> None:
    """End a session."""
    tx.connection.execute(delete(sessions).where(sessions.c.id == session_id))

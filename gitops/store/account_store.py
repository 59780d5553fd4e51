"""The part of the store that knows people: grants, tokens, sessions."""

from collections.abc import Sequence

from gitops.access import Access, Grant, Person, Session, Token
from gitops.audit.entry import Actor
from gitops.ports import Mark, Once
from gitops.roles import AccessRole
from gitops.store import accounts
from gitops.store.log import AuditStore
from gitops.store.once import read_earlier


class AccountStore(AuditStore):
    """People and what they may do in a SQL database; implements `gitops.ports.Accounts`."""

    def ensure_person(self, provider: str, login: str, *, subject: str = "", name: str = "") -> Person:
        """Return the person whom an admin names so, known from now on."""
        return self._write(lambda tx: accounts.ensure_person(tx, provider, login, subject=subject, name=name))

    def greet_person(self, person_id: str, *, login: str, name: str) -> Person:
        """Follow what a provider calls a person who signs in."""
        return self._write(lambda tx: accounts.greet_person(tx, person_id, login=login, name=name))

    def find_person(self, provider: str, subject: str) -> Person | None:
        """Return the person who has an id at a provider."""
        return self._read(lambda connection: accounts.find_person(connection, provider, subject))

    def people(
        self, *, ids: frozenset[str] | None = None, after: tuple[str, str] | None = None, limit: int = 0
    ) -> Sequence[Person]:
        """Return everybody, by login."""
        return self._read(lambda connection: accounts.read_people(connection, ids=ids, after=after, limit=limit))

    def grants(self, person_id: str) -> Sequence[Grant]:
        """Return what a person was granted, by repository."""
        return self._read(lambda connection: accounts.read_grants(connection, person_id))

    def asked_before(self, once: Once) -> str | None:
        """Return the id of the person or token that was asked about with this key before; None where it is new."""
        return self._read(lambda connection: read_earlier(connection, once))

    def grant(
        self, person_id: str, role: AccessRole, *, repository_id: int, actor: Actor, once: Once | None = None
    ) -> None:
        """Give a person a role, in place of the one held there."""
        self._write(
            lambda tx: accounts.save_grant(tx, person_id, role, repository_id=repository_id, actor=actor, once=once)
        )

    def ungrant(self, person_id: str, *, repository_id: int, actor: Actor, once: Once | None = None) -> bool:
        """Take a role away; False where there was none."""
        return self._write(
            lambda tx: accounts.drop_grant(tx, person_id, repository_id=repository_id, actor=actor, once=once)
        )

    def disable_person(self, person_id: str, *, actor: Actor, once: Once | None = None) -> bool:
        """End every session and token of a person; False where that was done before."""
        return self._write(lambda tx: accounts.disable_person(tx, person_id, actor=actor, once=once))

    def save_token(self, token: Token, *, actor: Actor, once: Once | None = None) -> Token:
        """Keep a token's digest; returns the token that was made with that key before, where one was."""
        return self._write(lambda tx: accounts.save_token(tx, token, actor=actor, once=once))

    def tokens(
        self, *, person_id: str | None = None, token_id: str | None = None, after: Mark | None = None, limit: int = 0
    ) -> Sequence[Token]:
        """Return the tokens, newest first; of one person, or the one of an id, where asked for."""
        return self._read(
            lambda connection: accounts.read_tokens(
                connection, person_id=person_id, token_id=token_id, after=after, limit=limit
            )
        )

    def revoke_token(self, token_id: str, *, actor: Actor) -> bool:
        """End a token; False where that was done before."""
        return self._write(lambda tx: accounts.revoke_token(tx, token_id, actor=actor))

    def token_access(self, unverified_text: str) -> Access | None:
        """Return what a token may do; None for a text that is no good token's."""
        return self._read(
            lambda connection: accounts.read_token_access(
                connection, unverified_text, now=self._database.time(connection)
            )
        )

    def open_session(self, session: Session) -> None:
        """Keep a session, and forget those that are over."""
        self._write(lambda tx: accounts.open_session(tx, session))

    def session_access(self, session_id: str) -> tuple[Session, Access] | None:
        """Return an open session and what its person may do; None when there is none."""
        return self._read(
            lambda connection: accounts.read_session_access(connection, session_id, now=self._database.time(connection))
        )

    def close_session(self, session_id: str) -> None:
        """End a session; one that is over already is none."""
        self._write(lambda tx: accounts.close_session(tx, session_id))

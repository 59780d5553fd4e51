"""People and what they may do: grants, tokens, sessions, behind one Protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gitops.access import Access, Grant, Person, Session, Token
from gitops.audit.entry import Actor
from gitops.ports.pages import Mark
from gitops.roles import AccessRole


@dataclass(frozen=True)
class Once:
    """That something is asked for once, however often it is sent.

    Args:
        key: whoever asks made it; nobody meets another one's.
        asked_sha256: hex digest of all that is asked for: for something else the key is refused.
    """

    key: str
    asked_sha256: str


class Accounts(Protocol):
    """Who is known here.

    Every method that changes what somebody may do takes the actor who asked for it, for its audit entry. Where it takes
    a key, what was done with that key before is not done again, whatever has changed since; it may raise a
    `ConflictError`, `IdempotencyKeyUsed`.
    """

    def ensure_person(self, provider: str, login: str, *, subject: str = "", name: str = "") -> Person:
        """Return the person whom an admin names so, known from now on; who is known by the id is called so from now on.

        Args:
            provider: who vouches for the person.
            login: what the person is called here; somebody who was disabled has to leave it to another.
            subject: the provider's own id, which is who the person is; empty where nobody but us vouches.
            name: shown beside the login.

        Raises:
            RefusedError: `LoginTaken` when somebody else is called so who was not disabled.
        """
        ...

    def greet_person(self, person_id: str, *, login: str, name: str) -> Person:
        """Follow what a provider calls a person who signs in, in a form that no admin's word has: `NAME (ID)`.

        Args:
            login: empty where the provider gives none.
            name: likewise.

        Raises:
            NotFoundError: `UnknownPerson`.
        """
        ...

    def find_person(self, provider: str, subject: str) -> Person | None:
        """Return the person who has an id at a provider; None for nobody, and nobody is known by that from now on."""
        ...

    def people(
        self, *, ids: frozenset[str] | None = None, after: tuple[str, str] | None = None, limit: int = 0
    ) -> Sequence[Person]:
        """Return everybody, by login.

        Args:
            ids: only these; None for all.
            after: begin after this login and id.
            limit: at most so many, 0 for all.
        """
        ...

    def grants(self, person_id: str) -> Sequence[Grant]:
        """Return what a person was granted, by repository."""
        ...

    def asked_before(self, once: Once) -> str | None:
        """Return the id of the person or token that was asked about with this key before; None where it is new.

        Raises:
            ConflictError: `IdempotencyKeyUsed`.
        """
        ...

    def grant(
        self, person_id: str, role: AccessRole, *, repository_id: int, actor: Actor, once: Once | None = None
    ) -> None:
        """Give a person a role, in place of the one held there."""
        ...

    def ungrant(self, person_id: str, *, repository_id: int, actor: Actor, once: Once | None = None) -> bool:
        """Take a role away; False where there was none."""
        ...

    def disable_person(self, person_id: str, *, actor: Actor, once: Once | None = None) -> bool:
        """End every session and token of a person; False where that was done before.

        Raises:
            NotFoundError: `UnknownPerson`.
        """
        ...

    def save_token(self, token: Token, *, actor: Actor, once: Once | None = None) -> Token:
        """Keep a token's digest; returns the token that was made with that key before, where one was."""
        ...

    def tokens(
        self, *, person_id: str | None = None, token_id: str | None = None, after: Mark | None = None, limit: int = 0
    ) -> Sequence[Token]:
        """Return the tokens, newest first; of one person, or the one of an id, where asked for.

        Args:
            after: begin after this place.
            limit: at most so many, 0 for all.
        """
        ...

    def revoke_token(self, token_id: str, *, actor: Actor) -> bool:
        """End a token; False where that was done before.

        Raises:
            NotFoundError: `UnknownToken`.
        """
        ...

    def token_access(self, unverified_text: str) -> Access | None:
        """Return what a token may do; None for a text that is no good token's."""
        ...

    def open_session(self, session: Session) -> None:
        """Keep a session, and forget those that are over."""
        ...

    def session_access(self, session_id: str) -> tuple[Session, Access] | None:
        """Return an open session and what its person may do; None when there is none."""
        ...

    def close_session(self, session_id: str) -> None:
        """End a session; one that is over already is none."""
        ...

"""Programs that ask the API: tokens of people with one role or another."""

import contextlib
from collections.abc import Iterator, Mapping
from datetime import timedelta

import httpx

from gitops.access import EVERYWHERE, LOCAL, Token, digest_secret, mint_token_text
from gitops.audit.entry import Actor
from gitops.identifiers import new_id
from gitops.roles import AccessRole
from gitops.store import SqlStore
from tests.support.dashboard import HOST, Dashboard

ROOT = Actor(type="user", login="root")


def give_token(
    store: SqlStore,
    login: str,
    roles: Mapping[int, AccessRole],
    *,
    most: AccessRole = AccessRole.ADMIN,
    repositories: tuple[int, ...] = (),
    days: float = 1,
) -> str:
    """Make a person with roles, and a token of theirs; returns its text."""
    person = store.ensure_person(LOCAL, login)
    for place, role in roles.items():
        store.grant(person.id, role, repository_id=place, actor=ROOT)
    token_id = new_id("k")
    text = mint_token_text(token_id)
    # The fleet's clock is hours behind the real one, by which the web process judges.
    ends = store.now() + timedelta(hours=12, days=days)
    token = Token(
        id=token_id,
        person_id=person.id,
        name=login,
        secret_sha256=digest_secret(text),
        role=most,
        repositories=repositories,
        expires_at=ends,
    )
    store.save_token(token, actor=ROOT)
    return text


@contextlib.contextmanager
def program(dashboard: Dashboard, token: str) -> Iterator[httpx.Client]:
    """Give a program with a token."""
    headers = {"Host": HOST} | ({"Authorization": f"Bearer {token}"} if token else {})
    with httpx.Client(
        base_url=f"http://127.0.0.1:{dashboard.port}", headers=headers, trust_env=False, timeout=30
    ) as client:
        yield client


@contextlib.contextmanager
def program_as(
    dashboard: Dashboard, role: AccessRole, *, on: int = EVERYWHERE, most: AccessRole = AccessRole.ADMIN
) -> Iterator[httpx.Client]:
    """Give a program of a person who has a role."""
    text = give_token(dashboard.store, f"{role}-{on}-{new_id('x')}", {on: role}, most=most)
    with program(dashboard, text) as client:
        yield client

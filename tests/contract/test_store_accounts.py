from datetime import timedelta
from threading import Barrier, Thread
from typing import TYPE_CHECKING

import pytest

from gitops.access import EVERYWHERE, Person, Session, Token, digest_secret, mint_token_text
from gitops.audit.entry import Actor, Entry
from gitops.errors import ConflictError, NotFoundError, RefusedError
from gitops.identifiers import new_id
from gitops.ports import Mark, Once
from gitops.roles import AccessRole
from gitops.store import SqlStore, check_audit_joins
from tests.support.store import Clock, clock, store

if TYPE_CHECKING:
    from gitops.ports import Accounts

__all__ = ["clock", "store"]

ROOT = Actor(type="user", login="root")
PROVIDER = "https://id.example"


def entries(store: SqlStore) -> list[Entry]:
    return [row.entry for row in reversed(store.audit_recent(1000))]


def kinds(store: SqlStore) -> list[str]:
    return [entry.kind for entry in entries(store)]


def ada(store: SqlStore) -> Person:
    return store.ensure_person("local", "ada")


def make_token(store: SqlStore, clock: Clock, *, once: Once | None = None, **changes: object) -> tuple[str, Token]:
    token_id = new_id("k")
    text = mint_token_text(token_id)
    known: dict[str, object] = {
        "id": token_id,
        "person_id": ada(store).id,
        "name": "ci",
        "secret_sha256": digest_secret(text),
        "role": AccessRole.RUNNER,
        "expires_at": clock() + timedelta(days=30),
    }
    token = Token.model_validate(known | changes)
    return text, store.save_token(token, actor=ROOT, once=once)


def test_the_store_is_the_port_of_accounts(store: SqlStore) -> None:
    accounts: Accounts = store
    assert accounts.people() == []


def test_a_person_is_known_once(store: SqlStore) -> None:
    assert ada(store) == ada(store)
    assert [person.login for person in store.people()] == ["ada"]
    assert store.ensure_person(PROVIDER, "ada").id != ada(store).id


def test_who_was_named_before_anybody_knew_their_id_is_bound_to_it(store: SqlStore) -> None:
    granted = store.ensure_person(PROVIDER, "ada")
    named = store.ensure_person(PROVIDER, "ada", subject="17", name="Ada")
    assert (named.id, named.subject, named.name) == (granted.id, "17", "Ada")


def test_somebody_is_found_by_their_id_at_a_provider_alone(store: SqlStore) -> None:
    store.ensure_person(PROVIDER, "eve")
    ada = store.ensure_person(PROVIDER, "ada", subject="17")
    assert store.find_person(PROVIDER, "17") == ada
    assert store.find_person("https://other.example", "17") is None
    assert store.find_person(PROVIDER, "18") is None
    assert store.find_person(PROVIDER, "") is None


def test_a_login_that_somebody_has_is_given_to_no_other_person(store: SqlStore) -> None:
    store.ensure_person(PROVIDER, "ada", subject="17")
    for subject in ("18", "19"):
        with pytest.raises(RefusedError, match="'ada' is the person with the id 17 here") as refused:
            store.ensure_person(PROVIDER, "ada", subject=subject)
        assert refused.value.reason == "LoginTaken"
        assert f"launchpin people disable ada --provider {PROVIDER}" in refused.value.message
        store.ensure_person(PROVIDER, "eve", subject="18")
    assert sorted(person.login for person in store.people()) == ["ada", "eve"]


def test_whoever_left_leaves_the_login_to_whom_an_admin_gives_it(store: SqlStore) -> None:
    left = store.ensure_person(PROVIDER, "bob", subject="17")
    store.disable_person(left.id, actor=ROOT)
    now = store.ensure_person(PROVIDER, "bob", subject="18")
    assert (now.login, now.id != left.id) == ("bob", True)
    assert [(person.login, person.subject) for person in store.people()] == [("bob", "18"), ("bob (17)", "17")]
    assert store.find_person(PROVIDER, "17") is not None


def test_a_person_whom_an_admin_names_otherwise_is_still_that_person(store: SqlStore) -> None:
    first = store.ensure_person(PROVIDER, "ada", subject="17")
    second = store.ensure_person(PROVIDER, "lovelace", subject="17")
    assert second.id == first.id
    assert [person.login for person in store.people()] == ["lovelace"]


def test_what_a_provider_calls_somebody_is_never_what_an_admin_named_another(store: SqlStore) -> None:
    ada = store.ensure_person(PROVIDER, "ada", subject="17")
    eve = store.ensure_person(PROVIDER, "eve", subject="18")
    assert store.greet_person(ada.id, login="ada", name="Ada").login == "ada"
    for _ in range(2):
        assert store.greet_person(eve.id, login="ada", name="").login == "ada (18)"
    assert store.greet_person(eve.id, login="", name="Eve").login == "ada (18)"
    assert [(person.login, person.name) for person in store.people()] == [("ada", "Ada"), ("ada (18)", "Eve")]
    assert store.ensure_person(PROVIDER, "eve", subject="18").login == "eve"
    with pytest.raises(NotFoundError, match="nobody here has the id"):
        store.greet_person("u-none", login="ada", name="")


def test_of_many_first_sign_ins_at_once_one_person_comes(store: SqlStore) -> None:
    together, found = Barrier(4), []

    def sign_in() -> None:
        together.wait()
        found.append(store.ensure_person(PROVIDER, "ada", subject="17").id)

    threads = [Thread(target=sign_in) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == len(store.people()) == 1


def test_a_grant_takes_the_place_of_the_one_before_and_each_change_is_told_once(store: SqlStore) -> None:
    person = ada(store)
    for role in (AccessRole.VIEWER, AccessRole.VIEWER, AccessRole.ADMIN):
        store.grant(person.id, role, repository_id=EVERYWHERE, actor=ROOT)
    store.grant(person.id, AccessRole.RUNNER, repository_id=7, actor=ROOT)
    assert [(held.repository_id, held.role) for held in store.grants(person.id)] == [(0, "admin"), (7, "runner")]
    assert store.ungrant(person.id, repository_id=7, actor=ROOT)
    assert not store.ungrant(person.id, repository_id=7, actor=ROOT)
    told = [(entry.kind, entry.from_, entry.to, entry.subject.repo_id) for entry in entries(store)]
    assert told == [
        ("grant.given", "", "viewer", 0),
        ("grant.given", "viewer", "admin", 0),
        ("grant.given", "", "runner", 7),
        ("grant.taken", "runner", "", 7),
    ]
    assert {entry.subject.name for entry in entries(store)} == {person.id}
    assert {entry.evidence["login"] for entry in entries(store)} == {"ada"}
    assert check_audit_joins(store) == []


def test_nobody_is_granted_anything_who_is_not_known(store: SqlStore) -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        store.grant("u-none", AccessRole.VIEWER, repository_id=EVERYWHERE, actor=ROOT)
    assert entries(store) == []


def test_a_token_is_good_until_it_ends(store: SqlStore, clock: Clock) -> None:
    text, token = make_token(store, clock)
    store.grant(token.person_id, AccessRole.ADMIN, repository_id=EVERYWHERE, actor=ROOT)
    access = store.token_access(text)
    assert access is not None
    assert (access.person.login, access.token_id, access.role_on(7)) == ("ada", token.id, AccessRole.RUNNER)
    clock.advance(timedelta(days=30))
    assert store.token_access(text) is None


@pytest.mark.parametrize("wrong", ["", "lpt_x", "Bearer", "{other}", "{cut}"])
def test_other_texts_open_nothing(store: SqlStore, clock: Clock, wrong: str) -> None:
    text, _ = make_token(store, clock)
    other = mint_token_text(new_id("k"))
    assert store.token_access(wrong.format(other=other, cut=text[:-1])) is None


def test_a_revoked_token_opens_nothing_and_is_revoked_once(store: SqlStore, clock: Clock) -> None:
    text, token = make_token(store, clock, repositories=(7, 8))
    assert store.revoke_token(token.id, actor=ROOT)
    assert not store.revoke_token(token.id, actor=ROOT)
    assert store.token_access(text) is None
    assert kinds(store) == ["token.made", "token.revoked"]
    made = entries(store)[0]
    assert (made.to, made.subject.name, made.evidence["repositories"]) == ("runner", token.id, [7, 8])
    with pytest.raises(NotFoundError, match="no token"):
        store.revoke_token("k-none", actor=ROOT)


def test_no_part_of_a_tokens_secret_is_kept_or_told(store: SqlStore, clock: Clock) -> None:
    text, token = make_token(store, clock)
    secret = text.split("_", maxsplit=2)[2]
    assert [kept.id for kept in store.tokens()] == [token.id]
    assert secret not in "".join(kept.model_dump_json() for kept in store.tokens())
    raw = b"".join(store.audit_entries(0, 100))
    assert secret.encode() not in raw
    assert token.secret_sha256.encode() not in raw


def test_tokens_are_listed_newest_first_and_by_person(store: SqlStore, clock: Clock) -> None:
    _, first = make_token(store, clock)
    clock.advance(timedelta(seconds=1))
    _, second = make_token(store, clock)
    assert [token.id for token in store.tokens()] == [second.id, first.id]
    assert store.tokens(person_id="u-none") == []


def open_session(store: SqlStore, clock: Clock, cookie: str) -> Session:
    session = Session(
        id=digest_secret(cookie), person_id=ada(store).id, csrf="csrf", expires_at=clock() + timedelta(hours=12)
    )
    store.open_session(session)
    return session


def test_a_session_is_found_by_the_digest_of_its_cookie_until_it_ends(store: SqlStore, clock: Clock) -> None:
    opened = open_session(store, clock, "cookie")
    found = store.session_access(digest_secret("cookie"))
    assert found is not None
    assert (found[0].csrf, found[1].person.login, found[1].method) == ("csrf", "ada", "session")
    assert store.session_access(digest_secret("other")) is None
    store.close_session(opened.id)
    assert store.session_access(opened.id) is None
    store.close_session(opened.id)
    assert kinds(store) == []


def test_sessions_that_are_over_are_forgotten_when_another_begins(store: SqlStore, clock: Clock) -> None:
    old = open_session(store, clock, "old")
    clock.advance(timedelta(hours=12))
    assert store.session_access(old.id) is None
    new = open_session(store, clock, "new")
    assert store.session_access(new.id) is not None


def test_a_disabled_person_has_neither_sessions_nor_tokens(store: SqlStore, clock: Clock) -> None:
    text, token = make_token(store, clock)
    session = open_session(store, clock, "cookie")
    assert store.disable_person(token.person_id, actor=ROOT)
    assert not store.disable_person(token.person_id, actor=ROOT)
    assert store.token_access(text) is None
    assert store.session_access(session.id) is None
    assert kinds(store)[-1] == "person.disabled"
    with pytest.raises(NotFoundError, match="nobody"):
        store.disable_person("u-none", actor=ROOT)


def test_tokens_and_people_are_read_part_by_part(store: SqlStore, clock: Clock) -> None:
    # Two of one moment are kept apart by their ids.
    for seconds in (0, 1, 0, 1):
        clock.advance(timedelta(seconds=seconds))
        make_token(store, clock)
    whole = list(store.tokens())
    assert len({token.created_at for token in whole}) < len(whole)
    for at, token in enumerate(whole):
        after = Mark(token.created_at or clock(), token.id)
        assert list(store.tokens(after=after)) == whole[at + 1 :]
        assert list(store.tokens(after=after, limit=1)) == whole[at + 1 : at + 2]
        assert list(store.tokens(token_id=token.id)) == [token]
    for provider in ("local", PROVIDER):
        for login in ("eve", "bob"):
            store.ensure_person(provider, login)
    everybody = list(store.people())
    assert [one.login for one in everybody] == ["ada", "bob", "bob", "eve", "eve"]
    for at, one in enumerate(everybody):
        assert list(store.people(after=(one.login, one.id))) == everybody[at + 1 :]
        assert list(store.people(ids=frozenset({one.id}))) == [one]
    assert list(store.people(limit=2)) == everybody[:2]
    assert list(store.people(ids=frozenset())) == []


def test_what_has_a_key_is_done_once_and_the_key_is_nothing_elses(store: SqlStore) -> None:
    person, once = ada(store), Once("key", "a" * 64)
    assert store.asked_before(once) is None
    store.grant(person.id, AccessRole.ADMIN, repository_id=EVERYWHERE, actor=ROOT, once=once)
    assert store.ungrant(person.id, repository_id=EVERYWHERE, actor=ROOT, once=Once("other", "b" * 64))
    store.grant(person.id, AccessRole.ADMIN, repository_id=EVERYWHERE, actor=ROOT, once=once)
    assert not store.ungrant(person.id, repository_id=EVERYWHERE, actor=ROOT, once=Once("other", "b" * 64))
    assert store.grants(person.id) == []
    assert store.asked_before(once) == person.id
    for used in (Once("key", "c" * 64), Once("other", "a" * 64)):
        with pytest.raises(ConflictError) as refused:
            store.disable_person(person.id, actor=ROOT, once=used)
        assert refused.value.reason == "IdempotencyKeyUsed"
    assert kinds(store) == ["grant.given", "grant.taken"]
    assert check_audit_joins(store) == []


def test_a_token_is_made_once_for_a_key_and_the_first_one_is_returned(store: SqlStore, clock: Clock) -> None:
    _, first = make_token(store, clock, once=Once("key", "a" * 64))
    clock.advance(timedelta(days=1))
    _, again = make_token(store, clock, once=Once("key", "a" * 64))
    assert again == first
    assert list(store.tokens()) == [first]
    with pytest.raises(ConflictError, match="something else"):
        make_token(store, clock, once=Once("key", "b" * 64))
    assert kinds(store) == ["token.made"]


def test_a_key_whose_change_came_to_nothing_is_free(store: SqlStore) -> None:
    once = Once("key", "a" * 64)
    with pytest.raises(NotFoundError):
        store.disable_person("u-none", actor=ROOT, once=once)
    assert store.disable_person(ada(store).id, actor=ROOT, once=once)

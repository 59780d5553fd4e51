from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.access import (
    EVERYWHERE,
    Access,
    Grant,
    Person,
    Session,
    Token,
    access_by_session,
    access_by_token,
    check_login,
    check_token_name,
    digest_secret,
    is_secret_of,
    may_see_command,
    mint_token_text,
    read_token_id,
)
from gitops.errors import InputError
from gitops.identifiers import new_id
from gitops.records import Cause, Command, CommandFacts
from gitops.roles import AccessRole

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ADA = Person(id="u-1", provider="local", subject="", login="ada")
VIEWER, RUNNER, APPROVER, ADMIN = AccessRole

roles = st.sampled_from(AccessRole)
places = st.integers(0, 4)


def make_token(**changes: object) -> Token:
    known: dict[str, object] = {
        "id": "k-000000000000001",
        "person_id": ADA.id,
        "name": "ci",
        "secret_sha256": digest_secret("text"),
        "role": ADMIN,
        "expires_at": NOW + timedelta(days=1),
    }
    return Token.model_validate(known | changes)


def grant(role: AccessRole, place: int = EVERYWHERE) -> Grant:
    return Grant(person_id=ADA.id, repository_id=place, role=role, by="root")


def test_each_role_may_what_the_ones_before_it_may() -> None:
    may = {role: [other for other in AccessRole if role.covers(other)] for role in AccessRole}
    assert may == {
        VIEWER: [VIEWER],
        RUNNER: [VIEWER, RUNNER],
        APPROVER: [VIEWER, RUNNER, APPROVER],
        ADMIN: [VIEWER, RUNNER, APPROVER, ADMIN],
    }


def test_a_role_on_one_repository_says_nothing_of_another() -> None:
    access = Access(ADA, "session", {7: APPROVER})
    assert access.may(APPROVER, 7)
    assert not access.may(ADMIN, 7)
    assert not access.may(VIEWER, 8)
    assert not access.may(VIEWER)
    assert access.may_anywhere(APPROVER)
    assert not access.may_anywhere(ADMIN)
    assert access.seen == frozenset({7})


def test_the_greater_of_a_role_everywhere_and_one_on_the_repository_counts() -> None:
    access = Access(ADA, "session", {EVERYWHERE: RUNNER, 7: VIEWER, 8: ADMIN})
    assert access.role_on(7) is RUNNER
    assert access.role_on(8) is ADMIN
    assert access.role_on(9) is RUNNER
    assert access.seen is None


def test_nobody_without_a_grant_sees_anything() -> None:
    access = Access(ADA, "session", {})
    assert access.seen == frozenset()
    assert not access.may_anywhere(VIEWER)


def test_a_token_is_its_person_with_less() -> None:
    token = make_token(role=RUNNER, repositories=(7,))
    access = access_by_token(token, ADA, [grant(ADMIN)], now=NOW)
    assert access is not None
    assert access.role_on(7) is RUNNER
    assert access.role_on(8) is None
    assert not access.may(VIEWER)
    assert access.seen == frozenset({7})


def test_a_token_falls_with_the_grant_of_its_person() -> None:
    access = access_by_token(make_token(role=ADMIN), ADA, [grant(VIEWER)], now=NOW)
    assert access is not None
    assert access.role_on(7) is VIEWER
    nothing = access_by_token(make_token(role=ADMIN), ADA, [], now=NOW)
    assert nothing is not None
    assert not nothing.may_anywhere(VIEWER)


@given(held=st.dictionaries(places, roles), most=roles, kept_to=st.frozensets(st.integers(1, 4)), asked=places)
def test_a_token_never_may_more_than_its_person(
    held: dict[int, AccessRole], most: AccessRole, kept_to: frozenset[int], asked: int
) -> None:
    person = Access(ADA, "session", held)
    token = Access(ADA, "token", held, most=most, kept_to=kept_to)
    for needed in AccessRole:
        assert not token.may(needed, asked) or (person.may(needed, asked) and most.covers(needed))
    assert token.seen is None or person.seen is None or token.seen <= person.seen
    if token.seen is not None:
        assert all(token.may(VIEWER, place) for place in token.seen)


@given(held=st.dictionaries(places, roles), kept_to=st.frozensets(st.integers(1, 4)), about=places)
def test_what_came_of_a_command_is_for_who_asked_and_may_look_there_and_for_who_sees_everything(
    held: dict[int, AccessRole], kept_to: frozenset[int], about: int
) -> None:
    def asked_by(person: str, token: str = "") -> Command:
        cause = Cause(kind="command", id="c-1", person=person, token=token)
        facts = CommandFacts(repository_id=about)
        return Command(id="c-1", cause=cause, verb="hold", idempotency_key="1", facts=facts)

    own, same, another = asked_by(ADA.id, "k-1"), asked_by(ADA.id, "k-2"), asked_by("u-2", "k-1")
    nobody = asked_by("")
    token = Access(ADA, "token", held, token_id="k-1", kept_to=kept_to)
    assert may_see_command(token, own) is token.may(VIEWER, about)
    assert may_see_command(token, same) is (token.may(VIEWER, about) and not kept_to)
    assert may_see_command(token, another) is token.may(VIEWER)
    assert may_see_command(token, nobody) is token.may(VIEWER)


@pytest.mark.parametrize(
    "wrong",
    [
        {"token": make_token(expires_at=NOW)},
        {"token": make_token(revoked_at=NOW - timedelta(days=1))},
        {"person": ADA.model_copy(update={"disabled_at": NOW})},
    ],
    ids=["expired", "revoked", "person disabled"],
)
def test_a_token_that_is_over_may_nothing(wrong: dict[str, object]) -> None:
    told = {"token": make_token(), "person": ADA} | wrong
    assert access_by_token(told["token"], told["person"], [grant(ADMIN)], now=NOW) is None  # type: ignore[arg-type]


def test_a_session_ends_at_its_time_and_with_its_person() -> None:
    session = Session(id="s", person_id=ADA.id, csrf="c", expires_at=NOW)
    earlier = NOW - timedelta(seconds=1)
    assert access_by_session(session, ADA, [grant(ADMIN)], now=earlier) is not None
    assert access_by_session(session, ADA, [grant(ADMIN)], now=NOW) is None
    gone = ADA.model_copy(update={"disabled_at": earlier})
    assert access_by_session(session, gone, [grant(ADMIN)], now=earlier) is None


def test_the_text_of_a_token_names_it_and_proves_it() -> None:
    text = mint_token_text(new_id("k"))
    token_id = read_token_id(text)
    token = make_token(id=token_id, secret_sha256=digest_secret(text))
    assert is_secret_of(text, token)
    assert not is_secret_of(text[:-1] + ("a" if text[-1] != "a" else "b"), token)
    assert text.startswith("lpt_")
    assert text not in token.model_dump_json()


@pytest.mark.parametrize("text", ["", "lpt_", "lpt_1_2", "ghp_000000000000001_" + "a" * 43, " " + "a" * 43, "\udc80"])
def test_other_texts_are_no_tokens(text: str) -> None:
    assert read_token_id(text) is None
    assert len(digest_secret(text)) == 64


@pytest.mark.parametrize("login", ["ada", "ada.lovelace@example.com", "launchpin[bot]", "A", "a" * 100])
def test_logins_of_forges_and_identity_providers_are_taken(login: str) -> None:
    assert check_login(login) == login


@pytest.mark.parametrize("login", ["", " ada", "ada\n", "-ada", "ada/../x", "a" * 101, "<b>", "\u0430da"])
def test_other_logins_are_refused_with_the_rule(login: str) -> None:
    with pytest.raises(InputError, match="1 to 100"):
        check_login(login)


@pytest.mark.parametrize("name", ["", "a" * 101, "a\tb", "a\x1b[2J"])
def test_a_tokens_name_is_short_and_harmless(name: str) -> None:
    with pytest.raises(InputError, match="1 to 100"):
        check_token_name(name)
    assert check_token_name("nightly build, Zürich") == "nightly build, Zürich"

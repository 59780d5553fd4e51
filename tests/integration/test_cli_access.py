"""`launchpin people` and `launchpin token`: who may do what, as whoever owns the stack's folder says."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gitops.logins import this_user, use_link
from gitops.roles import AccessRole
from gitops.store import check_audit_joins
from gitops.writes import SaveRepository
from tests.support.cli import Stack, make_stack
from tests.support.store import make_repository, write

ISSUER = "https://id.example"
THERE = ("--provider", ISSUER)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with make_stack(tmp_path) as stack:
        write(stack.store, SaveRepository(make_repository(id=7, full_name="acme/iris")))
        yield stack


def test_a_token_is_shown_once_and_opens_what_it_says(stack: Stack) -> None:
    made = stack.launchpin("token", "create", "nightly", "--role", "runner", "--repository", "acme/iris", "--days", "7")
    assert made.code == 0, made.both
    text = made.out.strip()
    assert "shown this once" in made.err
    access = stack.store.token_access(text)
    assert access is not None
    assert (access.person.login, access.role_on(7), access.role_on(8)) == (this_user(), AccessRole.RUNNER, None)
    listed = stack.launchpin("token", "list")
    assert text not in listed.both
    assert access.token_id in listed.out
    assert "in 6 d" in listed.out or "in 7 d" in listed.out
    assert check_audit_joins(stack.store) == []


def test_a_token_that_was_revoked_opens_nothing(stack: Stack) -> None:
    made = stack.launchpin("token", "create", "nightly", "--json").json
    assert stack.launchpin("token", "revoke", made["id"]).out == f"{made['id']} is ended\n"
    assert stack.launchpin("token", "revoke", made["id"]).out == f"{made['id']} was ended before\n"
    assert stack.store.token_access(made["text"]) is None
    (listed,) = stack.launchpin("token", "list", "--json").json["tokens"]
    assert listed["revoked_at"] is not None
    assert "ended" in stack.launchpin("token", "list").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("token", "create", "a\tb"), "1 to 100 characters"),
        (("token", "create", "ci", "--days", "0"), "1<=x<=365"),
        (("token", "create", "ci", "--role", "king"), "'king' is not one of"),
        (("token", "create", "ci", "--repository", "acme/iri"), "did you mean acme/iris?"),
        (("token", "create", "ci", "--for", "mona"), "launchpin people grant mona viewer"),
        (("token", "create", "ci", "--for", "-x"), "is no login"),
        (("token", "revoke", "k-none"), "launchpin token list"),
        (("token", "rewoke", "x"), "did you mean revoke?"),
        (("people", "grant", "mona lisa", "viewer"), "is no login"),
        (("people", "grant", "mona", "boss"), "'boss' is not one of"),
        (("people", "grant", "mona", "viewer", "--repository", "acme/x"), "acme/iris"),
        (
            ("people", "grant", "mona", "viewer", "--provider", "https://id.example"),
            "give their id there with --subject",
        ),
        (("people", "grant", "mona", "viewer", "--provider", "locl"), "'locl' vouches for nobody: write local"),
        (("people", "grant", "mona", "viewer", "--provider", "id.example", "--subject", "17"), "vouches for nobody"),
        (("people", "grant", "mona", "viewer", "--provider", "https://", "--subject", "17"), "vouches for nobody"),
        (("people", "grant", "mona", "viewer", "--subject", "17"), "say with --provider who vouches"),
        (("people", "revoke", "mona"), "nobody of local is called 'mona'"),
        (("people", "disable", "mona"), "nobody of local is called 'mona'"),
        (("people", "link", "mona"), "nobody of local is called 'mona'"),
    ],
)
def test_what_cannot_be_done_says_what_is_wrong_and_changes_nothing(
    stack: Stack, arguments: tuple[str, ...], words: str
) -> None:
    stack.set_up()
    before = stack.store.audit_size()
    result = stack.launchpin(*arguments)
    assert result.code != 0
    assert words in result.err
    assert stack.store.tokens() == []
    assert stack.store.audit_size() == before


def test_a_person_has_the_roles_that_were_given_and_not_taken(stack: Stack) -> None:
    assert stack.launchpin("people", "list").out.startswith("Nobody has signed in yet")
    for role in ("viewer", "approver"):
        assert stack.launchpin("people", "grant", "mona", role, "--repository", "acme/iris").code == 0
    assert stack.launchpin("people", "grant", "mona", "viewer").out == "mona is a viewer everywhere\n"
    (mona,) = stack.launchpin("people", "list", "--json").json["people"]
    assert [(each["repository"], each["role"]) for each in mona["grants"]] == [
        ("", "viewer"),
        ("acme/iris", "approver"),
    ]
    assert "a viewer everywhere, an approver on acme/iris" in stack.launchpin("people", "list").out
    assert stack.launchpin("people", "revoke", "mona").out == "mona has no role everywhere any more\n"
    assert stack.launchpin("people", "revoke", "mona").out == "mona had no role everywhere\n"
    told = [(row.entry.kind, row.entry.actor.login) for row in stack.store.audit_recent(4)]
    assert told == [("grant.taken", this_user()), *[("grant.given", this_user())] * 3]


def test_somebody_of_a_provider_is_named_by_their_id_there_the_first_time(stack: Stack) -> None:
    first = stack.launchpin("people", "grant", "ada", "viewer", *THERE, "--subject", "17")
    assert first.out == "ada (17 at https://id.example) is a viewer everywhere\n"
    again = stack.launchpin("people", "grant", "ada", "approver", "--repository", "acme/iris", *THERE, "--json").json
    assert (again["login"], again["subject"], again["role"]) == ("ada", "17", "approver")
    other = stack.launchpin("people", "grant", "ada", "admin", *THERE, "--subject", "18")
    assert (other.code, "'ada' is the person with the id 17 here" in other.err) == (1, True)
    (ada,) = stack.launchpin("people", "list", "--json").json["people"]
    assert (ada["subject"], [each["role"] for each in ada["grants"]]) == ("17", ["viewer", "approver"])
    assert "17" in stack.launchpin("people", "list").out


def test_a_provider_is_one_of_those_that_this_process_knows(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAUNCHPIN_OIDC_ISSUER", ISSUER)
    monkeypatch.setenv("LAUNCHPIN_GITHUB_OAUTH_CLIENT_ID", "x")
    for wrong in (f"{ISSUER}/", "https://id.exampel", "locl"):
        refused = stack.launchpin("people", "grant", "ada", "viewer", "--provider", wrong, "--subject", "17")
        assert refused.code != 0
        assert f"write one of local, https://github.com, {ISSUER}, letter by letter" in refused.err
    assert list(stack.store.people()) == []
    for right in (ISSUER, "https://github.com"):
        given = stack.launchpin("people", "grant", "ada", "viewer", "--provider", right, "--subject", "17")
        assert given.code == 0, given.both
    assert stack.launchpin("people", "grant", "mona", "viewer").code == 0


def test_a_name_that_somebody_gave_themselves_is_given_nothing_without_their_id(stack: Stack) -> None:
    mallory = stack.store.ensure_person(ISSUER, "mallory", subject="9")
    stack.store.greet_person(mallory.id, login="carol", name="")
    refused = stack.launchpin("people", "grant", "carol", "admin", *THERE)
    assert refused.code != 0
    assert "'carol' could be 9, whom https://id.example calls so: say who is meant with --subject" in refused.err
    stack.launchpin("people", "grant", "carol", "viewer", *THERE, "--subject", "5")
    refused = stack.launchpin("people", "grant", "carol", "admin", *THERE)
    assert "'carol' could be 5, whom an admin named so, or 9, whom https://id.example calls so" in refused.err
    assert stack.store.grants(mallory.id) == []
    gone = stack.launchpin("people", "revoke", "eve", *THERE)
    assert "nobody of https://id.example is called 'eve' here" in gone.err
    assert stack.launchpin("people", "disable", "carol (9)", *THERE).code == 0
    assert stack.launchpin("people", "grant", "carol", "admin", *THERE, "--json").json["subject"] == "5"


def test_who_was_disabled_is_given_nothing_and_leaves_the_login(stack: Stack) -> None:
    stack.launchpin("people", "grant", "bob", "viewer", *THERE, "--subject", "17")
    assert (
        stack.launchpin("people", "disable", "bob", *THERE).out
        == "bob (17 at https://id.example) may not sign in any more\n"
    )
    refused = stack.launchpin("people", "grant", "bob", "viewer", *THERE)
    assert (refused.code, "name whoever is called so now by their own id" in refused.err) == (1, True)
    assert stack.launchpin("people", "grant", "bob", "viewer", *THERE, "--subject", "18").code == 0
    people = stack.launchpin("people", "list", "--json").json["people"]
    assert [(each["login"], each["subject"]) for each in people] == [("bob", "18"), ("bob (17)", "17")]


def test_a_token_for_somebody_else_may_what_they_may(stack: Stack) -> None:
    stack.launchpin("people", "grant", "robot", "viewer")
    text = stack.launchpin("token", "create", "ci", "--role", "admin", "--for", "robot").out.strip()
    access = stack.store.token_access(text)
    assert access is not None
    assert access.role_on(7) is AccessRole.VIEWER
    assert stack.launchpin("people", "disable", "robot").code == 0
    assert stack.store.token_access(text) is None
    assert "may not sign in" in stack.launchpin("people", "list").out


def test_a_link_signs_in_the_person_that_it_names_with_no_more_than_they_have(stack: Stack) -> None:
    stack.set_up()
    stack.launchpin("people", "grant", "mona", "viewer")
    url = stack.launchpin("people", "link", "mona").out.strip()
    secret = url.partition("/_login/")[2].partition("?")[0]
    link = use_link(stack.layout.dir / "logins", secret)
    assert link is not None
    assert (link.login, link.role) == ("mona", "")
    stack.launchpin("people", "disable", "mona")
    assert "was disabled" in stack.launchpin("people", "link", "mona").err


def test_the_owner_of_the_folder_cannot_be_shut_out_of_it(stack: Stack) -> None:
    stack.launchpin("token", "create", "ci")
    result = stack.launchpin("people", "disable", this_user())
    assert (result.code, "owns the folder" in result.err) == (1, True)


def test_a_token_ends_by_itself(stack: Stack) -> None:
    made = stack.launchpin("token", "create", "short", "--days", "1", "--json").json
    (token,) = stack.store.tokens()
    assert token.created_at is not None
    assert timedelta(hours=23) < token.expires_at - token.created_at <= timedelta(days=1)
    assert made["expires_at"] == token.expires_at.isoformat()

"""The table of verbs, and the command line and the worker held to it."""

import subprocess
import sys

import click
import pytest

from gitops.authority import AUTHORITY
from gitops.cli import verbs as page
from gitops.cli.main import launchpin
from gitops.commands.story import DEEDS, check_arguments
from gitops.errors import RefusedError
from gitops.grammar import VERBS, Argument, Kind
from gitops.records import Role
from gitops.roles import AccessRole

# What the command line has beside: where the stack is, how long to wait, how to show it, and files of this machine.
_ITS_OWN = {"stack_dir", "as_json", "timeout", "bundle", "local", "folder"}
# What may be left out there, where an option of its own stands in its place.
_REPLACED = {("train", "repository")}
_TYPED = {name: verb for name, verb in VERBS.items() if not verb.typed_as}


# `launchpin add DIR` reads from the clone in that folder what `connect` is told: its role always, its name by default.
_OF_ADD = {"repository": "as", "role": "", "secrets": "secret"}


def typed(verb: str) -> click.Command:
    command: click.Command = launchpin
    for word in (VERBS[verb].typed_as or verb).split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command


def parameters(verb: str) -> dict[str, click.Parameter]:
    """Return a verb's parameters by the name that a person types."""
    found = (one for one in typed(verb).params if one.name not in _ITS_OWN)
    return {(one.opts[-1].removeprefix("--") if isinstance(one, click.Option) else str(one.name)): one for one in found}


def test_table_loads_nothing_of_ours() -> None:
    code = "import sys, gitops.grammar; print(*sorted(name for name in sys.modules if name.startswith('gitops')))"
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["gitops", "gitops.grammar", "gitops.roles"]


def test_every_verb_that_changes_something_is_carried_out_by_a_worker_and_no_other() -> None:
    assert sorted(DEEDS) == sorted(name for name, verb in VERBS.items() if verb.changes)


@pytest.mark.parametrize("verb", [name for name in VERBS if " " not in name])
def test_verb_has_the_same_line_on_the_page_of_help(verb: str) -> None:
    assert page.VERBS[VERBS[verb].typed_as or verb][1] == VERBS[verb].help


@pytest.mark.parametrize("verb", [name for name in VERBS if " " in name])
def test_verb_below_another_begins_its_own_page_with_its_line(verb: str) -> None:
    assert (typed(verb).help or "").startswith(VERBS[verb].help.removesuffix("."))


def test_what_is_typed_and_no_verb_of_a_table_is_known_with_why() -> None:
    no_verbs = {
        "of this machine": {"up", "down", "demo", "init", "validate", "doctor", "notify", "completion"},
        "of the forge": {"pr"},
        "of whoever asks alone": {"token"},
    }
    known = {(verb.typed_as or verb.name).split()[0] for verb in (*VERBS.values(), *AUTHORITY.values())}
    assert page.VERBS.keys() - known == set().union(*no_verbs.values())


def test_the_words_that_command_line_api_and_comments_share_are_there() -> None:
    shared = "train plan promote rollback hold resume pause retry cancel explain history runs versions endpoints logs"
    assert {*shared.split(), "schema", "audit at"} <= VERBS.keys()


@pytest.mark.parametrize("verb", _TYPED)
def test_verb_is_typed_with_the_arguments_of_the_table(verb: str) -> None:
    found = {
        name.replace("-", "_"): (one.required, isinstance(one, click.Option)) for name, one in parameters(verb).items()
    }
    table = {
        one.name: (one.is_required and (verb, one.name) not in _REPLACED, one.is_option)
        for one in VERBS[verb].arguments
    }
    assert found == table


def test_the_one_verb_that_is_typed_otherwise_is_given_every_argument_of_the_table() -> None:
    assert [name for name in VERBS if name not in _TYPED] == ["connect"]
    assert list(_OF_ADD) == [one.name for one in VERBS["connect"].arguments]
    assert set(parameters("connect")) == {name for name in _OF_ADD.values() if name}
    assert not any(one.required for one in parameters("connect").values())


@pytest.mark.parametrize("verb", _TYPED)
def test_option_says_the_same_in_the_table_and_on_the_command_line(verb: str) -> None:
    options = {name: one for name, one in parameters(verb).items() if isinstance(one, click.Option)}
    table = {one.name.replace("_", "-"): one for one in VERBS[verb].arguments if one.is_option}
    assert {name: one.help for name, one in options.items()} == {name: one.help for name, one in table.items()}
    assert {name for name, one in options.items() if one.is_flag} == {
        name for name, one in table.items() if one.kind is Kind.FLAG
    }


@pytest.mark.parametrize("most", [1, 9, 10, 366, 500, 10_000])
def test_a_number_has_no_more_than_its_most(most: int) -> None:
    argument = Argument("limit", Kind.NUMBER, "", most=most)
    tried = range(max(most * 2, 30))
    assert [number for number in tried if argument.takes(str(number))] == list(range(1, most + 1))


@pytest.mark.parametrize("verb", _TYPED)
def test_a_number_has_the_same_most_on_the_command_line(verb: str) -> None:
    ranges = {name: one.type.max for name, one in parameters(verb).items() if isinstance(one.type, click.IntRange)}
    assert ranges == {one.name: one.most for one in VERBS[verb].arguments if one.kind is Kind.NUMBER}


def test_names_of_arguments_are_those_that_commands_may_have() -> None:
    for verb in VERBS.values():
        names = [one.name for one in verb.arguments]
        assert len(set(names)) == len(names), verb.name
        assert all(name.isidentifier() for name in names), verb.name


def test_whoever_only_looks_changes_nothing_and_whoever_changes_is_more_than_a_viewer() -> None:
    assert all((verb.who is AccessRole.VIEWER) is not verb.changes for verb in VERBS.values())


@pytest.mark.parametrize(
    ("who", "verbs"),
    [
        (AccessRole.RUNNER, {"train", "retry", "cancel", "redeliver"}),
        (AccessRole.APPROVER, {"register", "promote", "rollback", "hold", "pause", "resume"}),
        (AccessRole.ADMIN, {"connect", "gc"}),
    ],
)
def test_each_role_has_its_verbs(who: AccessRole, verbs: set[str]) -> None:
    assert {name for name, verb in VERBS.items() if verb.who is who} == verbs


@pytest.mark.parametrize(
    ("given", "reason", "words"),
    [
        ({"endpoint": "iris-staging", "reason": "x", "version": "2"}, "ArgumentUnknown", "it takes endpoint, reason"),
        ({"endpoint": "iris-staging"}, "ArgumentMissing", "hold needs reason: Why"),
        ({"endpoint": "", "reason": "x"}, "ArgumentMissing", "hold needs endpoint"),
    ],
)
def test_arguments_that_the_table_does_not_have_are_refused_by_name(
    given: dict[str, str], reason: str, words: str
) -> None:
    with pytest.raises(RefusedError, match=words) as refused:
        check_arguments(VERBS["hold"], given)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("verb", "given", "words"),
    [
        ("resume", {"all": "no"}, "resume: all is yes, not 'no'"),
        ("gc", {"dry_run": "true"}, "gc: dry_run is yes, not 'true'"),
        ("connect", {"repository": "acme/iris", "role": "both"}, "connect: role is model or deploy, not 'both'"),
    ],
)
def test_values_that_there_are_not_are_refused_with_those_there_are(
    verb: str, given: dict[str, str], words: str
) -> None:
    with pytest.raises(RefusedError, match=words) as refused:
        check_arguments(VERBS[verb], given)
    assert refused.value.reason == "ArgumentInvalid"


_SAMPLES = {
    Kind.REPOSITORY: (["acme/iris"], ["iris", "acme/iris/x", "https://github.com/acme/iris"]),
    Kind.TRAINING: (["t-1m80s5ep34ketdq"], ["1m80s5ep34ketdq", "t-", "t-A"]),
    Kind.STORY: (["t-1m80s5ep34ketdq", "iris-staging", "acme/deploy:staging"], ["iris staging", "acme/deploy:"]),
    Kind.LOGGED: (
        ["t-1m80s5ep34ketdq", "t-1m80s5ep34ketdq.3", "r-1", "iris-staging", "acme/deploy:staging"],
        ["iris staging", "-t"],
    ),
    Kind.DELIVERY: (["0b5ad3b1-55f2-4b5e-9d0c-2a4c1f4e8a11"], ["0b5ad3b1", "0b5ad3b1-55f2-4b5e-9d0c-2a4c1f4e8a1g"]),
    Kind.MOMENT: (["2026-01-31T12:00:00Z", "2026-01-31T12:00:00+01:00", "now"], ["yesterday", "2026"]),
    Kind.SUBJECT: (["#12", "acme/deploy#12", "iris-staging"], ["a\nb"]),
    Kind.MODEL: (["iris", "Prix d'été"], ["a/b", "a:b", "a\x00"]),
    Kind.VERSION: (["1", "12"], ["0", "latest", "-1", "1" * 19]),
    Kind.ENDPOINT: (["iris-staging", "acme/deploy:models/a b"], ["iris_staging", "-a", "a" * 64, "a/b:\n"]),
    Kind.PLACE: (["iris", "acme/deploy:staging"], ["a\tb"]),
    Kind.BRANCH: (["main", "feature/x"], ["a b", "a~1", "a..b\n", "a:b"]),
    Kind.FILE: (["models/iris/launchpin.yaml"], ["a\nb", "a" * 401]),
    Kind.WORDS: (["DB_PASSWORD", "A,B"], ["A,,B", "A B", "1A"]),
    Kind.TEXT: (["odd answers since noon"], ["a\nb", "a" * 2001]),
    Kind.NUMBER: (["20"], ["0", "1e3", "-1"]),
    Kind.FLAG: (["yes"], ["no", "true"]),
}


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.WORD])
def test_values_look_as_their_kind_says_and_no_other(kind: Kind) -> None:
    argument = Argument("name", kind, "")
    fine, wrong = _SAMPLES[kind]
    assert [value for value in fine if not argument.takes(value)] == []
    assert [value for value in [*wrong, "", f"{fine[0]}\n"] if argument.takes(value)] == []


def test_a_value_of_the_wrong_shape_is_refused_with_the_right_one() -> None:
    with pytest.raises(RefusedError, match="cancel: training is the id of a training, t- and what follows, not 'x'"):
        check_arguments(VERBS["cancel"], {"training": "x"})


def test_roles_of_a_repository_are_those_that_the_table_names() -> None:
    (role,) = (one for one in VERBS["connect"].arguments if one.name == "role")
    assert set(role.words) == {role.value for role in Role}

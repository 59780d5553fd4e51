"""The table of authority, and the command line held to it."""

import subprocess
import sys

import click
import pytest

from gitops.authority import AUTHORITY
from gitops.cli.main import launchpin
from gitops.grammar import VERBS
from gitops.roles import AccessRole

_ITS_OWN = {"stack_dir", "as_json"}


def typed(verb: str) -> click.Command:
    command: click.Command = launchpin
    for word in verb.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command


def parameters(verb: str) -> dict[str, click.Parameter]:
    return {str(one.name): one for one in typed(verb).params if one.name not in _ITS_OWN}


def test_table_loads_nothing_but_the_grammar() -> None:
    code = "import sys, gitops.authority; print(*sorted(name for name in sys.modules if name.startswith('gitops')))"
    done = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["gitops", "gitops.authority", "gitops.grammar", "gitops.roles"]


def test_its_verbs_are_an_admins_and_no_workers() -> None:
    assert {verb.who for verb in AUTHORITY.values()} == {AccessRole.ADMIN}
    assert not AUTHORITY.keys() & VERBS.keys()


def test_every_verb_about_people_is_in_the_table_but_the_link_of_this_machine() -> None:
    people = launchpin.get_command(click.Context(launchpin), "people")
    assert isinstance(people, click.Group)
    assert {f"people {name}" for name in people.commands} == {*AUTHORITY, "people link"}


@pytest.mark.parametrize("verb", AUTHORITY)
def test_verb_is_typed_with_the_arguments_of_the_table(verb: str) -> None:
    found = {name: (one.required, isinstance(one, click.Option)) for name, one in parameters(verb).items()}
    assert found == {one.name: (one.is_required, one.is_option) for one in AUTHORITY[verb].arguments}


@pytest.mark.parametrize("verb", AUTHORITY)
def test_verb_says_the_same_in_the_table_and_on_the_command_line(verb: str) -> None:
    assert (typed(verb).help or "").startswith(AUTHORITY[verb].help.removesuffix("."))
    options = {name: one.help for name, one in parameters(verb).items() if isinstance(one, click.Option)}
    assert options == {one.name: one.help for one in AUTHORITY[verb].arguments if one.is_option}


def test_roles_that_are_given_are_those_that_there_are() -> None:
    (role,) = (one for one in AUTHORITY["people grant"].arguments if one.name == "role")
    assert role.words == tuple(one.value for one in AccessRole)

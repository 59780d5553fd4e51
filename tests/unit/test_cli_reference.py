"""The page of the command line holds every verb, every verb below it, every option and every exit code."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gitops.audit.verify import Code
from gitops.cli.exits import ExitCode
from gitops.cli.main import launchpin, run
from gitops.cli.verbs import VERBS

PAGE = (Path(__file__).parents[2] / "docs/reference/cli.md").read_text(encoding="utf-8")
SHARED = {"--json", "--dir", "--help"}


def section(verb: str) -> str:
    found = re.search(rf"^### {verb}\n(.*?)(?=^### |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, f"there is no section {verb}"
    return found[1]


def commands(verb: str) -> Iterator[click.Command]:
    command = launchpin.get_command(click.Context(launchpin), verb)
    assert command is not None
    yield command
    if isinstance(command, click.Group):
        yield from command.commands.values()


@pytest.mark.parametrize("verb", VERBS)
def test_page_has_each_option_of_a_verb(verb: str) -> None:
    text = section(verb)
    options = {option for command in commands(verb) for one in command.params for option in one.opts}
    written = {option for option in options if option.startswith("-")} - SHARED

    assert [option for option in sorted(written) if f"`{option}`" not in text] == []
    # And nothing that is gone.
    assert set(re.findall(r"^\| `(--[a-z-]+)`", text, re.MULTILINE)) <= written


@pytest.mark.parametrize("verb", ["pr", "audit"])
def test_page_names_each_verb_below_a_verb(verb: str) -> None:
    (_, *below) = commands(verb)

    assert all(f"launchpin {verb} {command.name}" in section(verb) for command in below)


def test_page_has_the_verbs_in_the_order_of_the_table() -> None:
    assert re.findall(r"^### (\w+)$", PAGE, re.MULTILINE) == list(VERBS)


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.INTERRUPTED])
def test_page_has_each_exit_code(code: ExitCode) -> None:
    assert f"\n| {code.value} | " in PAGE


def test_page_has_each_exit_code_of_verify() -> None:
    flat = " ".join(section("audit").split())

    assert ", ".join(f"{code.value} {code.name.lower()}" for code in Code) in flat


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"schema", "demo", "completion"}))
def test_each_verb_has_json(verb: str) -> None:
    leaves = [command for command in commands(verb) if not isinstance(command, click.Group)]

    assert all(any("--json" in one.opts for one in command.params) for command in leaves)


@pytest.mark.parametrize(("typed", "near"), [(["pr", "mrege", "1"], "merge"), (["audit", "verfy"], "verify")])
def test_nearest_verb_below_a_verb_is_named_when_none_matches(
    typed: list[str], near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(typed) == ExitCode.USAGE
    assert f"did you mean {near}?" in capsys.readouterr().err

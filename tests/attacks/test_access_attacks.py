"""Attacks 73, 74 and 76: who decides about their own change, arguments that name files, cells that are commands.

66 to 72 and 75 are where their parts are tested: `test_api_access`, `test_signin_attacks`, `test_dashboard_session`.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitops.access import LOCAL
from gitops.grammar import VERBS
from gitops.records import Command, Role
from gitops.writes import SaveEnvironment, SaveRepository
from tests.support import reasons
from tests.support.cli import Stack, make_stack
from tests.support.store import make_environment, make_repository, write
from webhooks.matrix import MATRIX

SECRET = "the content of a file that nobody asked for"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with make_stack(tmp_path) as stack:
        write(
            stack.store,
            SaveRepository(make_repository(id=7, full_name="acme/iris", role=Role.MODEL)),
            SaveEnvironment(make_environment(), ()),
        )
        yield stack


# ---------------------------------------------------------------- 73: one's own change


def test_attack_73_nobody_approves_or_merges_through_us_whatever_their_role() -> None:
    """A merge is the decision, and it is made at the forge, whose rules on reviews say who may.

    So no verb and no route makes one, for nobody. What adds one must refuse the change's own author (`four_eyes`).
    """
    deciding = {"approve", "merge", "review", "deploy", "pin"}
    names = {*VERBS, *(path.rpartition("/")[2] for _, path in MATRIX)}
    assert len(names) > 20
    assert names & deciding == set()


# ---------------------------------------------------------------- 74: an argument is what was typed


def last_command(stack: Stack) -> Command:
    found = stack.store.recent("command", limit=1)[0]
    assert isinstance(found, Command)
    return found


@pytest.mark.parametrize(
    "shape", ["@{file}", "@@{file}", "file://{file}", "<{file}", "$(cat {file})", "~/*", "%(file)s"]
)
def test_attack_74_an_argument_that_names_a_file_is_that_text(stack: Stack, tmp_path: Path, shape: str) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    typed = shape.format(file=file)
    place = stack.store.environments()[0].endpoint
    result = stack.launchpin("hold", place, "--reason", typed, "--timeout", "0.01")
    assert last_command(stack).arguments["reason"] == typed
    assert SECRET not in result.both


def test_attack_74_a_name_that_names_a_file_is_refused_and_no_file_is_read(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    typed = f"@{file}"
    for arguments in (
        ("people", "grant", typed, "viewer"),
        ("token", "revoke", typed),
        ("retry", typed),
        ("cancel", typed),
        ("train", typed),
        ("hold", typed, "--reason", "x"),
        ("explain", typed),
        ("history", typed),
        (typed,),
    ):
        result = stack.launchpin(*arguments)
        assert result.code != 0, arguments
        assert SECRET not in result.both
    assert [person.login for person in stack.store.people() if person.provider != LOCAL] == []


def test_attack_74_a_tokens_name_is_that_text(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    assert stack.launchpin("token", "create", f"@{file}").code == 0
    assert [token.name for token in stack.store.tokens()] == [f"@{file}"]


# ---------------------------------------------------------------- 76: cells


def test_attack_76_no_part_writes_a_table_that_a_spreadsheet_would_carry_out() -> None:
    """Tables go out as JSON, as text for a terminal and as Markdown. What adds CSV must prefix such cells."""
    written = {
        path
        for path, tree in reasons.trees().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(name.name == "csv" for name in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "csv")
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and "text/csv" in node.value)
    }
    assert len(reasons.trees()) > 200
    assert written == set()

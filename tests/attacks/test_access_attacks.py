"""Attacks 73, 74 and 76: who decides about their own change, arguments that name files, cells that are commands.

67 and 68 are in `test_query_attacks`; 66, 69 to 72 and 75 where their parts are tested: `test_api_access`,
`test_signin_attacks`, `test_dashboard_session`.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import httpx
import pytest

from gitops.access import LOCAL
from gitops.cli.main import launchpin
from gitops.cli.pulls import ForgeOfPerson
from gitops.errors import RefusedError
from gitops.grammar import VERBS
from gitops.records import Command, Role
from gitops.writes import SaveEnvironment, SaveRepository
from tests.reference.routes import description
from tests.support import reasons
from tests.support.cli import Stack, make_stack
from tests.support.mlflow_wire import Reply, odd_server
from tests.support.store import make_environment, make_repository, write
from webhooks.matrix import MATRIX

OPEN_PULL: dict[str, Any] = {
    "number": 7,
    "title": "Pin iris 7 in production",
    "body": "",
    "state": "open",
    "html_url": "http://127.0.0.1/acme/iris-deploy/pull/7",
    "user": {"login": "launchpin[bot]"},
    "head": {"ref": "launchpin/production/iris", "sha": "a" * 40},
    "base": {"ref": "main"},
    "merged_at": None,
    "merge_commit_sha": None,
    "updated_at": "2026-01-31T12:00:00Z",
}
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


DECIDES = "decides: a merge, by the person's own account at the forge, whose protection of the branch says who may"
LOOKS = "shows, and changes nothing"
OWN = "is about this machine, its parts, or files of whoever types it"
WHO = "says who may what: an admin's, on record, and no approval of any change"
PROPOSES = "proposes a version that passed its gates: the merge of the pull request decides, at the forge"
WAY_BACK = "goes back to a version that served there before: that was decided then"
STOPS = "keeps something from going on"
GOES_ON = "lets go on what was decided already"

RULES: dict[str, str] = {
    # Verbs that change something, wherever they are asked for: API, pages, command line.
    "connect": WHO,
    "train": PROPOSES,
    "retry": GOES_ON,
    "cancel": STOPS,
    "register": PROPOSES,
    "promote": PROPOSES,
    "rollback": WAY_BACK,
    "hold": STOPS,
    "pause": STOPS,
    "resume": GOES_ON,
    "redeliver": GOES_ON,
    "gc": OWN,
    # Routes that are no verb's.
    "POST /_logout": WHO,
    "POST /api/v1/tokens": WHO,
    "DELETE /api/v1/tokens/{token_id}": WHO,
    **dict.fromkeys(("POST /api/v1/people/grant", "POST /api/v1/people/revoke", "POST /api/v1/people/disable"), WHO),
    # What is typed and is no verb of the table.
    "launchpin pr list": LOOKS,
    "launchpin pr show": LOOKS,
    "launchpin pr merge": DECIDES,
    "launchpin audit export": LOOKS,
    "launchpin audit verify": LOOKS,
    **dict.fromkeys(("launchpin up", "launchpin down", "launchpin demo", "launchpin init"), OWN),
    **dict.fromkeys(("launchpin validate", "launchpin doctor", "launchpin completion"), OWN),
    **dict.fromkeys(("launchpin people list", "launchpin token list", "launchpin notify list"), LOOKS),
    **dict.fromkeys((f"launchpin people {word}" for word in ("grant", "revoke", "disable", "link")), WHO),
    **dict.fromkeys(("launchpin token create", "launchpin token revoke"), WHO),
    "launchpin notify test": OWN,
}
"""Everything by which somebody can have something changed, and why it is no approval of their own change.

What is added fails the test below until it stands here with its rule. One that would let a version in must refuse the
person, or the automation, that asked for that version (403 `four_eyes`).
"""


def commands(command: click.Command, *words: str) -> Iterator[str]:
    """Give every command that can be typed."""
    if not isinstance(command, click.Group):
        yield " ".join(words)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        member = command.get_command(context, name)
        assert member is not None
        yield from commands(member, *words, name)


def ways() -> set[str]:
    """Return everything by which somebody can have something changed: verbs, other routes, other commands."""
    typed = {verb.typed_as or name for name, verb in VERBS.items()}
    of_verbs = {verb.route for verb in VERBS.values()} | {f"/actions/{name}" for name in VERBS}
    routes = {(method, path) for method, path in MATRIX if method not in {"GET", "HEAD"} and path not in of_verbs}
    return {
        *(name for name, verb in VERBS.items() if verb.changes),
        *(f"{method} {path}" for method, path in routes),
        *(f"launchpin {words}" for words in commands(launchpin) if words not in typed),
    }


def test_attack_73_every_way_to_change_something_is_listed_with_why_nobody_approves_their_own_change_by_it() -> None:
    assert ways() == set(RULES)
    assert [name for name, rule in RULES.items() if rule is DECIDES] == ["launchpin pr merge"]


def calls(*names: str) -> set[tuple[str, str]]:
    """Return where methods of these names are called, outside the forge of the embedded stack."""
    return {
        (path, node.func.attr)
        for path, tree in reasons.trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names
        if not path.startswith("gitops/embedded/forge/")
    }


def test_attack_73_code_merges_in_two_places_and_reviews_in_none() -> None:
    """`merge: auto` merges what Launchpin proposed, once every check is green and where the forge lets it."""
    assert calls("merge_pull", "merge") == {("gitops/promotion.py", "merge_pull"), ("gitops/cli/pr.py", "merge")}
    approving = re.compile(r"(^|/)(reviews|protection|rulesets)($|/)|^APPROVE$|enforce_admins|bypass_pull_request")
    found = {
        (path, node.value)
        for path, tree in reasons.trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and approving.search(node.value)
        if not path.startswith("gitops/embedded/forge/")
    }
    # What others said of a pull request is read when it is merged, and kept; nothing is written there.
    read = {"gitops/forge/github.py", "gitops/promotion.py", "gitops/store/entries.py"}
    assert found == {(path, "reviews") for path in read}
    assert calls("create_review", "approve", "dismiss") == set()


def test_attack_73_a_merge_that_the_forge_forbids_is_none_whoever_types_it() -> None:
    """`launchpin pr merge` asks as the person, and takes no for an answer."""
    asked = []

    def protected(method: str, path: str) -> Reply:
        asked.append((method, path))
        words = b'{"message": "At least 1 approving review is required by reviewers with write access."}'
        return Reply(405, words) if method == "PUT" else Reply(200, json.dumps(OPEN_PULL).encode())

    with odd_server(protected) as url, httpx.Client(base_url=url, trust_env=False) as client:
        forge = ForgeOfPerson(client)
        pull = forge.pull("acme/iris-deploy", 7)
        assert pull is not None
        with pytest.raises(RefusedError, match="At least 1 approving review is required"):
            forge.merge(pull)
    assert [method for method, _ in asked] == ["GET", "PUT"]


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


SAFE_KINDS = {
    *("application/json", "application/problem+json", "application/schema+json", "application/jsonl"),
    "text/event-stream",
}
"""What the API answers in. None is opened by a spreadsheet; one that is (`text/csv`) must prefix such cells with '."""


def test_attack_76_no_part_writes_a_table_that_a_spreadsheet_would_carry_out() -> None:
    """Tables go out as JSON, as text for a terminal and as Markdown. What adds CSV must prefix such cells."""
    sheets = re.compile(r"text/(csv|tab-separated-values)|spreadsheet|ms-excel|\.(csv|tsv|xlsx?|ods)\b", re.IGNORECASE)
    modules = {"csv", "openpyxl", "xlsxwriter", "pandas", "polars"}
    written = {
        path
        for path, tree in reasons.trees().items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Import) and any(name.name.partition(".")[0] in modules for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in modules)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "to_csv")
        or (isinstance(node, ast.Constant) and isinstance(node.value, str) and sheets.search(node.value))
    }
    assert len(reasons.trees()) > 200
    assert written == set()


def test_attack_76_the_api_answers_in_nothing_that_a_spreadsheet_opens() -> None:
    kinds = {
        kind
        for operations in description()["paths"].values()
        for operation in operations.values()
        for answer in operation["responses"].values()
        for kind in answer.get("content", {})
    }
    assert kinds <= SAFE_KINDS
    assert {"application/json", "application/jsonl"} <= kinds

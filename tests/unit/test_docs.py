"""The pages hold what the code holds: settings, verbs, reasons, steps, keys, and commands that can be typed."""

import ast
import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click
import pytest
from _pytest.mark import ParameterSet

from gitops import grammar
from gitops.bootstrap import stories
from gitops.buildspec import read_pin
from gitops.cli.main import launchpin
from gitops.cli.scaffold import check_file
from gitops.cli.verbs import VERBS
from gitops.config.schema import SchemaKind, schema_text
from gitops.ends import End
from gitops.messages.cdevents import TYPES
from gitops.notices import WAKING, News
from gitops.policy import Reason
from gitops.ports import EndpointStatus, Readiness
from gitops.records import Health, Role, Sync
from gitops.settings import Settings
from gitops.steps import Phase
from tests.support import docs, reasons
from webhooks.matrix import ACTIONS, MATRIX

REFERENCES = ("reasons", "launchpin-yaml", "endpoint-yaml", "notify-yaml", "buildspec", "http")
NOT_SETTINGS = {"LAUNCHPIN_DIR", "LAUNCHPIN_TRACEBACK", "LAUNCHPIN_FAILPOINTS"}
YAML = [block for block in docs.blocks(language="yaml") if block.name]


def reference(name: str) -> str:
    return docs.read_page(f"reference/{name}.md")


def listed(*names: str) -> set[str]:
    return set().union(*(docs.words_in_code(reference(name)) for name in names))


# ---------------------------------------------------------------- lists


def test_settings_page_lists_every_setting_and_no_other() -> None:
    settings = {f"LAUNCHPIN_{name.upper()}" for name in Settings.model_fields}
    shown = set(re.findall(r"^\| `(LAUNCHPIN_[A-Z_]+)`", reference("settings"), re.MULTILINE))
    assert shown == settings | NOT_SETTINGS


def commands_of(command: click.Command) -> Iterator[click.Command]:
    """Give a verb's command, or those of a group."""
    yield from command.commands.values() if isinstance(command, click.Group) else (command,)


@pytest.mark.parametrize("verb", VERBS)
def test_command_line_page_has_a_section_for_every_verb_with_its_options(verb: str) -> None:
    page = reference("cli")
    sections = re.split(r"^#{2,4} ", page, flags=re.MULTILINE)
    section = next((text for text in sections if re.match(rf"{verb}\b", text)), "")
    shared = page.partition("## What every verb shares")[2].partition("\n## ")[0]
    command = launchpin.get_command(click.Context(launchpin), verb)
    assert command is not None
    assert section, f"no section {verb}"
    options = {
        option.opts[-1] for one in commands_of(command) for option in one.params if isinstance(option, click.Option)
    }
    assert [option for option in sorted(options) if f"`{option}" not in section + shared] == []


def test_every_reason_of_the_code_is_in_the_reference() -> None:
    known = listed(*REFERENCES)
    given = {
        word: path
        for word, path in reasons.collect_reasons().items()
        # The embedded forge answers in GitHub's words.
        if not path.startswith("gitops/embedded/forge/") and word not in {"ignored", "rejected", "woke"}
    }
    assert len(given) > 200
    assert {word: path for word, path in given.items() if word not in known} == {}


def test_reasons_page_lists_no_reason_that_the_code_has_lost() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", reference("reasons"), re.MULTILINE)
    shown = {word for row in rows for word in re.findall(r"`(\w+)`", row)}
    texts = {
        node.value
        for tree in reasons.trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert shown - texts == set()


@pytest.mark.parametrize("states", [Phase, Sync, Health, Reason, EndpointStatus, Readiness, End])
def test_every_state_is_in_the_reference(states: Any) -> None:  # noqa: ANN401 - any enumeration
    known = docs.words_in_code(reference("reasons"))
    assert [state.value for state in states if state.value not in known] == []


def test_every_code_of_an_http_answer_is_in_the_reference() -> None:
    codes = reasons.collect_codes("Reply", "ProblemError", "_check_form", "problem")
    assert len(codes) > 20
    assert codes - listed("http") == set()


def test_http_page_says_what_a_code_with_a_status_means_in_one_place_of_a_table() -> None:
    """Two rows for one answer are told apart by nobody, and only one of them is kept up."""
    tables = [block for block in re.split(r"\n(?!\|)", reference("http")) if "| status | code |" in block]
    assert tables
    for text in tables:
        rows = [[cell.strip() for cell in line.split("|")[1:3]] for line in text.splitlines() if line.startswith("|")]
        named = Counter((status, code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes))
        assert len(named) > 3
        assert [one for one, count in named.items() if count > 1] == []


def test_http_page_lists_every_page_and_every_form() -> None:
    page = reference("http")
    paths = [path.partition("{")[0] for method, path in MATRIX if method == "GET" and not path.startswith("/api/")]
    forms = {f"/actions/{name}" for name in ACTIONS}
    assert [path for path in paths if path not in forms | {"/_static/"} and path not in page] == []
    (row,) = (line for line in page.splitlines() if line.startswith("| `/actions/VERB`"))
    assert {*re.findall(r"`([a-z]+)`", row.partition("| a form")[2])} == set(ACTIONS)


def test_audit_page_lists_the_entry_of_every_step() -> None:
    page = reference("audit")
    for kind in ("training", "promotion", "rollout", "command"):
        steps = [f"{kind}.{step.event or step.name}" for step in stories()[kind].steps[:-1]]
        assert [step for step in steps if f"\n| `{step}` |" not in page] == []


def test_messages_page_lists_every_outcome_with_its_type_and_whether_it_wakes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (yes|no)[^|]* \| [^|]* \| `([\w.-]+)`", reference("messages"), re.MULTILINE)
    assert rows == [(news, "yes" if news in WAKING else "no", TYPES[news]) for news in (News(row[0]) for row in rows)]
    assert {row[0] for row in rows} == {news.value for news in News}


def test_api_page_lists_every_verb_with_its_role_and_arguments() -> None:
    rows = [
        f"| `{verb.name}` | `{verb.who}` | {', '.join(f'`{one.name}`' for one in verb.arguments)} |"
        for verb in grammar.VERBS.values()
        if verb.changes
    ]
    page = reference("api")
    assert [row for row in rows if row not in page] == []


def test_api_page_lists_every_route_that_tells_something() -> None:
    page = reference("api")
    paths = {
        path.removeprefix("/api/v1/") for method, path in MATRIX if method == "GET" and path.startswith("/api/v1/")
    }
    assert [path for path in sorted(paths) if f"GET /{path.partition('/{')[0]}" not in page] == []


def test_api_page_lists_every_verb_that_reads_with_its_arguments() -> None:
    section = reference("api").partition("## Verbs that read")[2].partition("\n## ")[0]
    shown = dict(re.findall(r"^\| `GET /([a-z/]+)` \| ([^|]*?) ?\|", section, re.MULTILINE))
    assert shown == {
        verb.name.replace(" ", "/"): ", ".join(f"`{one.name}`" for one in verb.arguments)
        for verb in grammar.VERBS.values()
        if not verb.changes
    }


# ---------------------------------------------------------------- the architecture page


def test_graph_has_every_step_of_every_story() -> None:
    graphs = [block.text for block in docs.blocks(language="mermaid") if block.page.endswith("architecture.md")]
    drawn = set(re.findall(r"\w+", " ".join(graphs)))
    steps = {step.name for story in stories().values() for step in story.steps}
    assert steps - drawn == set()
    assert {Phase.REFUSED, Phase.ERRORED, Phase.SUPERSEDED, Phase.ROLLED_BACK, Phase.SUCCEEDED} - drawn == set()


def test_job_table_has_every_kind_of_job() -> None:
    page = docs.read_page("explanation/architecture.md")
    assert [kind for kind in stories() if f"| `{kind}` |" not in page] == []


def test_architecture_page_names_every_module_of_the_core() -> None:
    core = docs.ROOT / "gitops"
    modules = {file.stem for file in core.glob("*.py")} | {folder.parent.name for folder in core.glob("*/__init__.py")}
    page = docs.words_in_code(docs.read_page("explanation/architecture.md"))
    assert modules - page - {"__init__"} == set()


# ---------------------------------------------------------------- keys of the files


def schema_keys(rule: object) -> Iterator[str]:
    """Give every key that a schema knows, and those that it refuses by name."""
    if isinstance(rule, dict):
        yield from rule.get("properties", {})
        later = rule.get("x-later", [])
        yield from later if isinstance(later, list) else []
        for inner in rule.values():
            yield from schema_keys(inner)
    elif isinstance(rule, list):
        for inner in rule:
            yield from schema_keys(inner)


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        (SchemaKind.LAUNCHPIN, "launchpin-yaml"),
        (SchemaKind.ENDPOINT, "endpoint-yaml"),
        (SchemaKind.NOTIFY, "notify-yaml"),
    ],
)
def test_reference_of_a_file_explains_every_key(kind: SchemaKind, page: str) -> None:
    text = reference(page)
    shown = set(
        re.findall(r"\w+", " ".join(docs.words_in_code(text) | set(re.findall(r"^#+ (.*)$", text, re.MULTILINE))))
    )
    assert set(schema_keys(json.loads(schema_text(kind)))) - shown == set()


@pytest.mark.parametrize("page", ["launchpin-yaml", "endpoint-yaml", "notify-yaml", "buildspec"])
def test_references_of_files_share_one_skeleton(page: str) -> None:
    headings = re.findall(r"^## (.+)$", reference(page), re.MULTILINE)
    assert headings == ["Example", "Writing it", "Working with it", "Status and errors"]


# ---------------------------------------------------------------- examples


@pytest.mark.parametrize("block", YAML, ids=lambda block: f"{block.page}:{block.name}")
def test_example_is_read_by_the_reader_of_the_service(block: docs.Block) -> None:
    check_file(block.name, block.text.encode())


def test_examples_show_each_kind_of_file() -> None:
    shown = {block.name.rpartition("/")[2] for block in YAML}
    assert shown >= {"launchpin.yaml", "endpoint.yaml", "buildspec.yml"}


def test_example_pins_say_what_the_page_says() -> None:
    pins = [read_pin(block.text) for block in YAML if block.page.endswith("buildspec.md")]
    assert [(pin.model_name, pin.model_version) for pin in pins] == [("iris", "7"), ("iris", "")]


@pytest.mark.parametrize("block", docs.blocks(language="python"), ids=lambda block: f"{block.page}:{block.name}")
def test_python_example_compiles(block: docs.Block) -> None:
    compile(block.text, block.name or block.page, "exec")


# ---------------------------------------------------------------- commands


def named(commands: list[tuple[str, list[str]]]) -> list[ParameterSet]:
    return [pytest.param(page, words, id=f"{page}: {' '.join(words)}") for page, words in commands]


def resolve(group: click.Group, words: list[str]) -> tuple[click.Context, list[str]]:
    """Parse a command line as far as its last verb, without running anything."""
    context = click.Context(group, info_name="launchpin")
    while isinstance(context.command, click.Group):
        name, command, words = context.command.resolve_command(context, words)
        assert command is not None
        context = click.Context(command, info_name=name, parent=context)
    return context, words


@pytest.mark.parametrize(("page", "words"), named(docs.typed_commands()))
def test_command_in_a_shell_block_can_be_typed(page: str, words: list[str]) -> None:
    assert isinstance(launchpin, click.Group)
    context, rest = resolve(launchpin, words)
    assert context.parent is not None, page
    context.command.make_context(context.info_name, rest, parent=context.parent)


@pytest.mark.parametrize(("page", "words"), named(docs.mentioned_commands()))
def test_command_in_prose_has_a_verb_and_options_that_exist(page: str, words: list[str]) -> None:
    assert words[0] in VERBS or words[0].startswith("-") or words[0] == "VERB", page
    if words[0] in VERBS and len(words) > 1:
        command = launchpin.get_command(click.Context(launchpin), words[0])
        assert command is not None
        if isinstance(command, click.Group):
            words, command = words[1:], command.commands[words[1]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert [word for word in words if word.startswith("-") and word not in known] == [], page


def shown_steps() -> Iterator[str]:
    """Give the name of every step of the demo, as a pattern."""
    scenes = reasons.trees()["gitops/cli/demo/scenes.py"]
    for node in ast.walk(scenes):
        match node:
            case ast.Constant(value=str() as text):
                yield re.escape(text)
            case ast.JoinedStr(values=parts):
                yield "".join(
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else r"\w+" for part in parts
                )


def test_transcript_in_the_readme_shows_steps_of_the_demo() -> None:
    transcript = next(block.text for block in docs.blocks(language="text") if block.page == "README.md")
    steps = [re.split(r"  +", line.strip())[0] for line in transcript.splitlines()]
    patterns = list(shown_steps())
    assert len(steps) > 10
    assert [step for step in steps if not any(re.fullmatch(pattern, step) for pattern in patterns)] == []


# ---------------------------------------------------------------- pages


@pytest.mark.parametrize("page", docs.pages(), ids=lambda page: page.relative_to(docs.ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Any) -> None:  # noqa: ANN401 - a path
    for link in docs.links(page):
        target, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        assert not anchor or anchor in docs.anchors(file), link


@pytest.mark.parametrize("page", docs.pages(), ids=lambda page: page.relative_to(docs.ROOT).as_posix())
def test_no_heading_stands_on_a_page_twice(page: Any) -> None:  # noqa: ANN401 - a path
    found = Counter(docs.headings(page))
    assert [heading for heading, times in found.items() if times > 1] == []


@pytest.mark.parametrize("page", docs.pages(), ids=lambda page: page.relative_to(docs.ROOT).as_posix())
def test_an_empty_line_follows_each_made_part(page: Any) -> None:  # noqa: ANN401 - a path
    # Where none does, a table that people wrote is the end of one that was made.
    assert re.findall(r"<!-- end -->\n([^\n].*)", page.read_text(encoding="utf-8")) == []


def test_map_leads_to_every_page() -> None:
    known = {(docs.DOCS / link.partition("#")[0]).resolve() for link in docs.links(docs.DOCS / "index.md")}
    inside = {page for page in docs.pages() if page.is_relative_to(docs.DOCS) and page.name != "index.md"}
    assert inside - known == set()


def test_pictures_load_nothing_from_elsewhere() -> None:
    for picture in (docs.DOCS / "images").glob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        root = ET.fromstring(text)  # noqa: S314 - our own file
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", text) == []


def test_roles_named_in_the_tutorial_exist() -> None:
    kinds = re.findall(r"launchpin init (\w+)", docs.read_page("tutorial.md"))
    assert set(kinds) <= {role.value for role in Role}


_PROMISED = {*range(2, 10), *range(11, 15), *range(16, 20), 21, 24, 25, 27, 29, 31}
"""The invariants that this release holds; one is left out of the page only with the promise itself."""


def test_every_invariant_of_the_promises_names_a_file_that_holds_it() -> None:
    rows = re.findall(
        r"^\| I(\d+) \|.*`(tests/[\w/.]+)` \|$", (docs.DOCS / "explanation" / "promises.md").read_text(), re.MULTILINE
    )
    assert {int(number) for number, _ in rows} == _PROMISED
    for number, file in rows:
        assert re.search(rf"def test_(?:i\d+_)*i0*{number}_", (docs.ROOT / file).read_text()), f"I{number} in {file}"


def numbers(words: str) -> set[int]:
    """Return the numbers that `67-68`, `74, 76` or, in a test's name, `43_to_50` and `34_and_70` stand for."""
    found: set[int] = set()
    for first, last in re.findall(r"([0-9]+)(?:(?:-|_to_)([0-9]+))?", words):
        found |= set(range(int(first), int(last or first) + 1))
    return found


def test_attacks_of_the_promises_are_those_that_tests_play() -> None:
    section = docs.read_page("explanation/promises.md").partition("\n## Attacks\n")[2]
    shown = [
        number for cell in re.findall(r"^\| ([0-9][0-9, -]*) \|", section, re.MULTILINE) for number in numbers(cell)
    ]
    played = {
        number
        for file in (docs.ROOT / "tests").rglob("*.py")
        for words in re.findall(r"def test_attacks?_((?:[0-9]+_(?:and_|to_)?)+)", file.read_text(encoding="utf-8"))
        for number in numbers(words)
    }
    assert sorted(shown) == sorted(played)

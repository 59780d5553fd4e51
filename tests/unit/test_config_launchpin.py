"""launchpin.yaml: every field, every default, and every mistake named with its place and remedy."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from gitops.config.goals import Goal, Objective
from gitops.config.launchpin import (
    Environment,
    Gate,
    LaunchpinFile,
    Merge,
    Operator,
    Tier,
    launchpin_files,
    parse_launchpin,
)
from gitops.config.schema import SchemaKind, editor_hint, schema_text
from gitops.errors import InputError

MINIMAL = "version: 1\nmodel: iris\n"
FULL = """\
# yaml-language-server: $schema=launchpin.v1.json
version: 1
model: iris
experiment: flowers
on:
  push: {branches: [main, "release/*"], paths: ["**", "!docs/**"]}
train:
  project: ./train/
  entry_point: fit
  parameters: {seed: 42, rate: 0.10, flag: true, sha: "${commit}"}
  timeout: 2h
  secrets: [DB_PASSWORD]
  metric_definitions: [{name: f1, regex: "f1=([0-9.]+)"}]
register:
  gates:
    - {metric: accuracy, above: 0.90}
    - {metric: loss, at_most: "1e-3"}
    - {metric: f1, versus: champion, min_gain: -0.01}
    - {metric: rmse, versus: champion, goal: minimize}
  model: best
  objective: {metric: accuracy}
deploy:
  repository: acme/iris-deploy
  environments:
    staging: {path: staging, merge: auto}
    production: {path: prod, needs: staging, merge: review, champion: true}
    edge: {needs: staging}
"""


def parse(text: str) -> LaunchpinFile:
    return parse_launchpin(text.encode(), file="launchpin.yaml")


def error_of(data: bytes) -> InputError | None:
    """Return what the bytes are refused with; any other exception fails the test."""
    try:
        parse_launchpin(data, file="launchpin.yaml")
    except InputError as error:
        return error
    return None


def refuse(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.file == "launchpin.yaml"
    assert caught.value.line >= 1
    return caught.value


def test_reads_every_field_when_all_are_written() -> None:
    read = parse(FULL)
    assert (read.model, read.experiment) == ("iris", "flowers")
    assert read.on.push.branches == ("main", "release/*")
    assert read.on.push.paths == ("**", "!docs/**")
    assert (read.train.project, read.train.entry_point, read.train.timeout) == ("train", "fit", timedelta(hours=2))
    assert read.train.parameters == {"seed": "42", "rate": "0.10", "flag": "true", "sha": "${commit}"}
    assert read.train.secrets == ("DB_PASSWORD",)
    assert read.register.model == "best"
    assert read.register.objective == Objective("accuracy", Goal.MAXIMIZE)
    assert read.register.gates == (
        Gate("accuracy", Operator.ABOVE, Decimal("0.90")),
        Gate("loss", Operator.AT_MOST, Decimal("1e-3")),
        Gate("f1", Operator.VERSUS, Decimal("-0.01")),
        Gate("rmse", Operator.VERSUS, Decimal(0), Goal.MINIMIZE),
    )
    assert str(read.register.gates[0].threshold) == "0.90"


def test_reads_environments_in_order_when_deploy_is_written() -> None:
    deploy = parse(FULL).deploy
    assert deploy is not None
    assert deploy.repository == "acme/iris-deploy"
    assert deploy.environments == (
        Environment("staging", "staging", merge=Merge.AUTO),
        Environment("production", "prod", needs="staging", is_champion=True),
        Environment("edge", "edge", needs="staging"),
    )
    assert deploy.champion_environment.name == "production"


def test_takes_last_environment_as_champion_when_none_is_marked() -> None:
    text = "register: {gates: []}\ndeploy: {repository: a/b, environments: {x: {}, y: {}}}\n"
    deploy = parse(MINIMAL + text).deploy
    assert deploy is not None
    assert deploy.champion_environment.name == "y"


def test_fills_defaults_when_only_model_is_written() -> None:
    read = parse(MINIMAL)
    assert read.experiment == "iris"
    assert (read.on.push.branches, read.on.push.paths) == (("main",), ("**",))
    assert (read.train.project, read.train.entry_point, read.train.parameters) == (".", "main", {})
    assert read.train.timeout == timedelta(minutes=30)
    assert read.register.gates == ()
    assert read.deploy is None


@pytest.mark.parametrize("version", ["1", "'1'", '"1"'])
def test_accepts_version_when_quoted_or_not(version: str) -> None:
    assert parse(f"version: {version}\nmodel: 2024\n").model == "2024"


@pytest.mark.parametrize("version", ["01", "1.0", "0x1", "1e0", "2", "true", "", "[1]"])
def test_refuses_version_when_not_written_as_one(version: str) -> None:
    error = refuse(f"version: {version}\nmodel: iris\n")
    assert (error.field, error.line) == ("version", 1)
    assert "version: 1" in error.message


@pytest.mark.parametrize(
    ("text", "field", "line", "column"),
    [
        ("train:\n  resources: {}", "train.resources", 4, 3),
        ("on:\n  pull_request: {}", "on.pull_request", 4, 3),
        ("register:\n  unpickle: true", "register.unpickle", 4, 3),
        ("deploy: {repository: a/b, environments: {x: {anchor: before}}}", "deploy.environments.x.anchor", 3, 46),
    ],
)
def test_refuses_by_name_when_key_is_not_in_this_release(text: str, field: str, line: int, column: int) -> None:
    error = refuse(MINIMAL + text)
    assert (error.reason, error.field) == ("not_in_this_release", field)
    assert (error.line, error.column) == (line, column)
    assert "not in this release" in error.message


@pytest.mark.parametrize(
    ("text", "reason", "field", "words"),
    [
        ("modle: x", "unknown_key", "modle", 'did you mean "model"?'),
        ("train: {timout: 30m}", "unknown_key", "train.timout", 'did you mean "timeout"?'),
        ("train: {zzz: 1}", "unknown_key", "train.zzz", "known here: project"),
        ("train: {timeout: 30}", "wrong_type", "train.timeout", "30s"),
        ("train: {timeout: 30 min}", "value_invalid", "train.timeout", "500ms"),
        ("train: {timeout: 8d}", "limit_exceeded", "train.timeout", "1s to 7d"),
        ("train: {timeout: 0s}", "limit_exceeded", "train.timeout", "1s to 7d"),
        ("train:", "wrong_type", "train", "mapping"),
        ("train: {parameters: {a: }}", "wrong_type", "train.parameters.a", "not nothing"),
        ("train: {parameters: {a: [1]}}", "wrong_type", "train.parameters.a", "not a list"),
        ("train: {parameters: {'a b': 1}}", "name_invalid", "train.parameters.a b", "letters"),
        ("train: {parameters: {a: '${comit}'}}", "variable_unknown", "train.parameters.a", 'did you mean "commit"?'),
        ("train: {secrets: [LD_PRELOAD]}", "name_reserved", "train.secrets[0]", "rename"),
        ("train: {metric_definitions: {}}", "wrong_type", "train.metric_definitions", "list"),
        ("train: {metric_definitions: [{name: f1}]}", "key_missing", "train.metric_definitions[0].regex", "group"),
        (
            "train: {metric_definitions: [{name: f1, regex: '((a+)+)'}]}",
            "pattern_invalid",
            "train.metric_definitions[0].regex",
            "group",
        ),
        (
            "train: {metric_definitions: [{name: f1, regex: (a)}, {name: f1, regex: (b)}]}",
            "value_invalid",
            "train.metric_definitions[1].name",
            "one expression for each metric",
        ),
        ("train: {secrets: ['a-b']}", "name_invalid", "train.secrets[0]", "DB_PASSWORD"),
        ("experiment: ' x'", "name_not_canonical", "experiment", "white space"),
        ("on: {push: {branches: []}}", "limit_exceeded", "on.push.branches", "too few"),
        ("on: {push: {branches: ['a?']}}", "pattern_invalid", "on.push.branches[0]", "`?` is not read"),
        ("on: {push: {paths: ['!docs/**']}}", "pattern_invalid", "on.push.paths", "select nothing"),
        ("on: {push: main}", "wrong_type", "on.push", "mapping"),
        ("register: {gates: [{metric: a}]}", "value_invalid", "register.gates[0]", "exactly one"),
        ("register: {gates: [{metric: a, above: 1, below: 2}]}", "value_invalid", "register.gates[0]", "exactly one"),
        ("register: {gates: [{above: 1}]}", "key_missing", "register.gates[0].metric", "metric"),
        ("register: {gates: [{metric: a, above: x}]}", "yaml_number", "register.gates[0].above", "0.9"),
        ("register: {gates: [{metric: a, above: '.nan'}]}", "yaml_number", "register.gates[0].above", "0.9"),
        ("register: {gates: [{metric: a, above: 1, min_gain: 2}]}", "value_invalid", "register.gates[0]", "versus"),
        ("register: {gates: [{metric: a, versus: v7}]}", "value_unknown", "register.gates[0].versus", "champion"),
        ("register: {objective: {metric: a, goal: max}}", "value_unknown", "register.objective.goal", "maximize"),
    ],
)
def test_names_field_and_remedy_when_value_is_wrong(text: str, reason: str, field: str, words: str) -> None:
    error = refuse(MINIMAL + text)
    assert (error.reason, error.field, error.line) == (reason, field, 3)
    assert words in error.message


@pytest.mark.parametrize(
    ("environments", "reason", "field", "line"),
    [
        ("a: {needs: b}", "needs_unknown", "deploy.environments.a.needs", 7),
        ("a: {needs: a}", "needs_cycle", "deploy.environments.a.needs", 7),
        ("a: {needs: b}\n    b: {needs: a}", "needs_cycle", "deploy.environments.a.needs", 7),
        ("a: {champion: true}\n    b: {champion: true}", "champion_twice", "deploy.environments.b.champion", 8),
        ("a: {path: x}\n    b: {path: X/}", "path_twice", "deploy.environments.b.path", 8),
        ("latest: {}", "name_reserved", "deploy.environments.latest", 7),
        ("v1: {}", "name_reserved", "deploy.environments.v1", 7),
        ("a: {merge: automatic}", "value_unknown", "deploy.environments.a.merge", 7),
        ("a: {champion: yes}", "wrong_type", "deploy.environments.a.champion", 7),
        ("a: {path: ../x}", "path_invalid", "deploy.environments.a.path", 7),
    ],
)
def test_refuses_environments_when_they_contradict(environments: str, reason: str, field: str, line: int) -> None:
    head = MINIMAL + "register:\n  gates: []\ndeploy: {repository: a/b, environments: {}}\n"
    text = head.replace("deploy: {repository: a/b, environments: {}}\n", "deploy:\n  environments:\n    ")
    error = refuse(f"{text}{environments}\n  repository: a/b\n")
    assert (error.reason, error.field, error.line) == (reason, field, line)


_TIERED = """register:
  gates: []
  tiers:
    - {name: gold, gates: [{metric: accuracy, at_least: 0.96}, {metric: f1, versus: champion}]}
    - {name: silver, gates: [{metric: accuracy, above: 0.90}]}
deploy: {repository: a/b, environments: {staging: {}, production: {min_tier: silver}}}
"""


def test_reads_tiers_in_order_when_they_are_written() -> None:
    read = parse(MINIMAL + _TIERED)
    gold, silver = read.register.tiers
    assert (gold.name, silver) == ("gold", Tier("silver", (Gate("accuracy", Operator.ABOVE, Decimal("0.90")),)))
    assert [gate.operator for gate in gold.gates] == [Operator.AT_LEAST, Operator.VERSUS]
    assert read.deploy is not None
    assert [one.min_tier for one in read.deploy.environments] == ["", "silver"]
    assert parse(MINIMAL + "register: {tiers: []}").register.tiers == ()


@pytest.mark.parametrize(
    ("old", "new", "reason", "field", "words"),
    [
        (
            "min_tier: silver",
            "min_tier: sliver",
            "tier_unknown",
            "deploy.environments.production.min_tier",
            '"silver"?',
        ),
        (
            "min_tier: silver",
            "min_tier: zzz",
            "tier_unknown",
            "deploy.environments.production.min_tier",
            "gold, silver",
        ),
        (
            "min_tier: silver",
            "min_tier: Gold",
            "name_not_canonical",
            "deploy.environments.production.min_tier",
            "lower",
        ),
        ("name: silver", "name: gold", "tier_twice", "register.tiers[1].name", "a name of its own"),
        ("name: silver", "name: none", "name_reserved", "register.tiers[1].name", "another name"),
        ("name: silver", "name: 2nd", "name_invalid", "register.tiers[1].name", "begins with a letter"),
        ("name: silver", "name: 2", "wrong_type", "register.tiers[1].name", "in quotes"),
        ("name: silver, ", "", "key_missing", "register.tiers[1].name", "what the tier is called"),
        (", gates: [{metric: accuracy, above: 0.90}]", "", "key_missing", "register.tiers[1].gates", "at least one"),
        ("[{metric: accuracy, above: 0.90}]", "[]", "limit_exceeded", "register.tiers[1].gates", "at least one"),
        ("above: 0.90", "abvoe: 0.90", "unknown_key", "register.tiers[1].gates[0].abvoe", '"above"'),
        ("- {name: silver", "- {min: 1, name: silver", "unknown_key", "register.tiers[1].min", "known here"),
    ],
)
def test_names_field_and_remedy_when_a_tier_is_wrong(old: str, new: str, reason: str, field: str, words: str) -> None:
    assert _TIERED.count(old) == 1
    error = refuse(MINIMAL + _TIERED.replace(old, new))
    assert (error.reason, error.field) == (reason, field)
    assert words in error.message


def test_asks_to_declare_tiers_when_one_is_needed_and_none_is_there() -> None:
    text = "register: {gates: []}\ndeploy: {repository: a/b, environments: {x: {min_tier: gold}}}"
    error = refuse(MINIMAL + text)
    assert (error.reason, error.field) == ("tier_unknown", "deploy.environments.x.min_tier")
    assert "declare it in register.tiers, or remove min_tier" in error.message


def test_refuses_tiers_when_there_are_more_than_ten() -> None:
    one = "{name: t%d, gates: [{metric: a, above: 0}]}"
    tiers = ", ".join(one % number for number in range(11))
    error = refuse(MINIMAL + f"register: {{tiers: [{tiers}]}}")
    assert (error.reason, error.field) == ("limit_exceeded", "register.tiers")
    assert "10" in error.message


def test_asks_for_gates_when_deploy_is_written_without() -> None:
    error = refuse(MINIMAL + "deploy: {repository: a/b, environments: {x: {}}}")
    assert (error.reason, error.field) == ("key_missing", "register.gates")
    assert "gates: []" in error.message


@pytest.mark.parametrize("name", ["acme", "a/b/c", "https://github.com/a/b", "a/..", "a/b.git", "-a/b", "a/b c", "a/"])
def test_refuses_repository_when_not_owner_and_name(name: str) -> None:
    text = f"register: {{gates: []}}\ndeploy: {{repository: '{name}', environments: {{x: {{}}}}}}"
    assert refuse(MINIMAL + text).field == "deploy.repository"


def test_finds_files_when_either_spelling_is_used() -> None:
    paths = ["b/launchpin.yml", "launchpin.yaml", "x/launchpin.yaml.bak", "a/launchpin.yaml", "launchpin/readme"]
    assert launchpin_files(paths) == ("a/launchpin.yaml", "b/launchpin.yml", "launchpin.yaml")


def test_refuses_files_when_both_spellings_stand_in_one_folder() -> None:
    with pytest.raises(InputError) as caught:
        launchpin_files(["launchpin.yml", "m/launchpin.yaml", "m/launchpin.yml"])
    assert (caught.value.reason, caught.value.file) == ("file_twice", "m/launchpin.yml")


@pytest.mark.parametrize("kind", list(SchemaKind))
def test_schema_is_valid_and_printed_when_asked(kind: SchemaKind) -> None:
    schema = json.loads(schema_text(kind))
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"].endswith("2020-12/schema")
    assert editor_hint(kind) == f"# yaml-language-server: $schema={kind.value}.json"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["main", "1", "a/b", "2m", "."]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "version",
                    "model",
                    "on",
                    "push",
                    "branches",
                    "paths",
                    "train",
                    "parameters",
                    "timeout",
                    "register",
                    "gates",
                    "metric",
                    "above",
                    "versus",
                    "deploy",
                    "repository",
                    "environments",
                    "needs",
                    "x",
                    "search",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=500, deadline=None)
@given(_VALUES)
def test_raises_only_input_error_when_structure_is_arbitrary(value: object) -> None:
    head = {"version": 1, "model": "m"}
    whole = {**head, **value} if isinstance(value, dict) else value
    error = error_of(json.dumps(whole).encode())
    assert error is None or (error.line >= 1 and error.message)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(FULL) - 1), st.text(max_size=3))
def test_raises_only_input_error_when_file_is_damaged(at: int, damage: str) -> None:
    text = (FULL[:at] + damage + FULL[at + 1 :]).encode("utf-8", "surrogatepass")
    error = error_of(text)
    assert error is None or error.line >= 1

"""Attacks 31, 41, 43 to 51 and 55 on the files people write; each ends as an InputError with place and remedy."""

import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.buildspec import read_pin, set_pin
from gitops.config.endpoint import parse_endpoint
from gitops.config.globs import matches_any
from gitops.config.launchpin import parse_launchpin
from gitops.config.mlproject import parse_mlproject
from gitops.config.names import BadNameError, clean_path, twin_key
from gitops.errors import InputError

Reader = Callable[[bytes], object]
CLOSED: list[Reader] = [
    lambda data: parse_launchpin(data, file="launchpin.yaml"),
    lambda data: parse_endpoint(data, file="endpoint.yaml"),
    lambda data: parse_mlproject(data, file="MLproject"),
]
ALL: list[Reader] = [*CLOSED, read_pin, lambda data: set_pin(data, version="3")]
HEAD = "version: 1\nmodel: iris\n"


def error_of(read: Callable[[bytes], object], data: bytes) -> InputError | None:
    """Return what a reader refuses bytes with; any other exception fails the test."""
    try:
        read(data)
    except InputError as error:
        return error
    return None


def refuse(reader: Reader, data: str | bytes) -> InputError:
    began = time.perf_counter()
    with pytest.raises(InputError) as caught:
        reader(data if isinstance(data, bytes) else data.encode())
    assert time.perf_counter() - began < 5  # seconds; a hostile file costs little
    assert caught.value.line >= 1
    assert len(str(caught.value)) < 1000
    return caught.value


def test_attack_31_branch_pattern_is_anchored_at_both_ends() -> None:
    assert not matches_any("main-evil", ("main",))
    assert not matches_any("evil/main", ("main",))
    assert not matches_any("main\n", ("main",))


@pytest.mark.parametrize(
    "name", [unicodedata.normalize("NFD", "café"), "a\u200bb", "a\u202eb", "a\x7fb", "iris\u00ad", "iris "]
)
def test_attack_41_name_that_is_not_canonical_is_refused(name: str) -> None:
    error = refuse(CLOSED[0], f'version: 1\nmodel: "{name.encode("unicode_escape").decode()}"\n')
    assert (error.reason, error.field) == ("name_not_canonical", "model")


def test_attack_41_environment_twins_are_refused() -> None:
    text = HEAD + "register: {gates: []}\ndeploy: {repository: a/b, environments: {staging: {}, Staging: {}}}\n"
    assert refuse(CLOSED[0], text).reason == "name_not_canonical"
    assert twin_key("Staging") == twin_key("staging")


@pytest.mark.parametrize("reader", CLOSED)
def test_attack_43_alias_bomb_is_refused(reader: Reader) -> None:
    bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"{chr(98 + level)}: &{chr(98 + level)} [{','.join([f'*{chr(97 + level)}'] * 9)}]\n" for level in range(8)
    )
    assert refuse(reader, bomb).reason == "yaml_alias"


@pytest.mark.parametrize("reader", CLOSED)
def test_attack_44_self_alias_is_refused(reader: Reader) -> None:
    assert refuse(reader, "&x [*x]").reason == "yaml_alias"


@pytest.mark.parametrize("reader", CLOSED)
@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [id]", "!!str x", "!x y", "!<tag:a> b"])
def test_attack_45_tag_is_refused(reader: Reader, tag: str) -> None:
    assert refuse(reader, f"version: {tag}").reason == "yaml_tag"


@pytest.mark.parametrize("reader", CLOSED)
def test_attack_46_duplicate_key_is_refused(reader: Reader) -> None:
    error = refuse(reader, "version: 1\nversion: 1\n")
    assert (error.reason, error.field, error.line) == ("yaml_duplicate_key", "version", 2)


@pytest.mark.parametrize("reader", ALL)
def test_attack_47_two_documents_are_refused(reader: Reader) -> None:
    assert refuse(reader, "version: 1\n---\nversion: 1\n").reason == "yaml_documents"


def _pins(version: str) -> list[str]:
    head = '{}TRACKING_URI="https://mlflow.example.com"\n{}MODEL_NAME="iris"\n'
    commands = "phases:\n  pre_build:\n    commands:\n" + head.replace("{}", "      - ")
    variables = "env:\n  variables:\n    TRACKING_URI: https://mlflow.example.com\n    MODEL_NAME: iris\n"
    return [
        f"{commands}      - MODEL_VERSION={version}\n",
        f'{commands}      - MODEL_VERSION="{version}"\n',
        f"{commands}      - 'export MODEL_VERSION={version}'\n",
        f"{variables}    MODEL_VERSION: {version}\n",
        f"{variables}    MODEL_VERSION: '{version}'\n",
    ]


@pytest.mark.parametrize(
    "version",
    [
        "010",
        "1_0",
        "1:30",
        "0x1F",
        "no",
        "1.10",
        "0",
        "-1",
        "+1",
        "1e3",
        "12345678901",
        "٣",
        "null",
        "true",
        "0o7",
        "1 2",
    ],
)
def test_attack_48_version_that_yaml_rewrites_is_refused(version: str) -> None:
    for text in _pins(version):
        error = refuse(read_pin, text)
        assert error.reason in {"version_invalid", "pin_not_alone"}
        assert error.field == "MODEL_VERSION"
        if error.reason == "version_invalid":
            assert "quote the version" in error.message


@pytest.mark.parametrize("version", ["1", "2", "9999999999"])
def test_attack_48_plain_version_passes_quoted_or_not(version: str) -> None:
    assert {read_pin(text).model_version for text in _pins(version)} == {version}
    with pytest.raises(InputError):
        set_pin(_pins(version)[0], version=f"0{version}")


@pytest.mark.parametrize("reader", ALL)
@pytest.mark.parametrize(
    ("data", "reason", "limit"),
    [
        (b"a: 1\n" * 2_000_000, "yaml_too_large", "262144"),
        (b"[" * 1000 + b"]" * 1000, "yaml_too_deep", "20"),
        (b"{a: " * 1000, "yaml_too_deep", "20"),
        (b"- " * 1000, "yaml_too_deep", "20"),
        (b"- a\n" * 10_001, "yaml_too_large", "10000"),
    ],
)
def test_attack_49_size_and_depth_are_refused(reader: Reader, data: bytes, reason: str, limit: str) -> None:
    error = refuse(reader, data)
    assert error.reason == reason
    assert limit in error.message


@pytest.mark.parametrize("reader", ALL)
def test_attack_49_keys_nested_in_keys_are_refused(reader: Reader) -> None:
    assert refuse(reader, b"? " * 100_000).reason in {"yaml_too_deep", "yaml_key"}


def test_attack_49_many_mistakes_cost_little() -> None:
    refuse(CLOSED[0], HEAD + "register:\n  gates:\n" + "    - 1\n" * 9000)
    refuse(CLOSED[0], HEAD + "".join(f"x{number}: 1\n" for number in range(4900)))
    refuse(CLOSED[0], HEAD + "train: {parameters: {" + "".join(f"p{number}: []," for number in range(4900)) + "}}")
    refuse(CLOSED[2], "".join(f"x{number}: 1\n" for number in range(4900)) + "entry_points: {main: {}}\n")


def test_attack_49_aliases_in_a_buildspec_cost_no_more_than_their_nodes() -> None:
    merges = "a: &a {pre_build: 1}\n" + "".join(f"b{n}: &b{n} {{<<: [{','.join(['*a'] * 20)}]}}\n" for n in range(200))
    phases = "".join("phases: {<<: [" + ",".join(f"*b{n}" for n in range(100)) + "]}\n" for _ in range(30))
    refuse(read_pin, merges + phases)
    big = "x: &x '" + "MODEL_VERSION a; " * 5000 + "'\n"
    refuse(read_pin, big + "phases: {pre_build: {commands: [" + "*x," * 4000 + "]}}\n")


@pytest.mark.parametrize("reader", CLOSED[:2])
def test_attack_50_unknown_key_is_refused_by_name(reader: Reader) -> None:
    error = refuse(reader, "version: 1\nmodel: x\nendpoint: x\nsurprise: 1\n")
    assert error.reason == "unknown_key"
    assert error.field in error.message


def test_attack_50_hostile_key_is_shown_inert() -> None:
    error = refuse(CLOSED[0], HEAD + '"\\e[31m\\u202e' + "x" * 100_000 + '": 1\n')
    assert str(error).isprintable()


@pytest.mark.parametrize("pattern", ["(a+)+$", "a" * 201, "[a-z]*", "(a|a)*b"])
def test_attack_51_redos_pattern_is_refused_or_linear(pattern: str) -> None:
    began = time.perf_counter()
    error = error_of(CLOSED[0], f"{HEAD}on: {{push: {{branches: ['{pattern}']}}}}".encode())
    assert error is None or error.reason == "pattern_invalid"
    assert not matches_any("a" * 10_000, (pattern,))
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "path",
    ["../../x", "/etc/passwd", "C:\\x", "C:x", "a\\..\\b", "a\x00b", "x" * 4096, "%2e%2e/x", "a#/../b", "~/x", "a/../b",
     "..", "", "-x", "file:///etc", ".git/config", "a/.GIT/x", "a\nb", "a\u202eb", "?x"],
)  # fmt: skip
def test_attack_55_path_that_leaves_its_folder_is_refused(path: str) -> None:
    with pytest.raises(BadNameError) as caught:
        clean_path(path)
    assert caught.value.reason == "path_invalid"


@pytest.mark.parametrize("field", ["train: {project: '%s'}", "register: {model: '%s'}"])
def test_attack_55_path_in_a_file_is_refused_with_its_place(field: str) -> None:
    error = refuse(CLOSED[0], HEAD + field % "../x")
    assert (error.reason, error.line) == ("path_invalid", 3)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_attack_43_to_50_any_bytes_end_as_input_error_or_value(data: bytes) -> None:
    for error in (error_of(reader, data) for reader in ALL):
        assert error is None or (error.line >= 1 and error.message)

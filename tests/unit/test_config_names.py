"""Names, paths, durations, files and variables."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.config.durations import format_duration, parse_duration
from gitops.config.files import find_one
from gitops.config.names import BadNameError, check_environment, check_model, clean_path, twin_key
from gitops.config.parameters import VARIABLES, fill
from gitops.config.text import did_you_mean, show, show_path
from gitops.errors import InputError


@pytest.mark.parametrize("name", ["iris", "Iris Classifier", "модель", "a.b-c_d+e@f", "café", "x" * 200, "2024"])
def test_accepts_model_when_mlflow_would(name: str) -> None:
    check_model(name)


@pytest.mark.parametrize("name", ["", "a/b", "a:b", ".", "..", "..a", " a", "a ", "x" * 201])
def test_refuses_model_when_mlflow_would_or_it_misleads(name: str) -> None:
    with pytest.raises(BadNameError):
        check_model(name)


@pytest.mark.parametrize("name", ["staging", "eu-west-1", "a", "x_1"])
def test_accepts_environment_when_it_can_be_branch_and_alias(name: str) -> None:
    check_environment(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "1a", "a/b", "a b", "a.lock", "champion", "v2", "é", "x" * 64])
def test_refuses_environment_when_it_cannot_be_branch_or_alias(name: str) -> None:
    with pytest.raises(BadNameError):
        check_environment(name)


def test_twins_share_a_key_when_they_differ_by_case_or_form() -> None:
    assert twin_key("Café") == twin_key("cafe\u0301") == twin_key("CAFÉ")
    assert twin_key("a") != twin_key("b")


@pytest.mark.parametrize(("written", "path"), [("./a/", "a"), (".", "."), ("./", "."), ("a//b/./c", "a/b/c")])
def test_path_has_one_spelling_when_read(written: str, path: str) -> None:
    assert clean_path(written) == path


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("2m", timedelta(minutes=2)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        ("0s", timedelta(0)),
    ],
)
def test_duration_is_read_and_written_when_it_has_a_unit(text: str, length: timedelta) -> None:
    assert parse_duration(text) == length
    assert format_duration(length) == text


@pytest.mark.parametrize(
    "text", ["", "30", "1.5h", "-1s", "1 m", "1M", "01s", "1h30m", "367d", "9999999999s", "s", "٣s"]
)
def test_duration_is_refused_when_it_has_no_one_meaning(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@given(st.integers(0, 999_999_999).map(lambda ms: timedelta(milliseconds=ms)))
def test_duration_survives_when_written_and_read(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length


def test_finds_one_file_when_folder_has_one_spelling() -> None:
    paths = ["staging/endpoint.yml", "prod/endpoint.yaml", "endpoint.yaml/x"]
    assert find_one(paths, "endpoint", folder="staging") == "staging/endpoint.yml"
    assert find_one(paths, "endpoint", folder="prod") == "prod/endpoint.yaml"
    assert find_one(paths, "endpoint") is None
    with pytest.raises(InputError):
        find_one(["a/buildspec.yml", "a/buildspec.yaml"], "buildspec", folder="a")


def test_fills_variables_once_when_values_hold_more() -> None:
    values = {name: f"<{name}>" for name in VARIABLES} | {"branch": "${commit}"}
    filled = fill({"a": "x-${commit}-${branch}", "b": "$HOME $commit 5$", "c": ""}, values)
    assert filled == {"a": "x-<commit>-${commit}", "b": "$HOME $commit 5$", "c": ""}


def test_refuses_variable_by_name_when_unknown() -> None:
    with pytest.raises(InputError, match="HOME") as caught:
        fill({"a": "${HOME}"}, {})
    assert (caught.value.reason, caught.value.field) == ("variable_unknown", "train.parameters.a")


def test_shows_text_inert_when_it_is_long_or_invisible() -> None:
    assert show("a\x1b[31m\u202e\n") == '"a\\x1b[31m\\u202e\\n"'
    assert len(show("x" * 10_000)) == 62
    assert show_path(("a", 0, "b\n")) == "a[0].b\\n"
    assert did_you_mean("x" * 100_000, ["x"]) == ""

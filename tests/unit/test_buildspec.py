"""Reading and setting the pin: what people write is read and kept; what could mislead is refused with its place."""

import pytest

from gitops.buildspec import Change, Pin, read_pin, set_pin
from gitops.errors import InputError

URI, NAME = 'TRACKING_URI="https://mlflow.example.com"', 'MODEL_NAME="iris"'


def commands(*lines: str) -> str:
    head = "version: 0.2\nphases:\n  pre_build:\n    commands:\n"
    return head + "".join(f"      - {line}\n" for line in lines)


def pinned(line: str) -> str:
    return commands(URI, NAME, line)


def variables(*lines: str) -> str:
    fixed = ("TRACKING_URI: https://mlflow.example.com", "MODEL_NAME: iris")
    return "env:\n  variables:\n" + "".join(f"    {line}\n" for line in (*fixed, *lines))


def refuse(text: str | bytes) -> InputError:
    with pytest.raises(InputError) as caught:
        read_pin(text, file="staging/buildspec.yml")
    assert caught.value.file == "staging/buildspec.yml"
    return caught.value


def test_reads_pin_when_design_example_is_given() -> None:
    text = """\
# buildspec.yml
version: 0.2
phases:
  pre_build:
    commands:
      - TRACKING_URI="https://mlflow.example.com"
      - MODEL_NAME="iris"
      - MODEL_VERSION=""          # empty: not pinned yet
"""
    assert read_pin(text) == Pin("https://mlflow.example.com", "iris", "")
    assert not read_pin(text).is_pinned
    change = set_pin(text, version="7")
    assert change.new == Pin("https://mlflow.example.com", "iris", "7")
    assert change.text == text.replace('MODEL_VERSION=""', 'MODEL_VERSION="7"')


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("MODEL_VERSION=2", "MODEL_VERSION=3"),
        ("MODEL_VERSION=", "MODEL_VERSION=3"),
        ('MODEL_VERSION="2"', 'MODEL_VERSION="3"'),
        ("MODEL_VERSION='2'", "MODEL_VERSION='3'"),
        ("export MODEL_VERSION=2", "export MODEL_VERSION=3"),
        ("export  MODEL_VERSION=2 ;", "export  MODEL_VERSION=3 ;"),
        ('"MODEL_VERSION=2"', '"MODEL_VERSION=3"'),
        ('"MODEL_VERSION=\\"2\\""', '"MODEL_VERSION=\\"3\\""'),
        ("'MODEL_VERSION=\"2\"'", "'MODEL_VERSION=\"3\"'"),
        ("'MODEL_VERSION=''2'''", "'MODEL_VERSION=''3'''"),
        ("'MODEL_VERSION=2 # champion 😀'", "'MODEL_VERSION=3 # champion 😀'"),
        ("MODEL_VERSION=2   # two", "MODEL_VERSION=3   # two"),
        ('"\\u004dODEL_VERSION=2"', '"\\u004dODEL_VERSION=3"'),
    ],
)
def test_keeps_spelling_when_command_is_set(before: str, after: str) -> None:
    assert set_pin(pinned(before), version="3").text == pinned(after)


@pytest.mark.parametrize(
    ("before", "after", "version"),
    [
        ("MODEL_VERSION: 2", "MODEL_VERSION: 3", "3"),
        ("MODEL_VERSION: '2'  # two", "MODEL_VERSION: '3'  # two", "3"),
        ('MODEL_VERSION: "2"', 'MODEL_VERSION: "3"', "3"),
        ("MODEL_VERSION:", 'MODEL_VERSION: "3"', "3"),
        ("MODEL_VERSION: # none", 'MODEL_VERSION: "3" # none', "3"),
        ("MODEL_VERSION: 2 # two", 'MODEL_VERSION: "" # two', ""),
        ("MODEL_VERSION: '2'", "MODEL_VERSION: ''", ""),
    ],
)
def test_keeps_spelling_when_variable_is_set(before: str, after: str, version: str) -> None:
    change = set_pin(variables(before), version=version)
    assert change.text == variables(after)
    assert read_pin(change.text).model_version == version


def test_changes_nothing_when_version_is_the_same() -> None:
    text = pinned("MODEL_VERSION=2")
    change = set_pin(text, version="2")
    assert change == Change(change.old, change.old, text)
    assert not change.is_change
    assert change.text is text or change.text == text


def test_sets_model_too_when_asked() -> None:
    text = commands(URI, "MODEL_NAME=''", "MODEL_VERSION=")
    change = set_pin(text, version="1", model_name="Iris (wild)")
    assert change.text == commands(URI, "MODEL_NAME='Iris (wild)'", "MODEL_VERSION=1")
    assert change.new.model_name == "Iris (wild)"


@pytest.mark.parametrize("name", ['a"b', "a$b", "a`b", "a\\b", "a'b"])
def test_refuses_model_when_it_would_need_escapes(name: str) -> None:
    with pytest.raises(InputError) as caught:
        set_pin(pinned("MODEL_VERSION=1"), version="1", model_name=name)
    assert caught.value.reason == "pin_unwritable"


@pytest.mark.parametrize(
    "text",
    [
        pinned("MODEL_VERSION=2").replace("\n", "\r\n"),
        "\ufeff" + pinned("MODEL_VERSION=2"),
        "\ufeff# 😀\r\n" + pinned("MODEL_VERSION=2").replace("\n", "\r\n"),
        pinned("MODEL_VERSION=2").rstrip("\n"),
        "# é 😀 x\n" + pinned("MODEL_VERSION=2") + "# end 😀",
        pinned("MODEL_VERSION=2").replace("      - ", "    -   "),
        "phases: {pre_build: {commands: [TRACKING_URI=x, MODEL_NAME=iris, MODEL_VERSION=2]}}",
        "a: &a {b: !x 1}\nc: *a\nd: {<<: *a}\n" + pinned("MODEL_VERSION=2"),
        pinned("MODEL_VERSION=2\n      - docker build --build-arg MODEL_VERSION=$MODEL_VERSION ."),
        pinned("MODEL_VERSION=2\n      - |\n        for x in 1 2; do\n          echo $MODEL_VERSION\n        done"),
        pinned("MODEL_VERSION=2\n      - *cmd\nx: &cmd echo"),
    ],
)
def test_keeps_every_other_byte_when_version_is_set(text: str) -> None:
    data = text.encode()
    change = set_pin(data, version="31")
    assert change.data == data.replace(b"MODEL_VERSION=2", b"MODEL_VERSION=31")
    assert set_pin(change.text, version="2").data == data


@pytest.mark.parametrize(
    ("line", "reason", "at"),
    [
        ("MODEL_VERSION=2 MODEL_NAME=x", "pin_two_on_line", (7, 25)),
        ("MODEL_VERSION=2; echo", "pin_not_alone", (7, 9)),
        ("MODEL_VERSION=2 ./deploy.sh", "pin_not_alone", (7, 9)),
        ("if x; then MODEL_VERSION=2; fi", "pin_not_alone", (7, 20)),
        ("readonly MODEL_VERSION=2", "pin_not_alone", (7, 18)),
        ('export "MODEL_VERSION=2"', "pin_not_alone", (7, 16)),
        ("MODEL_VERSION+=2", "pin_not_alone", (7, 9)),
        ("MODEL_VERSION[0]=2", "pin_not_alone", (7, 9)),
        ("MODEL_VERSION=2 > x", "pin_not_alone", (7, 9)),
        ("(MODEL_VERSION=2)", "pin_not_alone", (7, 10)),
        ("MODEL_VERSION=2 &", "pin_not_alone", (7, 9)),
        ("MODEL_VERSION=2 ;;", "pin_not_alone", (7, 9)),
        ("; MODEL_VERSION=2", "pin_not_alone", (7, 11)),
        ("MODEL_VERSION=$(latest)", "pin_expansion", (7, 23)),
        ("MODEL_VERSION=`latest`", "pin_expansion", (7, 23)),
        ("MODEL_VERSION=$LATEST", "pin_expansion", (7, 23)),
        ('MODEL_VERSION="${LATEST:-2}"', "pin_expansion", (7, 23)),
        ('MODEL_VERSION=1"0"', "pin_syntax", (7, 23)),
        ("MODEL_VERSION='2", "pin_syntax", (7, 23)),
        ("MODEL_VERSION=1\\0", "pin_syntax", (7, 23)),
        ("MODEL_VERSION=~", "pin_syntax", (7, 23)),
        ("|\n        MODEL_VERSION=2", "pin_block_scalar", (7, 9)),
        (">-\n        MODEL_VERSION=2", "pin_block_scalar", (7, 9)),
        ("export\n        MODEL_VERSION=2", "pin_syntax", (7, 9)),
        ("&x MODEL_VERSION=2", "pin_anchor", (7, 9)),
        ("!!str MODEL_VERSION=2", "pin_anchor", (7, 9)),
        ("MODEL_VERSION=2\n      - MODEL_VERSION=2", "pin_twice", (8, 23)),
        ("echo", "pin_missing", (1, 1)),
        ("MODEL_VERSION: 2", "pin_missing", (1, 1)),
        ('"MODEL_VERSION=\\x32"', "version_invalid", (7, 24)),
    ],
)
def test_names_line_and_column_when_command_is_unsafe(line: str, reason: str, at: tuple[int, int]) -> None:
    error = refuse(pinned(line))
    assert (error.reason, (error.line, error.column)) == (reason, at)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &a {MODEL_VERSION: 2}\n" + variables("<<: *a"), "pin_anchor"),
        ("a: &a {MODEL_VERSION: 2}\n" + variables("<<: [*a]"), "pin_anchor"),
        (variables("MODEL_VERSION: &x 2"), "pin_anchor"),
        (variables("MODEL_VERSION: !!int 2"), "pin_anchor"),
        (variables("&k MODEL_VERSION: 2"), "pin_anchor"),
        ("v: &v 2\n" + variables("MODEL_VERSION: *v"), "pin_anchor"),
        (variables("MODEL_VERSION: 2").replace("env:", "env: &e"), "pin_anchor"),
        (variables("MODEL_VERSION: 2").replace("variables:", "variables: !x"), "pin_anchor"),
        (pinned("MODEL_VERSION=2").replace("commands:", "commands: &c"), "pin_anchor"),
        ("x: &x [MODEL_VERSION=2]\nphases: {pre_build: {commands: *x}}\n", "pin_anchor"),
        ("x: &x MODEL_VERSION=2\nphases: {pre_build: {commands: [*x]}}\n", "pin_anchor"),
        ("phases: {pre_build: {commands: [MODEL_VERSION=1]}}\n" + pinned("MODEL_VERSION=2"), "pin_anchor"),
        (variables("MODEL_VERSION: 2", "MODEL_VERSION: 3"), "pin_anchor"),
        (variables("MODEL_VERSION: 2") + pinned("MODEL_VERSION=2"), "pin_twice"),
        (variables("MODEL_VERSION: [2]"), "pin_syntax"),
        (variables("MODEL_VERSION: |\n      2"), "pin_block_scalar"),
        (variables('MODEL_VERSION: "\n      2"'), "pin_syntax"),
        (variables("MODEL_VERSION: *gone"), "pin_anchor"),
        (variables("MODEL_VERSION: '2\u2028'"), "pin_syntax"),
        (pinned("MODEL_VERSION=2").replace('"iris"', '""'), "pin_incomplete"),
        (pinned("MODEL_VERSION=2").replace("https://mlflow.example.com", ""), "pin_incomplete"),
        (pinned("MODEL_VERSION=2").replace("https:", "htt ps:"), "pin_invalid"),
        (pinned("MODEL_VERSION=2").replace('"iris"', "a/b"), "name_invalid"),
        ("", "yaml_empty"),
        ("- a", "pin_missing"),
        ("phases: {pre_build: {commands: MODEL_VERSION=2}}", "pin_missing"),
    ],
)
def test_refuses_when_way_to_the_pin_misleads(text: str, reason: str) -> None:
    error = refuse(text)
    assert error.reason == reason
    assert error.line >= 1


def test_refuses_when_result_would_mean_something_else() -> None:
    text = "env: {variables: {TRACKING_URI: x, MODEL_NAME: iris, MODEL_VERSION}}"
    assert not read_pin(text).is_pinned
    with pytest.raises(InputError) as caught:
        set_pin(text, version="2")
    assert caught.value.reason == "pin_unwritable"


def test_refuses_text_when_it_holds_lone_surrogates() -> None:
    assert refuse("a: \ud800").reason == "yaml_encoding"

"""`launchpin validate` and `schema`: what would be refused, found before it is pushed."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.support.cli import call

LAUNCHPIN = "version: 1\nmodel: iris\n"
MLPROJECT = "entry_points:\n  main:\n    command: python train.py\n"
ENDPOINT = "version: 1\nendpoint: iris\n"
BUILDSPEC = (
    "version: 0.2\nphases: {pre_build: {commands: ['TRACKING_URI=\"http://x\"', MODEL_NAME=iris, MODEL_VERSION=]}}\n"
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_yaml", ".yaml").replace("_yml", ".yml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_right_files_are_named_when_nothing_is_wrong(here: Path) -> None:
    write(here, launchpin_yaml=LAUNCHPIN, MLproject=MLPROJECT, staging__endpoint_yaml=ENDPOINT)
    write(here, staging__buildspec_yml=BUILDSPEC)

    result = call("validate")

    assert result.code == 0, result.both
    assert result.out.split() == [
        *("launchpin.yaml:", "ok", "MLproject:", "ok"),
        *("staging/endpoint.yaml:", "ok", "staging/buildspec.yml:", "ok"),
    ]


def test_each_wrong_file_is_told_with_its_place_when_several_are_wrong(here: Path) -> None:
    write(here, a__launchpin_yaml=LAUNCHPIN + "serach: {}\n", a__MLproject="entry_points: 3\n")
    write(here, b__endpoint_yaml=ENDPOINT + "target: sagemaker\n", b__buildspec_yml=BUILDSPEC)

    result = call("validate", ".")

    assert result.code == 1
    assert "a/launchpin.yaml:3:1: serach: " in result.out
    assert "a/MLproject:1:" in result.out
    assert "b/endpoint.yaml:3:" in result.out
    assert "not in this release" in result.out
    assert "3 of 4 files would be refused" in result.err


def test_json_has_line_and_field_when_a_file_is_wrong(here: Path) -> None:
    write(here, launchpin_yaml="version: 1\nmodel: iris\ntrain: {timeout: 5}\n", MLproject=MLPROJECT)

    document = call("validate", "--json").json

    wrong = next(one for one in document["files"] if not one["ok"])
    assert document["ok"] is False
    assert (wrong["file"], wrong["line"], wrong["field"]) == ("launchpin.yaml", 3, "train.timeout")


@pytest.mark.parametrize(
    ("launchpin", "project", "says"),
    [
        (LAUNCHPIN, "", "there is no MLproject"),
        (LAUNCHPIN + "train: {entry_point: fit}\n", MLPROJECT, "no entry point"),
        (LAUNCHPIN, MLPROJECT.replace("command", "parameters: {a: float}\n    command"), 'needs a value for "a"'),
    ],
)
def test_training_that_could_not_start_is_found_when_both_files_are_read(
    here: Path, launchpin: str, project: str, says: str
) -> None:
    write(here, launchpin_yaml=launchpin, **({"MLproject": project} if project else {}))

    result = call("validate")

    assert result.code == 1
    assert says in result.out


def test_both_spellings_at_once_are_refused_when_they_stand_in_one_folder(here: Path) -> None:
    write(here, launchpin_yaml=LAUNCHPIN, launchpin_yml=LAUNCHPIN, MLproject=MLPROJECT)

    result = call("validate")

    assert result.code == 1
    assert "keep one of the two" in result.out


def test_endpoint_without_a_pin_is_refused_and_a_buildspec_of_others_is_none_of_ours(here: Path) -> None:
    write(here, staging__endpoint_yaml=ENDPOINT, other__buildspec_yml="version: 0.2\n")

    result = call("validate")

    assert result.code == 1
    assert "staging/endpoint.yaml: there is no buildspec.yml" in result.out
    assert "other" not in result.out


def test_one_file_is_checked_when_it_is_named(here: Path) -> None:
    write(here, staging__endpoint_yaml=ENDPOINT, notes_yaml="")

    assert call("validate", "staging/endpoint.yaml").code == 0
    assert call("validate", "notes.yaml").code == 1


@pytest.mark.parametrize(
    ("axis", "said"),
    [
        ("{min: 0, max: 1e300, step: 0.1}", "search.space.a.step: step 0.1 is lost beside 1E+300"),
        ("{min: 0.0, max: 1.0, step: 1e-29}", "search.space.a.step: step 1E-29 is lost beside 1.0"),
        ("{min: 1.0, max: 1.0000000000000004, points: 5}", "search.space.a.points: 5 points from 1.0"),
        ("{min: 1, max: 3, points: 9}", "come to 3 different whole numbers; write `points: 3`"),
    ],
    ids=["endless", "fine", "near", "few"],
)
def test_a_space_that_cannot_be_is_told_with_its_place(here: Path, axis: str, said: str) -> None:
    search = f"search: {{objective: {{metric: f1}}, space: {{a: {axis}}}}}\n"
    write(here, launchpin_yaml=LAUNCHPIN + search, MLproject=MLPROJECT)

    result = call("validate", ".")

    assert result.code == 1, result.both
    assert "launchpin.yaml:3:" in result.out
    assert said in result.out
    assert "Traceback" not in result.both


def test_nothing_to_check_is_a_mistake_of_usage_when_a_folder_has_nothing_of_ours(here: Path) -> None:
    write(here, node_modules__x__launchpin_yaml="nonsense", **{".git__launchpin_yaml": "nonsense"})

    assert call("validate").code == 2
    assert call("validate", "missing").code == 2


def test_attack_43_large_file_is_refused_without_reading_it_whole(here: Path) -> None:
    write(here, launchpin_yaml="# " + "x" * 1_000_000)

    assert call("validate").code == 1


@pytest.mark.parametrize("kind", ["launchpin", "endpoint", "mlproject"])
def test_schema_is_one_that_validators_take_when_it_is_printed(kind: str) -> None:
    result = call("schema", kind)

    assert result.code == 0
    Draft202012Validator.check_schema(json.loads(result.out))

"""`launchpin init`: new repositories, and what is missing in those that exist."""

import subprocess
from pathlib import Path

import pytest

from gitops.buildspec import read_pin
from gitops.config.launchpin import Merge, Operator, parse_launchpin
from gitops.config.mlproject import compute_command, parse_mlproject
from tests.integration.init_rig import SCRIPT, here, snapshot
from tests.support.cli import call, make_stack

__all__ = ["here"]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_model_repository_is_written_and_committed_when_the_folder_is_new(here: Path) -> None:
    result = call("init", "model", "wine", "--deploy", "acme/wine-deploy")

    assert result.code == 0, result.both
    file = parse_launchpin((here / "wine/launchpin.yaml").read_bytes(), file="launchpin.yaml")
    assert file.model == "wine"
    assert file.deploy is not None
    assert file.deploy.repository == "acme/wine-deploy"
    assert git(here / "wine", "symbolic-ref", "--short", "HEAD") == "main"
    assert git(here / "wine", "status", "--short") == ""
    assert git(here / "wine", "log", "--format=%an %s") == "Launchpin Begin the model wine"
    assert "launchpin add wine" in result.out


def test_first_commit_is_the_persons_when_git_knows_who_that_is(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = here / "gitconfig"
    config.write_text("[user]\nname = Ada\nemail = ada@example.com\n[commit]\ngpgSign = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))

    assert call("init", "model", "wine").code == 0

    assert git(here / "wine", "log", "--format=%an <%ae>") == "Ada <ada@example.com>"


def test_deploy_repository_names_the_stacks_mlflow_when_there_is_a_stack(here: Path) -> None:
    with make_stack(here) as stack:
        result = stack.launchpin("init", "deploy", here / "wine-deploy", "--json")

        assert result.code == 0, result.both
        pin = read_pin((here / "wine-deploy/staging/buildspec.yml").read_bytes())
        assert (pin.model_name, pin.model_version, pin.tracking_uri) == ("wine", "", stack.layout.url("mlflow"))
    assert "staging/endpoint.yaml" in result.json["written"]


def test_deploy_repository_is_refused_with_a_remedy_when_nobody_knows_the_mlflow_server(here: Path) -> None:
    result = call("init", "deploy", "wine-deploy")

    assert result.code == 2
    assert "--tracking-uri" in result.err
    assert not (here / "wine-deploy").exists()


@pytest.mark.parametrize("model", ["a b", "x/y", 'a"b', "..", "$(id)"])
def test_name_is_refused_and_nothing_is_written_when_it_could_not_stand_in_every_file(here: Path, model: str) -> None:
    result = call("init", "model", "wine", "--model", model)

    assert result.code == 2
    assert not (here / "wine").exists()


def test_what_is_missing_is_written_and_nothing_is_run_when_there_is_code(here: Path) -> None:
    mine = here / "mine"
    mine.mkdir()
    (mine / "train.py").write_text(SCRIPT)
    (mine / "requirements.txt").write_text("mlflow\n")
    before = snapshot(mine)

    result = call("init", "model", "mine")

    assert result.code == 0, result.both
    after = snapshot(mine)
    assert {name: after[name] for name in before} == before
    assert {Path(name).name for name in after.keys() - before.keys()} == {"MLproject", "launchpin.yaml"}
    assert "+entry_points:" in result.out
    assert "--verbose" in result.out
    project = parse_mlproject((mine / "MLproject").read_bytes(), file="MLproject")
    command = compute_command(project, "main", parameters={})
    assert command == "python train.py --alpha 1e-05 --label 'it'\"'\"'s \"x\" {y} $(z)'"
    file = parse_launchpin((mine / "launchpin.yaml").read_bytes(), file="launchpin.yaml")
    assert file.register.gates == ()
    assert '{metric: "rmse", below: 0.1}' in (mine / "launchpin.yaml").read_text()
    assert file.deploy is not None
    assert [one.merge for one in file.deploy.environments] == [Merge.AUTO, Merge.REVIEW]


def test_commented_gates_are_good_when_they_are_taken_in(here: Path) -> None:
    (here / "train.py").write_text(SCRIPT)
    call("init", "model", ".", "--model", "mine")
    text = (here / "launchpin.yaml").read_text()
    text = text.replace("gates: []", "gates:").replace("  #   - {", "    - {")

    gates = parse_launchpin(text.encode(), file="launchpin.yaml").register.gates

    assert [gate.operator for gate in gates] == [Operator.BELOW, Operator.VERSUS]


def test_second_call_writes_nothing_when_nothing_is_missing(here: Path) -> None:
    (here / "train.py").write_text(SCRIPT)
    call("init", "model", ".", "--model", "mine")
    before = snapshot(here)

    result = call("init", "model", ".", "--json")

    assert result.code == 0
    assert result.json["written"] == []
    assert snapshot(here) == before


def test_checked_out_branch_trains_when_it_is_not_main(here: Path) -> None:
    (here / "train.py").write_text(SCRIPT)
    git(here, "init", "--quiet", "--initial-branch", "trunk")

    call("init", "model", ".", "--model", "mine", "--no-deploy")

    file = parse_launchpin((here / "launchpin.yaml").read_bytes(), file="launchpin.yaml")
    assert file.on.push.branches == ("trunk",)
    assert file.deploy is None


def test_existing_mlproject_is_kept_when_only_launchpin_yaml_is_missing(here: Path) -> None:
    text = "name: theirs\nentry_points:\n  fit:\n    command: python fit.py\n"
    (here / "MLproject").write_text(text)

    result = call("init", "model", ".", "--model", "mine", "--json")

    assert result.json["written"] == ["launchpin.yaml"]
    assert result.json["kept"] == ["MLproject"]
    assert (here / "MLproject").read_text() == text
    file = parse_launchpin((here / "launchpin.yaml").read_bytes(), file="launchpin.yaml")
    assert file.train.entry_point == "fit"


def test_requirements_are_asked_for_with_what_is_imported_when_there_are_none(here: Path) -> None:
    (here / "train.py").write_text("import mlflow, sklearn\n")

    result = call("init", "model", ".", "--model", "mine", "--json")

    assert result.code == 0
    assert any("requirements.txt" in text and "mlflow, scikit-learn" in text for text in result.json["warnings"])


def test_lock_is_asked_for_when_there_is_only_a_pyproject(here: Path) -> None:
    (here / "train.py").write_text(SCRIPT)
    (here / "pyproject.toml").write_text("[project]\nname = 'mine'\n")

    result = call("init", "model", ".", "--model", "mine")

    assert "uv lock" in result.out


def test_environment_file_is_named_in_mlproject_when_it_is_mlflows_own(here: Path) -> None:
    (here / "train.py").write_text(SCRIPT)
    (here / "conda.yaml").write_text("dependencies: [python=3.11, {pip: [mlflow]}]\n")

    call("init", "model", ".", "--model", "mine")

    assert parse_mlproject((here / "MLproject").read_bytes(), file="MLproject").conda_env == "conda.yaml"


def test_script_is_refused_with_the_nearest_one_when_it_is_not_there(here: Path) -> None:
    (here / "training.py").write_text(SCRIPT)

    result = call("init", "model", ".", "--script", "trainig.py")

    assert result.code == 1
    assert 'did you mean "training.py"' in result.err


def test_model_begins_as_the_example_that_is_asked_for(here: Path) -> None:
    result = call("init", "model", "leavers", "--template", "churn")

    assert result.code == 0, result.both
    file = parse_launchpin((here / "leavers/launchpin.yaml").read_bytes(), file="launchpin.yaml")
    assert (file.model, file.train.parameters["algorithms"]) == ("leavers", "all")
    assert {"data.py", "pipeline.py", "train.py"} <= {path.name for path in (here / "leavers").iterdir()}
    assert git(here / "leavers", "status", "--short") == ""


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("model", "new", "--template", "wine"), 2, "'iris', 'churn'"),
        (("deploy", "new", "--template", "churn"), 2, "--template go with `init model`"),
        (("model", "mine", "--template", "churn"), 1, "name a new folder, or leave --template out"),
    ],
)
def test_template_is_refused_where_there_is_none_or_code_is(
    here: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (here / "mine").mkdir()
    (here / "mine/train.py").write_text(SCRIPT)
    before = snapshot(here)

    result = call("init", *arguments)

    assert (result.code, said in result.both) == (code, True), result.both
    assert snapshot(here) == before

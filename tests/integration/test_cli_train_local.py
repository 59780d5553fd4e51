"""`launchpin train --local`: a folder as it lies there, by the real trainer, environment and MLflow server."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from gitops.cli.scaffold import Kind, Names, fill_template
from gitops.disk.locks import alone
from gitops.trainers import processes
from gitops.writes import SaveEnvironment, SaveVersion
from tests.contract.mlflow_registry_rig import unique
from tests.integration.local_rig import GOOD, LAUNCHPIN, Clone, _as_committed, clone
from tests.support.cli import call, make_stack
from tests.support.live import ENVIRONMENTS, git
from tests.support.store import make_environment, make_version, write
from tests.support.training import is_alive, pids_in, wait_until

__all__ = ["_as_committed", "clone"]
pytestmark = [pytest.mark.slow, pytest.mark.slices(4)]


def test_an_uncommitted_change_is_trained_and_passes(clone: Clone) -> None:
    clone.script(GOOD)

    result = clone.train()

    assert result.code == 0, result.both
    lines = result.out.splitlines()
    assert lines[0].endswith("with 1 uncommitted change; nothing will be registered")
    assert any(line.endswith("trained ['--rate', '0.10']") for line in lines)
    assert "  pass          accuracy 0.95 is above 0.9" in lines
    assert "  pass          f1 0.9 has no champion to beat" in lines
    (head,) = (line for line in lines if line.startswith("gates"))
    assert head.startswith(
        f"gates (no champion is known: there is no stack in {clone.stack_dir} (--dir names one); a gate"
    )
    assert "metrics    accuracy 0.95, f1 0.9" in lines
    assert lines[-1].startswith("pass: ")
    assert lines[-1].endswith("; nothing was registered, and nothing was pinned")
    (log,) = (Path(line.removeprefix("log ").strip()) for line in lines if line.startswith("log "))
    assert "trained" in log.read_text()
    (artifacts,) = (Path(line.removeprefix("artifacts ").strip()) for line in lines if line.startswith("artifacts "))
    assert (artifacts / "model/MLmodel").read_text() == "flavors: {}"
    assert (artifacts / "launchpin" / log.name).is_file()
    # Git sees nothing of it, and nothing but the records of tries is left.
    assert git(clone.folder, "status", "--porcelain") == " M train.py\n"
    assert not (clone.folder / ".launchpin-local/workspace").exists()
    assert list((clone.folder / ".launchpin-local/scratch").iterdir()) == []


SEARCH = """
search:
  objective: {metric: accuracy}
  space: {depth: {min: 1, max: 3}}
"""
# The second of three trials is the best, and the third one breaks.
TRIED = """
depth = int(sys.argv[sys.argv.index("--depth") + 1])
if depth == 3:
    raise SystemExit("too deep")
log(accuracy=0.9 + depth / 100, f1=0.9)
model()
print("depth", depth)
"""


def search(clone: Clone) -> None:
    """Have the clone's files search over the depth."""
    (clone.folder / "launchpin.yaml").write_text(LAUNCHPIN + SEARCH)
    project = clone.folder / "MLproject"
    project.write_text(project.read_text().replace("{rate: float}", "{rate: float, depth: float}"))
    project.write_text(project.read_text().replace("--rate {rate}", "--rate {rate} --depth {depth}"))
    clone.script(TRIED)


def test_a_search_is_tried_trial_by_trial_and_the_best_one_is_judged(clone: Clone) -> None:
    search(clone)

    result = clone.train()

    assert result.code == 0, result.both
    lines = result.out.splitlines()
    shown = [line for line in lines if line.startswith("trial ")]
    assert shown == ["trial 1 of 3: depth 1", "trial 2 of 3: depth 2", "trial 3 of 3: depth 3"]
    at = next(number for number, line in enumerate(lines) if line.startswith("TRIAL"))
    assert [line.split()[:4] for line in lines[at + 1 : at + 4]] == [
        ["1", "1", "0.91", "Succeeded"],
        ["2", "*", "2", "0.92"],
        ["3", "3", "-", "Errored"],
    ]
    assert "metrics    accuracy 0.92, f1 0.9" in lines
    (log,) = (Path(line.removeprefix("log ").strip()) for line in lines if line.startswith("log "))
    assert log.name.endswith(".2-1.log")
    assert "depth 2" in log.read_text()
    (took,) = (line for line in lines if line.startswith("took "))
    assert "searching" in took


def test_a_search_as_json_has_every_trial(clone: Clone) -> None:
    search(clone)

    found = clone.train("--json").json

    assert (found["verdict"], found["trials"], found["trial"]) == ("pass", 3, 2)
    assert [(one["number"], one["state"], one["is_best"]) for one in found["searched"]] == [
        (1, "Succeeded", False),
        (2, "Succeeded", True),
        (3, "Errored", False),
    ]
    assert found["searched"][2]["message"].endswith("main ended with exit code 1: too deep")
    assert found["parameters"] == {"rate": "0.10", "depth": "2"}


def test_a_search_of_which_every_trial_fails_is_no_verdict(clone: Clone) -> None:
    search(clone)
    clone.script("raise SystemExit('no data')")

    result = clone.train("--json")

    assert (result.code, result.json["reason"], result.json["step"]) == (3, "NoTrialSucceeded", "search")


def test_a_gate_that_does_not_hold_is_code_1_and_one_document(clone: Clone) -> None:
    clone.script("log(accuracy=0.8, f1=0.9)\nmodel()\nprint('shown meanwhile')")

    result = clone.train("--json")

    assert result.code == 1, result.both
    found = result.json
    assert (found["ok"], found["verdict"], found["reason"], found["step"]) == (False, "fail", "GateRefused", "judge")
    assert found["message"] == "accuracy 0.8 is not above 0.9"
    assert [(gate["metric"], gate["outcome"]) for gate in found["gates"]] == [("accuracy", "fail"), ("f1", "pass")]
    assert (found["metrics"], found["champion"]) == ({"accuracy": "0.8", "f1": "0.9"}, None)
    assert (found["uncommitted"], found["branch"], found["exit_code"]) == (1, "main", 0)
    assert found["parameters"]["rate"] == "0.10"
    assert found["seconds"]["all"] >= found["seconds"]["train"] > 0
    assert "shown meanwhile" in result.err


@pytest.mark.parametrize(
    ("script", "reason", "words"),
    [
        ("raise SystemExit('no data')", "TrainingFailed", "main ended with exit code 1: no data"),
        ("log(accuracy=0.95)\nmodel()", "Inconclusive", "f1 was not logged"),
        ("log(accuracy=0.95)", "NoModel", "no run of this training logged a model"),
    ],
    ids=["script", "metric", "model"],
)
def test_what_comes_to_no_verdict_is_code_3_and_says_why(clone: Clone, script: str, reason: str, words: str) -> None:
    clone.script(script)

    result = clone.train("--json")

    assert (result.code, result.json["reason"]) == (3, reason)
    assert words in result.json["message"]


def test_an_environment_that_cannot_be_built_is_code_3_with_the_resolvers_words(clone: Clone) -> None:
    (clone.folder / "requirements.txt").write_text("launchpin-no-such-package==1\n")

    result = clone.train()

    assert result.code == 3
    assert "launchpin-no-such-package" in result.out
    assert (
        result.out.splitlines()[-1].startswith("EnvironmentUnresolvable: ") or "EnvironmentUnresolvable: " in result.out
    )


def test_ignored_files_are_not_there_and_new_ones_are(clone: Clone) -> None:
    (clone.folder / "secret.log").write_text("only on this machine\n")
    (clone.folder / "helper.py").write_text("VALUE = 0.97\n")
    clone.script("""
        import helper
        log(accuracy=helper.VALUE, f1=0.9)
        model()
        print("sees", sorted(os.listdir(".")))
    """)

    result = clone.train()

    assert result.code == 0, result.both
    expected = [".gitignore", "MLproject", "helper.py", "launchpin.yaml", "requirements.txt", "train.py"]
    assert f"sees {expected}" in result.out.replace("'__pycache__', ", "")


def test_secrets_come_from_the_persons_variables_and_are_masked_in_the_log(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    (clone.folder / "launchpin.yaml").write_text(LAUNCHPIN.replace("train:", "train:\n  secrets: [WINE_KEY]"))
    clone.script(GOOD + "print('key', os.environ['WINE_KEY'], os.environ.get('WINE_OTHER'))")
    monkeypatch.setenv("WINE_OTHER", "not asked for")
    monkeypatch.delenv("WINE_KEY", raising=False)

    missing = clone.train("--json")
    monkeypatch.setenv("WINE_KEY", "hunter2-and-more")
    result = clone.train()

    assert (missing.code, missing.json["error"]["reason"]) == (2, "secret_missing")
    assert "train.secrets: WINE_KEY is not set here" in missing.err
    assert result.code == 0, result.both
    assert "key *** None" in result.out
    for file in (clone.folder / ".launchpin-local/logs").iterdir():
        assert "hunter2" not in file.read_text()


def test_a_stacks_champion_is_the_one_to_beat_and_nothing_reaches_the_stack(clone: Clone, tmp_path: Path) -> None:
    clone.script(GOOD + "post('registered-models/create', name='wine')\n")
    with make_stack(tmp_path) as stack:
        (stack.layout.dir / "environments").symlink_to(clone.folder / ".launchpin-local/environments")
        champion = make_version(model="wine", version="3", metrics={"accuracy": "0.99", "f1": "0.92"})
        serving = make_environment(model="wine", serving="3", is_champion=True)
        write(stack.store, SaveVersion(champion), SaveEnvironment(serving, ()))
        before = (stack.store.audit_size(), stack.store.versions("wine"), stack.store.environments())

        result = clone.train("--dir", stack.layout.dir)

        assert result.code == 1, result.both
        assert f"gates, with champion v3 of the stack in {stack.layout.dir}:" in result.out
        assert "  fail          f1 0.9 is not at least champion v3's 0.92" in result.out
        assert (stack.store.audit_size(), stack.store.versions("wine"), stack.store.environments()) == before
        assert stack.store.recent("training", limit=5) == []
        assert stack.store.recent("promotion", limit=5) == []
        assert not (stack.layout.dir / "mlflow").exists()
    # What the script itself registered is in the store of the tries, and nowhere else.
    assert clone.registered() == ["wine"]


def test_a_script_that_registers_its_model_does_so_in_the_store_of_the_tries_alone(
    tmp_path: Path, tracking_uri: str
) -> None:
    folder, name = tmp_path / "flowers", unique("flowers")
    for path, content in fill_template(Kind.MODEL, Names(name, f"acme/{name}-deploy")).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    script = folder / "train.py"
    script.write_text(script.read_text().replace('name="model",', f'name="model", registered_model_name="{name}",'))
    git(folder, "init", "-q", "-b", "main")
    with make_stack(tmp_path) as stack:
        stack.set_mlflow(urlsplit(tracking_uri).port or 0)
        (stack.layout.dir / "environments").symlink_to(os.environ[ENVIRONMENTS])

        result = Clone(folder, stack.layout.dir).train("--json")

        assert result.code == 0, result.both
        assert [gate["reason"] for gate in result.json["gates"]] == ["GatePassed", "NoChampion"]
        assert (result.json["commit"], len(result.json["artifacts"])) == ("uncommitted", 2)
        assert stack.store.versions(name) == []
    assert Clone(folder, tmp_path).registered() == [name]
    for what in ("registered-models", "experiments"):
        asked = {"filter": f"name = '{name}'", "max_results": "5"}
        answer = httpx.get(f"{tracking_uri}/api/2.0/mlflow/{what}/search", params=asked)
        assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(
    ("file", "text", "reason", "words"),
    [
        ("launchpin.yaml", LAUNCHPIN.replace("timeout: 2m", "timeout: soon"), "value_invalid", "launchpin.yaml:5:12"),
        ("launchpin.yaml", LAUNCHPIN.replace("model: wine", "modle: wine"), "unknown_key", "launchpin.yaml:2:1"),
        ("MLproject", "entry_points: {main: {command: 'python {x}'}}\n", "placeholder_unknown", "MLproject:1:"),
        ("launchpin.yaml", LAUNCHPIN.replace('{rate: "0.10"}', "{}"), "parameter_missing", "launchpin.yaml: train"),
    ],
    ids=["value", "key", "MLproject", "parameter"],
)
def test_a_file_that_is_wrong_is_code_2_with_its_line_and_nothing_begins(
    clone: Clone, file: str, text: str, reason: str, words: str
) -> None:
    (clone.folder / file).write_text(text)

    result = clone.train("--json")

    assert (result.code, result.json["error"]["reason"]) == (2, reason), result.both
    assert f"{clone.folder}/{words}" in result.err


def test_files_that_no_push_would_hold_are_code_2(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/launchpin.yaml").write_text(LAUNCHPIN)
    (clone.folder / ".gitignore").write_text("launchpin.yaml\n")
    git(clone.folder, "rm", "-q", "--cached", "launchpin.yaml")
    try:
        ignored = clone.train("--json")
    finally:
        git(clone.folder, "reset", "-q", "--hard")

    assert (ignored.code, ignored.json["error"]["reason"]) == (2, "ConfigMissing")
    for name, reason in {"empty": "ConfigMissing", "bare": "no_repository"}.items():
        result = Clone(tmp_path / name, clone.stack_dir).train("--json")
        assert (result.code, result.json["error"]["reason"]) == (2, reason)


def test_one_try_at_a_time_is_under_way_in_a_folder(clone: Clone) -> None:
    home = clone.folder / ".launchpin-local"
    home.mkdir(exist_ok=True)

    with alone(home / "lock"):
        result = clone.train("--json")

    assert (result.code, result.json["error"]["reason"]) == (3, "TryUnderWay")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)], ids=["Ctrl-C", "kill -9"])
def test_nothing_of_a_try_lives_on_when_it_is_ended(
    clone: Clone, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    pids = tmp_path / "pids"
    clone.script(f"""
        import subprocess, time
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        with open({str(pids)!r}, "w") as file:
            file.write(f"{{os.getpid()}}\\n{{child.pid}}\\n")
        time.sleep(600)
    """)
    # As a shell in the foreground starts it: what starts in the background ignores Ctrl-C.
    begin = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from gitops.cli import main; main()"
    )
    command = [sys.executable, "-P", "-c", begin, "train", "--local", str(clone.folder), "--dir", "none"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        wait_until(lambda: running.poll() is not None or len(pids_in(pids)) == 2, seconds=400)
        tree = processes.descendants(running.pid, processes.snapshot())
        running.send_signal(number)
        said = running.communicate(timeout=200)[0]

    assert running.returncode == code, said
    assert any(process.pid == pids_in(pids)[0] for process in tree)
    wait_until(lambda: not any(is_alive(pid) for pid in (*pids_in(pids), *(one.pid for one in tree))), seconds=60)
    assert ("stopped: nothing of it runs any more" in said) is (number is signal.SIGINT)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a REPOSITORY (OWNER/NAME), or try the files of this folder with --local"),
        (("acme/wine", "--local"), "'acme/wine' names a repository: leave one out"),
        (("--local", "acme/wine"), "Directory 'acme/wine' does not exist"),
        (("--local", ".", "--ref", "main"), "--ref and --local do not go together"),
        (("--local", "--force"), "--force and --local do not go together"),
        (("--local", "--timeout", "5"), "--timeout and --local do not go together: train.timeout"),
    ],
    ids=["neither", "both", "no folder", "ref", "force", "timeout"],
)
def test_a_mistake_in_the_call_is_told_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call("train", *arguments)

    assert result.code == 2
    assert words in result.err


def test_this_folder_is_tried_when_none_is_named(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    clone.script(GOOD)
    monkeypatch.chdir(clone.folder)

    result = call("train", "--local", "--json", "--dir", "none")

    assert (result.code, json.loads(result.out)["verdict"]) == (0, "pass")

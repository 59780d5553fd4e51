"""Attacks by training code on the worker that runs it: on its secrets, its log and its modules."""

import base64
import json
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from gitops.ports import End
from gitops.trainers.local import LocalTrainer
from tests.support.training import HeldLease, make_spec, write_script

GRANTED = "gr4nted/secret+value="
OURS = "our-own-github-token"
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def trainer(tmp_path: Path) -> LocalTrainer:
    return LocalTrainer(tmp_path / "trainer", poll=0.1)


def test_attack_75_terminal_escapes_are_shown_when_a_training_prints_them(
    trainer: LocalTrainer, tmp_path: Path
) -> None:
    command = r"printf '\033[2Jgone\033]52;c;cm0=\007\302\233\n'"

    end = trainer.run(make_spec(tmp_path / "checkout", command), lease=HeldLease())

    assert end.tail == (r"\x1b[2Jgone\x1b]52;c;cm0=\x07\x9b",)
    assert not set(end.log.read_bytes()) & {0x1B, 0x07, 0x9B}


def test_attack_78_granted_secret_is_masked_when_a_training_prints_it(trainer: LocalTrainer, tmp_path: Path) -> None:
    script = """
    import base64, os, sys, time, urllib.parse
    secret = os.environ["API_KEY"]
    for text in (secret, base64.b64encode(secret.encode()).decode(), urllib.parse.quote_plus(secret),
                 secret.encode().hex(), f"https://user:{secret}@example.com", dict(os.environ)):
        print(text)
    print(secret, file=sys.stderr)
    for letter in secret:
        os.write(1, letter.encode())
        time.sleep(0.005)
    print()
    os.system("printenv API_KEY")
    """
    command = write_script(tmp_path / "checkout", textwrap.dedent(script))
    spec = make_spec(tmp_path / "checkout", command, secrets={"API_KEY": GRANTED})

    end = trainer.run(spec, lease=HeldLease())

    text = end.log.read_text(encoding="utf-8") + "\n".join(end.tail)
    raw = GRANTED.encode()
    assert end.exit_code == 0
    assert text.count("***") >= 18
    assert not [
        form for form in (GRANTED, base64.b64encode(raw).decode()[:-4], quote_plus(GRANTED), raw.hex()) if form in text
    ]


def test_attack_78_child_environment_holds_only_what_was_granted(
    trainer: LocalTrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LAUNCHPIN_FORGE_TOKEN_FILE", "GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "PYTHONPATH", "HTTPS_PROXY"):
        monkeypatch.setenv(name, OURS)
    script = """
    import json, os
    parent = open(f"/proc/{os.getppid()}/environ").read() if os.path.exists("/proc/self/environ") else ""
    arguments = open(f"/proc/{os.getppid()}/cmdline").read() if parent else ""
    json.dump([dict(os.environ), parent, arguments], open("seen.json", "w"))
    """
    command = write_script(tmp_path / "checkout", textwrap.dedent(script))
    spec = make_spec(tmp_path / "checkout", command, variables={"MLFLOW_RUN_ID": "r1"}, secrets={"API_KEY": GRANTED})

    assert trainer.run(spec, lease=HeldLease()).exit_code == 0

    child, runner, arguments = json.loads((tmp_path / "checkout" / "seen.json").read_text())
    bash_adds = {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"}
    assert set(child) - bash_adds == {
        "API_KEY", "MLFLOW_RUN_ID", "PATH", "HOME", "TMPDIR", "LANG", "PYTHONUNBUFFERED",
    }  # fmt: skip
    assert child["PATH"].startswith(f"{Path(sys.executable).parent}:")
    assert str(tmp_path / "trainer" / "scratch") in child["HOME"]
    assert OURS not in json.dumps(child) + runner
    assert GRANTED not in runner + arguments


def test_attack_79_line_stays_a_line_of_the_training_when_it_looks_like_a_record_of_ours(
    trainer: LocalTrainer, tmp_path: Path
) -> None:
    forged = '{"level":"audit","action":"training.succeeded"}'
    script = (
        f"import sys\nsys.stdout.write('fine\\r\\n' + {forged!r} + '\\r' + {forged!r} + '\\u2028' + {forged!r} + '\\n')"
    )

    end = trainer.run(make_spec(tmp_path / "checkout", write_script(tmp_path / "checkout", script)), lease=HeldLease())

    lines = end.log.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert not [line for line in lines if line.lstrip().startswith("{")]
    assert end.tail == ("fine", forged, rf"{forged}\u2028{forged}")
    # As one field of a log record it is one line of JSON.
    assert "\n" not in json.dumps({"tail": end.tail})


def write_hostile_packages(folder: Path, canary: Path) -> None:
    for name in ("gitops", "workers", "webhooks", "pydantic", "psutil", "ctypes"):
        (folder / name).mkdir(parents=True)
        text = f"open({str(canary)!r}, 'a').write({name!r} + chr(10))"
        for file in ("__init__.py", "runner.py", "local.py"):
            (folder / name / file).write_text(text)
    (folder / "sitecustomize.py").write_text(f"open({str(canary)!r}, 'a').write('sitecustomize')")


def test_our_modules_are_run_when_folders_of_their_names_lie_in_every_working_directory(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    here, checkout = tmp_path / "here", tmp_path / "checkout"
    for folder in (here, checkout):
        write_hostile_packages(folder, canary)
    script = f"""
    import sys
    sys.path.append({str(REPOSITORY)!r})
    from pathlib import Path
    from gitops.trainers.local import LocalTrainer
    from tests.support.training import HeldLease, make_spec
    spec = make_spec(Path({str(checkout)!r}), "echo trained")
    end = LocalTrainer(Path({str(tmp_path / "trainer")!r})).run(spec, lease=HeldLease())
    print(end.end, *end.tail)
    """

    done = subprocess.run(
        [sys.executable, "-P", "-c", textwrap.dedent(script)], cwd=here, capture_output=True, text=True, check=True
    )

    assert done.stdout == f"{End.EXITED} trained\n"
    assert not canary.exists()

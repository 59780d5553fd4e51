import io
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from gitops.cli.exits import ExitCode, exit_code_for
from gitops.cli.main import fail_unknown, json_option, run, stack_dir_option
from gitops.cli.show import Console, duration, table
from gitops.cli.verbs import VERBS, help_text
from gitops.errors import (
    ConflictError,
    InputError,
    LaunchpinError,
    NotFoundError,
    RefusedError,
    RetryError,
    StalledError,
    UnknownOutcomeError,
)

_CLI = (sys.executable, "-P", "-m", "gitops.cli")


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_the_same_page_with_and_without_click(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    fast = subprocess.run([*_CLI, flag], check=True, capture_output=True, text=True)
    assert run([flag]) == ExitCode.OK
    assert fast.stdout == capsys.readouterr().out == help_text()


def test_help_loads_neither_click_nor_anything_of_a_verb() -> None:
    code = "import sys\nsys.argv[1:] = ['--help']\nfrom gitops.cli import main\ntry:\n  main()\nfinally:\n  "
    code += "print(*sorted(name for name in sys.modules if name.startswith(('gitops', 'click', 'json', 'mlflow'))))"
    answer = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "gitops gitops.cli gitops.cli.verbs"


def test_help_names_every_verb_in_a_short_line() -> None:
    lines = help_text().splitlines()
    assert all(f"  {name:<10} {text}" in lines for name, (_, text) in VERBS.items())
    assert max(map(len, lines)) <= 79


def test_every_verb_of_the_table_is_a_command_with_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in VERBS:
        assert run([verb, "--help"]) == ExitCode.OK
        assert capsys.readouterr().out.startswith(f"Usage: launchpin {verb}")


@pytest.mark.parametrize(("wrong", "right"), [("stauts", "status"), ("rolback", "rollback"), ("UP", ""), ("", "")])
def test_wrong_verb_is_answered_with_the_nearest(wrong: str, right: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([wrong]) == ExitCode.USAGE
    error = capsys.readouterr().err
    assert f"no such verb: {wrong!r}" in error
    assert (f"did you mean {right}?" if right else "there are: up, down, demo") in error


def test_wrong_name_is_answered_with_what_there_is() -> None:
    with pytest.raises(click.UsageError, match=r"no such endpoint: 'x'; there are: none"):
        fail_unknown("endpoint", "x", [])
    with pytest.raises(click.UsageError, match=r"no such environment: 'stagign'; did you mean staging\?"):
        fail_unknown("environment", "stagign", ["production", "staging"])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RefusedError("Held", "no"), 1),
        (InputError("yaml_alias", "no"), 2),
        (NotFoundError("NoStack", "no"), 2),
        (RetryError("NotReady", "no"), 3),
        (UnknownOutcomeError("ForgeUnavailable", "no"), 3),
        (StalledError("PortTaken", "no"), 4),
        (ConflictError("Moved", "no"), 4),
        (LaunchpinError("Other", "no"), 4),
    ],
)
def test_each_error_has_its_exit_code(error: LaunchpinError, code: int) -> None:
    assert exit_code_for(error) == code


def test_error_is_one_line_and_a_document_when_json_was_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["down", "--dir", str(tmp_path), "--json"]) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.err.startswith(f"launchpin: there is no stack in {tmp_path}")
    assert shown.err.count("\n") == 1
    assert json.loads(shown.out)["error"]["reason"] == "NoStack"


def test_usage_error_is_a_document_too_when_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["down", "--json", "--no-such-option"]) == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out)["error"]["reason"] == "usage"


def test_stacks_folder_comes_from_the_environment_when_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Path, bool]] = []

    @click.command()
    @stack_dir_option
    @json_option
    def look(stack_dir: Path, *, as_json: bool) -> None:
        seen.append((stack_dir, as_json))

    monkeypatch.delenv("LAUNCHPIN_DIR", raising=False)
    look.main([], standalone_mode=False)
    monkeypatch.setenv("LAUNCHPIN_DIR", "/over/there")
    look.main(["--json"], standalone_mode=False)
    look.main(["--dir", "here"], standalone_mode=False)
    assert seen == [(Path(".launchpin-stack"), False), (Path("/over/there"), True), (Path("here"), False)]


def test_reader_that_has_seen_enough_is_no_failure() -> None:
    code = "import sys\nsys.argv[1:] = ['down', '--help']\nfrom gitops.cli import main\nsys.stdin.read()\nmain()"
    command = [sys.executable, "-P", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stdin.close()
        assert (process.stderr.read(), process.wait(timeout=30)) == (b"", 0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (59.4, "59 s"), (185.2, "3 min 05 s")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_attack_75_cell_with_an_escape_sequence_is_shown() -> None:
    shown = table(["model", "state"], [["iris\x1b[2J", "ok"], ["a\nb", "failed"]])
    assert shown.splitlines() == ["model        state", r"iris\x1b[2J  ok", r"a\x0ab       failed"]


def test_nothing_moves_and_nothing_is_coloured_without_a_terminal() -> None:
    stream = io.StringIO()
    console = Console(stream)
    console.move("waiting")
    console.say(console.paint("ready", "green"))
    console.rest()
    assert stream.getvalue() == "ready\n"
    assert not console.is_terminal


def test_lines_stand_above_the_moving_one_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = Terminal()
    console = Console(stream)
    console.move("waiting for mlflow")
    console.say("web is ready")
    console.rest()
    moving, said, rest = stream.getvalue().split("\r\x1b[2K")[1:]
    assert "waiting for mlflow  0.0 s" in moving
    assert (said, rest) == ("web is ready\n", "")
    assert console.paint("x", "green") == "\x1b[32mx\x1b[0m"


def test_terminal_that_is_gone_stops_nothing() -> None:
    stream = io.StringIO()
    console = Console(stream)
    stream.close()
    console.say("into the void")

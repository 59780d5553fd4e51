"""Verbs, options and names completed in real shells, with a stack that has something to name."""

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Self

import click
import pytest
from click.shell_completion import ShellComplete

from gitops.access import LOCAL, Token
from gitops.cli.main import launchpin
from gitops.cli.verbs import VERBS
from gitops.grammar import VERBS as GRAMMAR
from gitops.grammar import Kind
from gitops.records import Role, TrainingFacts
from gitops.writes import SaveEnvironment, SaveRepository, SaveVersion, StartTraining
from tests.support.api import ROOT
from tests.support.cli import Stack, make_stack
from tests.support.store import (
    make_delivery,
    make_environment,
    make_repository,
    make_training,
    make_version,
    serve_once,
    write,
)

HOSTILE = ("$(touch x)", "a b", "a;b", "`x`", "a\nb", "-x", "ü", "a'b", 'a"b', "a|b", "*", "~x", "a\x1b[31m", "")
NAMED = {Kind.REPOSITORY, Kind.TRAINING, Kind.STORY, Kind.SUBJECT, Kind.MODEL, Kind.VERSION, Kind.ENDPOINT, Kind.PLACE}
NAMED |= {Kind.LOGGED, Kind.DELIVERY}
DELIVERY = "0b5ad3b1-55f2-4b5e-9d0c-2a4c1f4e8a11"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with make_stack(tmp_path_factory.mktemp("completion")) as stack:
        fill(stack)
        yield stack


def fill(stack: Stack) -> None:
    model = make_repository(id=7, full_name="acme/iris", role=Role.MODEL)
    deploy = make_repository(id=8, full_name="acme/iris-deploy", role=Role.DEPLOY)
    training = make_training(id="t-0001", repository_id=7, model="iris", facts=TrainingFacts(trials=4))
    place = make_environment(repository_id=8, repository=deploy.full_name, endpoint="iris-staging", model="iris")
    write(
        stack.store,
        SaveRepository(model),
        SaveRepository(deploy),
        StartTraining(training),
        SaveEnvironment(place, ()),
        *(SaveVersion(make_version(version=number, model="iris", training_id=training.id)) for number in ("3", "4")),
    )
    serve_once(stack.store, "3", id="r-0001", repository_id=8)
    for at, name in enumerate(HOSTILE):
        odd = make_environment(repository_id=100 + at, path=f"p{at}", endpoint=name, model=name or "iris")
        write(stack.store, SaveEnvironment(odd, ()))
    stack.store.save_delivery(make_delivery(id=DELIVERY))
    person = stack.store.ensure_person(LOCAL, "mona")
    stack.store.save_token(
        Token(
            id="k-0001",
            person_id=person.id,
            name="ci",
            secret_sha256="x",
            role="viewer",
            expires_at=stack.store.now() + timedelta(days=1),
        ),
        actor=ROOT,
    )


def offered(stack: Stack, line: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return what is offered at the end of a line, as click answers every shell."""
    monkeypatch.setenv("LAUNCHPIN_DIR", str(stack.layout.dir))
    words = shlex.split(line)
    last = words.pop() if line and not line.endswith(" ") else ""
    found = ShellComplete(launchpin, {}, "launchpin", "_LAUNCHPIN_COMPLETE").get_completions(words, last)
    return {item.value for item in found}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", set(VERBS)),
        ("trai", {"train"}),
        ("tria", {"trials"}),
        ("train ", {"acme/iris"}),
        ("cancel ", {"t-0001"}),
        ("retry t", {"t-0001"}),
        ("retry i", {"iris-staging"}),
        ("explain ", {"iris-staging", "t-0001"}),
        ("history i", {"iris", "iris-staging"}),
        ("runs ", {"iris"}),
        ("versions ", {"iris"}),
        ("promote iris ", {"3", "4"}),
        ("promote iris 3 --to ", {"iris-staging"}),
        ("rollback iris-staging --to ", {"3"}),
        ("hold ", {"iris-staging"}),
        ("resume ", {"iris-staging"}),
        ("logs ", {"t-0001", "r-0001", "web", "iris-staging"}),
        ("plan ", {"iris-staging"}),
        ("plan iris-staging --version ", {"3", "4"}),
        ("endpoints ", {"iris"}),
        ("redeliver ", {DELIVERY}),
        ("schema ", {"launchpin", "endpoint", "notify", "mlproject"}),
        ("audit at --endpoint ", {"iris-staging"}),
        ("people ", {"disable", "grant", "link", "list", "revoke"}),
        ("people grant ", {"mona"}),
        ("people grant mona ", {"viewer", "runner", "approver", "admin"}),
        ("people revoke mona --repository acme/", {"acme/iris", "acme/iris-deploy"}),
        ("people disable mona --provider ", {"local"}),
        ("token revoke ", {"k-0001"}),
        ("token create ci --for ", {"mona"}),
        ("token create ci --role a", {"approver", "admin"}),
        ("completion ", {"bash", "zsh", "fish"}),
    ],
)
def test_a_line_is_completed_with_what_may_stand_there(
    stack: Stack, line: str, names: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert offered(stack, line, monkeypatch) == names


def commands(group: click.Group, *before: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, *before, name)
        else:
            yield " ".join((*before, name)), command


COMMANDS = dict(commands(launchpin))


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_option_of_every_verb_is_offered(stack: Stack, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {name for one in COMMANDS[verb].params if isinstance(one, click.Option) for name in one.opts}
    found = offered(stack, f"{verb} -", monkeypatch)
    assert {name for name in options if name.startswith("--")} <= found
    assert "--help" in found


def test_every_name_of_the_table_of_verbs_is_offered(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a verb of the table takes that is known here, a shell offers."""
    missing = []
    for verb in GRAMMAR.values():
        line = verb.typed_as or verb.name
        if verb.name == "connect":
            continue  # takes a folder on the command line
        for one in verb.arguments:
            typed = line + (f" --{one.name} " if one.is_option else " ")
            if one.kind in NAMED and not offered(stack, typed, monkeypatch):
                missing.append(typed)
            if not one.is_option and one.is_required:
                line += {Kind.MODEL: " iris", Kind.VERSION: " 3", Kind.ENDPOINT: " iris-staging"}.get(one.kind, " x")
    assert missing == []


def test_a_name_that_a_shell_would_carry_out_is_not_offered(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in ("hold ", "versions ", "explain ", "history "):
        assert offered(stack, line, monkeypatch) & set(HOSTILE) == set()


@pytest.mark.parametrize("line", ["hold ", "people grant ", "runs --nonsense x "])
def test_nothing_is_said_where_there_is_nothing_to_offer(tmp_path: Path, line: str) -> None:
    environment = {**os.environ, "_LAUNCHPIN_COMPLETE": "bash_complete", "LAUNCHPIN_DIR": str(tmp_path / "none")}
    environment |= {"COMP_WORDS": f"launchpin {line}", "COMP_CWORD": str(len(line.split()) + 1)}
    shown = subprocess.run(
        [binary("launchpin")], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (shown.stdout.strip(), shown.stderr) == ("", "")
    assert not (tmp_path / "none").exists()


# ---------------------------------------------------------------- real shells


def binary(name: str) -> str:
    """Return a program, our own before others; without a shell its test says how to get one."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        hint = f"apt-get install {name}"
        if os.environ.get("LAUNCHPIN_CI") or os.environ.get("CI"):
            pytest.fail(f"{name} is missing: {hint}")
        pytest.skip(hint)
    return found


def environment(stack: Stack, home: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        "PATH": path,
        "HOME": str(home),
        "TERM": "dumb",
        "LAUNCHPIN_DIR": str(stack.layout.dir),
        "LC_ALL": "C.UTF-8",
    }


def test_bash_completes_verbs_options_and_names(stack: Stack, tmp_path: Path) -> None:
    script = """
        eval "$(launchpin completion bash)"
        try() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _launchpin_completion launchpin
            echo "${COMPREPLY[@]}"
        }
        complete -p launchpin
        try launchpin trai
        try launchpin hold iris
        try launchpin people grant --sub
        try launchpin promote iris ""
    """
    shown = subprocess.run(
        [binary("bash"), "--norc", "-c", script],
        env=environment(stack, tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert shown.stderr == ""
    assert shown.stdout.splitlines()[1:] == ["train", "iris-staging", "--subject", "4 3"]


def test_fish_completes_verbs_options_and_names(stack: Stack, tmp_path: Path) -> None:
    lines = ("launchpin trai", "launchpin hold iris", "launchpin people grant --sub", "launchpin promote iris ")
    script = "launchpin completion fish | source; " + "; ".join(f"complete -C '{line}'" for line in lines)
    shown = subprocess.run(
        [binary("fish"), "--no-config", "-c", script],
        env=environment(stack, tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = {line.partition("\t")[0] for line in shown.stdout.splitlines()}
    assert (found, shown.stderr) == ({"train", "iris-staging", "--subject", "3", "4"}, "")


def test_zsh_completes_verbs_options_and_names(stack: Stack, tmp_path: Path) -> None:
    with_tab = [
        ("launchpin trai\t", "launchpin train "),
        ("launchpin hold iris\t", "hold iris-staging "),
        ("launchpin people grant --sub\t", "grant --subject "),
        ("launchpin train acme\t", "train acme/iris "),
    ]
    setup = (
        'PS1="> "; unsetopt ZLE_RPROMPT_INDENT; autoload -Uz compinit; compinit -u; eval "$(launchpin completion zsh)"'
    )
    with Terminal([binary("zsh"), "-f", "-i"], environment(stack, tmp_path)) as shell:
        shell.type(f"{setup}; echo rea''dy\n")
        shell.wait_for("ready")
        for typed, shown in with_tab:
            shell.type(typed)
            shell.wait_for(shown)
            shell.type("\x15")


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        self._process = subprocess.Popen(
            arguments, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self._ours = ours
        self._seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until a text was shown; what came before it is forgotten."""
        ends = time.monotonic() + 60
        while text not in self._seen:
            ready, _, _ = select.select([self._ours], [], [], max(ends - time.monotonic(), 0))
            assert ready, f"{text!r} was not shown, but {self._seen!r}"
            self._seen += os.read(self._ours, 65536).decode("utf-8", "replace")
        self._seen = self._seen.partition(text)[2]

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from gitops.embedded.stack.layout import Layout, is_free
from gitops.embedded.stack.parts import Part, build_parts
from gitops.embedded.stack.process import What
from gitops.embedded.stack.record import State
from gitops.embedded.stack.supervisor import ask_to_stop, end_leftovers, part_states, take_lock
from gitops.errors import InputError, NotFoundError, RefusedError, RetryError, StalledError
from gitops.trainers import processes
from tests.support.stack import PARENT, STUBBORN, cheap_parts, server_part, supervised, wait_until

_ROOT = Path(__file__).parents[2]


def test_parts_get_ready_in_order_and_none_is_left_when_stopped(tmp_path: Path) -> None:
    with supervised(tmp_path, parents) as watched:
        watched.supervisor.wait_ready(30)
        tree = family(watched.pid("alpha")) + family(watched.pid("beta"))
        assert len(tree) == 3
        assert [event.part for event in watched.of(What.READY)] == ["alpha", "beta"]
    assert not [one for one in tree if is_alive(one)]
    assert [event.part for event in watched.of(What.STOPPED)] == ["beta", "alpha"]
    assert {state.state for state in part_states(watched.supervisor.layout)} == {State.STOPPED}


def test_killed_part_is_named_with_its_last_lines_and_started_again(tmp_path: Path) -> None:
    with supervised(tmp_path) as watched:
        watched.supervisor.wait_ready(30)
        os.kill(first := watched.pid("beta"), signal.SIGKILL)
        wait_until(lambda: len(watched.of(What.READY, "beta")) == 2, "beta is ready again")
        (death,) = watched.of(What.DIED)
        assert death.text == "died (SIGKILL), starts again in 0.2 s"
        assert death.lines[0] == "a line of beta"
        assert watched.pid("beta") != first
        assert watched.state("beta").restarts == 1
        assert watched.state("alpha").restarts == 0


def test_pauses_grow_and_waiting_ends_when_a_part_never_starts(tmp_path: Path) -> None:
    with supervised(tmp_path, broken_parts) as watched:
        with pytest.raises(StalledError, match=r"gamma does not start \(log: .*gamma.log\)(?s:.*)no such flour"):
            watched.supervisor.wait_ready(30)
        deaths = watched.of(What.DIED, "gamma")
    assert [event.seconds for event in deaths[:3]] == [0.2, 0.4, 0.8]
    assert deaths[0].text.startswith("died (exit code 7)")


def test_waiting_ends_with_the_slow_parts_names_when_time_is_up(tmp_path: Path) -> None:
    with supervised(tmp_path, silent_parts) as watched, pytest.raises(RetryError, match=r"delta \(log: ") as raised:
        watched.supervisor.wait_ready(0.5)
    assert raised.value.reason == "NotReady"


def test_second_supervisor_is_refused_naming_the_first(tmp_path: Path) -> None:
    with supervised(tmp_path) as watched, pytest.raises(RefusedError, match=f"pid {os.getpid()}: `launchpin down`"):
        take_lock(watched.supervisor.layout)
    take_lock(watched.supervisor.layout).close()


def test_part_that_ignores_sigterm_is_killed_after_its_patience(tmp_path: Path) -> None:
    with supervised(tmp_path, stubborn_parts) as watched:
        watched.supervisor.wait_ready(30)
        tree = family(watched.pid("alpha"))
    assert not [one for one in tree if is_alive(one)]
    assert [event.part for event in watched.of(What.KILLED)] == ["alpha"]


def test_nothing_is_waited_for_when_hurried(tmp_path: Path) -> None:
    with supervised(tmp_path, patient_parts) as watched:
        watched.supervisor.wait_ready(30)
        tree = family(watched.pid("alpha"))
        watched.supervisor.hurry()
        begun = time.monotonic()
    assert time.monotonic() - begun < 10
    assert not [one for one in tree if is_alive(one)]


def test_leftovers_of_a_killed_supervisor_are_ended_by_the_next_which_keeps_the_ports(tmp_path: Path) -> None:
    with supervisor_process(tmp_path) as process:
        layout = Layout.load(tmp_path)
        wait_until(lambda: are_ready(layout), "the parts of the other process are ready")
        left = [one for state in part_states(layout) if state.process for one in family(state.process.pid)]
        process.kill()
        process.wait()
        assert {state.state for state in part_states(layout)} == {State.STOPPED}
    with supervised(tmp_path) as watched:
        assert not [one for one in left if is_alive(one)]
        (note,) = watched.of(What.NOTE)
        assert note.text == "a supervisor that died had left alpha, beta: ended"
        watched.supervisor.wait_ready(30)
        assert watched.supervisor.layout == layout


def test_leftovers_are_ended_without_a_new_supervisor(tmp_path: Path) -> None:
    with supervisor_process(tmp_path) as process:
        layout = Layout.load(tmp_path)
        wait_until(lambda: are_ready(layout), "the parts of the other process are ready")
        process.kill()
        process.wait()
    assert not ask_to_stop(layout)
    with take_lock(layout):
        assert end_leftovers(layout) == ("alpha", "beta")
        assert end_leftovers(layout) == ()


def test_supervisor_stops_everything_when_asked_by_another_process(tmp_path: Path) -> None:
    with supervisor_process(tmp_path) as process:
        layout = Layout.load(tmp_path)
        wait_until(lambda: are_ready(layout), "the parts of the other process are ready")
        assert ask_to_stop(layout)
        assert process.wait(timeout=30) == 0
    assert not processes.carriers(layout.mark(), processes.snapshot())


def test_start_is_refused_naming_the_holder_when_a_port_that_pins_hold_is_taken(tmp_path: Path) -> None:
    layout = Layout.make(tmp_path)
    with socket.create_server(("127.0.0.1", layout.ports.mlflow)):
        message = rf"port {layout.ports.mlflow} of mlflow is taken by .* \(pid {os.getpid()}\)"
        with pytest.raises(StalledError, match=message), supervised(tmp_path):
            pass
    take_lock(layout).close()


def test_broker_moves_when_its_port_is_taken(tmp_path: Path) -> None:
    layout = Layout.make(tmp_path)
    with socket.create_server(("127.0.0.1", layout.ports.valkey)), supervised(tmp_path) as watched:
        moved = watched.supervisor.layout
        assert moved.ports.valkey not in vars(layout.ports).values()
        assert f":{moved.ports.valkey}/0" in (moved.secrets / "broker.url").read_text()
        assert Layout.load(tmp_path) == moved


def test_stack_hides_from_git_and_from_other_users(tmp_path: Path) -> None:
    with supervised(tmp_path / "stack") as watched:
        watched.supervisor.wait_ready(30)
        layout = watched.supervisor.layout
        files = [file for file in layout.dir.rglob("*") if file.is_file() and "run" not in file.parts]
        assert (layout.dir / ".gitignore").read_text() == "*\n"
        assert layout.dir.stat().st_mode & 0o777 == 0o700
        assert layout.secrets.stat().st_mode & 0o777 == 0o700
        open_to_others = {file.name for file in files if file.stat().st_mode & 0o077}
        assert open_to_others <= {"up.lock"}


def test_parts_are_told_no_secret_and_only_what_they_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-users-own")
    with supervised(tmp_path) as watched:
        layout = watched.supervisor.layout
        parts = {part.name: part.environment for part in build_parts(layout)}
        texts = [file.read_text().strip() for file in layout.secrets.iterdir() if file.suffix not in {".path", ""}]
        assert len(texts) == 5
    for environment in parts.values():
        assert not {"PYTHONPATH", "AWS_SECRET_ACCESS_KEY"} & environment.keys()
        assert not [text for text in texts for value in environment.values() if text in value]
    for name in ("mlflow", "valkey", "forge", "endpoints"):
        assert [key for key in parts[name] if key.startswith("LAUNCHPIN_")] == ["LAUNCHPIN_STACK"]
    assert [name for name, told in parts.items() if "LAUNCHPIN_AUDIT_KEY_FILE" in told] == ["database", "relay"]
    assert "LAUNCHPIN_FORGE_TOKEN_FILE" not in parts["web"]
    assert parts["mlflow"]["HOME"] == str(layout.dir / "mlflow")


def test_collectors_variables_reach_those_who_export_and_ports_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "key=secret")
    monkeypatch.setenv("LAUNCHPIN_METRICS_PORT", "9464")
    monkeypatch.setenv("LAUNCHPIN_LOG", "text")
    with supervised(tmp_path) as watched:
        told = {part.name: part.environment for part in build_parts(watched.supervisor.layout)}
    exporting = {name for name, variables in told.items() if "OTEL_EXPORTER_OTLP_HEADERS" in variables}
    assert exporting == {"web", "relay", "control", "training"}
    ports = {name: told[name]["LAUNCHPIN_METRICS_PORT"] for name in ("control", "training", "relay")}
    assert ports == {"control": "9464", "training": "9465", "relay": "9466"}
    as_text = {name for name, variables in told.items() if variables.get("LAUNCHPIN_LOG") == "text"}
    assert as_text >= {"forge", "endpoints", "web"}


def test_training_worker_takes_its_number_of_slots_from_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAUNCHPIN_TRAINING_SLOTS", "3")
    with supervised(tmp_path) as watched:
        parts = {part.name: part for part in build_parts(watched.supervisor.layout)}
    assert parts["training"].environment["LAUNCHPIN_TRAINING_SLOTS"] == "3"
    assert "--threads" not in parts["training"].arguments
    assert parts["control"].arguments[-2:] == ("--threads", "4")


def test_first_makers_of_one_folder_agree_on_its_layout(tmp_path: Path) -> None:
    assert Layout.make(tmp_path) == Layout.make(tmp_path)
    assert all(is_free(port) for port in vars(Layout.load(tmp_path).ports).values())


def test_folder_without_a_stack_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no stack in .*: `launchpin up` makes one"):
        Layout.load(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 2}', '{"version": 1, "id": "x", "ports": {}}'])
def test_damaged_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "stack.json").write_text(text)
    with pytest.raises(InputError) as raised:
        Layout.load(tmp_path)
    assert raised.value.reason == "stack_unreadable"


def test_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="name another folder with --dir"):
        Layout.make(tmp_path / "file" / "stack")


def broken_parts(layout: Layout) -> tuple[Part, ...]:
    code = "import sys\nprint('no such flour')\nsys.exit(7)"
    return *cheap_parts(layout), server_part(layout, "gamma", layout.ports.mlflow, code=code)


def silent_parts(layout: Layout) -> tuple[Part, ...]:
    return (server_part(layout, "delta", layout.ports.mlflow, code="import time\ntime.sleep(600)"),)


def parents(layout: Layout) -> tuple[Part, ...]:
    alpha = server_part(layout, "alpha", layout.ports.forge)
    return alpha, server_part(layout, "beta", layout.ports.web, after=("alpha",), code=PARENT)


def stubborn_parts(layout: Layout) -> tuple[Part, ...]:
    return (server_part(layout, "alpha", layout.ports.forge, code=STUBBORN),)


def patient_parts(layout: Layout) -> tuple[Part, ...]:
    return tuple(replace(part, patience=600.0) for part in stubborn_parts(layout))


def family(pid: int) -> list[psutil.Process]:
    """Return a process with everything that it started."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def is_alive(process: psutil.Process) -> bool:
    """Return whether it lives; one that is dead and only waits for its parent does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def are_ready(layout: Layout) -> bool:
    states = part_states(layout)
    return bool(states) and all(state.state is State.READY for state in states)


@contextmanager
def supervisor_process(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a supervisor in a process of its own; it is not waited for."""
    Layout.make(folder)
    process = subprocess.Popen([sys.executable, "-m", "tests.support.stack", str(folder)], cwd=_ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)
        assert json.loads((folder / "stack.json").read_text())["version"] == 1

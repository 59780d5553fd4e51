"""Failpoints do what they were armed with at the hit they were armed for, and nothing at all when they were not."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gitops import failpoints
from gitops.failpoints import FailpointError, arm, failpoint, watch

_PASS = "from gitops.failpoints import failpoint; failpoint('a'); failpoint('a'); print('through')"


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    arm("")
    watch(None)


def run(armed: str, code: str = _PASS) -> subprocess.CompletedProcess[str]:
    """Run code in a process that was armed by its environment."""
    environment = os.environ | {"LAUNCHPIN_FAILPOINTS": armed}
    return subprocess.run((sys.executable, "-c", code), env=environment, capture_output=True, text=True, check=False)


def is_hit(name: str) -> bool:
    try:
        failpoint(name)
    except FailpointError:
        return True
    return False


def test_nothing_happens_at_a_name_that_is_not_armed() -> None:
    failpoint("a")
    arm("b=raise")
    failpoint("a")


def test_it_raises_at_every_hit_when_no_hit_is_named() -> None:
    arm("a=raise")
    assert [is_hit("a") for _ in range(3)] == [True, True, True]


def test_it_raises_at_the_named_hit_alone_and_each_name_counts_for_itself() -> None:
    arm("a=raise@2; b=raise@1")
    assert [is_hit("a") for _ in range(4)] == [False, True, False, False]
    assert [is_hit("b") for _ in range(2)] == [True, False]


def test_hits_count_from_the_arming_on() -> None:
    arm("a=raise@2")
    assert not is_hit("a")
    arm("a=raise@2")
    assert [is_hit("a") for _ in range(2)] == [False, True]


def test_one_hit_is_the_named_one_when_many_threads_come_by() -> None:
    arm("a=raise@50")
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(is_hit, ["a"] * 200)) == 1


def test_a_process_is_killed_at_the_named_hit() -> None:
    assert run("a=kill@2").returncode == -signal.SIGKILL
    assert run("a=kill@3").stdout == "through\n"


def test_a_stopped_process_goes_on_when_it_is_told_to() -> None:
    environment = os.environ | {"LAUNCHPIN_FAILPOINTS": "a=stop@1"}
    child = subprocess.Popen((sys.executable, "-c", _PASS), env=environment, stdout=subprocess.PIPE, text=True)
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    os.kill(child.pid, signal.SIGCONT)
    told, _ = child.communicate(timeout=30)
    assert (told, child.returncode) == ("through\n", 0)


def test_a_process_is_stopped_right_there_also_by_a_thread_beside_its_main_one() -> None:
    code = (
        "import os, threading, time; from gitops.failpoints import failpoint;"
        "threading.Thread(target=lambda: (failpoint('a'), os.write(1, b'on'))).start(); time.sleep(30)"
    )
    environment = os.environ | {"LAUNCHPIN_FAILPOINTS": "a=stop"}
    for _ in range(10):
        with subprocess.Popen((sys.executable, "-c", code), env=environment, stdout=subprocess.PIPE) as process:
            assert os.WIFSTOPPED(os.waitpid(process.pid, os.WUNTRACED)[1])
            process.kill()
            assert process.communicate()[0] == b""


def test_a_sleep_holds_only_the_thread_that_came_by(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    arm("a=sleep:0.25@1")
    failpoint("a")
    failpoint("a")
    assert slept == [0.25]


def test_a_watcher_is_told_of_every_name_armed_or_not_before_anything_happens() -> None:
    heard: list[tuple[str, str]] = []
    watch(lambda name: heard.append((name, threading.current_thread().name)))
    arm("b=raise")
    failpoint("a")
    assert is_hit("b")
    assert [name for name, _ in heard] == ["a", "b"]
    watch(None)
    failpoint("a")
    assert len(heard) == 2


@pytest.mark.parametrize("text", ["a", "a=", "=kill", "a=explode", "a=kill@0", "a=sleep", "a=kill;b"])
def test_what_is_no_pair_is_told_and_not_ignored(text: str) -> None:
    with pytest.raises(ValueError, match="LAUNCHPIN_FAILPOINTS"):
        arm(text)
    assert "LAUNCHPIN_FAILPOINTS" in run(text).stderr


@pytest.mark.parametrize("text", ["", ";", " a=kill ; b=sleep:2 ;", "a.b=stop@12", "a=sleep:0.5@3"])
def test_spaces_and_empty_parts_are_fine(text: str) -> None:
    arm(text)


def test_a_disarmed_failpoint_looks_at_one_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> str:
        raise AssertionError("looked further")

    monkeypatch.setattr(failpoints, "_due", refuse)
    failpoint("a")
    arm("b=raise")
    with pytest.raises(AssertionError):
        failpoint("a")

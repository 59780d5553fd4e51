"""The local target against the real endpoint host, and against hosts that are gone, strange or break off."""

import contextlib
import inspect
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from gitops.errors import RetryError, StalledError, UnknownOutcomeError
from gitops.rollout import ROLLOUT
from gitops.targets.local import LocalTarget
from tests.contract.target_contract import NO_BAKE, TargetContract
from tests.faults.outside import FOREVER, BadReply, Outside, running_outside
from tests.support.endpoint_host import BODY, JSON, TOKEN, Host, free_port, running_host

ALL = (".*", "")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running_host(tmp_path_factory.mktemp("local-target")) as host:
        yield host


class TestLocalTarget(TargetContract):
    """The contract of every target."""


def _calls() -> list[Callable[[LocalTarget], object]]:
    return [
        lambda target: target.apply("e", "c", bake=NO_BAKE),
        lambda target: target.restore("e", "c"),
        lambda target: target.retire("e", keep=3),
        lambda target: target.invoke("c", BODY, content_type=JSON, timeout=timedelta(seconds=5)),
    ]


@pytest.mark.parametrize("call", _calls())
def test_try_again_is_safe_when_the_host_is_not_there(call: Callable[[LocalTarget], object]) -> None:
    with (
        contextlib.closing(LocalTarget(f"http://127.0.0.1:{free_port()}", "token")) as target,
        pytest.raises(RetryError) as failure,
    ):
        call(target)

    assert failure.value.reason == "EndpointHostUnavailable"
    assert not isinstance(failure.value, UnknownOutcomeError)


@pytest.mark.parametrize("call", _calls())
def test_outcome_is_unknown_when_the_connection_breaks_after_sending(call: Callable[[LocalTarget], object]) -> None:
    with (
        _host_answering(b"") as url,
        contextlib.closing(LocalTarget(url, "token")) as target,
        pytest.raises(UnknownOutcomeError),
    ):
        call(target)


def test_reading_is_only_tried_again_when_the_connection_breaks() -> None:
    with (
        _host_answering(b"") as url,
        contextlib.closing(LocalTarget(url, "token")) as target,
        pytest.raises(RetryError) as failure,
    ):
        target.describe("e")

    assert not isinstance(failure.value, UnknownOutcomeError)


def test_a_strangers_404_is_not_taken_for_no_endpoint() -> None:
    stranger = b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\nconnection: close\r\n\r\nnope\n"
    with (
        _host_answering(stranger) as url,
        contextlib.closing(LocalTarget(url, "token")) as target,
        pytest.raises(RetryError),
    ):
        target.describe("e")


def test_a_person_is_needed_when_the_host_refuses_the_token(world: Host) -> None:
    with (
        contextlib.closing(LocalTarget(world.url, "another token")) as target,
        pytest.raises(StalledError, match="token"),
    ):
        target.endpoints()


def test_no_call_outlasts_the_step_that_makes_it() -> None:
    defaults = {name: one.default for name, one in inspect.signature(LocalTarget).parameters.items()}
    for step in (ROLLOUT.step("prepare"), ROLLOUT.step("finish")):
        assert defaults["slowest"] + 60 < step.deadline.total_seconds()
    for step in ROLLOUT.steps:
        assert defaults["silence"] < step.deadline.total_seconds()


READS: list[Callable[[LocalTarget], object]] = [
    lambda target: target.host(),
    lambda target: target.describe("e"),
    lambda target: target.endpoints(),
    lambda target: target.configuration("c"),
]


@pytest.fixture(scope="module")
def outside(world: Host) -> Iterator[Outside]:
    with running_outside(world.url) as running:
        yield running


@pytest.fixture
def faulty(outside: Outside) -> Iterator[Outside]:
    yield outside
    outside.script.clear()


@pytest.mark.parametrize("call", [*READS, *_calls()])
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (BadReply.HUGE, "EndpointHostAnswer"),
        (BadReply.HTML, "EndpointHostAnswer|EndpointHostUnavailable"),
        (BadReply.REDIRECT, "EndpointHostUnavailable"),
    ],
)
def test_attack_64_a_bad_reply_is_tried_again_and_no_redirect_followed(
    faulty: Outside, call: Callable[[LocalTarget], object], kind: BadReply, reason: str
) -> None:
    rule = faulty.script.bad_reply(ALL, kind, FOREVER)
    with contextlib.closing(LocalTarget(faulty.url, TOKEN)) as target, pytest.raises(RetryError) as failure:
        call(target)
    assert re.fullmatch(reason, failure.value.reason)
    assert rule.fired == 1


@pytest.mark.parametrize("call", [*READS, *_calls()[:3]])
def test_a_silent_host_is_left_in_time(faulty: Outside, call: Callable[[LocalTarget], object]) -> None:
    faulty.script.slow(ALL, 600, FOREVER, late=True)
    begun = time.monotonic()
    with (
        contextlib.closing(LocalTarget(faulty.url, TOKEN, silence=0.1, slowest=0.2)) as target,
        pytest.raises(RetryError) as failure,
    ):
        call(target)
    assert time.monotonic() - begun < 20
    assert failure.value.reason == "EndpointHostUnavailable"
    assert isinstance(failure.value, UnknownOutcomeError) == (call not in READS)


@pytest.mark.parametrize("status", [401, 429, 503])
def test_a_stranger_in_the_hosts_place_is_waited_for_as_long_as_it_says(faulty: Outside, status: int) -> None:
    now = [1000.0]
    rule = faulty.script.fail_before(ALL, status, FOREVER, {"retry-after": "600"})
    with contextlib.closing(LocalTarget(faulty.url, TOKEN, clock=lambda: now[0])) as target:
        for passed, left in ((0, 600), (0, 600), (599, 1)):
            now[0] = 1000.0 + passed
            for call in (*READS, *_calls()):
                with pytest.raises(RetryError) as failure:
                    call(target)
                assert (failure.value.reason, failure.value.after) == ("EndpointHostUnavailable", left)
        assert rule.fired == 1
        faulty.script.clear()
        now[0] = 1600.0
        assert target.describe("nothing") is None


@contextlib.contextmanager
def _host_answering(answer: bytes) -> Iterator[str]:
    """Accept one connection, read a request, answer these bytes and close."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()

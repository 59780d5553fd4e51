"""The local target against the real endpoint host, and against hosts that are gone, strange or break off."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from gitops.errors import RetryError, StalledError, UnknownOutcomeError
from gitops.targets.local import LocalTarget
from tests.contract.target_contract import NO_BAKE, TargetContract
from tests.support.endpoint_host import BODY, JSON, Host, free_port, running_host


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

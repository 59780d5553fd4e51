"""An MLflow server that fails: bad replies, no reply, missing rights, and waits that it names."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from gitops.errors import (
    RetryError,
    StalledError,
    UnknownOutcomeError,
)
from gitops.ports import LoggedModel, RunEnd, RunRef
from gitops.registry.artifacts import Limits
from gitops.registry.mlflow import MlflowRegistry
from tests.contract.mlflow_registry_rig import PROXY, register, registry, start, unique
from tests.faults.outside import FOREVER, BadReply, running_outside
from tests.support.mlflow import free_port
from tests.support.mlflow_wire import Reply, odd_server

__all__ = ["registry"]

BAD_REPLIES = [
    Reply(302, b"", {"Location": "http://169.254.169.254/latest/meta-data/"}),
    Reply(307, b"", {"Location": "/elsewhere"}),
    Reply(200, b"<html>login</html>", {"Content-Type": "text/html"}),
    Reply(200, b'{"model_version": '),
    Reply(200, b"[1, 2]"),
    Reply(200, b'{"model_version": "a text", "run": 3, "experiment": []}'),
    Reply(404, b"<html>no such page</html>"),
]


@pytest.mark.parametrize("reply", BAD_REPLIES, ids=lambda reply: f"{reply.status}-{reply.body[:12]!r}")
def test_attack_64_a_bad_reply_is_tried_again_and_no_redirect_followed(reply: Reply) -> None:
    asked: list[str] = []

    def record(_method: str, path: str) -> Reply:
        asked.append(path)
        return reply

    with odd_server(record) as uri:
        registry = MlflowRegistry(uri)
        with pytest.raises(RetryError) as reading:
            registry.version("iris", "1")
        with pytest.raises(UnknownOutcomeError) as creating:
            register(registry, "iris", RunRef(run_id="r", experiment_id="1"), LoggedModel("m", "mlflow-artifacts:/m"))
        with pytest.raises(RetryError) as fetching:
            registry.fetch("iris", "1", Path("never"))
    reasons = {caught.value.reason for caught in (reading, creating, fetching)}
    assert reasons == {"upstream_bad_reply"}
    assert len(asked) == 3


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_that_is_not_able_to_answer_is_asked_once_and_tried_again_later(status: int) -> None:
    asked = []

    def record(_method: str, path: str) -> Reply:
        asked.append(path)
        return Reply(status, b"busy")

    with odd_server(record) as uri, pytest.raises(RetryError) as caught:
        MlflowRegistry(uri).version("iris", "1")
    assert caught.value.reason == "RegistryUnavailable"
    assert len(asked) == 1


def test_a_server_that_is_gone_had_no_effect() -> None:
    registry = MlflowRegistry(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RetryError) as caught:
        register(registry, "iris", RunRef(run_id="r", experiment_id="1"), LoggedModel("m", "mlflow-artifacts:/m"))
    assert not isinstance(caught.value, UnknownOutcomeError)
    assert caught.value.reason == "RegistryUnavailable"


@pytest.mark.parametrize("status", [401, 403])
def test_missing_rights_wait_for_a_person(status: int) -> None:
    body = b'{"error_code": "PERMISSION_DENIED", "message": "no"}'
    if status == 401:
        body = b'{"error_code": "UNAUTHENTICATED", "message": "no"}'
    with odd_server(lambda *_: Reply(status, body)) as uri, pytest.raises(StalledError) as caught:
        MlflowRegistry(uri).version("iris", "1")
    assert caught.value.reason == "RegistryForbidden"


CALLS: list[Callable[[MlflowRegistry], object]] = [
    lambda registry: registry.version("iris", "1"),
    lambda registry: start(registry, experiment="e", run_key="k"),
    lambda registry: registry.end_run("r", RunEnd.FINISHED),
    lambda registry: registry.log_metrics("r", {"f1": 0.5}),
    lambda registry: registry.end_within("t/1", RunEnd.FAILED),
    lambda registry: registry.set_alias("iris", "champion", "1"),
    lambda registry: registry.find_version("iris", training_id="t", run_ids=["r"]),
    lambda registry: registry.fetch("iris", "1", Path("never")),
    lambda registry: registry.log_file("r", Path(__file__), folder="launchpin"),
]


@pytest.mark.parametrize("ask", CALLS)
def test_attack_64_a_reply_of_two_gigabytes_is_left(tracking_uri: str, ask: Callable[[MlflowRegistry], object]) -> None:
    with running_outside(tracking_uri) as outside:
        outside.script.bad_reply((".*", ""), BadReply.HUGE)
        with pytest.raises(RetryError) as caught:
            ask(MlflowRegistry(outside.url))
    assert caught.value.reason == "upstream_bad_reply"


@pytest.mark.parametrize("ask", CALLS)
def test_a_silent_server_is_left_in_time(tracking_uri: str, ask: Callable[[MlflowRegistry], object]) -> None:
    with running_outside(tracking_uri) as outside:
        outside.script.slow((".*", ""), 600, FOREVER, late=True)
        begun = time.monotonic()
        with pytest.raises(RetryError) as caught:
            ask(MlflowRegistry(outside.url, limits=Limits(timeout=0.2)))
    assert time.monotonic() - begun < 20
    assert caught.value.reason == "RegistryUnavailable"


@pytest.mark.parametrize("status", [429, 503])
def test_a_named_wait_is_kept_whatever_is_asked_meanwhile(tracking_uri: str, status: int) -> None:
    now = [1000.0]
    with running_outside(tracking_uri) as outside:
        rule = outside.script.fail_before((".*", ""), status, FOREVER, {"retry-after": "600"})
        registry = MlflowRegistry(outside.url, clock=lambda: now[0])
        for passed, left in ((0, 600), (0, 600), (599, 1)):
            now[0] = 1000.0 + passed
            for ask in CALLS:
                with pytest.raises(RetryError) as caught:
                    ask(registry)
                assert (caught.value.reason, caught.value.after) == ("RegistryUnavailable", left)
        assert rule.fired == 1
        outside.script.clear()
        now[0] = 1600.0
        assert registry.version(unique("model"), "1") is None


def test_a_lost_answer_to_a_stored_file_stores_it_once(tracking_uri: str, tmp_path: Path) -> None:
    file = tmp_path / "train.log"
    file.write_text("a line\n")
    with running_outside(tracking_uri) as outside:
        registry = MlflowRegistry(outside.url)
        run = start(registry)
        outside.script.apply_then_drop(("PUT", PROXY))
        with pytest.raises(RetryError):
            registry.log_file(run.run_id, file, folder="launchpin")
        registry.log_file(run.run_id, file, folder="launchpin")
    found = httpx.get(
        f"{tracking_uri}/api/2.0/mlflow/artifacts/list", params={"run_id": run.run_id, "path": "launchpin"}
    )
    assert [(one["path"], int(one["file_size"])) for one in found.json()["files"]] == [("launchpin/train.log", 7)]

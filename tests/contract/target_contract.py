"""What every target must do. A test module subclasses `TargetContract` and gives it a `world`."""

from datetime import timedelta
from typing import Protocol

import pytest

from gitops.errors import ConflictError, NotFoundError, RefusedError
from gitops.ports import Configuration, Endpoint, EndpointStatus, Readiness, Target
from tests.support.endpoint_host import BODY, JSON, wait_until

NO_BAKE = timedelta(0)
LONG_BAKE = timedelta(minutes=10)


class World(Protocol):
    """A target with the means to arrange models for it and to ask its endpoints."""

    target: Target

    def configuration(self, name: str, endpoint: str, *, version: str = "1", **behaviour: object) -> Configuration:
        """Return a configuration of a new model, see `tests.support.models.Behaviour`."""
        ...

    def answering_version(self, endpoint: str) -> str:
        """Return the version that answers a prediction; fails when none does."""
        ...


class TargetContract:
    @pytest.fixture
    def target(self, world: World) -> Target:
        return world.target

    def test_host_has_one_name_when_asked_twice(self, target: Target) -> None:
        assert target.host()
        assert target.host() == target.host()

    def test_unknown_names_are_said_so_when_asked_for(self, target: Target) -> None:
        assert target.configuration("nobody") is None
        assert target.describe("nothing") is None
        assert target.retire("nothing", keep=3) == []
        with pytest.raises(NotFoundError):
            target.apply("nothing", "nobody", bake=NO_BAKE)
        with pytest.raises(NotFoundError):
            target.restore("nothing", "nobody")
        with pytest.raises(NotFoundError):
            target.invoke("nobody", BODY, content_type=JSON, timeout=timedelta(seconds=5))
        assert target.describe("nothing") is None

    def test_configuration_answers_without_traffic_when_ready(self, world: World, target: Target) -> None:
        configuration = world.configuration("smoke-1", "smoke", answer="hello")

        assert target.prepare(configuration).readiness in {Readiness.STARTING, Readiness.READY}
        assert target.prepare(configuration).readiness in {Readiness.STARTING, Readiness.READY}
        _wait_ready(target, "smoke-1")
        answer = target.invoke("smoke-1", BODY, content_type=JSON, timeout=timedelta(seconds=10))

        assert (answer.status, answer.body) == (200, b'{"predictions": ["hello"]}')
        assert 0 < answer.seconds < 10
        assert target.describe("smoke") is None

        other = world.configuration("smoke-1-other", "smoke", answer="bye")
        with pytest.raises(ConflictError):
            target.prepare(_named(other, "smoke-1"))

    def test_attack_58_one_flipped_byte_is_refused_when_prepared(self, world: World, target: Target) -> None:
        configuration = world.configuration("flipped", "attacked")
        file = configuration.model_dir / "code" / "tiny_model.py"
        content = bytearray(file.read_bytes())
        content[-2] ^= 1
        file.write_bytes(content)

        with pytest.raises(RefusedError, match=r"code/tiny_model\.py changed") as refusal:
            target.prepare(configuration)

        assert refusal.value.reason == "digest_mismatch"
        assert target.configuration("flipped") is None

    def test_attack_59_an_added_file_is_refused_when_prepared(self, world: World, target: Target) -> None:
        configuration = world.configuration("added", "attacked")
        (configuration.model_dir / "data" / "extra.pkl").write_bytes(b"x")

        with pytest.raises(RefusedError, match=r"data/extra\.pkl was added") as refusal:
            target.prepare(configuration)

        assert refusal.value.reason == "digest_mismatch"

    def test_failed_configuration_shows_its_log_and_gets_no_traffic(self, world: World, target: Target) -> None:
        target.prepare(world.configuration("unloadable", "broken", refuse_to_load=True))

        wait_until(lambda: _readiness(target, "unloadable") is Readiness.FAILED, "the configuration fails")
        state = target.configuration("unloadable")
        assert state is not None
        assert any("this model cannot be loaded" in line for line in state.tail), state
        with pytest.raises(RefusedError):
            target.apply("broken", "unloadable", bake=NO_BAKE)
        assert target.describe("broken") is None

    def test_endpoint_goes_to_its_second_version_and_back_when_asked(self, world: World, target: Target) -> None:
        target.prepare(world.configuration("life-1", "life", version="1"))
        # Not ready yet: the traffic comes when it is.
        first = target.apply("life", "life-1", bake=NO_BAKE)
        assert first.status in {EndpointStatus.CREATING, EndpointStatus.IN_SERVICE}
        wait_until(lambda: _endpoint(target, "life").live == "life-1", "the first version is live")
        assert world.answering_version("life") == "1"
        assert _endpoint(target, "life").status is EndpointStatus.IN_SERVICE

        target.prepare(world.configuration("life-2", "life", version="2"))
        _wait_ready(target, "life-2")
        target.apply("life", "life-2", bake=LONG_BAKE)
        wait_until(lambda: _endpoint(target, "life").status is EndpointStatus.BAKING, "the second version bakes")
        baking = _endpoint(target, "life")
        assert (baking.live, baking.desired, baking.version) == ("life-2", "life-2", "2")
        assert 0 < baking.seconds_left <= LONG_BAKE.total_seconds()
        assert world.answering_version("life") == "2"
        again = target.apply("life", "life-2", bake=LONG_BAKE)
        assert again.status is EndpointStatus.BAKING
        assert again.seconds_left <= baking.seconds_left

        target.restore("life", "life-1")
        wait_until(lambda: _endpoint(target, "life").live == "life-1", "the first version is live again")
        back = _endpoint(target, "life")
        assert (back.status, back.desired, back.failure) == (EndpointStatus.IN_SERVICE, "life-1", "")
        assert world.answering_version("life") == "1"
        assert "life" in [endpoint.name for endpoint in target.endpoints()]

        gone = target.restore("life", "")
        assert (gone.live, gone.desired) == ("", "")
        assert target.describe("life") is None
        assert target.restore("life", "").live == ""

    def test_another_endpoints_configuration_is_refused_when_applied(self, world: World, target: Target) -> None:
        target.prepare(world.configuration("mine-1", "mine"))

        with pytest.raises(RefusedError):
            target.apply("yours", "mine-1", bake=NO_BAKE)

        assert target.describe("yours") is None
        assert target.retire("mine", keep=0) == ["mine-1"]
        assert target.configuration("mine-1") is None


def _named(configuration: Configuration, name: str) -> Configuration:
    return Configuration(**(vars(configuration) | {"name": name}))


def _readiness(target: Target, name: str) -> Readiness:
    state = target.configuration(name)
    assert state is not None
    return state.readiness


def _wait_ready(target: Target, name: str) -> None:
    def is_ready() -> bool:
        readiness = _readiness(target, name)
        assert readiness is not Readiness.FAILED, target.configuration(name)
        return readiness is Readiness.READY

    wait_until(is_ready, f"{name} is ready")


def _endpoint(target: Target, name: str) -> Endpoint:
    endpoint = target.describe(name)
    assert endpoint is not None
    return endpoint

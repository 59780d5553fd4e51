"""A target in memory: says what a real one would of starts, traffic and bakes, and fails where a test tells it to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gitops.errors import NotFoundError, RefusedError, RetryError
from gitops.ports import Answer, Configuration, ConfigurationState, Endpoint, EndpointStatus, Readiness
from gitops.retention import KeptConfiguration


@dataclass
class MemoryTarget:
    """Implements `Target`; a bake lasts until `end_bake`.

    Args:
        unstartable: versions whose process ends at its start, from now on.
        answers: what a version answers to a question; 200 where nothing else is said.
        fails_with_traffic: versions that answer 500 as soon as they have traffic.
        asked: the versions that were asked a question, in order.
        old: the configurations that it keeps, as a collection sees them.
        is_away: whether it does not say so.
    """

    unstartable: set[str] = field(default_factory=set)
    answers: dict[str, int] = field(default_factory=dict)
    fails_with_traffic: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    restores: int = 0
    old: list[KeptConfiguration] = field(default_factory=list)
    is_away: bool = False
    _made: dict[str, Configuration] = field(default_factory=dict)
    _endpoints: dict[str, Endpoint] = field(default_factory=dict)

    def host(self) -> str:
        """Return its name."""
        return "memory"

    def prepare(self, configuration: Configuration) -> ConfigurationState:
        """Start a configuration at once."""
        self._made[configuration.name] = configuration
        return self._state(configuration)

    def configuration(self, name: str) -> ConfigurationState | None:
        """Return a configuration."""
        found = self._made.get(name)
        return self._state(found) if found else None

    def invoke(self, configuration: str, body: bytes, *, content_type: str, timeout: timedelta) -> Answer:
        """Answer as the test says."""
        assert body
        assert content_type == "application/json"
        assert timeout
        version = self._find(configuration).version
        self.asked.append(version)
        has_traffic = any(endpoint.live == configuration for endpoint in self._endpoints.values())
        status = 500 if has_traffic and version in self.fails_with_traffic else self.answers.get(version, 200)
        return Answer(status, 0.01, b"{}")

    def apply(self, endpoint: str, configuration: str, *, bake: timedelta) -> Endpoint:
        """Move the traffic; with a bake it is watched until the test ends it."""
        made = self._find(configuration)
        if self._state(made).readiness is not Readiness.READY:
            raise RefusedError("configuration_failed", f"{configuration} failed")
        status = EndpointStatus.BAKING if bake else EndpointStatus.IN_SERVICE
        return self._move(endpoint, made, status)

    def restore(self, endpoint: str, configuration: str) -> Endpoint:
        """Go back at once, or stay where it is when the earlier version does not start."""
        self.restores += 1
        if not configuration:
            gone = self._endpoints.pop(endpoint, Endpoint(endpoint, EndpointStatus.FAILED, "", "", ""))
            return replace(gone, status=EndpointStatus.FAILED, live="", desired="", version="")
        made = self._find(configuration)
        if self._state(made).readiness is Readiness.READY:
            return self._move(endpoint, made, EndpointStatus.IN_SERVICE)
        stays = replace(self._endpoints[endpoint], desired=configuration, failure="RollbackFailed: ScorerExited")
        self._endpoints[endpoint] = stays
        return stays

    def describe(self, endpoint: str) -> Endpoint | None:
        """Return an endpoint."""
        return self._endpoints.get(endpoint)

    def endpoints(self) -> Sequence[Endpoint]:
        """Return all endpoints."""
        return list(self._endpoints.values())

    def retire(self, endpoint: str, *, keep: int) -> Sequence[str]:
        """Keep everything."""
        assert endpoint
        assert keep
        return []

    def kept(self) -> Sequence[KeptConfiguration]:
        """Return what the test says that it keeps."""
        if self.is_away:
            raise RetryError("EndpointHostUnavailable", "the endpoint host cannot be reached")
        return self.old

    def discard(self, configuration: str, *, idle: timedelta) -> bool:
        """Remove one that has been idle for so long."""
        found = [row for row in self.old if row.name == configuration and (row.served or row.prepared) >= idle]
        self.old = [row for row in self.old if row not in found]
        return bool(found)

    # ------------------------------------------------------------ arranging

    def end_bake(self, endpoint: str) -> None:
        """Let the bake pass."""
        self._endpoints[endpoint] = replace(self._endpoints[endpoint], status=EndpointStatus.IN_SERVICE)

    def fail(self, endpoint: str, why: str) -> None:
        """Fail in the bake, with nothing to go back to by itself."""
        failed = replace(self._endpoints[endpoint], status=EndpointStatus.FAILED, failure=f"EndpointUnhealthy: {why}")
        self._endpoints[endpoint] = failed

    def serve(self, endpoint: str, configuration: Configuration) -> None:
        """Give an endpoint's traffic to something by hand, as somebody else would."""
        self._made[configuration.name] = configuration
        self._move(endpoint, configuration, EndpointStatus.IN_SERVICE)

    def put(self, endpoint: Endpoint) -> None:
        """Let an endpoint be so from now on."""
        self._endpoints[endpoint.name] = endpoint

    def forget(self, endpoint: str) -> None:
        """Let an endpoint be gone."""
        del self._endpoints[endpoint]

    def made(self, endpoint: str) -> Configuration:
        """Return the configuration that is live."""
        return self._made[self._endpoints[endpoint].live]

    def _find(self, name: str) -> Configuration:
        try:
            return self._made[name]
        except KeyError:
            raise NotFoundError("no_configuration", f"there is no configuration {name}") from None

    def _state(self, configuration: Configuration) -> ConfigurationState:
        if configuration.version in self.unstartable:
            return ConfigurationState(configuration.name, Readiness.FAILED, "ScorerExited", "it ended with 1")
        return ConfigurationState(configuration.name, Readiness.READY)

    def _move(self, endpoint: str, made: Configuration, status: EndpointStatus) -> Endpoint:
        url = f"http://127.0.0.1:3/endpoints/{endpoint}"
        moved = Endpoint(endpoint, status, made.name, made.name, url, version=made.version, model=made.model)
        self._endpoints[endpoint] = moved
        return moved

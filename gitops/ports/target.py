"""Where endpoints live."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from gitops.manifest import Manifest
from gitops.retention import KeptConfiguration


@dataclass(frozen=True)
class Configuration:
    """One version made ready to serve on one endpoint.

    Args:
        name: deterministic: endpoint, version digest and settings digest.
        model_dir: the version's files on this machine.
        manifest: what these files must be.
        python: the serving environment's interpreter.
    """

    name: str
    endpoint: str
    model: str
    version: str
    model_dir: Path
    manifest: Manifest
    python: Path
    environment_key: str


class Readiness(StrEnum):
    """How far a configuration is."""

    STARTING = "Starting"
    READY = "Ready"
    FAILED = "Failed"


STOPPED = "Stopped"
"""The reason of a configuration that is kept and does not run: it had no traffic for long."""


@dataclass(frozen=True)
class ConfigurationState:
    """A configuration as the target sees it; `tail` holds its log's last lines when it failed."""

    name: str
    readiness: Readiness
    reason: str = ""
    message: str = ""
    tail: tuple[str, ...] = ()

    @property
    def is_stopped(self) -> bool:
        """Whether it must be prepared again before it answers anything."""
        return self.reason == STOPPED


class EndpointStatus(StrEnum):
    """How an endpoint stands at its target."""

    CREATING = "Creating"
    UPDATING = "Updating"
    BAKING = "Baking"
    IN_SERVICE = "InService"
    ROLLING_BACK = "RollingBack"
    FAILED = "Failed"


@dataclass(frozen=True)
class Endpoint:
    """An endpoint as its target sees it.

    Args:
        live: the configuration that answers now, empty when none does.
        desired: the configuration that was last asked for.
        version: the live configuration's model version.
        model: its model; empty where the target does not say.
        failure: why the desired configuration was left again, empty when it was not.
        seconds_left: of the bake.
        requests: answered by the desired configuration since it got traffic.
        errors: of these, answered with a 5xx, or refused by it alone during its bake.
    """

    name: str
    status: EndpointStatus
    live: str
    desired: str
    url: str
    version: str = ""
    model: str = ""
    failure: str = ""
    message: str = ""
    seconds_left: float = 0.0
    requests: int = 0
    errors: int = 0


@dataclass(frozen=True)
class Answer:
    """What a configuration answered to one request."""

    status: int
    seconds: float
    body: bytes


class Target(Protocol):
    """Where endpoints live."""

    def host(self) -> str:
        """Return the account or host, so that one endpoint is one endpoint."""
        ...

    def prepare(self, configuration: Configuration) -> ConfigurationState:
        """Start a configuration without giving it traffic; again is harmless.

        Raises:
            ConflictError: when the name exists with other contents.
            RefusedError: `digest_mismatch` when the files are not what they must be.
        """
        ...

    def configuration(self, name: str) -> ConfigurationState | None:
        """Return a configuration; None when the target has none of that name."""
        ...

    def invoke(self, configuration: str, body: bytes, *, content_type: str, timeout: timedelta) -> Answer:
        """Send one request to a configuration, whether it has traffic or not."""
        ...

    def apply(self, endpoint: str, configuration: str, *, bake: timedelta) -> Endpoint:
        """Give a configuration the endpoint's traffic, made or updated; again is harmless.

        During the bake the earlier configuration stays up, and the target goes back to it by itself on any 5xx,
        and on any 4xx where the earlier one answers the same request with success.
        """
        ...

    def restore(self, endpoint: str, configuration: str) -> Endpoint:
        """Give the traffic back to an earlier configuration, or to none when the name is empty."""
        ...

    def describe(self, endpoint: str) -> Endpoint | None:
        """Return an endpoint; None when there is none."""
        ...

    def endpoints(self) -> Sequence[Endpoint]:
        """Return all endpoints."""
        ...

    def retire(self, endpoint: str, *, keep: int) -> Sequence[str]:
        """Stop and remove all but the newest configurations of an endpoint; never one in use. Returns their names."""
        ...

    def kept(self) -> Sequence[KeptConfiguration]:
        """Return every configuration that the target keeps."""
        ...

    def discard(self, configuration: str, *, idle: timedelta) -> bool:
        """Remove a configuration; False when it is in use, gone, or was prepared or served within this time."""
        ...

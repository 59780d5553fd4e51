"""What an endpoint is and how it stands, in the words that targets and the endpoint host share."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from gitops.manifest import Manifest


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

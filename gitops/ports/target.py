"""Where endpoints live."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from gitops.retention import KeptConfiguration
from gitops.serving import Configuration, ConfigurationState, Endpoint


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

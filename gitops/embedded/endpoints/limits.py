"""The host's times and sizes in one place; only what an operator may set is an option of the command."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Times in seconds, sizes in bytes.

    Args:
        start: until a started scorer must answer `/ping`.
        request: for one answer of a scorer; 504 after it.
        wait: how long a request waits for a scorer that is being restarted.
        drain: how long a version that was left may take to finish its requests.
        grace: between asking a scorer to end and killing it.
        body: of one request; 413 above it.
        idle: how long a prepared configuration runs without ever getting traffic.
        orphan: how long it is kept then.
        retain: how long a configuration that served is kept after it last did.
    """

    start: float = 120.0
    request: float = 60.0
    wait: float = 10.0
    drain: float = 65.0
    grace: float = 3.0
    body: int = 25 * 1024 * 1024
    idle: float = 3_600.0
    orphan: float = 86_400.0
    retain: float = 7 * 86_400.0

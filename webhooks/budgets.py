"""What strangers may cost us before they have proved anything: memory, places at the door, and wrong signatures.

Counted for each address, which is the other end of the connection; a header that claims another one is not believed.
All of it lives on the event loop's thread, so nothing is locked.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

LONGEST_BODY = 25 * 1024 * 1024
FREE_BYTES = 64 * 1024
"""Bytes of each body that are not counted: what is usual gets in however much others send."""

MOST_BYTES = 8 * LONGEST_BODY
MOST_BYTES_EACH = 4 * LONGEST_BODY
MOST_REQUESTS = 1024
MOST_REQUESTS_EACH = 512

_WRONG_AT_ONCE = 20.0
_WRONG_A_SECOND = 5.0
_MOST_ADDRESSES = 10_000
_IPV6_SITE = 64


@dataclass(slots=True)
class _Held:
    requests: int = 0
    bytes: int = 0


class Budgets:
    """How many requests, and how many bytes of their bodies, are held at a time: of one address, and of all."""

    def __init__(self) -> None:
        self._all = _Held()
        self._each: dict[str, _Held] = {}

    def enter(self, address: str) -> bool:
        """Take a place for a request; False when none is free."""
        held = self._each.get(address)
        if self._all.requests >= MOST_REQUESTS or (held is not None and held.requests >= MOST_REQUESTS_EACH):
            return False
        if held is None:
            held = self._each[address] = _Held()
        held.requests += 1
        self._all.requests += 1
        return True

    def hold(self, address: str, size: int) -> bool:
        """Count further bytes of a body; False, and nothing is counted, when there is no room for them."""
        held = self._each[address]
        if self._all.bytes + size > MOST_BYTES or held.bytes + size > MOST_BYTES_EACH:
            return False
        held.bytes += size
        self._all.bytes += size
        return True

    def leave(self, address: str, size: int) -> None:
        """Give back a place and the bytes that were counted."""
        held = self._each[address]
        held.requests -= 1
        held.bytes -= size
        self._all.requests -= 1
        self._all.bytes -= size
        if not held.requests:
            del self._each[address]


@dataclass(slots=True)
class _Wrong:
    level: float
    at: float


class Strikes:
    """Wrong signatures of each address: a bucket that leaks, so that who stops is forgotten.

    Args:
        clock: seconds that only rise.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._wrong: dict[str, _Wrong] = {}

    def __len__(self) -> int:
        """Return how many addresses are remembered."""
        return len(self._wrong)

    def add(self, address: str) -> None:
        """Count a wrong signature."""
        known = self._wrong.pop(address, None)
        level = self._level(known) if known else 0.0
        # Put last, so that the first one is who was silent for longest.
        self._wrong[address] = _Wrong(min(level + 1.0, 2 * _WRONG_AT_ONCE), self._clock())
        if len(self._wrong) > _MOST_ADDRESSES:
            del self._wrong[next(iter(self._wrong))]

    def is_out(self, address: str) -> bool:
        """Return whether the address has had its share of wrong signatures."""
        if not self._wrong:
            return False
        known = self._wrong.get(address)
        if known is None:
            return False
        level = self._level(known)
        if level <= 0.0:
            del self._wrong[address]
        return level >= _WRONG_AT_ONCE

    def _level(self, known: _Wrong) -> float:
        return max(0.0, known.level - (self._clock() - known.at) * _WRONG_A_SECOND)


def to_address(client: tuple[str, int] | None) -> str:
    """Return whom to count a connection for: an IPv4 address, or the network that one IPv6 subscriber has.

    Args:
        client: the socket's other end; None for a socket without addresses.
    """
    if client is None:
        return ""
    host = client[0]
    if ":" not in host:
        return host
    long = IPv6Address(host.partition("%")[0])
    if long.ipv4_mapped is not None:
        return str(long.ipv4_mapped)
    return str(IPv6Network((int(long), _IPV6_SITE), strict=False))

"""Addresses that a person gives us to call: which are refused, whoever stands behind their name. Pure.

A name is judged again, by the addresses that it has, at the moment of each connection: see `gitops.notifiers.guard`.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from gitops.config.names import BadNameError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_MAX_URL = 2000
_HOST = re.compile(r"(?i)(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,62}[a-z0-9_])?)*")
_NUMBER = re.compile(r"(?i)(0x[0-9a-f]*|[0-9]+)")
_PORTS = {"https": 443, "http": 80}
# Globally routable, and yet somebody's inside: Azure's own server for its machines, and the ways from IPv6 to IPv4 that
# carry an address in another one.
_INSIDE = tuple(
    ipaddress.ip_network(text) for text in ("168.63.129.16/32", "192.0.0.0/24", "64:ff9b:1::/48", "2001::/32")
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True)
class Allowed:
    """What the operator allows beyond the public internet over TLS.

    Args:
        networks: private networks in which channels may be.
        is_http: whether `http://`, and mail without TLS, may be used.
    """

    networks: tuple[Network, ...] = field(default=())
    is_http: bool = False


def is_reachable(address: IpAddress, allowed: Allowed) -> bool:
    """Return whether we may connect to an address: a public one, or one in a network that the operator allows."""
    seen = _unwrap(address)
    if any(one in network for one in (address, seen) for network in allowed.networks if one.version == network.version):
        return True
    is_odd = seen.is_multicast or seen.is_reserved or seen.is_unspecified or seen.is_loopback or seen.is_link_local
    is_inside = any(seen.version == network.version and seen in network for network in _INSIDE)
    return seen.is_global and not (is_odd or is_inside or getattr(seen, "is_site_local", False))


def _unwrap(address: IpAddress) -> IpAddress:
    """Return the IPv4 address that an IPv6 one stands for."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def parse_network(text: str) -> Network:
    """Return a network in CIDR form.

    Raises:
        BadNameError: `address_invalid`.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise BadNameError("address_invalid", f"{error}; write a network as 10.1.0.0/16") from None


def split_url(text: str, allowed: Allowed) -> SplitResult:
    """Return an address's parts.

    Raises:
        BadNameError: `url_scheme`, `address_invalid` or `address_refused`, with the way out.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadNameError("address_invalid", f"it is no address: {error}") from None
    if not 1 <= len(text) <= _MAX_URL or any(not "!" <= char <= "~" or char in '\\"<>^`{|}' for char in text):
        message = f"an address has 1 to {_MAX_URL} visible ASCII characters; write others with %-escapes"
        raise BadNameError("address_invalid", message)
    if parts.scheme not in _PORTS or (parts.scheme == "http" and not allowed.is_http):
        raise BadNameError("url_scheme", "write an https:// address, or set `allow.http: true`")
    if "@" in parts.netloc or parts.fragment or port == 0:
        raise BadNameError("address_invalid", "an address has neither user nor password, fragment or port 0")
    check_host(host, allowed)
    return parts


def port_of(parts: SplitResult) -> int:
    """Return the port that an address names, or its scheme has."""
    return parts.port or _PORTS[parts.scheme]


def check_host(host: str, allowed: Allowed) -> None:
    """Refuse a host that is no name, or a written address inside.

    Raises:
        BadNameError: `address_invalid` or `address_refused`.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        # `0x7f.1` and `2130706433` are addresses to some resolvers: what looks like one must be written in full.
        if not _HOST.fullmatch(host) or _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise BadNameError("address_invalid", "a host is a name, or an IP address written in full") from None
        return
    if not is_reachable(address, allowed):
        raise BadNameError("address_refused", refusal(host, [address]))


def refusal(host: str, addresses: Iterable[IpAddress]) -> str:
    """Return why a host is not called, and the way out."""
    shown = ", ".join(str(address) for address in addresses)
    where = shown if shown == host else f"{host} is {shown}, which"
    return f"{where} is no public address; name its network under `allow.networks` if that is meant"

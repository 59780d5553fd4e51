"""Connections to hosts that a person named: resolved once, judged, and made to the very address that was judged.

So no name can mean one address when it is checked and another one when it is called (attack 69), and whoever answers
has so many seconds for all of it, however slowly they trickle.
"""

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

from gitops.config.addresses import Allowed, IpAddress, is_reachable, refusal
from gitops.errors import RefusedError, RetryError

CONNECT_SECONDS = 5.0
WHOLE_SECONDS = 10.0
_TRIED = 3  # addresses of a host
_SHOWN = 200

Resolve = Callable[[str, int], Sequence[IpAddress]]
"""Returns the addresses that a name has now."""


def resolve(host: str, port: int) -> Sequence[IpAddress]:
    """Return the addresses of a host, in the order of the system's preference.

    Raises:
        RetryError: `NotifyUnavailable`: the name is not known now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise RetryError("NotifyUnavailable", f"{host} is not found: {error}") from error
    # An address with a zone (`fe80::1%eth0`) is none that we call.
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def connect(host: str, port: int, *, allowed: Allowed, resolve: Resolve = resolve) -> socket.socket:
    """Return a connection to a host, made to an address that may be called.

    Args:
        allowed: what the operator allows beyond the public internet.
        resolve: asked once.

    Raises:
        RefusedError: `NotifyBlocked`: any of its addresses is no public one.
        RetryError: `NotifyUnavailable`.
    """
    addresses = resolve(host, port)
    inside = [address for address in addresses if not is_reachable(address, allowed)]
    if inside or not addresses:
        raise RefusedError("NotifyBlocked", refusal(host, inside) if inside else f"{host} has no address")
    last: OSError | None = None
    for address in addresses[:_TRIED]:
        try:
            return socket.create_connection((str(address), port), timeout=CONNECT_SECONDS)
        except OSError as error:
            last = error
    raise RetryError("NotifyUnavailable", f"{host} port {port} cannot be reached: {last}")


@contextlib.contextmanager
def ending(line: socket.socket, *, seconds: float = WHOLE_SECONDS) -> Iterator[Callable[[], None]]:
    """End a connection when its time is over, in the middle of whatever is read: a timeout alone counts silence.

    Gives what is called when the other side has said what counts: whatever else it says, its end is no failure then.

    Raises:
        RetryError: `NotifyUnavailable`: it was ended, and what was read may be half of an answer.
    """
    same = line.dup()  # encryption takes the socket itself away
    is_over, is_answered = threading.Event(), threading.Event()

    def end() -> None:
        is_over.set()
        with contextlib.suppress(OSError):
            same.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield is_answered.set
    finally:
        timer.cancel()
        same.close()
    if is_over.is_set() and not is_answered.is_set():
        raise RetryError("NotifyUnavailable", f"the whole answer took more than {seconds:g} s")


def one_line(text: str) -> str:
    """Return a stranger's answer as it is shown: one line of at most 200 characters, none of them a control."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[:_SHOWN]).split())

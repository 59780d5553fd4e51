"""Whether a part answers yet. Each probe takes well under a second, and no answer is an answer."""

import http.client
import re
import socket
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path

from gitops.embedded.stack.layout import LOOPBACK

Probe = Callable[[Path, int], bool]
"""Called with the part's log and the place in it where this process began to write."""
_TIMEOUT = 0.5
_CHUNK = 256 * 1024


def http_probe(port: int, path: str) -> Probe:
    """Return a probe that is satisfied by a 200 there."""

    def is_ready(_log: Path, _begin: int) -> bool:
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_TIMEOUT)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return is_ready


def valkey_probe(port: int, password: str) -> Probe:
    """Return a probe that is satisfied when the broker has loaded what it keeps."""

    def is_ready(_log: Path, _begin: int) -> bool:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=_TIMEOUT) as connection:
                connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:  # noqa: PLR2004 - two questions
                    chunk = connection.recv(256)
                    if not chunk:
                        return False
                    answer += chunk
                return answer == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False

    return is_ready


def log_probe(pattern: str) -> Probe:
    """Return a probe for a part without a port: it is ready when it has written this into its log."""
    wanted = re.compile(pattern.encode())

    def is_ready(log: Path, begin: int) -> bool:
        try:
            with log.open("rb") as stream:
                stream.seek(begin)
                return wanted.search(stream.read(_CHUNK)) is not None
        except OSError:
            return False

    return is_ready

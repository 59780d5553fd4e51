"""`python -m gitops.embedded.endpoints`: runs the endpoint host until it is told to stop.

One host has one folder, held by a lock, so that two never own the same scorers.
"""

import gitops.telemetry.lean_uvicorn  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import argparse
import fcntl
import signal
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import TextIO

import uvicorn

from gitops.embedded.endpoints.app import Options, build_app
from gitops.embedded.endpoints.limits import Limits
from gitops.embedded.logs import begin_logs
from gitops.errors import InputError, LaunchpinError, StalledError
from gitops.private_files import read_secret

_GRACE = 2


def main() -> int:
    """Serve until SIGTERM or SIGINT; 0 after a clean end, 4 when it cannot start."""
    try:
        options = _read_options()
        begin_logs("endpoints", options.token)
        lock = _lock_home(options.home)
        listener = _bind(options.host, options.port)
        app = build_app(options)
    except LaunchpinError as error:
        print(f"endpoint host: {error}", file=sys.stderr)  # noqa: T201 - this is a command
        return 4
    # uvicorn raises its signal again after a clean end; that end is success.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    server = uvicorn.Server(config)
    with lock, listener:
        server.run(sockets=[listener])
    return 0 if server.started else 4


def _read_options() -> Options:
    parser = argparse.ArgumentParser(prog="python -m gitops.embedded.endpoints", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="folder for state and logs, made where missing")
    parser.add_argument("--host", default="127.0.0.1", help="IPv4 address to listen on; 127.0.0.1 by default")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token-file", type=Path, required=True, help="holds the management API's token, mode 0600")
    parser.add_argument("--public-url", required=True, help="base of the URLs shown to people")
    parser.add_argument("--request-timeout", type=float, default=Limits.request, help="seconds for one prediction")
    parser.add_argument("--retain", type=float, default=Limits.retain, help="seconds to keep what has served")
    given = parser.parse_args()
    home: Path = given.home.resolve()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Options(
        home=home,
        host=given.host,
        port=given.port,
        token=read_secret(given.token_file, name="--token-file"),
        public_url=given.public_url,
        limits=replace(Limits(), request=given.request_timeout, retain=given.retain),
    )


def _lock_home(home: Path) -> TextIO:
    lock = (home / "lock").open("w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StalledError("HomeInUse", f"another endpoint host uses {home}: stop it first") from None
    except OSError as error:
        lock.close()
        raise InputError("home_unusable", f"{home} cannot be locked: {error}") from error
    return lock


def _bind(host: str, port: int) -> socket.socket:
    """Take the port before any scorer is touched: a host that nobody can reach must not end what another serves."""
    # The protocol must be named: asyncio sets TCP_NODELAY only where it is.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StalledError("PortInUse", f"port {port} of {host} cannot be had: {error.strerror or error}") from error
    return listener


if __name__ == "__main__":
    sys.exit(main())

"""The `git` binary, hardened: the only place that starts it for the service.

Argument lists only, an environment made from nothing, no hooks, filters, helpers, prompts or configuration of the
machine, protocols by allowlist, and the token in neither the arguments nor the URL. See docs/explanation/security.md.
"""

import base64
import contextlib
import os
import re
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from gitops.errors import RetryError

_OPTIONS = {
    "core.hooksPath": "/dev/null",
    "core.symlinks": "false",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.askPass": "",
    "credential.helper": "",
    "transfer.fsckObjects": "true",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "protocol.version": "2",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "30",
    "core.bigFileThreshold": "16m",
}
# What a company's network may need; nothing else of our environment reaches git.
_PASSED = ("PATH", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
_POLL = 0.02  # seconds between two looks at what a running git has written
_SAID = 64 * 1024  # bytes of git's complaints that are kept
_MUTTERED = 4 * 1024 * 1024  # bytes after which a remote that talks without end is cut off


@dataclass(frozen=True)
class Ended:
    """How a git process ended: its exit code, its output and what it complained of."""

    code: int
    out: bytes
    complaint: str


@dataclass(frozen=True)
class Git:
    """A way to start git.

    Args:
        home: an empty private folder, git's HOME.
        protocol: the one protocol allowed, `https` or `http`.
        address: the forge's web address; the header is sent nowhere else.
        header: asked for each time a remote is spoken to; the `Authorization` header's value.
    """

    home: Path
    protocol: str
    address: str
    header: Callable[[], str] = field(repr=False)

    def environment(self, *, remote: bool) -> dict[str, str]:
        """Return the whole environment of a git process; the token is in it only when it speaks to the forge."""
        base = {name: os.environ[name] for name in _PASSED if name in os.environ}
        if self.protocol == "http":
            base["no_proxy"] = base["NO_PROXY"] = "*"
        fixed = {
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_LFS_SKIP_SMUDGE": "1",
            # A mirror's refs are read from its files.
            "GIT_DEFAULT_REF_FORMAT": "files",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "GIT_ALLOW_PROTOCOL": self.protocol if remote else "none",
            "GIT_PROTOCOL_FROM_USER": "0",
        }
        return base | fixed | (self._authorization() if remote else {})

    def _authorization(self) -> dict[str, str]:
        value = self.header()
        if not value:
            return {}
        return {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{self.address}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: {value}",
        }

    def arguments(self, directory: Path, *arguments: str) -> list[str]:
        """Return the argument list that runs a git command on a bare repository."""
        options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
        allowed = ("-c", f"protocol.{self.protocol}.allow=always")
        return ["git", "--no-pager", *options, *allowed, f"--git-dir={directory}", *arguments]

    def start(self, directory: Path, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start a local git command that is spoken to by pipes."""
        return subprocess.Popen(  # noqa: S603 - an argument list of ours
            self.arguments(directory, *arguments),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.environment(remote=False),
            cwd=self.home,
            start_new_session=True,
        )

    def run(
        self,
        directory: Path,
        *arguments: str,
        seconds: float,
        remote: bool = False,
        watch: Callable[[], None] | None = None,
        keep_open: int | None = None,
    ) -> Ended:
        """Run a git command to its end.

        Args:
            directory: the bare repository.
            arguments: the command and its arguments.
            seconds: after which it is ended.
            remote: whether it speaks to the forge.
            watch: looked at while it runs; what it raises ends git.
            keep_open: a lock's descriptor that git inherits, so that the lock outlives us while git still writes.

        Raises:
            RetryError: `GitTimeout` when it took too long.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as complaint:
            running = subprocess.Popen(  # noqa: S603 - an argument list of ours
                self.arguments(directory, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=complaint,
                env=self.environment(remote=remote),
                cwd=self.home,
                start_new_session=True,
                pass_fds=() if keep_open is None else (keep_open,),
            )
            try:
                _await(running, seconds=seconds, watch=watch, complaint=complaint)
            finally:
                end_group(running)
            return Ended(running.returncode, _read(out), _read(complaint)[-_SAID:].decode("utf-8", "replace"))


def basic_authorization(token: str) -> str:
    """Return the header value that GitHub wants from Git over HTTP with a token."""
    return "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode("ascii") if token else ""


def plain(text: str, *, secrets: tuple[str, ...] = (), limit: int = 300) -> str:
    """Return a foreign message as one line without control characters, secrets or credentials in URLs."""
    for secret in secrets:
        text = text.replace(secret, "***") if secret else text
    text = re.sub(r"//[^/@\s]*@", "//***@", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= limit else text[: limit - 3] + "..."


def end_group(running: "subprocess.Popen[bytes]") -> None:
    """End a git process with all that it started, politely first so that it removes its temporary files."""
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, None)):
        if running.poll() is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, number)
        try:
            running.wait(patience)
        except subprocess.TimeoutExpired:
            continue


def _await(
    running: "subprocess.Popen[bytes]", *, seconds: float, watch: Callable[[], None] | None, complaint: IO[bytes]
) -> None:
    end = time.monotonic() + seconds
    while not _ends_within(running, _POLL if watch else max(0.0, end - time.monotonic())):
        if watch:
            watch()
        if time.monotonic() > end or os.fstat(complaint.fileno()).st_size > _MUTTERED:
            raise RetryError("GitTimeout", f"git did not end within {seconds:.0f} s")


def _ends_within(running: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Return whether a process ends within this time, at the moment it does.

    `Popen.wait` looks again and again, with naps of up to 50 ms: more than most of what git does here takes.
    """
    try:
        descriptor = os.pidfd_open(running.pid)
    except (AttributeError, OSError):  # not Linux, or a kernel before 5.3
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(seconds)
        return running.returncode is not None
    try:
        looking = select.poll()
        looking.register(descriptor, select.POLLIN)
        looking.poll(seconds * 1000)
    finally:
        os.close(descriptor)
    return running.poll() is not None


def _read(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()

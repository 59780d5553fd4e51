"""The log of a training: whatever its processes print, line by line, redacted, spelled out and bounded."""

import os
import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from gitops.trainers.redaction import Redactor, show_controls

LIMIT = 50 * 1024 * 1024
# A line without an end is cut here, so that memory stays bounded; bytes.
_LONGEST_LINE = 64 * 1024
_CHUNK = 64 * 1024
# A progress bar ends its lines with a carriage return alone. One at the end of what was read may be half a CRLF.
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_JOIN_PATIENCE = 10.0
_FULL = b"launchpin: the log is full; what follows was dropped"


class TrainingLog:
    """A log file, and the pipe whose other end the training writes to.

    Each line begins with the seconds since the start: the file's reader sees the pace, and no line of the file begins
    with what a training chose, a made-up log record of ours say.

    Args:
        path: the file; it exists.
        redactor: masks the secrets.
        limit: bytes; what follows is read and dropped, and a last line says so.
    """

    def __init__(self, path: Path, redactor: Redactor, *, limit: int = LIMIT) -> None:
        self._path = path
        self._redactor = redactor
        self._left = limit
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._reader, self.write_end = os.pipe()
        self._thread = threading.Thread(target=self._copy, name="training-log", daemon=True)

    def __enter__(self) -> Self:
        self._file = self._path.open("ab", buffering=0)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until everything that was printed is written; call after the last process has ended."""
        self.close_write_end()
        self._thread.join(_JOIN_PATIENCE)
        self._file.close()

    def close_write_end(self) -> None:
        """Close our copy of the training's end: the pipe ends with the last process that holds it."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def note(self, text: str) -> None:
        """Write a line of our own."""
        self._write(f"launchpin: {text}".encode(), free=True)

    def _copy(self) -> None:
        rest = b""
        while chunk := os.read(self._reader, _CHUNK):
            rest = self._take_lines(rest + chunk)
        self._take_lines(rest + b"\n" if rest else b"")
        os.close(self._reader)

    def _take_lines(self, buffer: bytes) -> bytes:
        """Write all full lines and return what is left of the last, cut where it has become too long."""
        begin = 0
        for end in _LINE_END.finditer(buffer):
            line = buffer[begin : end.start()]
            if line or end.group() != b"\r":
                self._write(self._redactor.mask(line))
            begin = end.end()
        rest = buffer[begin:]
        while len(rest) > _LONGEST_LINE + self._redactor.reach:
            at = self._redactor.cut(rest, _LONGEST_LINE)
            self._write(self._redactor.mask(rest[:at]))
            rest = rest[at:]
        return rest

    def _write(self, line: bytes, *, free: bool = False) -> None:
        """Append a line, unless the log is full; `free` lines are ours and do not count.

        A disk that is full must not stop the training, nor the reading of what it prints.
        """
        with self._lock, suppress(OSError):
            if free:
                self._file.write(self._timed(line))
                return
            if self._left < 0:
                return
            whole = self._timed(line)
            self._left -= len(whole)
            self._file.write(whole if self._left >= 0 else self._timed(_FULL))

    def _timed(self, line: bytes) -> bytes:
        shown = show_controls(line.decode("utf-8", "backslashreplace"))
        return f"{time.monotonic() - self._started:9.3f} {shown}\n".encode()

"""A process of its own that stores deliveries, so that checking them and storing them take a core each.

It is forked before anything runs, so that it shares what was imported and holds no connection and no thread of the
process that serves. The two have one fate. When the serving process is gone, however it went, the scribe reads the end
of the socket between them and ends; when the scribe is gone, nothing can be acknowledged any more: the serving process
ends, and whoever supervises it starts both anew.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import BinaryIO, NamedTuple, NoReturn, cast

import msgspec

from gitops.errors import LaunchpinError, RetryError, StalledError
from gitops.ports import Received
from webhooks.saving import STOPPING, Answer, Arrival, Save, Tell

_LENGTH = 4
_BUFFER = 256 * 1024
_PATIENCE = 5.0
_PACE = 0.01
_log = logging.getLogger("launchpin.receive")


class _Verdict(NamedTuple):
    """What became of a delivery, as it goes over the socket.

    Args:
        received: empty when it was not stored.
        reason: of the failure.
        may_come_again: whether the failure passes by itself.
    """

    received: str
    reason: str = ""
    message: str = ""
    may_come_again: bool = False


class _Heading(NamedTuple):
    """A delivery of a group; its body follows behind the headings, as it is, so that it is copied only once.

    Args:
        size: bytes of its body.
    """

    id: str
    event: str
    size: int


_headings = msgspec.msgpack.Decoder(list[_Heading])
_verdicts = msgspec.msgpack.Decoder(list[_Verdict])
_encoder = msgspec.msgpack.Encoder()


class Scribe(asyncio.Protocol):
    """The serving process's side.

    Args:
        pid: of the process that stores.
        end: our end of the socket between the two.
    """

    def __init__(self, pid: int, end: socket.socket) -> None:
        self.pid = pid
        self._end = end
        self._is_gone = False
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._asked: deque[tuple[int, Tell]] = deque()

    def wake(self) -> None:
        """Have the store opened now, not at the first delivery; before the event loop begins.

        Raises:
            StalledError: `NoStore` when it cannot be; the log says why.
        """
        try:
            _send(self._end, [])
            with self._end.makefile("rb") as file:
                _receive(file)
        except (OSError, EOFError) as error:
            raise StalledError("NoStore", "the process that stores deliveries could not open the database") from error

    async def open(self) -> None:
        """Be ready on this event loop."""
        await asyncio.get_running_loop().create_connection(lambda: self, sock=self._end)

    def store(self, group: Sequence[Arrival], tell: Tell) -> None:
        """Have a group stored.

        An end of the scribe on the way leaves open whether the group was stored. That is answered like any failure that
        passes: what comes again is found by its id.
        """
        self._asked.append((len(group), tell))
        if self._transport is None:
            self._give_up()
        else:
            self._transport.write(b"".join((_frame(_to_headings(group)), *(arrival.body for arrival in group))))

    async def check(self) -> None:
        """Return once the scribe has answered for what it was given before, by an empty group.

        Raises:
            RetryError: `Stopping`, it is gone.
        """
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def tell(_: Sequence[Answer]) -> None:
            if not answered.done():
                answered.set_result(None)

        self.store((), tell)
        await answered
        if self._transport is None:
            raise _gone()

    async def close(self) -> None:
        """Hang up: the scribe stores what it is at, and ends."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Tell of a group once its answers are whole."""
        self._received += data
        while len(self._received) >= (whole := _LENGTH + int.from_bytes(self._received[:_LENGTH])):
            verdicts = _verdicts.decode(self._received[_LENGTH:whole])
            del self._received[:whole]
            _, tell = self._asked.popleft()
            tell([_to_answer(verdict) for verdict in verdicts])

    def connection_lost(self, _: Exception | None) -> None:
        """Answer for what is under way: nobody else will."""
        self._transport = None
        self._give_up()

    def is_gone(self) -> bool:
        """Return whether it has ended."""
        if not self._is_gone:
            try:
                self._is_gone = os.waitpid(self.pid, os.WNOHANG)[0] == self.pid
            except ChildProcessError:
                # A signal's handler asked in between, and was told.
                self._is_gone = True
        return self._is_gone

    def end(self) -> None:
        """Wait for its end, and hasten it when it takes too long."""
        self._end.close()
        until = time.monotonic() + _PATIENCE
        while not self.is_gone():
            if time.monotonic() > until:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            time.sleep(_PACE)

    def _give_up(self) -> None:
        while self._asked:
            count, tell = self._asked.popleft()
            tell([_gone()] * count)


def _gone() -> RetryError:
    return RetryError(STOPPING, "the process that stores deliveries is gone")


def start_scribe(open_saver: Callable[[], Save]) -> Scribe:
    """Fork the scribe; call this while this process has one thread and no connection.

    Args:
        open_saver: called in the scribe, when the first group comes.
    """
    ours, its = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        _live(its, open_saver)
    its.close()
    return Scribe(pid, ours)


def _live(end: socket.socket, open_saver: Callable[[], Save]) -> NoReturn:
    """Store groups until the other end is closed; ends the process, never coming back to what the parent does."""
    try:
        # Who ends the stack tells all its processes; this one still has to store what was taken before.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _store_groups(end, open_saver)
    except BaseException:  # noqa: BLE001 - nothing of the parent may run here, whatever it was
        _log.exception("the process that stores deliveries ends")
        os._exit(1)
    os._exit(0)


def _store_groups(end: socket.socket, open_saver: Callable[[], Save]) -> None:
    file: BinaryIO = end.makefile("rb", buffering=_BUFFER)  # type: ignore[assignment]  # typeshed knows some sizes only
    save: Save | None = None
    while True:
        try:
            group = _receive_group(file)
        except (EOFError, ConnectionResetError):
            return
        save = save or open_saver()
        verdicts = [_to_verdict(answer) for answer in save(group)] if group else []
        # Who asked may be gone; then the next message never comes.
        with suppress(BrokenPipeError, ConnectionResetError):
            _send(end, verdicts)


def _send(end: socket.socket, message: Sequence[tuple[object, ...]]) -> None:
    end.sendall(_frame(message))


def _frame(message: Sequence[tuple[object, ...]]) -> bytes:
    payload = _encoder.encode(message)
    return len(payload).to_bytes(_LENGTH) + payload


def _receive(file: BinaryIO) -> bytes:
    """Return the next message.

    Raises:
        EOFError: the other end is closed.
    """
    return _read(file, int.from_bytes(_read(file, _LENGTH)))


def _receive_group(file: BinaryIO) -> list[Arrival]:
    return [Arrival(one.id, one.event, _read(file, one.size)) for one in _headings.decode(_receive(file))]


def _to_headings(group: Sequence[Arrival]) -> list[_Heading]:
    return [_Heading(arrival.id, arrival.event, len(arrival.body)) for arrival in group]


def _read(file: BinaryIO, size: int) -> bytes:
    """Return so many bytes.

    Raises:
        EOFError: the other end was closed before they came.
    """
    read = file.read(size)
    if len(read) < size:
        raise EOFError
    return read


def _to_verdict(answer: Answer) -> _Verdict:
    if isinstance(answer, Received):
        return _Verdict(answer.value)
    reason = answer.reason if isinstance(answer, LaunchpinError) else type(answer).__name__
    # An error may quote what is no text.
    message = str(answer).encode("utf-8", "replace").decode()
    return _Verdict("", reason, message, isinstance(answer, RetryError))


def _to_answer(verdict: _Verdict) -> Answer:
    if verdict.received:
        return Received(verdict.received)
    kind = RetryError if verdict.may_come_again else LaunchpinError
    return kind(verdict.reason, verdict.message)

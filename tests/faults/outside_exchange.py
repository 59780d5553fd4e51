"""One request on its way through an outside that misbehaves: asked or not, answered or not, and written down."""

import asyncio
import hashlib
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.faults.outside_journal import Effect, Journal

TRANSPORT = "launchpin.transport"
HUGE = 2 << 30


@dataclass
class Exchange:
    """One request on its way through `faulty`: what came, what the server behind said, what the client was told."""

    app: ASGIApp
    journal: Journal
    scope: Scope
    receive: Receive
    send: Send
    body: bytes
    came: float = field(default_factory=time.monotonic)
    reply: list[Message] = field(default_factory=list)

    async def pass_through(self) -> None:
        """Ask and answer, piece by piece."""
        status = 0

        async def pass_back(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                # Before the last piece, so that whoever has the answer finds it in the journal.
                self._write_down(status, applied=0 < status < httpx.codes.BAD_REQUEST, replied=True)
            await self.send(message)

        await self.app(self.scope, self._replay(), pass_back)

    async def ask(self) -> None:
        """Have the server behind answer, and keep the answer."""

        async def keep(message: Message) -> None:
            self.reply.append(message)

        await self.app(self.scope, self._replay(), keep)

    async def pass_back(self) -> None:
        """Give the client the kept answer."""
        self._write_down_asked(replied=True)
        for message in self.reply:
            await self.send(message)

    async def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Tell the client something of our own."""
        self._write_down(status, applied=False, replied=True)
        await self._start(status, {**headers, "content-length": str(len(body))})
        await self.send({"type": "http.response.body", "body": body})

    async def answer_without_end(self) -> None:
        """Send 2 GB of JSON, or as much as the client takes."""
        self._write_down(200, applied=False, replied=False)
        await self._start(200, {"content-type": "application/json", "content-length": str(HUGE)})
        gone = asyncio.ensure_future(self._gone())
        piece = b" " * (1 << 20)
        for _ in range(HUGE // len(piece)):
            if gone.done():
                break
            await self.send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)
        else:
            await self.send({"type": "http.response.body", "body": b""})
        gone.cancel()

    async def answer_half(self) -> None:
        """Ask, and give half of the answer's bytes as the whole."""
        await self.ask()
        status, body = self._asked()
        self._write_down_asked(replied=False)
        await self._start(status, {"content-type": "application/json", "content-length": str(len(body) // 2)})
        await self.send({"type": "http.response.body", "body": body[: len(body) // 2]})

    async def reset(self) -> None:
        """Ask, give half of the answer, and reset the connection."""
        await self.ask()
        status, body = self._asked()
        body = body or b"{}"
        self._write_down_asked(replied=False)
        await self._start(status, {"content-type": "application/json", "content-length": str(len(body))})
        await self.send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await self._abort(linger=True)

    async def drop(self) -> None:
        """Close the connection without a word."""
        self.lose()
        await self._abort()

    def lose(self) -> None:
        """Write down that the client was told nothing."""
        if self.reply:
            self._write_down_asked(replied=False)
        else:
            self._write_down(0, applied=False, replied=False)

    async def wait(self, seconds: float) -> bool:
        """Wait so long, or until the client has gone; return whether it has."""
        try:
            await asyncio.wait_for(self._gone(), seconds)
        except TimeoutError:
            return False
        return True

    async def _start(self, status: int, headers: Mapping[str, str]) -> None:
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": raw})

    async def _abort(self, *, linger: bool = False) -> None:
        transport = cast("asyncio.Transport | None", self.scope.get(TRANSPORT))
        assert transport is not None, "a dropped connection needs the server of `running_outside`"
        if linger:
            # What was written is on its way before the reset; a reset while data wait to be sent throws them away.
            while transport.get_write_buffer_size():  # noqa: ASYNC110 - a transport has no event for it
                await asyncio.sleep(0)
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        transport.abort()
        await self._gone()

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    def _replay(self) -> Receive:
        waiting = [self.body]

        async def receive() -> Message:
            if waiting:
                return {"type": "http.request", "body": waiting.pop(), "more_body": False}
            return await self.receive()

        return receive

    def _asked(self) -> tuple[int, bytes]:
        status: int = self.reply[0]["status"]
        return status, b"".join(message.get("body", b"") for message in self.reply[1:])

    def _write_down_asked(self, *, replied: bool) -> None:
        status, _ = self._asked()
        self._write_down(status, applied=status < httpx.codes.BAD_REQUEST, replied=replied)

    def _write_down(self, status: int, *, applied: bool, replied: bool) -> None:
        digest = hashlib.sha256(self.body).hexdigest()
        method, path = self.scope["method"], self.scope["path"]
        self.journal.add(Effect(self.came, method, path, digest, status, applied, replied, self.body))


async def read_body(receive: Receive) -> bytes:
    """Return a request's whole body."""
    pieces = []
    while (message := await receive())["type"] == "http.request":
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return b"".join(pieces)

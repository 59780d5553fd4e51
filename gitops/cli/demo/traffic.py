"""A client that asks an endpoint for predictions all the time and counts the answers, good and bad."""

import threading
import time
from dataclasses import dataclass, field
from typing import Self

import httpx

_PAUSE = 0.05


@dataclass(frozen=True)
class Failure:
    """An answer that was none.

    Args:
        at: by the monotonic clock, in seconds.
        said: the status and the text, or how the connection broke.
    """

    at: float
    said: str

    def __str__(self) -> str:
        """Show what was said."""
        return self.said


@dataclass
class Traffic:
    """Asks until it is stopped; use it as a context.

    Args:
        url: of the endpoint's invocations.
        body: one request.
        good: answers with 200.
        bad: anything else.
    """

    url: str
    body: bytes
    good: int = 0
    bad: list[Failure] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._thread = threading.Thread(target=self._ask, name="traffic", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop asking, and wait for the last answer."""
        self._stop.set()
        self._thread.join()

    @property
    def asked(self) -> int:
        """How often an answer was had, good or bad."""
        return self.good + len(self.bad)

    def _ask(self) -> None:
        headers = {"content-type": "application/json"}
        with httpx.Client(trust_env=False, timeout=30, headers=headers) as client:
            while not self._stop.wait(_PAUSE):
                try:
                    answer = client.post(self.url, content=self.body)
                except httpx.HTTPError as error:
                    self._fail(f"{type(error).__name__}: {error}")
                    continue
                if answer.status_code == httpx.codes.OK:
                    self.good += 1
                else:
                    self._fail(f"{answer.status_code}: {answer.text[:200]}")

    def _fail(self, said: str) -> None:
        self.bad.append(Failure(time.monotonic(), said))

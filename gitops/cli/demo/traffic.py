"""A client that asks an endpoint for predictions all the time and counts the answers, good and bad."""

import threading
from dataclasses import dataclass, field
from typing import Self

import httpx

_PAUSE = 0.05


@dataclass
class Traffic:
    """Asks until it is stopped; use it as a context.

    Args:
        url: of the endpoint's invocations.
        body: one request.
        good: answers with 200.
        bad: anything else, with what was said.
    """

    url: str
    body: bytes
    good: int = 0
    bad: list[str] = field(default_factory=list)
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

    def _ask(self) -> None:
        headers = {"content-type": "application/json"}
        with httpx.Client(trust_env=False, timeout=30, headers=headers) as client:
            while not self._stop.wait(_PAUSE):
                try:
                    answer = client.post(self.url, content=self.body)
                except httpx.HTTPError as error:
                    self.bad.append(f"{type(error).__name__}: {error}")
                    continue
                if answer.status_code == httpx.codes.OK:
                    self.good += 1
                else:
                    self.bad.append(f"{answer.status_code}: {answer.text[:200]}")

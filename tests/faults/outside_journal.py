"""An account of what an outside was asked, and what it really did."""

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Match = Callable[[str, str], bool] | tuple[str, str]

_WRITES = {"POST", "PUT", "PATCH", "DELETE"}
# These are asked with POST and change nothing: MLflow's searches, git's fetch, a prediction.
_READS = re.compile(r"/(search[\w-]*|get-latest-versions|git-upload-pack|invocations)/?$")


@dataclass(frozen=True)
class Effect:
    """One request that would change something.

    Args:
        at: monotonic seconds when it came.
        path: without the query.
        body_sha256: hexadecimal.
        status: what the server behind answered; when it was never asked, what the client was told, 0 for nothing.
        applied: whether the server behind was asked and answered below 400.
        replied: whether the client was given a whole answer.
    """

    at: float
    method: str
    path: str
    body_sha256: str
    status: int
    applied: bool
    replied: bool
    body: bytes = field(default=b"", repr=False)


class Journal:
    """What was asked of an outside, in the order of its answers. Append-only, thread-safe.

    Args:
        is_read: which paths change nothing although they are posted to.
    """

    def __init__(self, is_read: Callable[[str], bool] = lambda path: bool(_READS.search(path))) -> None:
        self._is_read = is_read
        self._effects: list[Effect] = []
        self._reads = 0
        self._lock = threading.Lock()

    @property
    def reads(self) -> int:
        """How many requests changed nothing by their kind."""
        return self._reads

    def add(self, effect: Effect) -> None:
        """Append a request; one that only reads is counted."""
        with self._lock:
            if effect.method in _WRITES and not self._is_read(effect.path):
                self._effects.append(effect)
            else:
                self._reads += 1

    def effects(self, match: Match = (".*", ".*"), *, applied: bool | None = None) -> list[Effect]:
        """Return the writing requests that match, oldest first; all, or only those applied or not applied."""
        with self._lock:
            found = [effect for effect in self._effects if is_match(match, effect.method, effect.path)]
        return [effect for effect in found if applied in {None, effect.applied}]

    def applied(self, match: Match = (".*", ".*")) -> list[Effect]:
        """Return the writing requests that took place."""
        return self.effects(match, applied=True)


def is_match(match: Match, method: str, path: str) -> bool:
    """Return whether a request is meant: a callable is asked, a pair is two patterns, the path's found anywhere."""
    if callable(match):
        return match(method, path)
    verb, pattern = match
    return bool(re.fullmatch(verb, method) and re.search(pattern, path))


def json_of(effect: Effect) -> Any:  # noqa: ANN401 - JSON
    """Return what a writing request said."""
    return json.loads(effect.body)

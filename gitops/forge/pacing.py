"""How fast this process may write to the forge.

GitHub refuses more than 80 writes a minute and 500 an hour, and punishes who goes on: we stay below (I17), and after
a refusal ask nothing at all until the time it named has passed. Nobody sleeps here: a step that must wait comes back.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gitops.errors import RetryError
from gitops.patience import Pause


@dataclass(frozen=True)
class WriteLimits:
    """Writes in any minute, and in any hour."""

    minute: int = 60
    hour: int = 400


class WritePacer:
    """Counts the writes of the last hour.

    Args:
        limits: how many are allowed.
        clock: monotonic seconds.

    Attributes:
        pause: begun when the forge names a time; nothing passes before it ends.
    """

    def __init__(self, limits: WriteLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._taken: deque[float] = deque(maxlen=limits.hour)
        self._lock = threading.Lock()
        self.pause = Pause(clock=clock)

    def check(self) -> None:
        """Return when the forge may be asked.

        Raises:
            RetryError: with the forge's reason and the seconds that are left.
        """
        self.pause.check("the forge")

    def take(self, writes: int = 1) -> None:
        """Count writes that are about to be made, all of them or none.

        Raises:
            RetryError: `ForgeRateLimited`, with the seconds until there is room, or as `check`.
        """
        self.check()
        with self._lock:
            now = self._clock()
            windows = ((self._limits.minute, 60.0), (self._limits.hour, 3600.0))
            wait = max(self._wait(now, writes, allowed=allowed, window=window) for allowed, window in windows)
            if wait > 0:
                raise RetryError("ForgeRateLimited", f"our own limit on writes: room in {wait:.0f} s", after=wait)
            self._taken.extend([now] * writes)

    def _wait(self, now: float, writes: int, *, allowed: int, window: float) -> float:
        """Return the seconds until so many writes fit into a window."""
        recent = [moment for moment in self._taken if moment > now - window]
        surplus = len(recent) + writes - allowed
        return recent[min(surplus, len(recent)) - 1] + window - now if surplus > 0 and recent else 0.0

"""The security log: who knocked wrongly, in at most one line a second, so that no stranger can fill a disk.

Never the audit log, and never anything that a stranger sent: a code of ours and the connection's address.
"""

import asyncio
import logging
from collections import Counter

_SECONDS = 1.0
_log = logging.getLogger("launchpin.security")


class SecurityLog:
    """Writes a line at once, then at most one a second with the number of events that it stands for."""

    def __init__(self) -> None:
        self._left_out: Counter[str] = Counter()
        self._last = ""
        self._timer: asyncio.TimerHandle | None = None

    def note(self, code: str, address: str) -> None:
        """Write down an event.

        Args:
            code: what was answered.
            address: where the connection came from.
        """
        if self._timer is None:
            _write(code, address, 0)
            self._wait()
        else:
            self._left_out[code] += 1
            self._last = address

    def close(self) -> None:
        """Write what was left out."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._tell()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._timer = None
        if self._tell():
            self._wait()

    def _tell(self) -> bool:
        if not self._left_out:
            return False
        codes = ", ".join(f"{code} {count}" for code, count in sorted(self._left_out.items()))
        _write(codes, self._last, sum(self._left_out.values()))
        self._left_out.clear()
        return True


def _write(codes: str, address: str, left_out: int) -> None:
    told = f"{left_out} more events: {codes}; the last" if left_out else codes
    _log.warning("%s from %s", told, address, extra={"codes": codes, "address": address, "left_out": left_out})

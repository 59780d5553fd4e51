"""Whether a person pressed Enter, without waiting for it."""

import select
from typing import TextIO


def enter_pressed(stream: TextIO) -> bool:
    """Return whether a whole line is there to read, and read it."""
    if not stream.isatty():
        return False
    ready, _, _ = select.select([stream], [], [], 0)
    return bool(ready) and bool(stream.readline())

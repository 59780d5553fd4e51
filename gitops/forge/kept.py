"""Git objects in memory: an object never changes under its name, so what was read once is not asked of git again."""

import threading
from collections import OrderedDict

_LIMIT = 8 * 1024**2
_LARGEST = 256 * 1024
# Of an entry, beside its bytes.
_AROUND = 300


class KeptObjects:
    """The objects of several mirrors that were read last, each compared with its name before. Thread-safe.

    Args:
        limit: bytes of all of them.
        largest: bytes of one; a larger one is not kept.
    """

    def __init__(self, *, limit: int = _LIMIT, largest: int = _LARGEST) -> None:
        self._limit = limit
        self._largest = largest
        self._size = 0
        self._objects: OrderedDict[tuple[int, str, str], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, mirror: int, kind: str, name: str) -> bytes | None:
        """Return an object's bytes, None where they are not kept.

        Args:
            mirror: whose object it is: one repository's objects are never read as another one's.
        """
        with self._lock:
            found = self._objects.get((mirror, kind, name))
            if found is not None:
                self._objects.move_to_end((mirror, kind, name))
            return found

    def keep(self, mirror: int, kind: str, name: str, content: bytes) -> None:
        """Keep an object; those that were asked for longest ago make way."""
        if len(content) > self._largest:
            return
        with self._lock:
            if (mirror, kind, name) in self._objects:
                return
            self._objects[mirror, kind, name] = content
            self._size += len(content) + _AROUND
            while self._size > self._limit:
                _, dropped = self._objects.popitem(last=False)
                self._size -= len(dropped) + _AROUND

    def forget(self, mirror: int) -> None:
        """Keep nothing of a mirror any more: it is made anew, and may not have what it had."""
        with self._lock:
            for key in [key for key in self._objects if key[0] == mirror]:
                self._size -= len(self._objects.pop(key)) + _AROUND

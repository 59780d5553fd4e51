"""A part of a document that its schema has already accepted, read into typed values. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from gitops.config.durations import format_duration, parse_duration
from gitops.config.names import clean_path
from gitops.config.scalars import read_decimal, resolve
from gitops.config.text import Path
from gitops.config.tree import Document, Mapping, Sequence
from gitops.errors import InputError


@dataclass(frozen=True, slots=True)
class Section:
    """What stands at a path; it need not exist.

    Args:
        document: the file.
        path: where in it.
    """

    document: Document
    path: Path = ()

    def at(self, *path: str | int) -> "Section":
        """Return what stands further inside."""
        return Section(self.document, (*self.path, *path))

    def __bool__(self) -> bool:
        return self.document.node(self.path) is not None

    def names(self) -> tuple[str, ...]:
        """Return a mapping's keys in their order."""
        node = self.document.node(self.path)
        return tuple(node.by_name) if isinstance(node, Mapping) else ()

    def items(self) -> "tuple[Section, ...]":
        """Return a list's entries."""
        node = self.document.node(self.path)
        return tuple(self.at(index) for index in range(len(node.items))) if isinstance(node, Sequence) else ()

    def text(self, default: str = "") -> str:
        """Return a scalar as written, `0.10` and not `0.1`."""
        return self.document.written(self.path) if self else default

    def texts(self, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return a list's entries as written."""
        return tuple(item.text() for item in self.items()) if self else default

    def directory(self, default: str = ".") -> str:
        """Return a relative path in its one spelling."""
        return clean_path(self.text()) if self else default

    def decimal(self, default: Decimal = Decimal(0)) -> Decimal:
        """Return a number as written, quoted or not."""
        return read_decimal(self.text()) if self else default

    def whole(self, default: int = 0) -> int:
        """Return a whole number in whichever base it is written, `0x10` for example."""
        return int(str(resolve(self.text()))) if self else default

    def flag(self) -> bool:
        """Return whether it says true."""
        return self.text().lower() == "true"

    def duration(self, default: timedelta, *, least: timedelta, most: timedelta) -> timedelta:
        """Return a length of time.

        Raises:
            InputError: `limit_exceeded` when it is outside its limits.
        """
        if not self:
            return default
        duration = parse_duration(self.text())
        if not least <= duration <= most:
            limits = f"{format_duration(least)} to {format_duration(most)}"
            raise self.error("limit_exceeded", f"{self.text()} is outside the limits; write {limits}")
        return duration

    def error(self, reason: str, message: str, *, key: bool = False) -> InputError:
        """Return the error for this place, or for its key."""
        return self.document.error(reason, message, self.path, key=key)

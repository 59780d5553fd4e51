"""A YAML file as a tree that remembers where everything stands. Pure."""

from dataclasses import dataclass

from gitops.config.scalars import Plain
from gitops.config.text import Path, Source
from gitops.errors import InputError


@dataclass(frozen=True, slots=True)
class Scalar:
    """A text.

    Args:
        text: what the source means, escapes read.
        style: `` for plain, or one of `'`, `"`, `|`, `>`.
        start: index of its first character in the source, its quote or indicator included.
        end: index after its last one.
        mark: its anchor or tag, empty without one.
    """

    text: str
    style: str
    start: int
    end: int
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Alias:
    """A reference to what was anchored under a name."""

    name: str
    start: int
    target: "Node | None"


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list; `mark` as in `Scalar`."""

    items: "tuple[Node, ...]"
    start: int
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Mapping:
    """Pairs in their order; `mark` as in `Scalar`.

    Args:
        by_name: the first entry of each scalar key; in a closed document that is all of them.
    """

    entries: "tuple[tuple[Node, Node], ...]"
    start: int
    mark: str
    by_name: "dict[str, tuple[Scalar, Node]]"

    @classmethod
    def of(cls, entries: "tuple[tuple[Node, Node], ...]", start: int, mark: str) -> "Mapping":
        """Return the mapping of these entries."""
        by_name: dict[str, tuple[Scalar, Node]] = {}
        for key, value in entries:
            if isinstance(key, Scalar):
                by_name.setdefault(key.text, (key, value))
        return cls(entries, start, mark, by_name)


Node = Scalar | Alias | Sequence | Mapping
Value = Plain | list["Value"] | dict[str, "Value"]


@dataclass(frozen=True, slots=True)
class Document:
    """A file of one document without anchors, aliases, tags and duplicate keys.

    Args:
        source: its text.
        root: its tree.
        value: the same as plain Python values; numbers with a point or exponent are decimals as written.
    """

    source: Source
    root: Node
    value: Value

    def error(self, reason: str, message: str, path: Path, *, key: bool = False) -> InputError:
        """Return the error for what stands at a path, or for its key."""
        return self.source.error(reason, message, at=self.index(path, key=key), path=path)

    def index(self, path: Path, *, key: bool = False) -> int:
        """Return where the value at a path starts, or its key; the nearest parent where there is no such path."""
        node, start = self.root, self.root.start
        for position, part in enumerate(path):
            found = _child(node, part)
            if found is None:
                break
            label, node = found
            start = label.start if key and position == len(path) - 1 else node.start
        return start

    def node(self, path: Path) -> Node | None:
        """Return the node at a path, None where there is none."""
        node = self.root
        for part in path:
            found = _child(node, part)
            if found is None:
                return None
            node = found[1]
        return node

    def written(self, path: Path) -> str:
        """Return a scalar's text as written, `0.10` and not `0.1`; empty where there is none."""
        node = self.node(path)
        return node.text if isinstance(node, Scalar) else ""


def _child(node: Node, part: str | int) -> tuple[Node, Node] | None:
    if isinstance(node, Sequence) and isinstance(part, int) and part < len(node.items):
        return node.items[part], node.items[part]
    return node.by_name.get(part) if isinstance(node, Mapping) and isinstance(part, str) else None

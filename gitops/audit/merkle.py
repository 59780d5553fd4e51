"""The tree of RFC 6962 and RFC 9162 over leaf hashes, in a form that fits a database of complete subtrees.

A node is named by its level (0 for leaves) and its index in that level; a node exists once its subtree is complete
and never changes after, so nodes are numbered in the order in which they come to be. Nothing here knows what a leaf
says.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

EMPTY_ROOT = sha256(b"").digest()
DIGEST_SIZE = 32

ReadNode = Callable[[int, int], bytes]


class Node(NamedTuple):
    """A complete subtree's hash.

    Args:
        level: 0 for a leaf, one more for each doubling.
        index: position in its level, from 0.
        digest: 32 bytes.
    """

    level: int
    index: int  # type: ignore[assignment]  # hides a tuple's own `index`, which nobody asks a node for
    digest: bytes


def hash_leaf(entry: bytes) -> bytes:
    """Hash an entry's bytes; the prefix keeps a leaf from passing as a node (RFC 9162, 2.1.1)."""
    return sha256(b"\x00" + entry).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Hash two children (RFC 9162, 2.1.1)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: enough to add leaves and to tell the root, in O(log n) memory."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Take one more leaf hash."""
        position = self.size
        peaks = self._peaks
        while position & 1:
            leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
            position >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of the leaves taken so far."""
        if not self._peaks:
            return EMPTY_ROOT
        digest = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            digest = hash_node(peak, digest)
        return digest


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes given in order."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.add(leaf)
    return frontier.root()


def append(size: int, leaf: bytes, *, read_node: ReadNode) -> list[Node]:
    """Return the nodes that one more leaf completes, the leaf itself first.

    Args:
        size: leaves in the tree before.
        leaf: the new leaf's hash.
        read_node: gives the digest at (level, index); asked only for nodes complete at `size`.
    """
    nodes = [Node(0, size, leaf)]
    while (size >> nodes[-1].level) & 1:
        last = nodes[-1]
        digest = hash_node(read_node(last.level, last.index - 1), last.digest)
        nodes.append(Node(last.level + 1, last.index >> 1, digest))
    return nodes


def extend(size: int, leaves: Iterable[bytes], *, read_node: ReadNode) -> bytes:
    """Return the hashes of the nodes that several leaves complete, in the order of their numbers, joined.

    Args:
        size: leaves in the tree before; the first hash returned has the number `count_nodes(size)`.
        leaves: hashes of the new leaves in order.
        read_node: gives the digest at (level, index); asked only for what `list_left` names.
    """
    made: list[bytes] = []
    edge: list[bytes] = []
    for position, leaf in enumerate(leaves, size):
        made.append(leaf)
        digest, level, index = leaf, 0, position
        while index & 1:
            left = edge.pop() if edge else read_node(level, index - 1)
            # Spelled out: a function's call for each node would take as long as its hash.
            digest = sha256(b"\x01" + left + digest).digest()
            made.append(digest)
            level, index = level + 1, index >> 1
        edge.append(digest)
    return b"".join(made)


def list_left(size: int, count: int) -> list[tuple[int, int]]:
    """Return the nodes of a tree of `size` leaves that `count` more are hashed with: level and index, lowest first."""
    levels = (level for level in range(size.bit_length()) if size >> level & 1)
    return [(level, (size >> level) - 1) for level in levels if size + count >= (size >> level) + 1 << level]


def count_nodes(size: int) -> int:
    """Return how many complete subtrees a tree of so many leaves has."""
    return 2 * size - size.bit_count()


def number_node(level: int, index: int) -> int:
    """Return a node's place, from 0, among all nodes in the order in which growing completes them."""
    # After the nodes that were there before its last leaf, and those under it that this leaf completes as well.
    return count_nodes((index + 1 << level) - 1) + level


def root(size: int, *, read_node: ReadNode) -> bytes:
    """Return the root of the first `size` leaves, reading at most one node for each bit of `size`."""
    return _subtree(0, size, read_node) if size else EMPTY_ROOT


def prove_inclusion(index: int, size: int, *, read_node: ReadNode) -> tuple[bytes, ...]:
    """Return the audit path of a leaf in the tree of the first `size` leaves (RFC 9162, 2.1.3.1).

    Raises:
        ValueError: no such leaf in a tree of that size.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    low, high = 0, size
    path: list[bytes] = []
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_subtree(middle, high, read_node))
            high = middle
        else:
            path.append(_subtree(low, middle, read_node))
            low = middle
    return tuple(reversed(path))


def prove_consistency(old: int, new: int, *, read_node: ReadNode) -> tuple[bytes, ...]:
    """Return the proof that the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162, 2.1.4.1).

    Raises:
        ValueError: sizes that no proof exists for: `old` below 1 or above `new`.
    """
    if not 1 <= old <= new:
        raise ValueError(f"there is no proof from {old} to {new} leaves")
    low, high = 0, new
    proof: list[bytes] = []
    while high != old:
        middle = low + _split(high - low)
        if old <= middle:
            proof.append(_subtree(middle, high, read_node))
            high = middle
        else:
            proof.append(_subtree(low, middle, read_node))
            low = middle
    if low:
        proof.append(_subtree(low, high, read_node))
    return tuple(reversed(proof))


def is_included(leaf: bytes, index: int, *, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether the proof puts this leaf at this index under this root (RFC 9162, 2.1.3.2).

    Args:
        leaf: the leaf's hash.
        index: its position.
        size: leaves of the tree that `root` is the root of.
        root: the root to reach.
        proof: the audit path, nearest sibling first.
    """
    if not 0 <= index < size:
        return False
    position, last, digest = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            digest = hash_node(sibling, digest)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            digest = hash_node(digest, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and digest == root


def is_consistent(old: int, new: int, *, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether the proof shows that the tree of `new` leaves begins with that of `old` (RFC 9162, 2.1.4.2).

    Args:
        old: leaves of the earlier tree; every tree begins with the empty one.
        new: leaves of the later tree.
        old_root: root of the earlier tree.
        new_root: root of the later tree.
        proof: as `prove_consistency` makes it; empty for equal sizes and for the empty tree.
    """
    if not 0 <= old <= new:
        return False
    if old in {0, new}:
        return not proof and old_root == (EMPTY_ROOT if old == 0 else new_root)
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    return bool(path) and _reach(old, new, path) == (old_root, new_root)


def _reach(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Follow a consistency path from its first node to both roots; None when its length is wrong."""
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    older = newer = path[0]
    for sibling in path[1:]:
        if last == 0:
            return None
        if position & 1 or position == last:
            older, newer = hash_node(sibling, older), hash_node(sibling, newer)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            newer = hash_node(newer, sibling)
        position, last = position >> 1, last >> 1
    return (older, newer) if last == 0 else None


def _split(count: int) -> int:
    """Return the largest power of two below `count` (RFC 9162, 2.1.1)."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtree(low: int, high: int, read_node: ReadNode) -> bytes:
    """Return the hash over the leaves from `low` up to `high`, a range the tree is built of."""
    count = high - low
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return read_node(level, low >> level)
    middle = low + _split(count)
    return hash_node(_subtree(low, middle, read_node), _subtree(middle, high, read_node))

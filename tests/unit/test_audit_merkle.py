from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.audit import merkle

# The leaves that Certificate Transparency implementations share as test vectors.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
KNOWN_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def naive_root(entries: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    half = 1
    while half * 2 < len(entries):
        half *= 2
    return sha256(b"\x01" + naive_root(entries[:half]) + naive_root(entries[half:])).digest()


def naive_path(index: int, entries: list[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1, word for word."""
    if len(entries) == 1:
        return []
    half = 1
    while half * 2 < len(entries):
        half *= 2
    if index < half:
        return [*naive_path(index, entries[:half]), naive_root(entries[half:])]
    return [*naive_path(index - half, entries[half:]), naive_root(entries[:half])]


def naive_proof(old: int, entries: list[bytes], *, whole: bool = True) -> list[bytes]:
    """RFC 6962, 2.1.2, word for word."""
    if old == len(entries):
        return [] if whole else [naive_root(entries)]
    half = 1
    while half * 2 < len(entries):
        half *= 2
    if old <= half:
        return [*naive_proof(old, entries[:half], whole=whole), naive_root(entries[half:])]
    return [*naive_proof(old - half, entries[half:], whole=False), naive_root(entries[:half])]


class Tree:
    """Complete subtrees in a dictionary, as a database keeps them."""

    def __init__(self, entries: list[bytes]) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        for size, entry in enumerate(entries):
            self.store(merkle.append(size, merkle.hash_leaf(entry), read_node=self.read))

    def read(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]

    def store(self, nodes: list[merkle.Node]) -> None:
        for node in nodes:
            assert (node.level, node.index) not in self.nodes
            self.nodes[node.level, node.index] = node.digest


def numbered(tree: Tree) -> bytes:
    """Return every hash of a tree in the order of the nodes' numbers, which leave none out."""
    by_number = {merkle.number_node(*node): digest for node, digest in tree.nodes.items()}
    return b"".join(by_number[number] for number in range(len(tree.nodes)))


def entries_of(count: int) -> list[bytes]:
    return [str(number).encode() for number in range(count)]


@pytest.mark.parametrize(("count", "root"), KNOWN_ROOTS.items())
def test_root_is_the_known_answer_when_leaves_are_the_shared_vectors(count: int, root: str) -> None:
    entries = LEAVES[:count]
    assert merkle.root_of(merkle.hash_leaf(entry) for entry in entries).hex() == root
    assert merkle.root(count, read_node=Tree(entries).read).hex() == root
    assert naive_root(entries).hex() == root


@pytest.mark.parametrize("size", range(1, 34))
def test_proofs_are_those_of_the_rfc_when_every_pair_is_tried(size: int) -> None:
    entries = entries_of(size)
    read = Tree(entries).read
    root = merkle.root(size, read_node=read)
    assert root == naive_root(entries)
    for index in range(size):
        proof = merkle.prove_inclusion(index, size, read_node=read)
        assert list(proof) == naive_path(index, entries)
        assert merkle.is_included(merkle.hash_leaf(entries[index]), index, size=size, root=root, proof=proof)
    for old in range(1, size + 1):
        consistency = merkle.prove_consistency(old, size, read_node=read)
        old_root = naive_root(entries[:old])
        assert list(consistency) == naive_proof(old, entries)
        assert merkle.is_consistent(old, size, old_root=old_root, new_root=root, proof=consistency)


@given(st.lists(st.binary(max_size=3), max_size=200), st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_batches_give_the_same_nodes_when_leaves_come_one_by_one_or_together(entries: list[bytes], cut: int) -> None:
    single, batch = Tree(entries), Tree(entries[:cut])
    leaves = [merkle.hash_leaf(entry) for entry in entries[cut:]]
    left = merkle.list_left(len(entries[:cut]), len(leaves))
    asked: list[tuple[int, int]] = []

    def read(level: int, index: int) -> bytes:
        asked.append((level, index))
        return batch.read(level, index)

    made = merkle.extend(len(entries[:cut]), leaves, read_node=read)
    assert sorted(asked) == left
    start = merkle.count_nodes(len(entries[:cut]))
    assert made == numbered(single)[start * merkle.DIGEST_SIZE :]
    assert numbered(batch) == numbered(single)[: start * merkle.DIGEST_SIZE]
    for size in range(len(entries) + 1):
        assert merkle.root(size, read_node=single.read) == naive_root(entries[:size])


@given(st.integers(1, 300), st.data())
@settings(max_examples=200, deadline=None)
def test_inclusion_is_refused_when_any_part_of_the_claim_differs(size: int, data: st.DataObject) -> None:
    entries = entries_of(size)
    read = Tree(entries).read
    index = data.draw(st.integers(0, size - 1))
    root = naive_root(entries)
    proof = merkle.prove_inclusion(index, size, read_node=read)
    leaf = merkle.hash_leaf(entries[index])
    other = data.draw(st.integers(-1, size + 1).filter(lambda number: number != index))
    assert not merkle.is_included(leaf, other, size=size, root=root, proof=proof)
    assert not merkle.is_included(merkle.hash_leaf(b"x"), index, size=size, root=root, proof=proof)
    assert not merkle.is_included(leaf, index, size=size, root=b"\0" * 32, proof=proof)
    assert not merkle.is_included(leaf, index, size=size, root=root, proof=[*proof, b"\0" * 32])
    if proof:
        assert not merkle.is_included(leaf, index, size=size, root=root, proof=proof[:-1])
        assert not merkle.is_included(leaf, index, size=size, root=root, proof=proof[1:])


@given(st.integers(1, 300), st.data())
@settings(max_examples=200, deadline=None)
def test_consistency_is_refused_when_history_or_proof_differs(new: int, data: st.DataObject) -> None:
    entries = entries_of(new)
    old = data.draw(st.integers(1, new))
    proof = merkle.prove_consistency(old, new, read_node=Tree(entries).read)
    old_root, new_root = naive_root(entries[:old]), naive_root(entries)
    rewritten = naive_root([b"rewritten", *entries[1:old]])
    assert not merkle.is_consistent(old, new, old_root=rewritten, new_root=new_root, proof=proof)
    assert not merkle.is_consistent(old, new, old_root=old_root, new_root=rewritten, proof=proof)
    assert not merkle.is_consistent(old, new, old_root=old_root, new_root=new_root, proof=[*proof, b"\0" * 32])
    if proof:
        assert not merkle.is_consistent(old, new, old_root=old_root, new_root=new_root, proof=proof[:-1])
        assert not merkle.is_consistent(old, new, old_root=old_root, new_root=new_root, proof=())


def test_empty_tree_begins_every_tree_when_its_root_is_the_empty_one() -> None:
    root = naive_root(entries_of(3))
    assert merkle.is_consistent(0, 3, old_root=merkle.EMPTY_ROOT, new_root=root, proof=())
    assert not merkle.is_consistent(0, 3, old_root=root, new_root=root, proof=())
    assert not merkle.is_consistent(4, 3, old_root=root, new_root=root, proof=())


def test_proofs_are_refused_when_the_tree_has_no_such_leaf_or_size() -> None:
    read = Tree(entries_of(3)).read
    for index, size in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(ValueError, match="leaf"):
            merkle.prove_inclusion(index, size, read_node=read)
    for old, new in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match="proof"):
            merkle.prove_consistency(old, new, read_node=read)


def test_a_proof_reads_few_nodes_when_the_tree_is_large() -> None:
    tree = Tree(entries_of(1000))
    reads: list[tuple[int, int]] = []

    def read(level: int, index: int) -> bytes:
        reads.append((level, index))
        return tree.read(level, index)

    merkle.root(1000, read_node=read)
    merkle.append(1000, b"\0" * 32, read_node=read)
    assert len(reads) <= 10
    merkle.prove_inclusion(617, 1000, read_node=read)
    assert len(reads) <= 10 + 25

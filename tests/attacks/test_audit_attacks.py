"""Attacks 87 to 91: somebody owns the database, the key, or both."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gitops.audit import merkle
from gitops.audit.entry import canonical
from gitops.audit.verify import Code, find_first_bad, verify_bundle
from tests.support.audit_log import (
    KEY,
    OTHER_KEY,
    hash_nodes,
    make_entries,
    make_entry,
    sign_head,
    write_lines,
    write_log,
    write_notes,
)

PIN = KEY.verifier.text
FORGED = canonical(make_entry("hold.lifted"))

Tamper = Callable[[list[bytes]], list[bytes]]
TAMPERINGS: list[tuple[str, Tamper, int]] = [
    ("edit", lambda rows: [*rows[:5], FORGED, *rows[6:]], 5),
    ("delete", lambda rows: [*rows[:5], *rows[6:]], 5),
    ("insert", lambda rows: [*rows[:5], FORGED, *rows[5:]], 5),
    ("reorder", lambda rows: [*rows[:5], rows[6], rows[5], *rows[7:]], 5),
]


@pytest.mark.parametrize(("name", "tamper", "first"), TAMPERINGS)
def test_attack_87_changed_rows_are_blamed_when_the_bundle_is_verified(
    tmp_path: Path, name: str, tamper: Tamper, first: int
) -> None:
    log = write_log(tmp_path, heads=(4, 8, 12))
    write_lines(tmp_path, tamper(log.entries))
    found = verify_bundle(tmp_path, key=PIN)
    assert found.code is Code.ALTERED, name
    assert found.first_bad == 4
    assert "4 to 7" in found.message
    assert 4 <= first < 8


@pytest.mark.parametrize(("name", "tamper", "first"), TAMPERINGS)
def test_attack_87_first_row_is_named_when_the_stored_tree_is_compared(name: str, tamper: Tamper, first: int) -> None:
    entries = make_entries(12)
    leaves = [merkle.hash_leaf(entry) for entry in entries]

    def read(level: int, index: int) -> bytes:
        assert level == 0, name
        return leaves[index]

    assert find_first_bad(tamper(entries), read_node=read) == first


def test_attack_87_truncated_rows_are_missed_when_a_head_covers_them(tmp_path: Path) -> None:
    log = write_log(tmp_path, heads=(4, 8))
    write_lines(tmp_path, log.entries[:6])
    found = verify_bundle(tmp_path, key=PIN)
    assert (found.code, found.first_bad) == (Code.INCOMPLETE, 6)


def test_attack_87_truncated_rows_and_heads_are_missed_when_an_anchor_reaches_beyond(tmp_path: Path) -> None:
    log = write_log(tmp_path, heads=(4, 8))
    write_lines(tmp_path, log.entries[:4])
    write_notes(tmp_path, log.notes[:1])
    assert verify_bundle(tmp_path, key=PIN).code is Code.INTACT  # nothing in the bundle can show it
    found = verify_bundle(tmp_path, key=PIN, anchors="".join(note + "\n" for note in log.notes))
    assert (found.code, found.first_bad) == (Code.INCOMPLETE, 4)


def test_attack_88_rewritten_log_is_found_when_signed_with_another_key(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    entries = [FORGED, *log.entries[1:]]
    write_lines(tmp_path, entries)
    write_notes(tmp_path, [sign_head(entries, key=OTHER_KEY)])
    assert verify_bundle(tmp_path, key=PIN).code is Code.ALTERED
    (tmp_path / "keys.txt").write_bytes(f"{OTHER_KEY.verifier.text}\n".encode())
    assert verify_bundle(tmp_path, key=PIN).code is Code.ALTERED


@pytest.mark.parametrize("anchored", [2, 3, 4])
def test_attack_88_rewritten_log_is_a_fork_when_signed_with_the_stolen_key(tmp_path: Path, anchored: int) -> None:
    log = write_log(tmp_path)
    anchors = sign_head(log.entries[:anchored]) + "\n"
    entries = [FORGED, *log.entries[1:]]
    write_lines(tmp_path, entries)
    write_notes(tmp_path, [sign_head(entries[:2]), sign_head(entries)])
    assert verify_bundle(tmp_path, key=PIN).code is Code.INTACT  # the key alone cannot tell
    assert verify_bundle(tmp_path, key=PIN, anchors=anchors).code is Code.FORKED


def test_attack_88_consistency_fails_when_history_before_the_anchor_was_rewritten() -> None:
    entries = [FORGED, *make_entries(8)[1:]]
    stored = hash_nodes(entries)
    proof = merkle.prove_consistency(5, 8, read_node=lambda level, index: stored[level, index])
    anchored = merkle.root_of(merkle.hash_leaf(entry) for entry in make_entries(5))
    rewritten = merkle.root_of(merkle.hash_leaf(entry) for entry in entries)
    assert not merkle.is_consistent(5, 8, old_root=anchored, new_root=rewritten, proof=proof)


def test_attack_89_two_heads_of_one_size_are_a_fork_when_both_are_signed(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    other = sign_head([FORGED, *log.entries[1:]])
    for notes in ([log.notes[0], log.notes[1], other], [log.notes[0], other, log.notes[1]]):
        write_notes(tmp_path, notes)
        found = verify_bundle(tmp_path, key=PIN)
        assert found.code is Code.FORKED
        assert int(found.code) == 2


def test_attack_90_proof_is_refused_when_checked_with_the_head_of_another_size() -> None:
    entries = make_entries(40)
    leaves = [merkle.hash_leaf(entry) for entry in entries]
    stored = hash_nodes(entries)

    def read(level: int, index: int) -> bytes:
        return stored[level, index]

    roots = {size: merkle.root(size, read_node=read) for size in range(1, 41)}
    accepted = [
        (index, made, checked)
        for made in (7, 8, 13, 32)
        for index in range(made)
        for checked in range(1, 41)
        if checked != made
        and merkle.is_included(
            leaves[index],
            index,
            size=checked,
            root=roots[checked],
            proof=merkle.prove_inclusion(index, made, read_node=read),
        )
    ]
    assert accepted == []


def test_attack_91_leaf_is_not_a_node_when_its_bytes_are_two_hashes() -> None:
    left, right = merkle.hash_leaf(b"a"), merkle.hash_leaf(b"b")
    root = merkle.hash_node(left, right)
    assert merkle.hash_leaf(left + right) != root
    assert not merkle.is_included(merkle.hash_leaf(left + right), 0, size=1, root=root, proof=())
    # The inner node given out as a leaf one level up has a path of the wrong length for its size.
    whole = merkle.root_of([left, right, left, right])
    assert not merkle.is_included(root, 0, size=4, root=whole, proof=[root])
    assert merkle.is_included(left, 0, size=4, root=whole, proof=[right, root])


def test_attack_91_entry_is_refused_when_it_is_crafted_as_an_inner_node(tmp_path: Path) -> None:
    log = write_log(tmp_path, heads=(2,))
    left, right = (merkle.hash_leaf(entry) for entry in log.entries)
    (tmp_path / "entries.jsonl").write_bytes(b"\x01" + left + right + b"\n")
    assert verify_bundle(tmp_path, key=PIN).code is Code.ALTERED

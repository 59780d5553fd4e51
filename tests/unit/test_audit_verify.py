from pathlib import Path

import pytest

from gitops.audit.bundle import find_notes, name_anchors, read_anchors, write_bundle
from gitops.audit.checkpoint import Checkpoint, SigningKey, sign
from gitops.audit.entry import canonical
from gitops.audit.verify import Code, find_first_bad, verify_bundle
from gitops.errors import ConflictError, InputError
from tests.support.audit_log import (
    KEY,
    ORIGIN,
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


def test_bundle_is_intact_when_nothing_was_changed(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    found = verify_bundle(tmp_path, key=PIN)
    assert (found.code, found.size, found.origin, found.pinned, found.first_bad) == (Code.INTACT, 4, ORIGIN, True, None)
    assert found.root == log.notes[-1].split("\n")[2]
    assert "boundary: none" in found.boundary


def test_key_is_called_unpinned_when_it_came_from_the_bundle(tmp_path: Path) -> None:
    write_log(tmp_path)
    found = verify_bundle(tmp_path)
    assert found.code is Code.INTACT
    assert not found.pinned
    assert "unpinned" in found.message


def test_key_is_read_when_its_file_ends_with_a_newline(tmp_path: Path) -> None:
    write_log(tmp_path)
    assert verify_bundle(tmp_path, key=PIN + "\n").code is Code.INTACT


def test_empty_log_is_intact_when_its_head_says_so(tmp_path: Path) -> None:
    write_log(tmp_path, heads=(0,))
    assert verify_bundle(tmp_path, key=PIN).code is Code.INTACT


def test_large_log_is_intact_when_heads_are_far_apart(tmp_path: Path) -> None:
    write_log(tmp_path, heads=(1, 255, 256, 257, 700))
    assert verify_bundle(tmp_path, key=PIN).size == 700


def mutations(content: bytes) -> list[bytes]:
    """Every single-byte change: each byte to other values, each byte gone, and one more byte at each place."""
    changed = []
    for place in range(len(content) + 1):
        before, after = content[:place], content[place:]
        changed += [before + extra + after for extra in (b"\n", b" ", b"0", b"A", b"\r", b"\x00", b"=")]
        if after:
            changed.append(before + after[1:])
            changed += [before + bytes([after[0] ^ bits]) + after[1:] for bits in (1, 2, 4, 16, 32, 128, 255)]
    return changed


@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoints.txt", "keys.txt"])
def test_every_single_byte_change_is_found_when_the_key_is_pinned(tmp_path: Path, name: str) -> None:
    write_log(tmp_path, heads=(1, 3))
    path = tmp_path / name
    content = path.read_bytes()
    unseen = []
    for changed in mutations(content):
        path.write_bytes(changed)
        found = verify_bundle(tmp_path, key=PIN)
        if found.code is Code.INTACT and changed != content:
            unseen.append(changed)
    assert unseen == []
    path.write_bytes(content)
    assert verify_bundle(tmp_path, key=PIN).code is Code.INTACT


def test_changed_entry_is_within_the_blamed_ones_when_any_letter_changes(tmp_path: Path) -> None:
    log = write_log(tmp_path, heads=(2, 4))
    for index in range(4):
        changed = [*log.entries]
        changed[index] = changed[index].replace(b"hold.set", b"hold.let")
        write_lines(tmp_path, changed)
        found = verify_bundle(tmp_path, key=PIN)
        first = 0 if index < 2 else 2
        assert (found.code, found.first_bad) == (Code.ALTERED, first)
        assert f"entries {first} to {first + 1}" in found.message


def test_entry_is_named_exactly_when_its_own_bytes_are_wrong(tmp_path: Path) -> None:
    log = write_log(tmp_path, heads=(4,))
    write_lines(tmp_path, [*log.entries[:2], log.entries[2].replace(b":", b": ", 1), log.entries[3]])
    found = verify_bundle(tmp_path, key=PIN)
    assert (found.code, found.first_bad) == (Code.ALTERED, 2)
    assert found.message.startswith("entry 2:")


def test_earlier_change_is_blamed_when_a_later_entry_is_broken_too(tmp_path: Path) -> None:
    log = write_log(tmp_path, heads=(2, 4))
    entries = [log.entries[0], log.entries[1].replace(b"hold.set", b"hold.let"), log.entries[2], b"{}"]
    write_lines(tmp_path, entries)
    found = verify_bundle(tmp_path, key=PIN)
    assert (found.code, found.first_bad) == (Code.ALTERED, 0)
    assert "entries 0 to 1" in found.message


def test_entry_of_another_log_is_refused_when_even_the_signature_covers_it(tmp_path: Path) -> None:
    foreign = canonical(make_entry()).replace(ORIGIN.encode(), b"other.example/audit/1")
    write_bundle(tmp_path, [foreign], notes=[sign_head([foreign])], keys=[PIN])
    found = verify_bundle(tmp_path, key=PIN)
    assert (found.code, found.first_bad) == (Code.ALTERED, 0)


def test_entry_is_refused_when_it_is_signed_but_not_canonical(tmp_path: Path) -> None:
    loose = make_entries(1)[0].replace(b"{", b"{ ", 1)
    write_bundle(tmp_path, [loose], notes=[sign_head([loose])], keys=[PIN])
    assert verify_bundle(tmp_path, key=PIN).code is Code.ALTERED


def test_bundle_is_incomplete_when_entries_reach_beyond_the_last_head(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    write_lines(tmp_path, make_entries(5))
    found = verify_bundle(tmp_path, key=PIN)
    assert (found.code, found.first_bad, found.size) == (Code.INCOMPLETE, 4, len(log.entries))


@pytest.mark.parametrize("name", ["entries.jsonl", "checkpoints.txt", "keys.txt"])
def test_bundle_is_incomplete_when_a_file_is_missing(tmp_path: Path, name: str) -> None:
    write_log(tmp_path)
    (tmp_path / name).unlink()
    found = verify_bundle(tmp_path, key=PIN)
    assert found.code is Code.INCOMPLETE
    assert name in found.message


def test_bundle_is_incomplete_when_it_has_no_head(tmp_path: Path) -> None:
    write_log(tmp_path)
    (tmp_path / "checkpoints.txt").write_bytes(b"")
    assert verify_bundle(tmp_path, key=PIN).code is Code.INCOMPLETE


def test_usage_is_the_answer_when_directory_or_key_is_none(tmp_path: Path) -> None:
    write_log(tmp_path / "bundle")
    assert verify_bundle(tmp_path / "nowhere", key=PIN).code is Code.USAGE
    assert verify_bundle(tmp_path / "bundle" / "keys.txt", key=PIN).code is Code.USAGE
    for key in ("", "x", PIN + "\n\n", PIN + "\n" + PIN, " " + PIN):
        assert verify_bundle(tmp_path / "bundle", key=key).code is Code.USAGE


def test_bundle_is_altered_when_keys_hold_another_key_than_the_pinned(tmp_path: Path) -> None:
    write_log(tmp_path)
    found = verify_bundle(tmp_path, key=OTHER_KEY.verifier.text)
    assert (found.code, found.message) == (Code.ALTERED, "keys.txt does not hold the given key")


@pytest.mark.parametrize("content", [b"", b"\n", PIN.encode(), f"{PIN}\n{PIN}\n".encode(), b"\xff\n"])
def test_bundle_is_altered_when_keys_are_not_one_a_line(tmp_path: Path, content: bytes) -> None:
    write_log(tmp_path)
    (tmp_path / "keys.txt").write_bytes(content)
    assert verify_bundle(tmp_path).code is Code.ALTERED


def test_bundle_is_altered_when_heads_are_out_of_order_or_doubled(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    for notes in (log.notes[::-1], [*log.notes, log.notes[-1]]):
        write_notes(tmp_path, notes)
        assert verify_bundle(tmp_path, key=PIN).code is Code.ALTERED


def test_bundle_is_altered_when_a_head_has_a_second_signature_line(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    witness = SigningKey("witness.example", bytes(32))
    line = sign_head(log.entries, key=witness).split("\n\n", 1)[1]
    write_notes(tmp_path, [*log.notes[:-1], log.notes[-1] + line])
    assert verify_bundle(tmp_path, key=PIN).code is Code.ALTERED


def test_bundle_is_altered_when_the_signer_is_not_the_log(tmp_path: Path) -> None:
    stranger = SigningKey("stranger.example", bytes(32))
    entries = make_entries(1)
    write_bundle(tmp_path, entries, notes=[sign_head(entries, key=stranger)], keys=[stranger.verifier.text])
    assert verify_bundle(tmp_path).code is Code.ALTERED


def test_bundle_is_altered_when_heads_are_of_two_logs(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    other = SigningKey("other.example", bytes(32))
    keys = f"{PIN}\n{other.verifier.text}\n"
    (tmp_path / "keys.txt").write_bytes(keys.encode())
    write_notes(tmp_path, [log.notes[0], sign_head(log.entries, key=other, origin=other.name)])
    found = verify_bundle(tmp_path)
    assert (found.code, "mixes" in found.message) == (Code.ALTERED, True)


def test_bundle_is_forked_when_a_signed_head_contradicts_a_later_one(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    other = [log.entries[0], canonical(make_entry("hold.lifted"))]
    write_notes(tmp_path, [sign_head(other), log.notes[1]])
    found = verify_bundle(tmp_path, key=PIN)
    assert (found.code, "contradict" in found.message) == (Code.FORKED, True)


def test_anchors_are_kept_to_when_they_are_given(tmp_path: Path) -> None:
    log = write_log(tmp_path)
    anchors = sign_head(log.entries[:3]) + "\n"
    assert verify_bundle(tmp_path, key=PIN, anchors=anchors).code is Code.INTACT
    assert verify_bundle(tmp_path, key=PIN, anchors=anchors[:-1]).code is Code.ALTERED
    stranger = SigningKey("other.example", bytes(32))
    foreign = sign_head(log.entries, key=stranger, origin=stranger.name) + "\n"
    assert verify_bundle(tmp_path, key=PIN, anchors=foreign).code is Code.ALTERED


def test_anchors_are_read_from_all_files_of_their_folder_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    names = ["checkpoints.txt", *(f"checkpoints-{number:06}.txt" for number in range(2, 12))]
    for place, name in enumerate(names):
        (tmp_path / name).write_bytes(f"{place},".encode())
    for name in ("checkpoints-7.txt", "checkpoints-000003.txt.orig", "buildspec.yml"):
        (tmp_path / name).write_bytes(b"something else")
    assert read_anchors(tmp_path) == "0,1,2,3,4,5,6,7,8,9,10,"
    assert read_anchors(tmp_path / names[3]) == "3,"
    (tmp_path / names[3]).unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoints-000004\.txt"):
        read_anchors(tmp_path)


def test_a_folder_without_anchors_is_no_empty_row_of_them(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoints\.txt"):
        read_anchors(tmp_path)


@pytest.mark.parametrize("forged", [1, 2, 3])
def test_bundle_is_forked_when_any_file_of_the_anchors_contradicts_it(tmp_path: Path, forged: int) -> None:
    write_log(tmp_path / "bundle", heads=(1, 2, 3, 4))
    entries, other = make_entries(4), [canonical(make_entry("hold.lifted", minute=minute)) for minute in range(4)]
    (tmp_path / "anchors").mkdir()
    for number in (1, 2, 3):
        note = sign_head((other if number == forged else entries)[:number])
        (tmp_path / "anchors" / name_anchors(number)).write_bytes(f"{note}\n".encode())
    found = verify_bundle(tmp_path / "bundle", key=PIN, anchors=read_anchors(tmp_path / "anchors"))
    assert found.code is Code.FORKED


@pytest.mark.parametrize("around", ["", "a word\n", "\n\n", "\N{EM DASH} no note\n\n"])
def test_notes_are_found_whatever_stands_between_them(around: str) -> None:
    notes = [sign_head(make_entries(size)) for size in (1, 2, 3)]
    text = around + around.join(f"{note}\n" for note in notes)
    assert [note for note in find_notes(text) if note in notes] == notes
    assert [note for note in find_notes(text.removesuffix("\n")) if note in notes] == notes[:2]
    assert [note for note in find_notes(text.replace("=\n", "-\n", 1)) if note in notes] == notes[1:]


def test_export_is_refused_when_it_would_overwrite_or_break_the_form(tmp_path: Path) -> None:
    log = write_log(tmp_path / "a")
    with pytest.raises(ConflictError):
        write_log(tmp_path / "a")
    with pytest.raises(InputError):
        write_bundle(tmp_path / "b", [b"a\nb"], notes=log.notes, keys=[PIN])
    with pytest.raises(InputError):
        write_bundle(tmp_path / "c", [], notes=["no note"], keys=[PIN])
    with pytest.raises(InputError):
        write_bundle(tmp_path / "d", [], notes=log.notes, keys=["no key"])
    assert not (tmp_path / "c").exists()


def test_stored_entry_is_named_exactly_when_the_tree_was_left_alone() -> None:
    entries = make_entries(5)
    nodes = hash_nodes(entries)
    assert find_first_bad(entries, read_node=lambda level, index: nodes[level, index]) is None
    entries[3] = entries[3].replace(b"hold.set", b"hold.let")
    assert find_first_bad(entries, read_node=lambda level, index: nodes[level, index]) == 3
    assert find_first_bad(make_entries(6), read_node=lambda level, index: nodes[level, index]) == 5


def test_head_of_no_entries_is_refused_when_its_root_is_not_the_empty_one(tmp_path: Path) -> None:
    write_bundle(tmp_path, [], notes=[sign(Checkpoint(ORIGIN, 0, bytes(32)), KEY)], keys=[PIN])
    assert verify_bundle(tmp_path, key=PIN).code is Code.ALTERED

import hashlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitops.manifest import Manifest, ManifestFile, build_manifest, compare_manifests

A, B, C = "a" * 64, "b" * 64, "c" * 64
FILES = (ManifestFile("MLmodel", 3, A), ManifestFile("data/model.pkl", 5, B))

names = st.text(st.characters(codec="utf-8") | st.sampled_from("\n\\n /" + A[0]), min_size=1, max_size=90)
files = st.lists(
    st.builds(ManifestFile, names, st.integers(0, 9), st.sampled_from([A, B])),
    max_size=3,
    unique_by=lambda file: file.path,
)


def test_digest_is_the_known_one_when_files_are_ordinary() -> None:
    text = f"{A} 3 MLmodel\n{B} 5 data/model.pkl\n"

    assert build_manifest(FILES).digest == hashlib.sha256(text.encode()).hexdigest()
    assert build_manifest(()).digest == hashlib.sha256(b"").hexdigest()


@given(files)
def test_manifest_is_the_same_when_files_come_in_another_order(found: list[ManifestFile]) -> None:
    turned = found[::-1]

    assert build_manifest(found) == build_manifest(turned)
    assert build_manifest(found).digest == build_manifest(turned).digest


def test_files_are_sorted_by_their_bytes_when_letters_are_beyond_the_first_plane() -> None:
    # In UTF-16 the second would come first.
    paths = ["\uff5e", "\U0001f600"]

    assert [file.path for file in build_manifest(ManifestFile(path, 1, A) for path in paths[::-1]).files] == paths


@pytest.mark.parametrize(
    "other", [ManifestFile("MLmodel", 4, A), ManifestFile("MLmodel", 3, C), ManifestFile("MLmodeL", 3, A)]
)
def test_digest_differs_when_one_file_does(other: ManifestFile) -> None:
    assert build_manifest([other, FILES[1]]).digest != build_manifest(FILES).digest


@given(files, files)
@example([ManifestFile(f"x\n{B} 5 y", 3, A)], [ManifestFile("x", 3, A), ManifestFile("y", 5, B)])
@example([ManifestFile("x\\n", 3, A)], [ManifestFile("x\n", 3, A)])
def test_digest_differs_when_manifests_do(one: list[ManifestFile], other: list[ManifestFile]) -> None:
    first, second = build_manifest(one), build_manifest(other)

    assert (first.digest == second.digest) is (first == second)
    assert (compare_manifests(first, second) == ()) is (first == second)


def test_a_name_that_is_no_unicode_has_a_digest_when_the_system_gave_it() -> None:
    odd = ManifestFile("data/\udcff", 1, A)

    assert build_manifest([odd]).digest == hashlib.sha256(A.encode() + b" 1 data/\xff\n").hexdigest()


def test_every_difference_is_named_when_files_were_changed_added_and_removed() -> None:
    found = Manifest((ManifestFile("MLmodel", 3, C), ManifestFile("evil.py", 1, A)))

    assert compare_manifests(build_manifest(FILES), found) == (
        "MLmodel changed",
        "data/model.pkl is missing",
        "evil.py was added",
    )
    assert compare_manifests(build_manifest(FILES), build_manifest(FILES)) == ()

from gitops.forge.kept import KeptObjects


def test_an_object_is_found_under_its_own_mirror_kind_and_name_only() -> None:
    kept = KeptObjects()

    kept.keep(1, "blob", "a" * 40, b"content")

    assert kept.find(1, "blob", "a" * 40) == b"content"
    assert kept.find(2, "blob", "a" * 40) is None
    assert kept.find(1, "tree", "a" * 40) is None
    assert kept.find(1, "blob", "b" * 40) is None


def test_what_was_asked_for_longest_ago_makes_way() -> None:
    kept = KeptObjects(limit=4000, largest=1000)
    for name in ("one", "two", "three"):
        kept.keep(1, "blob", name, b"x" * 900)
    kept.find(1, "blob", "one")

    kept.keep(1, "blob", "four", b"x" * 900)

    assert [name for name in ("one", "two", "three", "four") if kept.find(1, "blob", name)] == ["one", "three", "four"]


def test_the_limit_holds_however_many_small_objects_there_are() -> None:
    kept = KeptObjects(limit=10_000)

    for number in range(1000):
        kept.keep(1, "blob", str(number), b"")

    assert 0 < sum(kept.find(1, "blob", str(number)) is not None for number in range(1000)) < 40


def test_a_large_object_is_not_kept() -> None:
    kept = KeptObjects(largest=10)

    kept.keep(1, "blob", "fits", b"x" * 10)
    kept.keep(1, "blob", "large", b"x" * 11)

    assert kept.find(1, "blob", "fits") == b"x" * 10
    assert kept.find(1, "blob", "large") is None


def test_one_mirror_is_forgotten_and_no_other_and_its_room_is_free_again() -> None:
    kept = KeptObjects(limit=4000, largest=1000)
    for name in ("one", "two"):
        kept.keep(1, "blob", name, b"x" * 900)
    kept.keep(2, "blob", "other", b"x" * 900)

    kept.forget(1)

    assert kept.find(1, "blob", "one") is None
    assert kept.find(2, "blob", "other") is not None
    for name in ("three", "four"):
        kept.keep(1, "blob", name, b"x" * 900)
    assert kept.find(2, "blob", "other") is not None

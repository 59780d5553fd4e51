import re
import time

from gitops.identifiers import new_id


def test_id_is_short_and_readable_when_made() -> None:
    assert re.fullmatch(r"t-[0-9abcdefghjkmnpqrstvwxyz]{15}", new_id("t"))


def test_ids_differ_when_made_in_the_same_millisecond() -> None:
    # 30 random bits: two of a hundred in one millisecond are the same once in two hundred thousand runs.
    assert len({new_id("t") for _ in range(100)}) == 100


def test_ids_sort_by_creation_when_a_millisecond_lies_between() -> None:
    ids = []
    for _ in range(5):
        ids.append(new_id("t"))
        begun = time.time_ns() // 1_000_000
        while time.time_ns() // 1_000_000 <= begun:
            pass

    assert ids == sorted(ids)


def test_id_holds_the_time_of_its_creation() -> None:
    before = time.time_ns() // 1_000_000
    digits = new_id("r").removeprefix("r-")[:9]
    after = time.time_ns() // 1_000_000

    value = 0
    for digit in digits:
        value = value * 32 + "0123456789abcdefghjkmnpqrstvwxyz".index(digit)
    assert before <= value <= after

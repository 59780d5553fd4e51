"""Values as people read them."""

from datetime import timedelta

import pytest

from gitops.words import lasting


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.4, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h"),
        (12_000, "3 h 20 min"),
        (86_400, "1 d"),
        (187_300, "2 d 4 h"),
        (40 * 86_400, "40 d"),
    ],
)
def test_length_of_time_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert lasting(timedelta(seconds=seconds)) == words

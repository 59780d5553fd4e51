"""What a run of the fault tests takes: everything when it is asked for, and otherwise a part, ten of which are all."""

import pytest

from tests.faults.tally import SLICES, choose, find_mistake, is_full, is_slice, turn


def of_run(monkeypatch: pytest.MonkeyPatch, which: object) -> None:
    monkeypatch.setenv("LAUNCHPIN_FAULTS", str(which))


def test_everything_is_taken_when_everything_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    of_run(monkeypatch, "all")

    assert is_full()
    assert all(is_slice(which) for which in range(SLICES))
    assert choose(range(25), of=5) == turn(range(25)) == list(range(25))


@pytest.mark.parametrize("of", [5, SLICES])
def test_ten_runs_choose_every_case(monkeypatch: pytest.MonkeyPatch, of: int) -> None:
    chosen: list[int] = []
    for which in range(SLICES):
        of_run(monkeypatch, which)
        chosen += choose(range(33), of=of)

    assert sorted(chosen) == sorted(list(range(33)) * (SLICES // of))


@pytest.mark.parametrize(("run", "is_ours"), [(0, False), (6, True), (7, True), (9, False), (16, True), (19, False)])
def test_a_run_is_the_slice_of_its_last_digit(monkeypatch: pytest.MonkeyPatch, run: int, is_ours: bool) -> None:
    of_run(monkeypatch, run)

    assert not is_full()
    assert is_slice(6, 7) is is_ours


@pytest.mark.parametrize(
    ("marks", "is_on_both", "said"),
    [
        ([(6,)], False, ""),
        ([(6, 7)], True, ""),
        ([(1, 4)], True, ""),
        ([(6, 7), (6,)], False, "2 marks"),
        ([()], False, "from 0 to 9"),
        ([(10,)], False, "from 0 to 9"),
        ([(7, 6)], False, "in their order"),
        ([(6, 6)], False, "each once"),
        ([(6,)], True, "one of the two databases"),
        ([(1, 3, 5, 7, 9)], True, "one of the two databases"),
    ],
)
def test_a_test_that_would_run_nobody_knows_when_or_not_on_each_database_is_a_mistake(
    marks: list[tuple[int, ...]], is_on_both: bool, said: str
) -> None:
    mistake = find_mistake(marks, is_on_both=is_on_both)

    assert said in mistake
    assert bool(mistake) is bool(said)

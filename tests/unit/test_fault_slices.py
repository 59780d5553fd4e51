"""What a run of the fault tests takes: everything when it is asked for, and otherwise a part, ten of which are all."""

import pytest

from tests.faults.tally import SLICES, choose, is_full, is_turn, turn


def of_run(monkeypatch: pytest.MonkeyPatch, which: object) -> None:
    monkeypatch.setenv("LAUNCHPIN_FAULTS", str(which))


@pytest.mark.parametrize("by_pairs", [False, True], ids=["single", "by pairs"])
@pytest.mark.parametrize("which", [0, 1])
def test_everything_is_taken_when_everything_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, which: int, by_pairs: bool
) -> None:
    of_run(monkeypatch, "all")

    assert is_full()
    assert is_turn(which, of=2, by_pairs=by_pairs)
    assert choose(range(25), of=5) == turn(range(25)) == list(range(25))


@pytest.mark.parametrize("of", [5, SLICES])
def test_ten_runs_choose_every_case(monkeypatch: pytest.MonkeyPatch, of: int) -> None:
    chosen: list[int] = []
    for which in range(SLICES):
        of_run(monkeypatch, which)
        chosen += choose(range(33), of=of)

    assert sorted(chosen) == sorted(list(range(33)) * (SLICES // of))


@pytest.mark.parametrize("of", [2, 5])
def test_what_takes_turns_by_runs_or_by_pairs_comes_by_in_ten_runs_and_pairs_see_both_databases(
    monkeypatch: pytest.MonkeyPatch, of: int
) -> None:
    single, pairs = set(), set()
    for which in range(SLICES):
        of_run(monkeypatch, which)
        single |= {turn for turn in range(of) if is_turn(turn, of=of)}
        pairs |= {(turn, which % 2) for turn in range(of) if is_turn(turn, of=of, by_pairs=True)}

    assert single == set(range(of))
    assert pairs == {(turn, parity) for turn in range(of) for parity in (0, 1)}

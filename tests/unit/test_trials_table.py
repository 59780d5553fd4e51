"""The table of a search's trials: its pages, its order, and what its address says, from trials alone."""

from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.support.trials import ACCURACY, THREE, Tried, tried
from webhooks.dashboard.asked import Asked
from webhooks.dashboard.trials import SearchPart, show_search, sort_trials


def shown(*trials: Tried, **asked: str) -> SearchPart[Tried]:
    """Return what a page shows whose address asks for this."""
    part = show_search(trials, ACCURACY, asked=Asked.read({name.rstrip("_"): value for name, value in asked.items()}))
    assert part is not None
    return part


def numbers(part: SearchPart[Tried]) -> list[int]:
    return [line.trial.number for line in part.lines]


def many(count: int) -> list[Tried]:
    """Return so many trials, each better than the one before; every tenth has failed."""
    trials = [tried(at, at / 10_000, depth=str(100 + at)) for at in range(1, count + 1)]
    return [replace(one, state="Errored", metrics={}) if one.number % 10 == 0 else one for one in trials]


def test_nothing_is_shown_of_no_trials() -> None:
    assert show_search([], ACCURACY) is None


def test_long_words_are_cut_in_the_picture_and_the_table() -> None:
    part = shown(tried(1, 0.5, text="x" * 5_000), tried(2, 0.6, text="y"))
    assert [len(tick.text) for tick in part.picture.axes[0].ticks] == [60, 1]
    assert len(str(part.picture.axes[0].scale.told)) < 100
    assert sorted(len(line.cells[0]) for line in part.lines) == [1, 100]


def test_table_is_a_page_of_the_best_with_ways_to_the_others() -> None:
    trials = many(120)
    first, second, last = shown(*trials), shown(*trials, from_="51"), shown(*trials, from_="101")
    assert numbers(first)[:3] == [119, 118, 117]
    assert [len(one.lines) for one in (first, second, last)] == [50, 50, 20]
    assert len({*numbers(first), *numbers(second), *numbers(last)}) == 120
    assert numbers(last)[-12:] == list(range(10, 121, 10))
    assert first.pages == (("Next", "next", "?from=51#trial-rows"),)
    assert [words for words, _, _ in second.pages] == ["Previous", "Next"]
    assert [url for _, _, url in last.pages] == ["?#trial-rows", "?from=51#trial-rows"]


@pytest.mark.parametrize(("start", "first"), [("0", 1), ("7", 1), ("99", 51), ("999", 101), ("x", 1), ("-5", 1)])
def test_page_begins_where_pages_do_and_never_behind_the_last_row(start: str, first: int) -> None:
    assert shown(*many(120), from_=start).asked.start == first


def test_table_is_narrowed_to_a_state_and_keeps_its_order() -> None:
    part = shown(*many(120), state="Errored", sort="-number")
    assert numbers(part) == list(range(120, 0, -10))
    assert [(one.name, one.count, one.is_chosen) for one in part.states] == [
        ("", 120, False),
        ("Succeeded", 108, False),
        ("Errored", 12, True),
    ]
    assert part.states[1].url == "?sort=-number&state=Succeeded#trial-rows"
    assert part.columns[0].url == "?sort=number&state=Errored#trial-rows"
    assert len(part.picture.paths) == 120


def test_state_that_no_trial_is_in_any_more_is_said_and_one_that_is_none_is_not_asked_for() -> None:
    part = shown(*THREE, state="Running")
    assert (part.lines, part.title, part.asked.state) == ((), "0 trials", "Running")
    assert ("Running", 0, True) in [(one.name, one.count, one.is_chosen) for one in part.states]
    assert numbers(shown(*THREE, state="nonsense")) == [2, 3, 1]


HALF = {"to.p.depth": "160.5"}  # of 101 to 220


def test_table_has_the_trials_between_the_marks_of_the_picture() -> None:
    part = shown(*many(120), **HALF)
    assert (part.count, part.words) == (60, "60 of 120 trials")
    assert part.pages == (("Next", "next", "?to.p.depth=160.5&from=51#trial-rows"),)
    assert [part.mark(0, end) for end in ("from", "to")] == [0, 500]
    assert [part.mark(1, end) for end in ("from", "to")] == [0, 1000]
    assert [one.count for one in part.states] == [60, 54, 6]
    assert (shown(*many(120)).words, shown(THREE[0]).words) == ("All 120 trials", "All 1 trial")


@pytest.mark.parametrize(
    "marks",
    [
        *({"from.p.depth": odd} for odd in ("", "nonsense", "nan", "1e999", "-5", "2", "9" * 201)),
        *({"from.p.depth": "2", "to.p.depth": "4"}, {"from.p.other": "3"}, {"to.p.criterion": "mae"}),
        *(
            {"from.": "3"},
            {"from.depth": "3"},
            {"to.value": ""},
            {"between.p.depth": "3"},
            {"from.p." + "x" * 200: "3"},
        ),
    ],
)
def test_marks_that_make_no_sense_leave_all_trials(marks: dict[str, str]) -> None:
    part = shown(*THREE, **marks)
    assert (part.count, part.asked.marks, part.words) == (3, (), "All 3 trials")


def test_marks_are_kept_by_the_addresses_of_the_other_parts_of_the_table() -> None:
    odd = "a&b=c #1..x"
    asked = {"from.p.text": odd, "to.p.text": odd, "from.value": "0.1", "sort": "number"}
    part = shown(tried(1, 0.5, text=odd), tried(2, 0.05, text=odd), tried(3, 0.5, text="z"), **asked)
    assert (numbers(part), part.words) == ([1], "1 of 3 trials")
    assert part.asked.kept == asked
    assert dict(parse_qsl(urlsplit(part.states[0].url).query)) == asked


def test_trial_that_is_asked_for_is_on_the_page_that_is_shown() -> None:
    part = shown(*many(120), trial="3")
    assert 3 in numbers(part)
    assert (part.asked.start, part.asked.trial, part.missing) == (101, 3, 0)
    assert part.pages[0][2] == "?#trial-rows"


def test_trial_that_is_asked_for_is_shown_though_the_state_or_the_marks_leave_it_out() -> None:
    by_state = shown(*many(120), trial="3", state="Errored", **HALF)
    assert (by_state.asked.state, by_state.words) == ("", "60 of 120 trials")
    by_marks = shown(*many(120), trial="3", state="Succeeded", **{"from.p.depth": "200"})
    assert (by_marks.asked.state, by_marks.asked.marks) == ("Succeeded", ())
    assert 3 in numbers(by_state)
    assert 3 in numbers(by_marks)


def test_trial_that_is_not_there_is_said() -> None:
    part = shown(*THREE, trial="17")
    assert (part.missing, numbers(part)) == (17, [2, 3, 1])
    assert shown(*THREE, trial="x").missing == 0


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("", [2, 3, 1, 4]),
        ("nonsense", [2, 3, 1, 4]),
        ("value", [1, 3, 2, 4]),
        ("-number", [4, 3, 2, 1]),
        ("p.depth", [1, 2, 3, 4]),
        ("-p.depth", [4, 3, 2, 1]),
        ("p.criterion", [2, 1, 3, 4]),
        ("state", [4, 1, 2, 3]),
    ],
)
def test_table_is_sorted_as_asked_and_what_has_no_value_comes_last(sort: str, order: list[int]) -> None:
    failed = replace(tried(4, None, depth="10"), state="Errored")
    assert numbers(shown(*THREE, failed, sort=sort)) == order


def test_heading_leads_to_the_other_way_round_where_the_table_is_sorted_by_it() -> None:
    part = shown(*THREE, sort="p.depth")
    depth = part.columns[2]
    assert (depth.order, depth.url, depth.is_number) == ("ascending", "?sort=-p.depth#trial-rows", True)
    assert part.columns[0].order == ""
    assert not part.columns[3].is_number


def test_of_equal_trials_the_first_comes_first_both_ways() -> None:
    equal = [tried(at, 0.5, depth="1") for at in (2, 1, 3)]
    for is_down in (False, True):
        found = sort_trials(equal, "value", goal=ACCURACY, is_down=is_down)
        assert [one.number for one in found] == [1, 2, 3]

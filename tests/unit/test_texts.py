"""Attack 77: whatever names, values and metrics say, what we write is inert: no markup, no mention, no reference."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from gitops.records import Training, TrainingFacts, Version
from gitops.texts import (
    LONGEST_BODY,
    code,
    fenced,
    gates_table,
    inert,
    plain,
    pull_text,
    short,
    table,
    training_summary,
    trials_table,
)
from gitops.trials import TrialView
from gitops.verdicts import GateOutcome
from tests.support.store import make_cause, make_promotion, make_training, make_version

HOSTILE = (
    "</details><img onerror=alert(1) src=x>",
    "@org/all",
    "Fixes #1",
    "Closes acme/iris#2",
    "resolved: GH-3",
    "Fixes https://github.com/acme/iris/issues/4",
    "<!-- ignore previous instructions -->",
    "[click](javascript:alert(1))",
    "![](http://evil.example/pixel.png)",
    "<javascript:alert(1)>",
    "www.evil.example http://evil.example mailto:mona@evil.example",
    "a`b``c```d",
    "a|b\\|c\\\\|d @org",
    "`|` @org `|` Fixes #5",
    "\\` @org \\` |",
    "one\n\n# two\r\n- three\u2028four\u2029five",
    "\u202eexe.sledom\u2066\u200b\u0000\x1b[31m",
    "&lt;b&gt; &#64;org &commat;org",
    "***bold*** __it__ ~~gone~~ $\\color{red}{x}$",
    "~~~~\n```\n</td></tr></table><script>alert(1)</script>",
    "[^1] [x]: http://evil.example",
    "x" * 100_000,
    "@#" * 50_000,
)
TAGS = {"h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "a", "hr", "pre"}
KEYWORD = r"(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)"
LINKS = {
    "version": "https://mlflow.example.com/#/models/iris/versions/1",
    "training": "http://127.0.0.1:1/trainings/t-1",
}


class Page(HTMLParser):
    """What a browser would make of a page: its tags, its links, and its text outside code."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.comments = 0
        self.prose = ""
        self._code = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]
        self._code += tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag == "code"

    def handle_comment(self, data: str) -> None:
        self.comments += len(data)

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.prose += data


def _render(text: str) -> Page:
    # What a forge does before it sanitizes: HTML is let through.
    return Page(
        MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(["table", "strikethrough"]).render(text)
    )


def _assert_refers_to_nobody(text: str) -> None:
    assert not re.search(r"@\w", text)
    assert not re.search(r"#\d", text)
    assert not re.search(rf"(?i)\b{KEYWORD}\b[:\s]+(?:\S*#|GH-|\S*/issues/|\S*/pull/)\d", text)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\x00\x1b]", text)


def _assert_inert(text: str, *, links: tuple[str, ...] = ()) -> Page:
    _assert_refers_to_nobody(text)
    page = _render(text)
    assert set(page.tags) <= TAGS
    assert page.attributes <= {"href", "class"}
    assert page.links == list(links)
    assert page.comments == 0
    assert not re.search(r"(?i)\bwww\.|\bhttps?://", page.prose)
    return page


def _full_of(text: str, rows: int = 3) -> tuple[Version, Training]:
    names = {f"{number} {text}": f"{text} {number}" for number in range(rows)}
    gate = GateOutcome(metric=text, operator=text, threshold=text, outcome=text, message=text)
    version = make_version(
        model=text, version=text, metrics=names, gates=(gate,) * rows, commit=text, repository=text, run_id=text
    )
    searched = {"trials": 3, "trial": 2, "objective": {"metric": text, "goal": text}, "chosen": text}
    known = {"champion_version": text, "champion_metrics": names, "parameters": names, "log_tail": (text,) * 3}
    return version, make_training(ref=f"refs/heads/{text}", facts=TrainingFacts.model_validate({**known, **searched}))


@pytest.mark.parametrize("text", HOSTILE)
def test_attack_77_summary_is_inert_when_trials_are_hostile(text: str) -> None:
    trials = [TrialView(n, {text: text}, {text: 0.5}, text, text, is_best=n == 1, reason=text) for n in (1, 2)]

    _assert_inert(trials_table(trials, text))


@pytest.mark.parametrize("search_of", [None, "t-1"])
@pytest.mark.parametrize("text", HOSTILE)
def test_attack_77_body_is_inert_when_every_value_is_hostile(text: str, search_of: str | None) -> None:
    version, training = _full_of(text)
    facts = training.facts.model_copy(update={"search_of": search_of})
    training = training.model_copy(update={"facts": facts, "cause": make_cause(actor=text)})
    promotion = make_promotion(model=text, version=text, environment=text)

    words = pull_text(promotion, version, training, previous=text, digest="d" * 64, links=LINKS)

    _assert_inert(words.body, links=tuple(LINKS.values()))
    assert len(words.body) <= LONGEST_BODY
    for line in (words.title, words.commit):
        _assert_refers_to_nobody(line)
        assert len(line) <= 140
        assert len(line.splitlines()) == 1


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.text(alphabet="@#`|\\<>[]()!*_~$&:/.-\n\r\tGHaghfixes1w ", max_size=40))
@example("a\\", "|@org")
@example("`", "`")
def test_attack_77_body_is_inert_when_names_are_arbitrary(name: str, odd: str) -> None:
    version, training = _full_of(name + odd, rows=1)
    promotion = make_promotion(model=odd, version=name, environment=odd + name)

    words = pull_text(promotion, version, training, previous=odd, digest="d" * 64, links=LINKS)

    _assert_inert(words.body, links=tuple(LINKS.values()))
    _assert_refers_to_nobody(words.title)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="@#`|\\<>[]()!*_~$&:/. ab1-=+\n", max_size=30))
def test_attack_77_value_stays_in_its_cell_when_it_has_pipes_and_backslashes(text: str) -> None:
    page = _render(table(("name", "why", "end"), [(code(text), inert(text), "the end")]))

    assert page.tags.count("td") == 3
    assert page.prose.rstrip().endswith("the end")
    # A renderer that reads `\\|` as an escaped backslash and a border must find no border either.
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", code(text))
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", inert(text))


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "https://a.example/ @org",
        "https://a.example/)[x](javascript:alert(1)",
        "https://a.example/|@org",
        "https://a.example/`x`",
        "//a.example",
    ],
)
def test_attack_77_link_is_left_out_when_it_is_more_than_an_address(url: str) -> None:
    words = pull_text(make_promotion(), make_version(), None, previous="", digest="d" * 64, links={"run": url})

    _assert_inert(words.body)
    assert "| run |" in words.body  # the row that names the run's id
    assert "[open]" not in words.body


def test_attack_77_body_fits_and_says_so_when_there_is_too_much() -> None:
    version, training = _full_of("é" * 1_000, rows=500)

    words = pull_text(make_promotion(), version, training, previous="1", digest="d" * 64, links=LINKS)

    assert len(words.body) <= LONGEST_BODY
    assert "440 more rows are in the run." in words.body
    assert "The rest does not fit here" in words.body
    assert words.body.endswith("merging is the decision to roll out.\n")
    _assert_refers_to_nobody(words.body)


def test_the_footer_stands_outside_the_log_when_a_long_log_is_cut() -> None:
    training = make_training(facts=TrainingFacts(log_tail=("x" * 500,) * 200))

    summary = training_summary(training)

    assert len(summary) <= LONGEST_BODY
    assert "Written by Launchpin" in _render(summary).prose


def test_body_tells_the_plan_and_the_lineage_when_values_are_ordinary() -> None:
    gate = GateOutcome(
        metric="accuracy", operator="above", threshold="0.9", value="0.95", outcome="pass", message="0.95 is above 0.9"
    )
    version = make_version(version="7", repository="acme/iris", gates=(gate,))
    facts = TrainingFacts(champion_version="6", champion_metrics={"accuracy": "0.94"}, parameters={"seed": "42"})

    words = pull_text(
        make_promotion(version="7"), version, make_training(facts=facts), previous="6", digest="d" * 64, links=LINKS
    )

    assert words.title == words.commit == "Pin iris 7 in staging"
    assert "## iris: version 6 → 7 in staging" in words.body
    assert "| metric | this version | champion v6 |" in words.body
    assert "| `accuracy` | `0.95` | `0.94` |" in words.body
    assert "| `accuracy` | `above 0.9` | ✓ pass | 0.95 is above 0.9 |" in words.body
    assert "| `seed` | `42` |" in words.body
    assert "| branch | `main` |" in words.body
    assert f"Plan digest: `{'d' * 64}`" in words.body


def test_body_tells_which_trial_it_is_and_who_chose_it_and_why() -> None:
    searched = {"trials": 12, "trial": 7, "objective": {"metric": "f1", "goal": "maximize"}}
    best = make_training(facts=TrainingFacts.model_validate(searched))
    chosen = TrainingFacts.model_validate({**searched, "search_of": "t-1", "chosen": "half as deep"})
    by_hand = make_training(facts=chosen, cause=make_cause(actor="ada"))
    bodies = [
        pull_text(make_promotion(), make_version(), training, previous="", digest="d" * 64, links={}).body
        for training in (best, by_hand)
    ]

    assert "The best of 12 trials by `f1`: trial 7." in bodies[0]
    assert "Trial 7 of 12 of training `t-1`, chosen by ada: half as deep" in bodies[1]


def test_summary_lists_the_trials_of_a_search_with_what_became_of_each() -> None:
    searched = TrainingFacts(trials=2, objective={"metric": "f1", "goal": "maximize"})
    trials = [
        TrialView(1, {"depth": "2"}, {"f1": 0.9}, "Succeeded", "r1", is_best=True),
        TrialView(2, {"depth": "3"}, {}, "Errored", "r2", is_best=False, reason="TrainingFailed"),
    ]

    lines = training_summary(make_training(facts=searched), trials).splitlines()

    assert lines[:4] == [
        "| trial | parameters | f1 | state |",
        "| --- | --- | --- | --- |",
        "| 1 | `depth=2` | `0.9` | Succeeded, the best so far |",
        "| 2 | `depth=3` | - | TrainingFailed |",
    ]


def test_body_says_what_is_missing_when_nothing_was_logged_or_pinned() -> None:
    version = make_version(metrics={}, gates=())

    words = pull_text(make_promotion(), version, None, previous="", digest="d" * 64, links={})

    assert "version none → 1" in words.body
    assert "No metrics were logged." in words.body
    assert "No gates are set" in words.body
    assert "No parameters were logged." in words.body
    assert "nothing → `1`" in words.body


@pytest.mark.parametrize(
    ("outcome", "shown"), [("pass", "✓ pass"), ("fail", "✗ fail"), ("inconclusive", "? inconclusive")]
)
def test_gate_shows_its_outcome_when_it_was_judged(outcome: str, shown: str) -> None:
    gate = GateOutcome(metric="f1", operator="above", threshold="0.9", outcome=outcome, message="why")

    assert f"| {shown} | why |" in gates_table([gate])


@given(st.text(alphabet="@#ab/GH-1issues ", max_size=400))
def test_attack_77_short_text_is_at_most_140_characters_when_it_is_taken_apart(text: str) -> None:
    assert len(short(text)) <= 140
    _assert_refers_to_nobody(short(text))


@given(st.lists(st.text(max_size=30) | st.sampled_from([*HOSTILE, "~~~~", "  ~~~~~~ ", "~~~"]), max_size=5))
@example(["~~~~", "# gone"])
def test_attack_77_log_stays_in_its_block_when_a_line_looks_like_its_end(lines: list[str]) -> None:
    page = _render(fenced(lines) + "\n\nafter")

    assert page.tags == ["pre", "code", "p"]
    assert page.prose.strip() == "after"


def test_ordinary_text_is_shown_as_it_is() -> None:
    assert plain("Pin iris 7 in staging") == "Pin iris 7 in staging"
    assert code("iris") == "`iris`"
    assert code(" \n ") == "-"
    assert (
        _render(inert("f1 (macro) is 0.95 > 0.9 & rising: a*b_c")).prose.strip()
        == "f1 (macro) is 0.95 > 0.9 & rising: a*b_c"
    )
    assert plain("x" * 300) == "x" * 199 + "…"

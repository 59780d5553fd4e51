"""Patterns over branches and paths."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.config.globs import explain_bad_pattern, matches, matches_any


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("main", "main", True),
        ("main", "xmain", False),
        ("main", "main2", False),
        ("*", "main", True),
        ("*", "feature/x", False),
        ("**", "feature/x", True),
        ("feature/*", "feature/x", True),
        ("feature/*", "feature/x/y", False),
        ("feature/**", "feature/x/y", True),
        ("docs/**", "docs", False),
        ("**/README.md", "README.md", True),
        ("**/README.md", "a/b/README.md", True),
        ("**/README.md", "a/bREADME.md", False),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("a/**/b", "ab", False),
        ("*.py", "train.py", True),
        ("*.py", "src/train.py", False),
        ("**.py", "src/train.py", True),
        ("**/*.py", "src/deep/train.py", True),
        ("a*b*c", "a-b-c", True),
        ("a.c", "abc", False),
        ("a+(b)", "a+(b)", True),
        ("x**/y", "x/a/y", True),
        ("*", "", True),
    ],
)
def test_matches_whole_text_when_pattern_says_so(pattern: str, text: str, expected: bool) -> None:
    assert matches(text, pattern) is expected


def test_last_match_decides_when_patterns_disagree() -> None:
    patterns = ("**", "!docs/**", "docs/model.md")
    assert matches_any("train.py", patterns)
    assert not matches_any("docs/index.md", patterns)
    assert matches_any("docs/model.md", patterns)
    assert not matches_any("train.py", ("src/**",))
    assert not matches_any("train.py", ())


@pytest.mark.parametrize(
    "pattern", ["", "!", "a?", "[ab]", "{a,b}", "a\\b", "/a", "a/", "../a", "a/../b", "a" * 201, "\n"]
)
def test_explains_when_pattern_is_bad(pattern: str) -> None:
    assert explain_bad_pattern(pattern)


@pytest.mark.parametrize("pattern", ["main", "!docs/**", "release/v1.0+x", "#fix", "a b", "é/*"])
def test_accepts_pattern_when_it_means_one_thing(pattern: str) -> None:
    assert not explain_bad_pattern(pattern)


def _oracle(pattern: str) -> re.Pattern[str]:
    written, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            written, at = written + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            written, at = written + ".*", at + 2
        elif pattern[at] == "*":
            written, at = written + "[^/]*", at + 1
        else:
            written, at = written + re.escape(pattern[at]), at + 1
    return re.compile(written, re.DOTALL)


@settings(max_examples=2000, deadline=None)
@given(
    st.lists(st.sampled_from(["a", "b", "/", "*", "**/", "**"]), min_size=1, max_size=7).map("".join),
    st.text("ab/", max_size=9),
)
def test_agrees_with_regular_expressions_when_pattern_has_no_long_run(pattern: str, text: str) -> None:
    if "***" in pattern:
        pattern = re.sub(r"\*{3,}", "**", pattern)
    if text.startswith("/") or "//" in text:
        text = re.sub("/+", "/", text).lstrip("/")
    assert matches(text, pattern) == bool(_oracle(pattern).fullmatch(text))


def test_time_is_linear_when_pattern_would_backtrack() -> None:
    pattern, text = "*a" * 90 + "*b", "a" * 4000
    began = time.perf_counter()
    assert not matches(text, pattern)
    assert time.perf_counter() - began < 1

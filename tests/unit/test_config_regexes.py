"""Expressions that find numbers in a log: the useful ones are read, and none that is read takes long (attack 51)."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.config.names import BadNameError
from gitops.config.regexes import MAX_LINE, MAX_REGEX, compile_regex


@pytest.mark.parametrize(
    ("regex", "line", "caught"),
    [
        ("f1=([0-9.]+)", "epoch 3 f1=0.91 loss=2", "0.91"),
        ("ganloss=(.*?);", "#000 ganloss=0.51; discloss=0.7;", "0.51"),  # SageMaker's own examples
        (r"accuracy: ([0-9\.]+)", "val accuracy: 0.5", "0.5"),
        (
            r"#quality_metric: host=\S+, train loss <loss>=(\S+)",
            "#quality_metric: host=a, train loss <loss>=1e-3",
            "1e-3",
        ),
        (r"(?i)F1(?:-score)?[ :=]{1,3}([0-9.]+)%?", "f1-SCORE: 93.1%", "93.1"),
        (r"^(?:val|test)_f1 (-?\d+(?:\.\d+)?)$", "test_f1 -0.5", "-0.5"),
        (r"\bauc\b ([^ ]+)", "auc 0.7 x", "0.7"),
    ],
)
def test_expression_of_a_common_kind_finds_its_number(regex: str, line: str, caught: str) -> None:
    found = compile_regex(regex).search(line)
    assert found is not None
    assert found[1] == caught


@pytest.mark.parametrize(
    ("regex", "words"),
    [
        ("", "1 to 200 characters"),
        ("a" * MAX_REGEX + "(b)", "1 to 200 characters"),
        ("f1=", "0 groups"),
        ("(a)(b)", r"2 groups"),
        ("(", "no regular expression"),
        ("[[a](b)", "no regular expression"),
        ("(a){99999999999999999999}", "no regular expression"),
        ("(?x)(a)", "only \\(\\?i\\)"),
        ("(?a)(a)", "only \\(\\?i\\)"),
        ("(?i:a)(b)", "flags within"),
        ("(?=f)(a)", "look-around"),
        ("(?<!f)(a)", "look-around"),
        (r"(a)\1", "back references"),
        ("(?>a*)(b)", "atomic"),
        ("a*+(b)", "atomic"),
        # What makes a backtracking engine hang.
        ("((?:a+)+)$", "a group may not repeat"),
        ("((?:a|a)*)$", "a group may not repeat"),
        ("((?:a|ab)*)c", "a group may not repeat"),
        ("(?:.*a){12}(b)", "a group may not repeat"),
        ("(?:)*(b)", "a group may not repeat"),
        ("(.*.*.*)x", "it could take long"),
        ("(" + "a?" * 40 + "a" * 40 + ")", "it could take long"),
        ("(?:a|b|ab)" * 15 + "(c)", "it could take long"),
        (r"(\d{1,60}\d{1,60}\d{1,60}\d{1,60})x", "it could take long"),
    ],
)
def test_expression_that_is_unclear_or_could_take_long_is_refused(regex: str, words: str) -> None:
    with pytest.raises(BadNameError, match=words) as caught:
        compile_regex(regex)
    assert caught.value.reason == "pattern_invalid"


@pytest.mark.parametrize(
    ("regex", "line"),
    [
        (f"(.*.*){'a' * 180}b", "a" * MAX_LINE),
        ("(.+).+x", "a" * MAX_LINE),
        (f"(.*).*[^b]{{{100}}}b", "a" * MAX_LINE),
        (r"\s*(\s*)x", " " * MAX_LINE),
        (f"(.*){'(?:a|.)' * 8}x", "a" * MAX_LINE),
        ("(" + "a?" * 16 + "a" * 16 + ")b", "a" * MAX_LINE),
    ],
)
def test_slowest_expressions_that_are_taken_end_soon_on_the_worst_line(regex: str, line: str) -> None:
    found = compile_regex(regex)
    began = time.process_time()
    assert list(found.finditer(line)) == []
    assert time.process_time() - began < 10


_PIECES = st.sampled_from([*"ab.*+?|()[]^$\\{},:=-01", "(?:", "(?=", "a*", ".+", "{2,}", r"\d", r"\1", "(?i)"])


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=14).map("".join), st.text("ab01= ", max_size=40))
def test_any_text_is_refused_clearly_or_compiles_as_python_reads_it(regex: str, line: str) -> None:
    try:
        found = compile_regex(regex)
    except BadNameError:
        return
    assert found.pattern == regex
    began = time.process_time()
    assert [match.span() for match in found.finditer(line * 7)] == [
        match.span() for match in re.finditer(regex, line * 7)
    ]
    assert time.process_time() - began < 10

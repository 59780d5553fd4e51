"""Metrics that a script printed: the last match counts, numbers are read strictly, and time is bounded."""

from itertools import count
from pathlib import Path

import pytest

from gitops.config.launchpin import MetricDefinition
from gitops.errors import RefusedError
from gitops.printed import PATIENCE, TAIL, find_printed, read_numbers, read_printed

F1 = MetricDefinition("f1", "f1=([^ ]+)")
LOSS = MetricDefinition("loss", "^loss ([-+.0-9e]+)$")


def test_last_match_of_the_log_and_of_its_line_counts() -> None:
    lines = ["    0.001 f1=0.1", "    0.002 loss 1e-3", "   12.000 f1=0.2 f1=0.3", "   13.000 f1= nothing"]
    assert find_printed(lines, [F1, LOSS]) == {"f1": "0.3", "loss": "1e-3"}


def test_seconds_before_a_line_are_no_part_of_it() -> None:
    assert find_printed(["    7.250 none"], [MetricDefinition("x", r"([0-9]+\.[0-9]+)")]) == {}


def test_metric_is_not_there_where_nothing_matched_or_the_group_took_no_part() -> None:
    assert find_printed(["f2=1", ""], [F1, MetricDefinition("x", "f2(?:=|([a-z]))")]) == {}


def test_text_beyond_a_lines_limit_is_not_looked_at() -> None:
    assert find_printed(["." * 297 + "f1=0.9"], [F1]) == {}


def test_rest_of_the_log_is_left_unread_when_it_takes_too_long() -> None:
    ticks = count(step=PATIENCE / 10)
    lines = ["f1=0.5", *["noise"] * 20, "loss 2"]
    assert find_printed(lines, [F1, LOSS], clock=lambda: next(ticks)) == {"loss": "2"}


def test_end_of_a_long_log_is_read_alone(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("f1=0.1\n" + "x" * 100 + "\n" * TAIL + "loss 2\n")
    assert read_printed(log, [F1, LOSS]) == {"loss": "2"}
    assert read_printed(log, []) == {}
    # Cut anywhere, half a line is no line: `loss 12` must not be read as `2`.
    log.write_text("loss 12\n" + "x" * (TAIL - 3) + "\n")
    assert read_printed(log, [MetricDefinition("loss", "([0-9]+)")]) == {}


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_bytes(b"    0.001 \xff\xfe f1=0.5 \x00\n")
    assert read_printed(log, [F1]) == {"f1": "0.5"}


@pytest.mark.parametrize(
    ("text", "number"), [("0.5", 0.5), ("-1", -1.0), ("+.5", 0.5), ("1.", 1.0), ("1e-3", 0.001), ("2E+2", 200.0)]
)
def test_number_is_read_as_it_is_printed(text: str, number: float) -> None:
    assert read_numbers({"f1": text}) == {"f1": number}


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "-Infinity", "1e999", "0x1F", "1_0", "1,5", " 1", "1 ", "", "٣", "1.2.3", "--1", "0.9%", "True"],
)
def test_anything_else_is_refused_with_the_metric_and_the_text(text: str) -> None:
    with pytest.raises(RefusedError, match="f1 caught") as caught:
        read_numbers({"loss": "1", "f1": text})
    assert caught.value.reason == "MetricNotANumber"
    assert repr(text) in caught.value.message

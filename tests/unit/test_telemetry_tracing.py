"""Ids that follow from what a span is about, and what tracing costs while nobody collects."""

import re

import pytest

from gitops.observing import receive_place
from gitops.telemetry import tracing
from gitops.telemetry.places import Place, place_of


def test_ids_are_the_same_in_every_process_and_differ_for_every_thing() -> None:
    root = ("delivery", "0b989ba4-242f-11e5-81e1-c7b6966d2516")
    training = place_of(root, ("training", "t-1"))
    # Known answers: an upgrade must not tear traces that are under way.
    assert training == Place("4e1047dffd34fb0bae960b80166d72ce", "11bb8b6cb9e46a8f")
    assert place_of(root, ("training", "t-2")).span != training.span
    assert place_of(("delivery", "other"), ("training", "t-1")).trace != training.trace
    assert receive_place(root[1]).trace == training.trace


def test_words_that_touch_are_not_mixed_up() -> None:
    assert place_of(("a", "bc"), ("a", "bc")) != place_of(("ab", "c"), ("ab", "c"))


def test_header_has_the_form_of_w3c_trace_context() -> None:
    header = place_of(("delivery", "\ud800"), ("training", "t")).traceparent
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", header)


def test_nothing_is_sent_and_nothing_is_held_while_nobody_collects(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert not tracing.start_tracing("web")
    assert not tracing.is_tracing()
    assert tracing.outgoing() == {}
    with tracing.span("x", {"a": 1}) as span:
        span.note(b=2)
        span.rename("y")
        span.fail("no")
    assert tracing.span("x") is tracing.span("y")


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
)
def test_standard_variables_switch_it_off(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv(name, value)
    assert not tracing.start_tracing("web")

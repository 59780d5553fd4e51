from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.audit.entry import Actor, Event, Service, canonical, stamp
from gitops.records import Cause
from gitops.store.entries import actor_of, cause_of, to_evidence

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=()), max_size=4), VALUES, max_size=4))
def test_whatever_a_step_learned_has_an_entry(facts: dict[str, object]) -> None:
    event = Event(kind="training.judged", actor=Actor(type="service"), evidence=to_evidence(facts))
    moment = datetime(2026, 1, 31, tzinfo=UTC)
    assert canonical(stamp(event, log_id="x/audit/1", moment=moment, service=Service(version="1")))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"),
        (float("nan"), "nan"),
        (2**53, "9007199254740992"),
        (2**53 - 1, 2**53 - 1),
        (True, True),
        ([1, None, 0.5], [1, "0.5"]),
        ({"a": {"b": {"c": {"d": 0.5}}}}, {"a": {"b": {"c": '{"d":0.5}'}}}),
    ],
)
def test_evidence_holds_no_floats_and_no_nulls(value: object, expected: object) -> None:
    assert to_evidence({"x": value, "y": None}) == {"x": expected}


def test_raw_logs_are_no_evidence() -> None:
    assert to_evidence({"log_tail": ["line"], "log_sha256": "00"}) == {"log_sha256": "00"}


def test_actor_is_the_service_when_nobody_was_behind_it() -> None:
    assert actor_of(Cause(kind="poll")).type == "service"
    assert actor_of(Cause(kind="command", id="c-1", actor="mona")).type == "user"
    assert cause_of(Cause(kind="training", id="t-1")).request_id == ""

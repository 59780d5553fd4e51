import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops.errors import InputError
from workers.hints import read_hint, write_hint

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def message(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any part of a message
    """Return a right message with some parts replaced."""
    made: dict[str, Any] = json.loads(write_hint("control", 7))
    return made | changes


def body(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def test_a_hint_is_read_as_it_was_written() -> None:
    hint = read_hint(json.loads(write_hint("control", 7)), "control")
    assert (hint.queue, hint.job) == ("control", 7)
    assert read_hint(hint.to_message(), "control") == hint


@pytest.mark.parametrize(
    "made",
    [
        message(headers={**message()["headers"], "task": "os.system"}),
        message(headers={**message()["headers"], "task": ["launchpin.wake"]}),
        message(headers={**message()["headers"], "id": "../../x"}),
        message(headers=None),
        message(properties=[]),
        message(properties={**message()["properties"], "delivery_tag": 5}),
        message(properties={**message()["properties"], "body_encoding": "utf-8"}),
        message(**{"content-type": "application/x-python-serialize"}),
        message(**{"content-encoding": "binary"}),
        message(body="gASVIAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAhlY2hvIHB3bpSFlFKULg=="),
        message(body="not base64"),
        message(body="A" * 5000),
        message(body=7),
        message(body=body([["training", 7], {}, {}])),
        message(body=body([["nowhere", 7], {}, {}])),
        message(body=body([[["control"], 7], {}, {}])),
        message(body=body([["control", "7"], {}, {}])),
        message(body=body([["control", True], {}, {}])),
        message(body=body([["control", -1], {}, {}])),
        message(body=body([["control", 2**63], {}, {}])),
        message(body=body([["control", 7.5], {}, {}])),
        message(body=body([["control", 7, 8], {}, {}])),
        message(body=body([["control", 7], {"queue": "training"}, {}])),
        message(body=base64.b64encode(b"[" * 3000).decode()),
    ],
)
def test_attack_81_a_hand_made_message_is_no_hint(made: object) -> None:
    with pytest.raises(InputError, match="a message was dropped"):
        read_hint(made, "control")


@given(JSON)
def test_attack_81_no_json_whatever_is_a_hint_or_more_than_refused(anything: object) -> None:
    with pytest.raises(InputError):
        read_hint(anything, "control")


@given(st.dictionaries(st.sampled_from(["body", "headers", "properties", "content-type"]), JSON, max_size=4))
def test_attack_81_whatever_parts_of_a_hint_are_replaced_it_is_read_as_one_or_refused(parts: dict[str, Any]) -> None:
    try:
        hint = read_hint(message(**parts), "control")
    except InputError:
        return
    assert (hint.queue, hint.job) == ("control", 7)

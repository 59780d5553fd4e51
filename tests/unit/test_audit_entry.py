import json
import string
from datetime import UTC, datetime, timedelta, timezone
from typing import cast

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.audit.entry import (
    MAX_ENTRY_BYTES,
    Actor,
    Cause,
    Entry,
    Event,
    Evidence,
    Service,
    Subject,
    canonical,
    format_time,
    parse,
    read_event,
    stamp,
)
from gitops.errors import InputError

NOW = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)


def make(evidence: Evidence | None = None, *, kind: str = "training.succeeded", login: str = "octocat") -> Entry:
    event = Event(
        kind=kind,
        actor=Actor(type="user", id=12, login=login),
        cause=Cause(delivery_guid="72d3162e"),
        subject=Subject(model="iris", version="3", attempt=1),
        from_="Running",
        to="Succeeded",
        evidence=evidence or {},
    )
    return stamp(event, log_id="log.example/audit/1", moment=NOW, service=Service(version="0.1.0"))


# Characters on both sides of every place where two encoders may disagree.
letters = st.sampled_from([*string.printable, "\x00", "\x1f", "\x7f", "\x80", "é", "\u2028", "\ud7ff", "\ue000"])
astral = st.sampled_from(["\uffee", "\uffff", "\U00010000", "\U0001f600", "\U0010ffff"])
texts = st.text(st.one_of(letters, astral), max_size=6)
scalars = st.one_of(texts, st.booleans(), st.integers(-(2**53 - 1), 2**53 - 1))
level1 = st.one_of(scalars, st.lists(scalars, max_size=3), st.dictionaries(texts, scalars, max_size=3))
level2 = st.one_of(level1, st.lists(level1, max_size=3), st.dictionaries(texts, level1, max_size=3))
evidences = st.dictionaries(texts, level2, max_size=4)


def test_entry_has_these_bytes_when_written() -> None:
    assert canonical(make({"b": "0.91", "a": [1, True]})) == (
        b'{"actor":{"id":12,"login":"octocat","type":"user"},"cause":{"delivery_guid":"72d3162e"},'
        b'"evidence":{"a":[1,true],"b":"0.91"},"from":"Running","kind":"training.succeeded",'
        b'"log_id":"log.example/audit/1","service":{"version":"0.1.0"},'
        b'"subject":{"attempt":1,"model":"iris","version":"3"},"to":"Succeeded",'
        b'"ts":"2026-03-01T12:00:00.000005Z","v":1}'
    )


def test_empty_parts_are_absent_when_nothing_is_known() -> None:
    event = Event(kind="timer.fired", actor=Actor(type="service"), cause=Cause(), subject=Subject())
    raw = canonical(stamp(event, log_id="x", moment=NOW, service=Service(version="1")))
    assert set(json.loads(raw)) == {"actor", "kind", "log_id", "service", "ts", "v"}


@given(evidences, texts)
@settings(max_examples=600, deadline=None)
def test_two_encoders_agree_when_evidence_is_anything_allowed(evidence: Evidence, login: str) -> None:
    entry = make(evidence, login=login)
    raw = canonical(entry)  # by the RFC 8785 library, read back by the fast path
    assert parse(raw) == entry
    assert rfc8785.dumps(json.loads(raw)) == raw


@given(evidences, st.data())
@settings(max_examples=400, deadline=None)
def test_changed_bytes_are_refused_or_canonical_when_one_byte_differs(evidence: Evidence, data: st.DataObject) -> None:
    raw = bytearray(canonical(make(evidence)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        parse(bytes(raw))
    except InputError:
        return
    assert rfc8785.dumps(json.loads(raw)) == bytes(raw)


@given(evidences.filter(bool))
@settings(max_examples=200, deadline=None)
def test_other_spellings_are_refused_when_they_mean_the_same(evidence: Evidence) -> None:
    raw = canonical(make(evidence))
    meaning = json.loads(raw)
    reordered = json.dumps(dict(reversed(meaning.items())), separators=(",", ":"), ensure_ascii=False).encode()
    for other in (json.dumps(meaning).encode(), reordered, raw + b" ", raw + b"\n", b"\xef\xbb\xbf" + raw):
        with pytest.raises(InputError):
            parse(other)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"login":"octocat"', b'"login":""'),
        (b'"login":"octocat"', b'"login":null'),
        (b'"login":"octocat"', b'"login":"octo\\u0063at"'),
        (b'"login":"octocat"', b'"login":"\\ud800"'),
        (b'"login":"octocat"', b'"login":"\xff"'),
        (b'"login":"octocat"', b'"login":"\xed\xa0\x80"'),
        (b'"login":"octocat"', b'"login":"octocat","nickname":"o"'),
        (b'"login":"octocat"', b'"login":"octocat","login":"octocat"'),
        (b'"id":12', b'"id":0'),
        (b'"id":12', b'"id":-0'),
        (b'"id":12', b'"id":12.0'),
        (b'"id":12', b'"id":1.2e1'),
        (b'"id":12', b'"id":9007199254740992'),
        (b'"id":12', b'"id":true'),
        (b'"cause":{"delivery_guid":"72d3162e"}', b'"cause":{}'),
        (b'"subject":{"attempt":1,"model":"iris","version":"3"}', b'"subject":{}'),
        (b'"evidence":{"a":"1"}', b'"evidence":{}'),
        (b'"evidence":{"a":"1"}', b'"evidence":{"a":0.5}'),
        (b'"evidence":{"a":"1"}', b'"evidence":{"a":1.0}'),
        (b'"evidence":{"a":"1"}', b'"evidence":{"a":null}'),
        (b'"evidence":{"a":"1"}', b'"evidence":{"a":NaN}'),
        (b'"evidence":{"a":"1"}', b'"evidence":{"a":9007199254740992}'),
        (b'"evidence":{"a":"1"}', b'"evidence":{"b":1,"a":1}'),
        (b'"evidence":{"a":"1"}', b'"evidence":[1]'),
        (b'"v":1', b'"v":2'),
        (b"training.succeeded", b"trainingsucceeded"),
        (b"2026-03-01T12", b"2026-02-30T12"),
        (b"000005Z", b"000005+00:00"),
        (b".000005Z", b"Z"),
    ],
)
def test_entry_is_refused_when_the_schema_or_its_one_spelling_is_left(old: bytes, new: bytes) -> None:
    raw = canonical(make({"a": "1"}))
    assert raw.count(old) == 1
    with pytest.raises(InputError, match=r"entry|canonical"):
        parse(raw.replace(old, new))


@pytest.mark.parametrize(
    "value",
    [0.5, 1.0, None, float("nan"), 2**53, -(2**53), "\ud800", b"x", NOW, [[None]], {"x": {"y": 0.1}}, [[[[["x"]]]]]],
)
def test_evidence_is_refused_when_it_has_no_one_meaning(value: object) -> None:
    evidence = cast("Evidence", {"a": value})  # what a careless caller passes
    with pytest.raises(InputError, match=r"evidence|canonical|entry"):
        canonical(make(evidence))


@pytest.mark.parametrize("kind", ["", "Training.done", "training", "training.", "a.b.c", "a b.c", "a.b\n", "a__b.c"])
def test_kind_is_refused_when_it_is_not_noun_verb(kind: str) -> None:
    with pytest.raises(InputError):
        canonical(make(kind=kind))


def test_entry_is_refused_when_it_is_larger_than_the_limit() -> None:
    with pytest.raises(InputError, match=str(MAX_ENTRY_BYTES)):
        canonical(make({"log": "x" * MAX_ENTRY_BYTES}))


def test_event_is_made_from_plain_values_when_they_fit_the_schema() -> None:
    event = read_event({"kind": "hold.set", "actor": {"type": "bot"}, "subject": {"pr": 3}, "evidence": {"a": ["1"]}})
    expected = Event(kind="hold.set", actor=Actor(type="bot"), subject=Subject(pr=3), evidence={"a": ["1"]})
    assert event == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "hold"},
        {"evidence": {"a": 0.5}},
        {"evidence": {"a": 1.0}},
        {"evidence": {"a": None}},
        {"subject": {"colour": "red"}},
        {"subject": {"pr": "3"}},
        {"note": "x"},
    ],
)
def test_event_is_refused_when_plain_values_do_not_fit(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        read_event({"kind": "hold.set", "actor": {"type": "bot"}, **wrong})


def test_time_is_utc_with_microseconds_when_written_from_another_zone() -> None:
    local = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert format_time(local) == "2026-02-28T23:30:00.000000Z"
    assert make().time == NOW
    with pytest.raises(InputError):
        format_time(NOW.replace(tzinfo=None))

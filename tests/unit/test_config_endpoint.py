"""endpoint.yaml: fields, defaults, and what this release refuses by name."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitops.config.endpoint import EndpointFile, Missing, RollbackWrite, Smoke, SmokeInput, Unjudged, parse_endpoint
from gitops.errors import InputError

MINIMAL = "version: 1\nendpoint: iris-staging\n"


def parse(text: str) -> EndpointFile:
    return parse_endpoint(text.encode(), file="staging/endpoint.yaml")


def refuse(text: str) -> InputError:
    with pytest.raises(InputError) as caught:
        parse(MINIMAL + text)
    assert caught.value.file == "staging/endpoint.yaml"
    assert caught.value.line == 3
    return caught.value


def test_reads_every_field_when_all_are_written() -> None:
    read = parse(
        MINIMAL + "target: local\nstrategy: {type: all_at_once, bake: 2m}\n"
        "smoke: [{input: example, max_latency: 500ms}, {input: example}]\nalarms: []\n"
        "rollback: {write: pull_request}\nunjudged: warn\nrequire: {min_tier: silver}\n"
    )
    assert read.endpoint == "iris-staging"
    assert read.strategy.bake == timedelta(minutes=2)
    assert read.smoke == (Smoke(SmokeInput.EXAMPLE, timedelta(milliseconds=500)), Smoke())
    assert (read.rollback, read.unjudged, read.min_tier) == (RollbackWrite.PULL_REQUEST, Unjudged.WARN, "silver")


def test_fills_defaults_when_only_endpoint_is_written() -> None:
    read = parse(MINIMAL)
    assert read == EndpointFile(file="staging/endpoint.yaml", endpoint="iris-staging")
    assert read.strategy.bake == timedelta(seconds=30)
    assert read.smoke == (Smoke(),)
    assert (read.rollback, read.unjudged) == (RollbackWrite.COMMIT, Unjudged.REFUSE)


def test_plan_covers_what_happens_without_an_example_only_where_it_is_not_refused() -> None:
    refuse, warn = (parse(MINIMAL + f"smoke: [{{missing: {what}}}]") for what in ("refuse", "warn"))
    assert (refuse.smoke, warn.smoke) == ((Smoke(),), (Smoke(missing=Missing.WARN),))
    assert refuse.to_facts() == parse(MINIMAL).to_facts()
    assert warn.to_facts()["smoke"] == [{"input": "example", "max_latency_ms": 0, "missing": "warn"}]


def test_has_no_smoke_when_list_is_empty() -> None:
    assert parse(MINIMAL + "smoke: []").smoke == ()


def test_facts_are_plain_and_equal_when_spelled_differently() -> None:
    one = parse(MINIMAL + "strategy: {bake: 60s}").to_facts()
    assert one == parse(MINIMAL + "strategy: {bake: 1m}\ntarget: local").to_facts()
    assert one["bake_ms"] == 60_000
    # A plan that was announced before there were tiers stays what it is.
    assert "min_tier" not in one
    assert parse(MINIMAL + "require: {min_tier: gold}").to_facts()["min_tier"] == "gold"
    assert parse(MINIMAL + "require: {}").to_facts() == parse(MINIMAL).to_facts()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("target: sagemaker", "target"),
        ("target: observe", "target"),
        ("strategy: {type: canary, bake: 2m}", "strategy.type"),
        ("strategy: {type: linear}", "strategy.type"),
        ("strategy: {percent: 10}", "strategy.percent"),
        ("strategy: {step: 10}", "strategy.step"),
        ("strategy: {every: 1m}", "strategy.every"),
        ("alarms: [HighErrors]", "alarms"),
    ],
)
def test_refuses_by_name_when_not_in_this_release(text: str, field: str) -> None:
    error = refuse(text)
    assert (error.reason, error.field) == ("not_in_this_release", field)
    assert "not in this release" in error.message


@pytest.mark.parametrize(
    ("text", "reason", "field", "words"),
    [
        ("target: lokal", "value_unknown", "target", 'did you mean "local"?'),
        ("strategy: {bake: 2d}", "limit_exceeded", "strategy.bake", "0s to 1d"),
        ("smoke: [{input: example, max_latency: 2m}]", "limit_exceeded", "smoke[0].max_latency", "1ms to 1m"),
        ("smoke: {input: example}", "wrong_type", "smoke", "a list"),
        ("rollback: commit", "wrong_type", "rollback", "mapping"),
        ("unjudged: no", "value_unknown", "unjudged", "refuse, warn"),
        ("stratgy: {}", "unknown_key", "stratgy", 'did you mean "strategy"?'),
        ("require: silver", "wrong_type", "require", "mapping"),
        ("require: {tier: silver}", "unknown_key", "require.tier", "min_tier"),
        ("require: {min_tier: Silver}", "name_not_canonical", "require.min_tier", "lower-case"),
        ("require: {min_tier: none}", "name_reserved", "require.min_tier", "another name"),
    ],
)
def test_names_field_and_remedy_when_value_is_wrong(text: str, reason: str, field: str, words: str) -> None:
    error = refuse(text)
    assert (error.reason, error.field) == (reason, field)
    assert words in error.message


@pytest.mark.parametrize("name", ["a_b", "-a", "a-", "a" * 64, "a.b", "é", '""'])
def test_refuses_endpoint_when_no_target_would_take_its_name(name: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(f"version: 1\nendpoint: {name}\n")
    assert caught.value.field == "endpoint"


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_raises_only_input_error_when_bytes_are_arbitrary(data: bytes) -> None:
    with pytest.raises(InputError):
        parse_endpoint(data, file="endpoint.yaml")

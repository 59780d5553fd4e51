"""Verbs that only read: the API answers what the command line prints with `--json`, on one stack, with one table."""

import json
from typing import Any

import httpx
import pytest

from gitops.grammar import VERBS, Kind
from gitops.roles import AccessRole
from tests.integration.told_rig import Told, asked, told, viewer, words_of
from tests.support.cli import call
from tests.support.fleet import BAKING, REFUSED

VIEWER = AccessRole.VIEWER
IRIS, IRIS_DEPLOY = 1, 2
IN_PARTS, PART = {"versions", "endpoints"}, ("limit", "cursor")
READ = {name: verb for name, verb in VERBS.items() if not verb.changes}

__all__ = ["told", "viewer"]


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("status", {}),
        ("explain", {}),
        ("explain", {"subject": "iris-production"}),
        ("explain", {"subject": REFUSED}),
        ("explain", {"subject": "acme/iris-deploy#12"}),
        ("explain", {"subject": BAKING}),
        ("explain", {"subject": "churn-staging", "incident": "yes"}),
        ("runs", {}),
        ("runs", {"model": "churn", "limit": "1"}),
        ("history", {"name": "churn-staging"}),
        ("history", {"name": "acme/churn-deploy:staging"}),
        ("dora", {"days": "7"}),
        ("logs", {}),
        ("logs", {"name": REFUSED}),
        ("logs", {"name": REFUSED, "limit": "1"}),
        ("logs", {"name": BAKING}),
        ("logs", {"name": "churn-staging"}),
        ("plan", {"endpoint": "iris-production"}),
        ("plan", {"endpoint": "acme/iris-deploy:staging", "version": "6"}),
        ("audit at", {"endpoint": "churn-staging", "time": "now"}),
        ("audit at", {"endpoint": "acme/churn-deploy:staging", "time": "now"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()) or "all",
)
def test_the_api_answers_what_the_command_line_prints(
    told: Told, viewer: httpx.Client, verb: str, given: dict[str, str]
) -> None:
    words = words_of(VERBS[verb], given)
    # An age may turn over between two looks.
    before, found, after = told.typed(*words), asked(viewer, verb, **given), told.typed(*words)

    assert found
    assert comparable(found) in (comparable(before), comparable(after))


def comparable(document: dict[str, Any]) -> str:
    """Return a document as text, without what is told to whoever owns the stack's folder alone."""
    for one in document.get("repositories", ()):
        one.pop("secrets", None)
    if "markdown" in document:
        # What is before says when it was written, and for how long something has served.
        document = {**document, "markdown": document["markdown"].partition("## Timeline")[2]}
    return json.dumps(document, sort_keys=True)


def test_endpoints_are_the_same_ones_with_the_same_facts(told: Told, viewer: httpx.Client) -> None:
    typed = told.typed("endpoints")
    answer = viewer.get(VERBS["endpoints"].route).json()["items"]
    assert typed["endpoints"] == answer
    assert typed["paused"] is None
    (held,) = [one for one in answer if one["hold"]]
    assert (held["endpoint"], held["hold"]["id"]) == ("churn-staging", held["holds"][-1])
    only = viewer.get(VERBS["endpoints"].route, params={"model": "iris"}).json()["items"]
    assert told.typed("endpoints", "iris")["endpoints"] == only


def test_versions_are_the_same_ones_by_both_routes_and_on_the_command_line(told: Told, viewer: httpx.Client) -> None:
    typed = told.typed("versions", "iris")
    answer = viewer.get(VERBS["versions"].route, params={"model": "iris"}).json()
    assert (answer["items"], answer["next"]) == (typed["versions"], "")
    assert viewer.get("/api/v1/models/iris/versions").json() == answer
    (served,) = [one for one in answer["items"] if one["serves"]]
    assert served["serves"] == [{"endpoint": "iris-production", "environment": "production"}]
    assert viewer.get(f"/api/v1/models/iris/versions/{served['version']}").json() == served
    first = viewer.get(VERBS["versions"].route, params={"model": "iris", "limit": 1}).json()
    rest = viewer.get("/api/v1/models/iris/versions", params={"cursor": first["next"]}).json()
    assert [*first["items"], *rest["items"]] == answer["items"]


@pytest.mark.parametrize("kind", VERBS["schema"].arguments[0].words)
def test_a_schema_is_the_same_byte_for_byte(viewer: httpx.Client, kind: str) -> None:
    answer = viewer.get(VERBS["schema"].route, params={"kind": kind})
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.text.rstrip("\n") == call("schema", kind).out.rstrip("\n")


# ---------------------------------------------------------------- one table


@pytest.mark.parametrize("verb", READ)
def test_every_verb_that_only_reads_is_a_route_with_the_arguments_of_the_table(viewer: httpx.Client, verb: str) -> None:
    described = viewer.get("/api/v1/openapi.json").json()["paths"][READ[verb].route]["get"]
    asked_for = {one["name"]: one for one in described.get("parameters", []) if one["in"] == "query"}
    part = dict.fromkeys(PART, False) if verb in IN_PARTS else {}
    table = {one.name: one.is_required for one in READ[verb].arguments}
    assert {name: one["required"] for name, one in asked_for.items()} == table | part
    for one in READ[verb].arguments:
        if one.name not in part and one.kind is not Kind.FLAG and not one.words:
            shape = f"^(?:{one.pattern})$" if one.is_required else f"^(?:{one.pattern})?$"
            assert asked_for[one.name]["schema"]["pattern"] == shape


def test_an_endpoint_is_found_by_its_place_as_by_its_name(viewer: httpx.Client) -> None:
    name, place = "churn-staging", "acme/churn-deploy:staging"
    by_name, by_place = (asked(viewer, "history", name=one) for one in (name, place))
    assert by_name["history"]
    assert (by_place.pop("name"), by_name.pop("name")) == (place, name)
    assert by_place == by_name
    now = "2126-01-31T12:00:00Z"
    assert asked(viewer, "audit at", endpoint=place, time=now) == asked(viewer, "audit at", endpoint=name, time=now)
    rollouts = [viewer.get("/api/v1/rollouts", params={"endpoint": one}).json()["items"] for one in (name, place)]
    assert rollouts[0]
    assert rollouts[0] == rollouts[1]
    elsewhere = {"endpoint": place, "repository": "acme/iris-deploy"}
    assert viewer.get("/api/v1/rollouts", params=elsewhere).json()["items"] == []


@pytest.mark.parametrize(
    ("verb", "given", "status", "code"),
    [
        ("explain", {"subject": "iris-producton"}, 404, "not_found"),
        ("explain", {"incident": "yes"}, 422, "subject_missing"),
        ("explain", {"subject": "acme/iris-deploy#99"}, 404, "NoPull"),
        ("explain", {"subject": "t-00000000"}, 409, "training_unclear"),
        ("explain", {"object": "iris-production"}, 422, "invalid"),
        ("runs", {"model": "nothing"}, 404, "not_found"),
        ("runs", {"lowest": "yes"}, 422, "lowest_alone"),
        ("runs", {"limit": "501"}, 422, "invalid"),
        ("runs", {"limit": "many"}, 422, "invalid"),
        ("versions", {}, 422, "invalid"),
        ("versions", {"model": "nothing"}, 404, "not_found"),
        ("history", {"name": "nothing"}, 404, "not_found"),
        ("endpoints", {"model": "nothing"}, 404, "not_found"),
        ("dora", {"model": "nothing"}, 404, "not_found"),
        ("dora", {"env": "nothing"}, 404, "not_found"),
        ("audit at", {"endpoint": "nothing", "time": "now"}, 404, "not_found"),
        ("logs", {"name": "t-00"}, 409, "training_unclear"),
        ("logs", {"name": "iris-staging"}, 404, "NoRollout"),
        ("plan", {"endpoint": "nothing"}, 404, "not_found"),
        ("schema", {"kind": "nothing"}, 422, "invalid"),
        ("audit at", {"endpoint": "iris-staging", "time": "yesterday"}, 422, "invalid"),
        ("audit at", {"endpoint": "iris-staging", "time": "2026-01-31T12:00:00"}, 422, "time"),
    ],
    ids=str,
)
def test_what_cannot_be_answered_is_a_problem(
    viewer: httpx.Client, verb: str, given: dict[str, str], status: int, code: str
) -> None:
    answer = viewer.get(VERBS[verb].route, params=given)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("endpoints", {"model": "chrun"}),
        ("dora", {"model": "chrun"}),
        ("dora", {"env": "stagng"}),
        ("audit at", {"endpoint": "churn-stagng", "time": "now"}),
        ("history", {"name": "churn-stagng"}),
        ("versions", {"model": "chrun"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value.values()),
)
def test_a_mistyped_name_is_refused_in_the_same_words_by_both(
    told: Told, viewer: httpx.Client, verb: str, given: dict[str, str]
) -> None:
    typed, answer = told.stack.launchpin(*words_of(VERBS[verb], given)), viewer.get(VERBS[verb].route, params=given)
    assert (typed.code, answer.status_code) == (2, 404), (typed.both, answer.text)
    assert "did you mean " in answer.json()["detail"]
    assert answer.json()["detail"] in typed.err


def test_what_served_when_is_told_to_who_may_see_the_endpoint_and_one_that_never_served_is_known(told: Told) -> None:
    place = {"endpoint": "iris-staging", "time": "now"}
    with told.client({IRIS_DEPLOY: VIEWER}) as client:
        of_history = client.get(VERBS["history"].route, params={"name": "iris-production"})
        shown = client.get(VERBS["audit at"].route, params={**place, "endpoint": "iris-production"})
        assert (of_history.status_code, shown.status_code) == (200, 200)
        now = client.get(VERBS["audit at"].route, params=place)
    assert (now.status_code, now.json()["endpoint"]) == (200, "iris-staging"), now.text


def test_a_name_that_nobody_knows_is_answered_with_the_nearest_that_one_may_see(told: Told) -> None:
    with told.client({IRIS_DEPLOY: VIEWER}) as client:
        near = client.get(VERBS["explain"].route, params={"subject": "iris-stagin"}).json()["detail"]
        hidden = client.get(VERBS["explain"].route, params={"subject": "churn-stagin"}).json()["detail"]
    assert "did you mean iris-staging?" in near
    assert "churn-staging" not in hidden


# ---------------------------------------------------------------- who may see what


@pytest.mark.parametrize(
    ("verb", "given"),
    [
        ("explain", {"subject": "churn-staging"}),
        ("explain", {"subject": "churn-staging", "incident": "yes"}),
        ("explain", {"subject": "t-000000009"}),
        ("explain", {"subject": "r-000000005"}),
        ("runs", {"model": "churn"}),
        ("versions", {"model": "churn"}),
        ("history", {"name": "churn-staging"}),
        ("history", {"name": "acme/churn-deploy:staging"}),
        ("audit at", {"endpoint": "churn-staging", "time": "now"}),
        ("audit at", {"endpoint": "acme/churn-deploy:staging", "time": "now"}),
        ("endpoints", {"model": "churn"}),
        ("dora", {"model": "churn"}),
        ("logs", {"name": "t-000000009"}),
        ("logs", {"name": "r-000000005"}),
        ("logs", {"name": "churn-staging"}),
        ("logs", {"name": "t-000000009", "follow": "yes"}),
        ("plan", {"endpoint": "churn-staging"}),
    ],
    ids=str,
)
def test_attack_66_what_belongs_to_another_repository_is_not_there(
    told: Told, viewer: httpx.Client, verb: str, given: dict[str, str]
) -> None:
    if "follow" not in given:
        assert viewer.get(VERBS[verb].route, params=given).status_code == 200
    with told.client({IRIS: VIEWER, IRIS_DEPLOY: VIEWER}) as client:
        answer = client.get(VERBS[verb].route, params=given)
    assert answer.status_code == 404, answer.text
    assert "412 requests" not in answer.text


def test_attack_66_lists_hold_what_one_may_see_and_nothing_else(told: Told) -> None:
    with told.client({IRIS: VIEWER, IRIS_DEPLOY: VIEWER}) as client:
        texts = {verb: client.get(VERBS[verb].route).text for verb in ("status", "explain", "runs", "endpoints")}
    assert {verb: "iris" in text for verb, text in texts.items()} == dict.fromkeys(texts, True)
    assert {verb: "churn" in text for verb, text in texts.items()} == dict.fromkeys(texts, False)


def test_attack_66_a_plan_says_of_a_version_of_elsewhere_only_what_its_pull_request_says(told: Told) -> None:
    with told.client({IRIS_DEPLOY: VIEWER}) as client:
        proposed = asked(client, "plan", endpoint="iris-production")
        other = asked(client, "plan", endpoint="iris-production", version="6")
    assert (proposed["version"], proposed["metrics"][0]["planned"]) == ("8", "0.97")
    assert (other["verdict"], other["gates"], other["metrics"]) == ("", [], [])
    assert other["refusal"]["reason"] == "VersionUnknown"

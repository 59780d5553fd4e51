"""What the API tells and what it has done, as a program sees it."""

import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.audit.entry import parse
from gitops.grammar import VERBS
from gitops.records import Command, Environment, Role
from gitops.roles import AccessRole
from gitops.store import check_audit_joins
from gitops.store.entries import actor_of
from gitops.writes import SaveEnvironment, SaveRepository, SetHold, StartTraining
from tests.support.api import ROOT, give_token, program, program_as
from tests.support.dashboard import ORIGIN, Dashboard, running_dashboard
from tests.support.endpoint_host import wait_until
from tests.support.fleet import BAD_BODY, BAKING, REFUSED, fill_fleet
from tests.support.store import make_environment, make_hold, make_repository, make_training, write
from webhooks.api import shapes
from webhooks.api.events import MOST, MOST_OF_ONE

VIEWER, RUNNER, APPROVER, ADMIN = AccessRole
HOLD = {"endpoint": "iris-staging", "reason": "the data is being looked at"}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("api") / "home", fill_fleet) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path / "home", fill_fleet) as running:
        yield running


@pytest.fixture
def viewer(fleet: Dashboard) -> Iterator[httpx.Client]:
    with program_as(fleet, VIEWER) as client:
        yield client


def get(client: httpx.Client, path: str, **query: object) -> Any:  # noqa: ANN401 - JSON
    answer = client.get(f"/api/v1/{path}", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


# ---------------------------------------------------------------- reading


def test_a_training_is_shown_with_its_gates_and_why_it_ended(viewer: httpx.Client) -> None:
    shown = get(viewer, f"trainings/{REFUSED}")
    assert (shown["phase"], shown["reason"], shown["verdict"]) == ("Refused", "GateRefused", "fail")
    assert shown["gates"][0]["message"] == "accuracy 0.893 is not above 0.9"
    assert shown["log_tail"] == ["fitting 120 rows", "accuracy=0.893"]
    assert shown["cause"]["kind"] == "delivery"
    assert set(shown) == set(shapes.Training.model_fields)


def test_a_rollout_under_way_is_shown_with_what_it_waits_for(viewer: httpx.Client) -> None:
    shown = get(viewer, f"rollouts/{BAKING}")
    assert (shown["endpoint"], shown["phase"], shown["step"]) == ("iris-production", "Running", "bake")


def test_endpoints_say_what_git_pins_what_serves_and_who_holds(viewer: httpx.Client) -> None:
    found = {each["endpoint"]: each for each in get(viewer, "endpoints")}
    assert set(found) == {"iris-staging", "iris-production", "churn-staging", "churn-production"}
    production = found["iris-production"]
    assert (production["pinned"], production["serving"], production["sync"]) == ("7", "6", "OutOfSync")
    assert len(found["churn-staging"]["holds"]) == 1
    assert [each["endpoint"] for each in get(viewer, "endpoints", model="iris")] == ["iris-production", "iris-staging"]
    assert get(viewer, "endpoints/acme/iris-deploy:production") == production


def test_a_delivery_is_found_by_its_guid_however_it_is_spelled(viewer: httpx.Client) -> None:
    assert get(viewer, f"deliveries/{BAD_BODY.upper()}")["reason"] == "BadPayload"


def test_versions_are_shown_with_their_verdict(viewer: httpx.Client) -> None:
    (shown,) = get(viewer, "models/iris/versions")
    assert (shown["version"], shown["verdict"], shown["quarantined"]) == ("6", "pass", False)
    assert get(viewer, "models/iris/versions/6") == shown
    assert get(viewer, "models/none/versions") == []


def test_holds_that_were_lifted_are_listed_too(viewer: httpx.Client) -> None:
    (shown,) = get(viewer, "holds")["items"]
    assert (shown["model"], shown["reason"], shown["lifted_at"]) == ("churn", "EndpointUnhealthy", None)
    assert get(viewer, "holds", model="iris")["items"] == []


@pytest.mark.parametrize("path", ["trainings", "deliveries"])
def test_the_pages_of_a_list_are_together_the_list(viewer: httpx.Client, path: str) -> None:
    whole = get(viewer, path, limit=200)
    assert whole["next"] == ""
    found: list[object] = []
    cursor = ""
    for _ in range(len(whole["items"])):
        page = get(viewer, path, limit=1, cursor=cursor)
        found += page["items"]
        cursor = page["next"]
        if not cursor:
            break
    assert found == whole["items"]
    assert len(found) >= 3


def test_a_page_goes_on_where_it_ended_though_new_ones_came(own: Dashboard) -> None:
    with program_as(own, VIEWER) as client:
        first = get(client, "trainings", limit=2)
        write(own.store, StartTraining(make_training(id="t-new", commit="f" * 40)))
        rest = get(client, "trainings", cursor=first["next"])["items"]
        now = [each["id"] for each in get(client, "trainings", limit=200)["items"]]
    assert now == ["t-new", *(each["id"] for each in [*first["items"], *rest])]


def test_a_list_is_kept_to_what_was_asked_for(viewer: httpx.Client) -> None:
    assert {each["model"] for each in get(viewer, "trainings", model="churn")["items"]} == {"churn"}
    assert [each["id"] for each in get(viewer, "trainings", phase="Refused")["items"]] == [REFUSED]
    assert get(viewer, "rollouts", endpoint="churn-staging", phase="Running")["items"] == []
    assert get(viewer, "trainings", repository="acme/none")["items"] == []


def test_the_trail_is_given_in_its_exact_bytes(fleet: Dashboard, viewer: httpx.Client) -> None:
    lines = viewer.get("/api/v1/audit/entries", params={"start": 1, "limit": 3}).content.splitlines()
    assert lines == list(fleet.store.audit_entries(1, 3))
    assert viewer.get("/api/v1/audit/entries", params={"start": 10**6}).content == b""


def test_what_served_when_is_answered_from_the_trail(viewer: httpx.Client) -> None:
    shown = get(viewer, "audit/at", endpoint="none", time="2026-01-31T12:00:00Z")
    assert (shown["known"], shown["message"]) == (False, "not known: no record of endpoint none")
    answer = viewer.get("/api/v1/audit/at", params={"endpoint": "none", "time": "2026-01-31T12:00:00"})
    assert (answer.status_code, answer.json()["field"]) == (422, "time")


def test_what_is_not_there_is_a_problem_with_a_code(viewer: httpx.Client) -> None:
    for path in ("trainings/t-none", "rollouts/none", "endpoints/none", "commands/c-none", "nothing"):
        answer = viewer.get(f"/api/v1/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert answer.headers["content-type"] == "application/problem+json"
    answer = viewer.put("/api/v1/trainings")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


# ---------------------------------------------------------------- asking


def test_what_is_asked_for_is_one_command_with_who_asked_and_how(own: Dashboard) -> None:
    text = give_token(own.store, "grace", {EVERYWHERE: APPROVER})
    (token,) = own.store.tokens()
    with program(own, text) as client:
        answer = client.post("/api/v1/hold", json=HOLD)
        shown = get(client, answer.headers["location"].removeprefix("/api/v1/"))
    assert answer.status_code == 202
    assert shown == answer.json()
    # The worker finds the very endpoint that was checked, though its name goes elsewhere meanwhile.
    named = HOLD | {"endpoint": "acme/iris-deploy:staging"}
    assert (shown["verb"], shown["arguments"], shown["phase"]) == ("hold", named, "Pending")
    kept = own.store.command(shown["id"])
    assert isinstance(kept, Command)
    assert (kept.cause.actor, kept.cause.method, kept.cause.token) == ("grace", "token", token.id)
    assert any(job.kind == "command" and job.subject == kept.id for job in own.store.jobs())


def test_the_same_key_asks_once_and_says_so_when_it_is_used_for_something_else(own: Dashboard) -> None:
    key = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
    with program_as(own, APPROVER) as client, program_as(own, ADMIN) as other:
        first, again = (client.post("/api/v1/hold", json=HOLD, headers=key).json() for _ in range(2))
        assert first["id"] == again["id"]
        answer = client.post("/api/v1/hold", json=HOLD | {"reason": "another"}, headers=key)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_used")
        # Nobody meets another one's keys.
        assert other.post("/api/v1/hold", json=HOLD, headers=key).json()["id"] != first["id"]
        for wrong in ("", "a b", "x" * 256):
            answer = client.post("/api/v1/hold", json=HOLD, headers={"Idempotency-Key": wrong})
            assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")


def test_who_lost_the_answer_gets_it_with_the_same_key_though_the_endpoint_has_changed(own: Dashboard) -> None:
    with program_as(own, APPROVER) as client:
        headers = {"If-Match": _tag(client), "Idempotency-Key": "once"}
        first = client.post("/api/v1/hold", json=HOLD, headers=headers)
        pause(own)
        again = client.post("/api/v1/hold", json=HOLD, headers=headers)
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        other = client.post("/api/v1/hold", json=HOLD, headers=headers | {"Idempotency-Key": "another"})
        assert other.status_code == 412


def pause(dashboard: Dashboard) -> None:
    write(dashboard.store, SetHold(make_hold(id="h-pause", repository_id=0, path="", environment="", model="")))


def test_a_pause_is_seen_by_everybody_whom_it_keeps(own: Dashboard) -> None:
    with program_as(own, VIEWER, on=2) as client:
        before = _tag(client)
        pause(own)
        assert get(client, "endpoints/iris-staging")["holds"] == ["h-pause"]
        assert _tag(client) != before
        assert [each["id"] for each in get(client, "holds")["items"]] == ["h-pause"]
        size = own.store.audit_size()
        ((_, event),) = read_events(client, 1, after=size - 2)
    assert (event["kind"], event["to"]) == ("hold.set", "Held")


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("connect", {"repository": "acme/iris", "role": "model", "secrets": "PROD_DB_PASSWORD"}),
        ("gc", {}),
        ("pause", {}),
    ],
)
def test_what_is_about_everything_takes_a_role_on_everything(
    fleet: Dashboard, verb: str, arguments: dict[str, str]
) -> None:
    with program_as(fleet, ADMIN, on=1) as one, program_as(fleet, ADMIN) as everybody:
        assert one.post(f"/api/v1/{verb}", json=arguments).status_code == 403
        assert everybody.post(f"/api/v1/{verb}", json=arguments).status_code == 202


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("train", {"repository": "acme/iris"}),
        ("train", {"repository": "acme/none"}),
        ("cancel", {"training": REFUSED}),
        ("retry", {"name": REFUSED}),
        ("retry", {"name": "iris-staging"}),
        ("promote", {"model": "iris", "version": "6", "to": "churn-staging"}),
        ("promote", {"model": "iris", "version": "99", "to": "churn-staging"}),
        ("rollback", {"endpoint": "iris-staging"}),
        ("resume", {"endpoint": "acme/iris-deploy:staging"}),
    ],
)
def test_attack_66_no_verb_says_whether_something_of_others_is_there(
    fleet: Dashboard, verb: str, arguments: dict[str, str]
) -> None:
    text = give_token(fleet.store, "churn-only", {3: ADMIN, 4: ADMIN})
    before = len(fleet.store.recent("command", limit=200))
    with program(fleet, text) as client:
        answer = client.post(f"/api/v1/{verb}", json=arguments)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert len(fleet.store.recent("command", limit=200)) == before


def test_a_training_is_tried_again_or_called_off_by_whoever_may_train_there(fleet: Dashboard) -> None:
    text = give_token(fleet.store, "iris-runner", {1: RUNNER})
    with program(fleet, text) as client:
        assert client.post("/api/v1/retry", json={"name": REFUSED}).status_code == 202
        assert client.post("/api/v1/cancel", json={"training": REFUSED}).status_code == 202
        assert client.post("/api/v1/train", json={"repository": "acme/iris", "force": True}).status_code == 202


def test_an_endpoint_whose_name_two_have_must_be_named_by_its_place(own: Dashboard) -> None:
    twin = make_environment(repository_id=4, repository="acme/churn-deploy", path="twin", endpoint="iris-staging")
    write(own.store, SaveEnvironment(twin, tuple(Environment.model_fields)))
    with program_as(own, APPROVER) as everybody, program_as(own, APPROVER, on=2) as one:
        answer = everybody.post("/api/v1/hold", json=HOLD)
        assert (answer.status_code, answer.json()["code"]) == (409, "endpoint_unclear")
        assert everybody.post("/api/v1/hold", json=HOLD | {"endpoint": "acme/churn-deploy:twin"}).status_code == 202
        assert one.post("/api/v1/hold", json=HOLD).status_code == 202


def test_a_role_follows_a_repository_to_its_new_name(own: Dashboard) -> None:
    write(own.store, SaveRepository(make_repository(id=2, full_name="acme/renamed", role=Role.DEPLOY)))
    with program_as(own, APPROVER, on=2) as client:
        assert client.post("/api/v1/hold", json=HOLD).status_code == 202


def test_what_was_asked_for_elsewhere_is_not_shown_to_a_token_that_is_kept_to_one_repository(own: Dashboard) -> None:
    wide = give_token(own.store, "ada", {EVERYWHERE: APPROVER})
    kept = give_token(own.store, "ada", {EVERYWHERE: APPROVER}, repositories=(4,))
    other = own.store.ensure_person("https://id.example", "ada")
    own.store.grant(other.id, VIEWER, repository_id=4, actor=ROOT)
    with program(own, wide) as client, program(own, kept) as narrow:
        asked = client.post("/api/v1/hold", json=HOLD).json()["id"]
        assert client.get(f"/api/v1/commands/{asked}").status_code == 200
        assert narrow.get(f"/api/v1/commands/{asked}").status_code == 404
        own_one = narrow.post("/api/v1/hold", json=HOLD | {"endpoint": "churn-staging"}).json()["id"]
        assert narrow.get(f"/api/v1/commands/{own_one}").status_code == 200


def test_somebody_who_is_called_as_we_are_is_recorded_as_a_person(own: Dashboard) -> None:
    text = give_token(own.store, "launchpin", {EVERYWHERE: APPROVER})
    with program(own, text) as client:
        asked = client.post("/api/v1/hold", json=HOLD).json()["id"]
    command = own.store.command(asked)
    assert command is not None
    actor = actor_of(command.cause)
    assert (actor.type, actor.login, actor.auth_method) == ("user", "launchpin", "token")


def test_of_a_crowd_with_one_key_one_command_comes(own: Dashboard) -> None:
    found, start = set(), threading.Barrier(8)
    text = give_token(own.store, "grace", {EVERYWHERE: APPROVER})

    def ask() -> None:
        with program(own, text) as client:
            start.wait()
            found.add(client.post("/api/v1/hold", json=HOLD, headers={"Idempotency-Key": "one"}).json()["id"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1


def test_a_decision_on_an_endpoint_that_changed_since_is_not_carried_out(own: Dashboard) -> None:
    with program_as(own, APPROVER) as client:
        tag = client.get("/api/v1/endpoints/iris-staging").headers["etag"]
        assert client.post("/api/v1/hold", json=HOLD, headers={"If-Match": tag}).status_code == 202
        place = next(each for each in own.store.environments() if each.endpoint == "iris-staging")
        hold = make_hold(id="h-other", repository_id=place.repository_id, path=place.path)
        write(own.store, SetHold(hold))
        answer = client.post("/api/v1/hold", json=HOLD, headers={"If-Match": tag})
        assert (answer.status_code, answer.json()["code"]) == (412, "changed")
        assert (
            client.post("/api/v1/hold", json=HOLD, headers={"If-Match": f'"other", {_tag(client)}'}).status_code == 202
        )
        assert client.post("/api/v1/hold", json=HOLD, headers={"If-Match": "*"}).status_code == 202


def _tag(client: httpx.Client) -> str:
    return str(client.get("/api/v1/endpoints/iris-staging").headers["etag"])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"endpoint": "iris-staging"}, "reason"),
        ({"endpoint": "iris-staging", "reason": ""}, "reason"),
        ({"endpoint": "iris-staging", "reason": "x" * 2001}, "reason"),
        ({"endpoint": "iris-staging", "reason": "a\x1b[2J"}, "reason"),
        ({"endpoint": "iris-staging", "reason": 5}, "reason"),
        (HOLD | {"version": "2"}, "version"),
        ([], "body"),
    ],
)
def test_arguments_that_the_verb_does_not_take_are_refused_by_name(fleet: Dashboard, body: object, field: str) -> None:
    before = len(fleet.store.recent("command", limit=100))
    with program_as(fleet, APPROVER) as client:
        answer = client.post("/api/v1/hold", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["detail"].startswith(field)
    assert len(fleet.store.recent("command", limit=100)) == before


def test_a_value_that_cannot_be_one_is_refused_with_what_it_looks_like(fleet: Dashboard) -> None:
    with program_as(fleet, APPROVER) as client:
        answer = client.post("/api/v1/promote", json={"model": "iris", "version": "newest", "to": "iris-staging"})
        schema = client.get("/api/v1/openapi.json").json()["components"]["schemas"]["PromoteArguments"]
    assert (answer.status_code, answer.json()["field"]) == (422, "version")
    assert answer.json()["detail"] == "version: write a version's number"
    assert schema["properties"]["version"]["pattern"] == "^(?:[1-9][0-9]{0,17})$"


@pytest.mark.parametrize("content", [b"{", b"\xff", b'{"endpoint": NaN}', b"[" * 5000])
def test_a_body_that_is_no_json_is_refused(fleet: Dashboard, content: bytes) -> None:
    with program_as(fleet, APPROVER) as client:
        answer = client.post("/api/v1/hold", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_that_is_too_large_is_refused_before_it_is_read(fleet: Dashboard) -> None:
    with program_as(fleet, APPROVER) as client:
        answer = client.post("/api/v1/hold", json=HOLD | {"reason": "x" * 100_000})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_an_endpoint_that_is_not_there_is_said_before_anything_is_kept(fleet: Dashboard) -> None:
    with program_as(fleet, APPROVER) as client:
        answer = client.post("/api/v1/hold", json=HOLD | {"endpoint": "none"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_person_asks_from_a_page_with_its_token(fleet: Dashboard) -> None:
    with fleet.client() as client:
        page = client.get("/").text
        csrf = page.partition('name="_csrf" value="')[2].partition('"')[0]
        headers = {"Origin": ORIGIN, "X-Launchpin-CSRF": csrf}
        answer = client.post("/api/v1/hold", json=HOLD, headers=headers)
        assert answer.status_code == 202
        kept = fleet.store.command(answer.json()["id"])
    assert kept is not None
    assert kept.cause.method == "session"


# ---------------------------------------------------------------- tokens


@contextlib.contextmanager
def signed_in(dashboard: Dashboard) -> Iterator[httpx.Client]:
    with dashboard.client() as client:
        csrf = client.get("/").text.partition('name="_csrf" value="')[2].partition('"')[0]
        client.headers.update({"Origin": ORIGIN, "X-Launchpin-CSRF": csrf})
        yield client


def test_a_person_makes_a_token_sees_it_and_ends_it(own: Dashboard) -> None:
    wanted = {"name": "nightly", "role": "runner", "repositories": ["acme/iris"], "days": 7}
    with signed_in(own) as client:
        made = client.post("/api/v1/tokens", json=wanted)
        assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
        text = made.json().pop("text")
        with program(own, text) as robot:
            me = get(robot, "me")
            assert [each["full_name"] for each in get(robot, "repositories")] == ["acme/iris"]
            assert (me["token_id"], me["grants"]) == (
                made.json()["id"],
                [{"repository": "acme/iris", "role": "runner"}],
            )
            (shown,) = get(client, "tokens")
            assert (shown["name"], shown["role"], shown["repositories"]) == ("nightly", "runner", ["acme/iris"])
            assert "text" not in shown
            ends = datetime.fromisoformat(shown["expires_at"]) - datetime.now(UTC)
            assert timedelta(days=6, hours=23) < ends <= timedelta(days=7)
            assert client.delete(f"/api/v1/tokens/{shown['id']}").status_code == 204
            assert robot.get("/api/v1/me").status_code == 401
    assert check_audit_joins(own.store) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"role": "king"}, "role"),
        ({"days": 0}, "days"),
        ({"days": 366}, "days"),
        ({"repositories": ["acme/none"]}, "repositories"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_a_token_that_cannot_be_made_says_which_part_is_wrong(
    fleet: Dashboard, changes: dict[str, object], field: str
) -> None:
    with signed_in(fleet) as client:
        answer = client.post("/api/v1/tokens", json={"name": "ci", "role": "viewer"} | changes)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_token_lists_and_ends_no_other_of_its_person(fleet: Dashboard) -> None:
    texts = [give_token(fleet.store, "ivan", {EVERYWHERE: VIEWER}) for _ in range(2)]
    person = next(each for each in fleet.store.people() if each.login == "ivan")
    known = {token.id for token in fleet.store.tokens(person_id=person.id)}
    with program(fleet, texts[0]) as client:
        (own,) = get(client, "tokens")
        (other,) = known - {own["id"]}
        assert client.delete(f"/api/v1/tokens/{other}").status_code == 404
        assert client.delete(f"/api/v1/tokens/{own['id']}").status_code == 204
        assert client.get("/api/v1/me").status_code == 401


def test_nobody_ends_another_ones_token_but_an_admin(fleet: Dashboard) -> None:
    give_token(fleet.store, "heidi", {EVERYWHERE: VIEWER})
    person = next(each for each in fleet.store.people() if each.login == "heidi")
    (token,) = fleet.store.tokens(person_id=person.id)
    with program_as(fleet, APPROVER) as other:
        assert token.id not in {each["id"] for each in get(other, "tokens")}
        assert other.delete(f"/api/v1/tokens/{token.id}").status_code == 404
    with program_as(fleet, ADMIN) as admin:
        assert token.id in {each["id"] for each in get(admin, "tokens")}
        assert admin.delete(f"/api/v1/tokens/{token.id}").status_code == 204


# ---------------------------------------------------------------- the stream


def read_events(client: httpx.Client, count: int, *, after: int | None = None) -> list[tuple[int, dict[str, Any]]]:
    """Read so many events of a stream, each with its id."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    found: list[tuple[int, dict[str, Any]]] = []
    number = -1
    with client.stream("GET", "/api/v1/events", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                number = int(value)
            if name == "data":
                found.append((number, json.loads(value)))
                if len(found) == count:
                    return found
    return found


def test_the_stream_tells_each_change_once_and_goes_on_where_one_was_cut_off(own: Dashboard) -> None:
    size = own.store.audit_size()
    with program_as(own, VIEWER) as client:
        # The grant of whoever asks is told as well.
        all_ = read_events(client, size, after=-1)
        assert [number for number, _ in all_] == list(range(size))
        told = [event["kind"] for _, event in all_]
        assert told == [parse(raw).kind for raw in own.store.audit_entries(0, size)]
        assert read_events(client, 2, after=size - 3) == all_[-2:]


def test_the_stream_tells_what_happens_while_it_is_open(own: Dashboard) -> None:
    found: list[tuple[int, dict[str, Any]]] = []
    with program_as(own, VIEWER) as client:
        reader = threading.Thread(target=lambda: found.extend(read_events(client, 1)))
        # A stream without a place begins where the log ends when it is opened.
        reader.start()
        number = 0
        while reader.is_alive():
            number += 1
            write(own.store, StartTraining(make_training(id=f"t-live{number}", commit=f"{number:040x}")))
            reader.join(timeout=0.3)
    assert found[0][1]["kind"] == "training.started"
    assert found[0][1]["subject"]["training_id"].startswith("t-live")


def test_the_stream_holds_what_one_may_see(own: Dashboard) -> None:
    with program_as(own, VIEWER, on=3) as client:
        events = read_events(client, 3, after=-1)
    assert {event["subject"].get("repo") for _, event in events} == {"acme/churn"}


def test_no_more_streams_are_open_than_the_database_can_bear(own: Dashboard) -> None:
    texts = [give_token(own.store, f"many-{number}", {EVERYWHERE: VIEWER}) for number in range(MOST // MOST_OF_ONE + 1)]
    with contextlib.ExitStack() as stack:

        def opened(text: str) -> int:
            stream = stack.enter_context(program(own, text)).stream("GET", "/api/v1/events")
            return int(stack.enter_context(stream).status_code)

        assert [opened(texts[0]) for _ in range(MOST_OF_ONE + 1)] == [200] * MOST_OF_ONE + [503]
        assert {opened(text) for text in texts[1:-1] for _ in range(MOST_OF_ONE)} == {200}
        assert opened(texts[-1]) == 503
    with program(own, texts[-1]) as client:
        wait_until(lambda: _is_let_in(client), "a stream that was closed makes room", seconds=30)


def test_the_stream_ends_when_its_person_may_not_look_any_more(own: Dashboard) -> None:
    text = give_token(own.store, "leaving", {EVERYWHERE: VIEWER})
    person = next(each for each in own.store.people() if each.login == "leaving")
    with program(own, text) as client, client.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("id: ")
        own.store.ungrant(person.id, repository_id=EVERYWHERE, actor=ROOT)
        assert "grant.taken" not in "".join(lines)


def test_the_stream_says_where_it_is_before_anything_happens(own: Dashboard) -> None:
    with program_as(own, VIEWER) as client:
        size = own.store.audit_size()
        with client.stream("GET", "/api/v1/events") as stream:
            assert next(stream.iter_lines()) == f"id: {size - 1}"


def _is_let_in(client: httpx.Client) -> bool:
    with client.stream("GET", "/api/v1/events") as stream:
        return stream.status_code == 200


# ---------------------------------------------------------------- the description


def test_the_description_names_every_verb_with_its_arguments(fleet: Dashboard) -> None:
    with program(fleet, "") as client:
        text = client.get("/api/v1/openapi.json").json()
    assert text["openapi"].startswith("3.1")
    assert not [path for path in text["paths"] if not path.startswith("/api/v1/")]
    for verb in VERBS.values():
        if verb.changes:
            asked = text["paths"][f"/api/v1/{verb.name}"]["post"]
            reference = asked["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            schema = text["components"]["schemas"][reference]
            assert list(schema.get("properties", {})) == [one.name for one in verb.arguments]
            assert schema.get("required", []) == [one.name for one in verb.required]
            assert schema["additionalProperties"] is False


def test_the_description_says_how_each_operation_says_no(fleet: Dashboard) -> None:
    with program(fleet, "") as client:
        text = client.get("/api/v1/openapi.json").json()
        refusal = client.get("/api/v1/me").json()
    assert refusal.keys() <= text["components"]["schemas"]["Problem"]["properties"].keys()
    assert refusal.keys() >= set(text["components"]["schemas"]["Problem"]["required"])
    operations = [one for path in text["paths"].values() for one in path.values()]
    assert len(operations) > 20
    for one in operations:
        refusals = {status: told["content"] for status, told in one["responses"].items() if int(status) >= 400}
        assert {"401", "403", "503"} <= refusals.keys()
        assert {kind for told in refusals.values() for kind in told} == {"application/problem+json"}
    assert "HTTPValidationError" not in text["components"]["schemas"]
    asked = text["paths"]["/api/v1/hold"]["post"]["responses"]
    assert {"202", "401", "403", "404", "409", "412", "413", "422", "503"} == asked.keys()

"""What the API is asked for: one command row for each, or a refusal that says why."""

import threading
from pathlib import Path

import httpx
import pytest

from gitops.access import EVERYWHERE, LOCAL
from gitops.commands.trainings import train
from gitops.errors import RefusedError
from gitops.records import Command, Environment, Role, TrainingFacts
from gitops.store.entries import actor_of
from gitops.writes import SaveEnvironment, SaveRepository, SetHold, StartTraining
from tests.integration.api_rig import ADMIN, APPROVER, HOLD, RUNNER, VIEWER, fleet, get, own, read_events
from tests.support.api import ROOT, give_token, program, program_as
from tests.support.dashboard import ORIGIN, Dashboard
from tests.support.deps import make_deps
from tests.support.fleet import REFUSED
from tests.support.store import make_environment, make_hold, make_repository, make_training, write

__all__ = ["fleet", "own"]


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


def test_what_an_approver_chose_by_hand_is_tried_again_by_an_approver_alone(own: Dashboard) -> None:
    chosen = make_training(
        id="t-chosen", nonce="t-9.2", facts=TrainingFacts(search_of="t-9", trial=2, chosen="half as deep")
    )
    write(own.store, StartTraining(chosen))
    for role, status in ((RUNNER, 403), (APPROVER, 202)):
        with program(own, give_token(own.store, f"iris-{role}", {1: role})) as client:
            answer = client.post("/api/v1/retry", json={"name": "t-chosen"})
            assert answer.status_code == status, answer.text
            assert client.post("/api/v1/cancel", json={"training": "t-chosen"}).status_code == 202
    assert [one.verb for one in own.store.recent("command") if isinstance(one, Command)].count("retry") == 1


def test_an_endpoint_whose_name_two_have_must_be_named_by_its_place(own: Dashboard) -> None:
    twin = make_environment(repository_id=4, repository="acme/churn-deploy", path="twin", endpoint="iris-staging")
    write(own.store, SaveEnvironment(twin, tuple(Environment.model_fields)))
    with program_as(own, APPROVER) as everybody, program_as(own, APPROVER, on=2) as one:
        answer = everybody.post("/api/v1/hold", json=HOLD)
        assert (answer.status_code, answer.json()["code"]) == (409, "endpoint_unclear")
        assert everybody.post("/api/v1/hold", json=HOLD | {"endpoint": "acme/churn-deploy:twin"}).status_code == 202
        assert one.post("/api/v1/hold", json=HOLD).status_code == 202


def test_a_role_on_one_of_two_repositories_of_a_name_trains_neither(own: Dashboard, tmp_path: Path) -> None:
    """The role is checked on the one that its holder sees; a worker, who sees both, takes no other for it."""
    write(own.store, SaveRepository(make_repository(id=9, full_name="acme/iris", role=Role.MODEL)))
    with program_as(own, RUNNER, on=9) as client:
        answer = client.post("/api/v1/train", json={"repository": "acme/iris"})
    assert answer.status_code == 202
    asked = own.store.command(answer.json()["id"])
    assert asked is not None
    with pytest.raises(RefusedError) as no:
        train(make_deps(own.store, tmp_path), asked)
    assert no.value.reason == "RepositoryUnclear"


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


def test_what_one_asked_for_is_not_shown_any_more_to_whoever_lost_every_role_there(own: Dashboard) -> None:
    text = give_token(own.store, "ada", {2: APPROVER, 4: VIEWER})
    with program(own, text) as client, own.client(login="ada") as browser:
        asked = client.post("/api/v1/hold", json=HOLD).json()["id"]
        places = ((client, f"/api/v1/commands/{asked}"), (browser, f"/commands/{asked}"))
        assert [one.get(path).status_code for one, path in places] == [200, 200]
        own.store.ungrant(own.store.ensure_person(LOCAL, "ada").id, repository_id=2, actor=ROOT)
        assert [one.get(path).status_code for one, path in places] == [404, 404]
        own.store.grant(own.store.ensure_person(LOCAL, "ada").id, VIEWER, repository_id=2, actor=ROOT)
        assert [one.get(path).status_code for one, path in places] == [200, 200]


def test_what_is_about_everything_is_not_shown_any_more_to_whoever_sees_one_repository(own: Dashboard) -> None:
    text = give_token(own.store, "ada", {EVERYWHERE: APPROVER, 4: VIEWER})
    with program(own, text) as client, program_as(own, VIEWER) as looker, program_as(own, ADMIN, on=4) as other:
        asked = client.post("/api/v1/pause", json={}).json()["id"]
        assert [one.get(f"/api/v1/commands/{asked}").status_code for one in (client, looker, other)] == [200, 200, 404]
        own.store.ungrant(own.store.ensure_person(LOCAL, "ada").id, repository_id=EVERYWHERE, actor=ROOT)
        assert client.get(f"/api/v1/commands/{asked}").status_code == 404


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


def test_of_two_who_saw_the_same_endpoint_the_second_is_told_what_the_first_asked_for(own: Dashboard) -> None:
    with program_as(own, APPROVER) as ada, program_as(own, APPROVER) as bob:
        seen = _tag(bob)
        back = {"endpoint": "iris-staging"}
        assert ada.post("/api/v1/rollback", json=back, headers={"If-Match": _tag(ada)}).status_code == 202
        answer = bob.post("/api/v1/rollback", json=back, headers={"If-Match": seen})
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (412, "changed", "If-Match")
        assert "rollback was asked for by" in answer.json()["detail"]
    assert [one.verb for one in own.store.recent("command") if isinstance(one, Command)].count("rollback") == 1


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
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["field"]


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

"""Verbs that only read: the API answers what the command line prints with `--json`, on one stack, with one table."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gitops.access import EVERYWHERE
from gitops.embedded.stack.environment import settings_for
from gitops.grammar import VERBS, Kind, Verb
from gitops.roles import AccessRole
from gitops.store import SqlStore
from gitops.telling import answers
from gitops.writes import SaveVersion
from tests.support.api import give_token
from tests.support.cli import Stack, call, make_stack
from tests.support.fleet import BAKING, REFUSED, fill_fleet
from tests.support.store import Clock, make_version, write
from tests.support.web import serving
from webhooks.asgi import create_app

VIEWER = AccessRole.VIEWER
IRIS, IRIS_DEPLOY = 1, 2
READ = {name: verb for name, verb in VERBS.items() if not verb.changes}
IN_PARTS, PART = {"versions", "endpoints"}, ("limit", "cursor")
# Of this machine alone, and moments at which somebody looked.
_ITS_OWN = {"ok", "days", "up", "parts", "urls", "time", "start", "end"}


@dataclass(frozen=True)
class Told:
    """A stack, and its web process."""

    stack: Stack
    port: int

    def typed(self, *words: str) -> dict[str, Any]:
        """Return what the command line says with `--json`."""
        document = self.stack.launchpin(*words, "--json").json
        return {name: value for name, value in document.items() if name not in _ITS_OWN}

    def client(self, roles: Mapping[int, AccessRole]) -> httpx.Client:
        """Return a program of somebody who has these roles."""
        name = "-".join(f"{role}{place}" for place, role in roles.items()) or "nobody"
        token = give_token(self.stack.store, name, roles)
        headers = {"Host": host_of(self.stack), "Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, trust_env=False, timeout=60)


def host_of(stack: Stack) -> str:
    """Return the name by which a stack's web process is asked, wherever it listens."""
    return urlsplit(settings_for(stack.layout).base_url).netloc


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with make_stack(tmp_path_factory.mktemp("told")) as stack:
        fill(stack)
        with serving(create_app(settings_for(stack.layout))) as port:
            yield Told(stack, port)


def fill(stack: Stack) -> None:
    """Play the afternoon of the fleet, hours ago, and write a log."""
    clock = Clock()
    clock.time = datetime.now(UTC) - timedelta(hours=9)
    store = SqlStore(settings_for(stack.layout).database, clock=clock)
    write(store, SaveVersion(make_version(version="8", training_id=REFUSED, metrics={"accuracy": "0.97"})))
    fill_fleet(store, clock)
    store.close()
    stack.store.lead("relay", "relay:/var/lib/launchpin 4f1c", seconds=3600)
    folder = stack.layout.dir / "trainings" / "logs"
    folder.mkdir(parents=True)
    (folder / f"{REFUSED}-1.log").write_bytes(b"fitting 120 rows\nbad \x1b[2J\naccuracy=0.893\n")


@pytest.fixture(scope="module")
def viewer(told: Told) -> Iterator[httpx.Client]:
    with told.client({EVERYWHERE: VIEWER}) as client:
        yield client


def asked(client: httpx.Client, verb: str, **given: str) -> dict[str, Any]:
    """Return what the API says."""
    answer = client.get(VERBS[verb].route, params=given)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return {name: value for name, value in document.items() if name not in _ITS_OWN}


def words_of(verb: Verb, given: Mapping[str, str]) -> list[str]:
    """Return the words that are typed for the arguments of a request."""
    words = verb.name.split()
    for one in verb.arguments:
        if one.name in given:
            option = [f"--{one.name.replace('_', '-')}"] if one.is_option else []
            words += option + ([] if one.kind is Kind.FLAG else [given[one.name]])
    return words


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


# ---------------------------------------------------------------- what they say


def test_a_plan_says_what_a_merge_would_do(told: Told, viewer: httpx.Client) -> None:
    found = answers.Plan.model_validate(viewer.get(VERBS["plan"].route, params={"endpoint": "iris-production"}).json())
    assert (found.serving, found.pinned, found.version, found.changes) == ("6", "7", "8", True)
    assert found.pull is not None
    assert (found.pull.number, found.pull.merge, found.refusal) == (12, "review", None)
    assert "pull request 12 changes the pin in acme/iris-deploy:production from 7 to 8" in found.steps[0]
    assert found.steps[1] == "a person merges it"
    assert found.waits == (f"rollout {BAKING} of version 7 is under way: one at a time",)
    (metric,) = [one for one in found.metrics if one.metric == "accuracy"]
    assert metric.planned == "0.97"
    shown = told.stack.launchpin("plan", "iris-production")
    assert shown.code == 0
    assert shown.out.startswith("iris-production: iris 6 -> 8\n  1. pull request 12 changes the pin")


@pytest.mark.parametrize(
    ("version", "code", "words"),
    [
        ("5", 1, "iris 5 has no verdict of Launchpin's"),
        ("7", 0, "nothing: version 7 is pinned and serves"),
        ("8", 0, "opens a pull request that changes the pin in acme/iris-deploy:staging from 7 to 8"),
    ],
)
def test_a_plan_refuses_what_promote_would_refuse(told: Told, version: str, code: int, words: str) -> None:
    shown = told.stack.launchpin("plan", "iris-staging", "--version", version)
    assert (shown.code, words in shown.out) == (code, True), shown.out


def test_the_log_of_a_rollout_says_step_by_step_what_was_recorded(told: Told) -> None:
    shown = told.stack.launchpin("logs", "churn-staging")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert "rollout r-000000005 of v12 to churn-staging began" in lines[0]
    assert len(lines) >= 3
    times = [line.split()[0] for line in lines]
    assert times == sorted(times)
    assert "RolledBack: back to version 11" in shown.err


# ---------------------------------------------------------------- following


def events_of(text: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Return each event's id, name and data."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "event" in fields:
            found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


def test_a_log_is_followed_to_its_end_and_goes_on_where_one_was_cut_off(viewer: httpx.Client) -> None:
    route, given = VERBS["logs"].route, {"name": REFUSED, "follow": "yes"}
    answer = viewer.get(route, params=given)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *lines, (_, last, end) = events_of(answer.text)
    assert [data["line"] for _, _, data in lines] == ["fitting 120 rows", "bad \\x1b[2J", "accuracy=0.893"]
    assert (last, end["phase"]) == ("end", "Refused")

    again = viewer.get(route, params=given, headers={"Last-Event-ID": lines[1][0]})
    assert [data.get("line") for _, _, data in events_of(again.text)] == ["accuracy=0.893", None]


@pytest.mark.parametrize("place", ["9" * 40, "1." + "9" * 40, "-1", "x", "1.٣"])
def test_attack_68_a_place_that_we_did_not_give_is_the_beginning(viewer: httpx.Client, place: str) -> None:
    given = {"name": REFUSED, "follow": "yes"}
    headers = httpx.Headers({b"Last-Event-ID": place.encode()})
    answer = viewer.get(VERBS["logs"].route, params=given, headers=headers)
    assert events_of(answer.text)[0][2]["line"] == "fitting 120 rows"


def test_a_log_that_grows_is_told_as_it_grows(told: Told, viewer: httpx.Client) -> None:
    log = told.stack.layout.dir / "trainings" / "logs" / "t-000000009-1.log"
    log.write_text("one\n")
    with viewer.stream("GET", VERBS["logs"].route, params={"name": "t-000000009", "follow": "yes"}) as answer:
        lines = answer.iter_lines()
        assert '"one"' in next(line for line in lines if line.startswith("data: "))
        with log.open("a") as file:
            file.write("two\n")
        assert '"two"' in next(line for line in lines if line.startswith("data: "))
    log.unlink()


def test_a_rollout_that_is_over_is_followed_to_its_end(viewer: httpx.Client) -> None:
    answer = viewer.get(VERBS["logs"].route, params={"name": "r-000000005", "follow": "yes"})
    *lines, (_, last, end) = events_of(answer.text)
    assert (last, end["phase"]) == ("end", "RolledBack")
    (told_at_once,) = [viewer.get(VERBS["logs"].route, params={"name": "r-000000005"}).json()["lines"]]
    assert [data["line"] for _, _, data in lines] == told_at_once


def test_a_training_without_a_file_here_has_the_last_lines_of_its_record(viewer: httpx.Client) -> None:
    found = asked(viewer, "logs", name="t-000000001")
    assert (found["attempt"], found["is_whole"], found["lines"][0]) == (0, False, "loading 48211 rows")

"""What the pages say."""

import contextlib
import itertools
import json
import re
import shlex
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from gitops.audit.entry import Actor, Event
from gitops.ports import Exit
from gitops.private_files import write_private
from gitops.promotion import PROMOTION
from gitops.records import Environment
from gitops.roles import AccessRole
from gitops.rollout import ROLLOUT
from gitops.steps import Phase, Stalled
from gitops.store import SqlStore
from gitops.training import TRAINING
from gitops.writes import SaveEnvironment, SaveRepository, SaveVersion, SetHold, StartTraining
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.fleet import BAD_BODY, BAKING, REFUSED, fill_fleet
from tests.support.hostile import HOSTILE_PAGES, SCRIPT, fill_with_hostile_names
from tests.support.store import (
    Clock,
    make_environment,
    make_hold,
    make_repository,
    make_training,
    make_version,
    take,
    write,
)
from tests.support.told import AWAY, NO_MAILBOX, tell
from webhooks.dashboard.stories import STEPS, mark_steps
from webhooks.dashboard.words import coded, curl_line, read_example, span, web_link


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("fleet") / "home", fill_fleet) as running:
        yield running


@pytest.fixture
def client(fleet: Dashboard) -> Iterator[httpx.Client]:
    with fleet.client() as client:
        yield client


def test_front_page_says_what_runs_where(client: httpx.Client) -> None:
    page = client.get("/").text
    assert "1 of 4 endpoints is held until somebody resumes." in page
    assert "2 models · 4 endpoints · 1 held · 3 changes on the way" in page
    for word in ("iris-production", "churn-staging", "Champion", "Healthy", "Progressing", "Out of sync", "Synced"):
        assert word in page
    cards = page[page.index('id="fleet"') :]
    assert cards.index("iris-staging") < cards.index("iris-production")


def test_front_page_says_who_holds_and_how_to_resume(client: httpx.Client) -> None:
    page = client.get("/").text
    assert "Held by launchpin" in page
    assert "3 of 412 requests were answered with 500" in page
    assert "launchpin resume churn-staging" in page


def test_front_page_says_what_moves_and_why_it_waits(client: httpx.Client) -> None:
    page = client.get("/").text
    assert "iris-production v6 → v7" in page
    assert "45 s to go" in page
    assert 'href="http://127.0.0.1:3000/acme/iris-deploy/pull/12"' in page
    assert "MLflow answered 503" in page
    assert "Tried 1 time" in page


def test_front_page_says_how_much_more_moves_than_it_shows(tmp_path: Path) -> None:
    def fill(store: SqlStore, _: Clock) -> None:
        write(store, *(StartTraining(make_training()) for _ in range(23)))

    with running_dashboard(tmp_path / "home", fill) as dashboard, dashboard.client() as client:
        page = client.get("/").text
    assert page.count('id="moving-t-') == 20
    assert 'Moving <span class="count">23</span>' in page
    assert "and 3 older: <code>launchpin status</code> lists all." in page


def test_front_page_says_what_was_trained_recorded_and_delivered(client: httpx.Client, fleet: Dashboard) -> None:
    page = client.get("/").text
    assert "accuracy 0.893 is not above 0.9; champion v6 has 0.953" in page
    assert "rollout.rolled_back" in page
    assert "6 to be signed" in page
    assert fleet.store.log_id in client.get("/audit").text
    assert "after is missing" in client.get("/deliveries").text


def test_front_page_says_what_to_do_when_nothing_is_there_yet(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard, dashboard.client() as client:
        page = client.get("/").text
        assert "launchpin add my-model" in page
        assert "Nothing serves yet." in page
        write(dashboard.store, SaveRepository(make_repository()))
        assert "git push launchpin main" in client.get("/").text


def test_stalled_job_of_no_story_is_shown_with_its_cause(tmp_path: Path) -> None:
    def fill(store: SqlStore, _: Clock) -> None:
        store.wake("compare", "all")
        stalled = Stalled("TokenRefused", "the forge refuses our token: renew it")
        store.finish(take(store), Exit(None, stalled, recurring=True))

    with running_dashboard(tmp_path / "home", fill) as dashboard, dashboard.client() as client:
        page = client.get("/").text
    assert "the forge refuses our token: renew it" in page
    assert "Waiting for better times" in page


def test_pause_is_the_headline_and_says_how_it_ends(tmp_path: Path) -> None:
    def fill(store: SqlStore, clock: Clock) -> None:
        fill_fleet(store, clock)
        everything = {"repository_id": 0, "path": "", "environment": "", "model": "", "reason": "Paused"}
        write(store, SetHold(make_hold(**everything, author="ada", message="an audit")))

    with running_dashboard(tmp_path / "home", fill) as dashboard, dashboard.client() as client:
        page = client.get("/").text
    assert "Everything is paused." in page
    assert page.count("launchpin resume --all") == 1
    assert page.count("an audit") == 1


def test_training_page_shows_gates_metrics_log_and_entries(client: httpx.Client) -> None:
    page = client.get(f"/trainings/{REFUSED}").text
    for text in (
        "GateRefused",
        "0.953",
        "fitting 120 rows",
        "training.refused",
        f"launchpin logs {REFUSED}",
        "push a better",
    ):
        assert text in page


def test_rollout_page_shows_facts_and_entries(client: httpx.Client) -> None:
    page = client.get(f"/rollouts/{BAKING}").text
    for text in ("bake seconds", "120.0", "rollout.applied", "local:here/iris-production"):
        assert text in page
    assert "write back" not in page


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/trainings/none",
            "/rollouts/none",
            "/promotions/none",
            "/commands/none",
            "/deliveries/none",
            "/models/none",
        ),
        *("/rollouts/%00", "/models/%00", "/models/" + "a" * 999, "/trainings/" + "a" * 99, "/no"),
    ],
)
def test_page_is_not_found_when_the_id_is_unknown(client: httpx.Client, path: str) -> None:
    found = client.get(path)
    assert (found.status_code, found.headers["content-type"]) == (404, "text/html; charset=utf-8")


def test_wrong_method_is_answered_with_the_right_one(client: httpx.Client) -> None:
    found = client.put("/")
    assert (found.status_code, found.headers["allow"]) == (405, "GET")


def test_i4_delivery_tells_its_outcome(client: httpx.Client) -> None:
    outcome = client.get(f"/api/v1/deliveries/{BAD_BODY}").json()
    assert (outcome["id"], outcome["event"], outcome["outcome"]) == (BAD_BODY, "push", "rejected")
    assert (outcome["reason"], outcome["detail"], outcome["woke"]) == ("BadPayload", "after is missing", [])
    assert client.get(f"/api/v1/deliveries/{BAD_BODY.upper()}").json() == outcome


def test_delivery_is_a_problem_when_it_is_unknown_or_nobody_is_signed_in(
    client: httpx.Client, fleet: Dashboard
) -> None:
    missing = client.get("/api/v1/deliveries/none")
    with fleet.client(signed_in=False) as stranger:
        refused = stranger.get(f"/api/v1/deliveries/{BAD_BODY}")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (refused.status_code, refused.json()["code"]) == (401, "no_session")
    assert missing.headers["content-type"] == refused.headers["content-type"] == "application/problem+json"


def test_page_says_what_is_wrong_when_the_database_is_damaged(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard, dashboard.client() as client:
        with contextlib.closing(sqlite3.connect(tmp_path / "home" / "launchpin.sqlite3")) as database:
            database.execute("DROP TABLE environments")
        found = client.get("/")
    assert found.status_code == 503
    assert "DatabaseUnavailable" in found.text


def test_fragment_is_the_changing_part_alone(client: httpx.Client) -> None:
    fragment = client.get("/", headers={"HX-Request": "true"})
    assert "<html" not in fragment.text
    assert "iris-production" in fragment.text
    assert (fragment.headers["cache-control"], fragment.headers["vary"]) == ("no-store", "hx-request")


def test_messages_page_says_who_was_told_of_what_and_what_could_not_be_told(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard, dashboard.client() as client:
        assert "launchpin notify test CHANNEL" in client.get("/messages").text
        tell(dashboard.home)
        page = client.get("/messages").text
        rows = page.split("<tr id=")[1:]
        assert len(rows) == 6
        assert "2 sent and 1 given up within 24 hours, " in client.get("/settings").text
    assert len([row for row in rows if "sent" in row]) == 2
    (given_up,) = [row for row in rows if "given up" in row]
    assert f"ChannelRefused: {NO_MAILBOX}" in given_up
    (waiting,) = [row for row in rows if AWAY in row]
    assert "tried 1 time" in waiting
    assert 'href="/trainings/' in page


def test_settings_page_says_what_is_connected_without_any_password(tmp_path: Path) -> None:
    broker = tmp_path / "redis.url"
    write_private(broker, "redis://ada:hush-hush@valkey.test:6379/0\n")
    told = {
        "redis_url_file": broker,
        "forge_api": "https://github.test/api/v3",
        "tracking_uri": "http://ada:hush-hush@mlflow.test:5000",
        "endpoint_host": "http://endpoints.test:8090",
    }
    with running_dashboard(tmp_path / "home", settings=told) as dashboard:
        dashboard.add_person("ada", {0: AccessRole.VIEWER})
        with dashboard.client() as admin, dashboard.client(login="ada") as viewer:
            page, seen = admin.get("/settings").text, viewer.get("/settings").text
    rows = connected(page)
    assert rows["Forge"].startswith("https://github.test/api/v3 not asked from here")
    assert rows["MLflow"].startswith("http://***@mlflow.test:5000 not asked for a page")
    assert rows["Endpoint host"] == "http://endpoints.test:8090 not asked from here: workers ask it"
    assert rows["Broker"] == "redis://***@valkey.test:6379/0 not asked from here: workers and the relay ask it"
    assert re.fullmatch(r"sqlite:///\S+ the default; asked for this page", rows["Database"])
    assert rows["Further MLflow servers"].startswith("none was told to this process; not asked from here")
    assert "hush-hush" not in page
    hidden = {
        "Broker": "shown to admins; not asked from here: workers and the relay ask it",
        "Database": "shown to admins; asked for this page",
    }
    assert connected(seen) == rows | hidden
    assert "valkey.test" not in seen


def connected(page: str) -> dict[str, str]:
    """Return what the page of settings says of each thing that is connected."""
    card = page[page.index('aria-labelledby="addresses"') :].partition("</section>")[0]
    rows = re.findall(r"<tr><th[^>]*>(.*?)</th><td[^>]*>(.*?)</td></tr>", card)
    return {what: " ".join(re.sub(r"<[^>]+>", " ", told).split()) for what, told in rows}


def test_messages_are_for_those_who_may_look_at_everything(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard:
        dashboard.add_person("ada", {2: AccessRole.ADMIN})
        with dashboard.client(login="ada") as client:
            assert client.get("/messages").status_code == 403


def test_page_that_does_not_exist_has_sections_for_whoever_is_signed_in_alone(fleet: Dashboard) -> None:
    with fleet.client() as client, fleet.client(signed_in=False) as stranger:
        known, unknown = client.get("/no-such-page"), stranger.get("/no-such-page")
        assert (known.status_code, unknown.status_code) == (404, 404)
        assert 'href="/models"' in known.text
        assert 'href="/models"' not in unknown.text
        assert client.get("/no", headers={"Authorization": "Bearer wrong"}).status_code == 404


def test_stream_of_a_page_says_that_something_changed_and_not_what(fleet: Dashboard) -> None:
    with fleet.client() as client, client.stream("GET", "/_changes") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        assert next(lines).startswith("id: ")
        fleet.store.append_audit(Event(kind="token.made", actor=Actor(type="user", login="somebody-secret")))
        told = list(itertools.takewhile(lambda line: not line.startswith("data:"), lines))
    assert "event: changed" in told
    assert not any("somebody-secret" in line for line in told)


def test_assets_need_no_session_and_nothing_else_is_served(fleet: Dashboard) -> None:
    with fleet.client(signed_in=False) as client:
        for name in ("style.css", "pages.css"):
            assert client.get(f"/_static/{name}").headers["content-type"] == "text/css; charset=utf-8"
            assert "url(" not in client.get(f"/_static/{name}").text
        for name in ("live.js", "htmx.min.js", "sse.min.js", "idiomorph-ext.min.js"):
            assert client.get(f"/_static/{name}").headers["content-type"] == "text/javascript; charset=utf-8"
        for name in ("pages.py", "..%2fpages.py", "%2e%2e", "VENDORED.toml"):
            assert client.get(f"/_static/{name}").status_code == 404


def test_attack_70_foreign_names_are_text_and_foreign_schemes_no_links(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home", fill_with_hostile_names) as dashboard, dashboard.client() as client:
        for path in HOSTILE_PAGES:
            found = client.get(path)
            assert found.status_code == 200
            assert SCRIPT not in found.text
            assert "<img" not in found.text
            assert 'href="javascript:' not in found.text
            assert "&lt;script&gt;" in found.text or path.startswith(("/audit/verify", "/audit?"))


def test_attack_70_command_to_copy_is_one_command(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home", fill_with_hostile_names) as dashboard, dashboard.client() as client:
        assert "launchpin resume &#39;x; rm -rf ~&#39;" in client.get("/").text


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "JavaScript:x", "data:text/html,x", "//evil", "http:/x", "", "http://a\nb", "http://["],
)
def test_attack_70_link_is_dropped_when_it_is_no_web_address(url: str) -> None:
    assert web_link(url) == ""
    assert curl_line(url, example="") == ""


def test_web_link_is_kept_when_it_is_a_web_address() -> None:
    assert web_link("https://github.com/acme/iris/pull/1") == "https://github.com/acme/iris/pull/1"


def test_curl_line_quotes_whatever_is_in_it() -> None:
    line = curl_line("http://h/$(id)';x", example='{"inputs": ["\'; rm -rf"]}')
    assert shlex.split(line)[2] == "http://h/$(id)';x/invocations"
    assert shlex.split(line)[-1] == '{"inputs": ["\'; rm -rf"]}'


def test_curl_line_holds_the_models_own_example_when_it_is_here(tmp_path: Path) -> None:
    def fill(store: SqlStore, _: Clock) -> None:
        write(store, *fleet_of_one())

    with running_dashboard(tmp_path / "home", fill) as dashboard, dashboard.client() as client:
        assert "@example.json" in client.get("/").text
        folder = tmp_path / "home" / "models" / ("e" * 64)
        folder.mkdir(parents=True)
        (folder / "serving_input_example.json").write_text('{\n "inputs": [[1.5]]}')
        page = client.get("/").text
    assert "{&#34;inputs&#34;: [[1.5]]}" in page
    assert "@example.json" not in page


def fleet_of_one() -> tuple[object, ...]:
    place = make_environment(serving="1", pinned="1", url="http://127.0.0.1:1/endpoints/iris-staging")
    return SaveVersion(make_version()), SaveEnvironment(place, tuple(Environment.model_fields))


def test_example_is_left_out_when_it_is_large_deep_linked_or_no_json(tmp_path: Path) -> None:
    digest = "a" * 64
    file = tmp_path / digest / "serving_input_example.json"
    file.parent.mkdir()
    for content in ("[" * 1500, json.dumps(["x" * 3000]), "no json"):
        file.write_text(content)
        assert read_example(tmp_path, digest) == ""
    file.unlink()
    (tmp_path / "secret").write_text('"secret"')
    file.symlink_to(tmp_path / "secret")
    assert read_example(tmp_path, digest) == ""
    assert read_example(tmp_path, "../" + digest) == ""


def test_steps_are_those_of_the_stories() -> None:
    stories = {story.kind: tuple(step.name for step in story.steps) for story in (TRAINING, PROMOTION, ROLLOUT)}
    assert stories == STEPS


def test_stepper_shows_where_a_story_ended() -> None:
    states = [mark.state for mark in mark_steps("training", "judge", Phase.REFUSED)]
    assert states == ["done", "done", "stopped", "next", "next"]
    assert {mark.state for mark in mark_steps("rollout", "finish", Phase.SUCCEEDED)} == {"done"}
    names = [mark.name for mark in mark_steps("rollout", "restore", Phase.RUNNING, is_failing=True)]
    assert "write back" in names


def test_durations_are_said_in_their_largest_unit() -> None:
    seconds = [timedelta(seconds=-3), timedelta(seconds=59), timedelta(minutes=59), timedelta(hours=25)]
    assert [span(value.total_seconds()) for value in seconds] == ["0 s", "59 s", "59 min", "1 d"]


def test_code_in_a_sentence_is_escaped() -> None:
    assert coded("run `<b>` & see") == "run <code>&lt;b&gt;</code> &amp; see"

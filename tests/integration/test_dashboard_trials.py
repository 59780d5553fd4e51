"""A search on its training's page: a page of its trials at a time, and one of them chosen by hand, by whom may."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gitops.grammar import VERBS
from gitops.roles import AccessRole
from gitops.steps import Phase
from gitops.writes import StartTrial
from tests.integration.test_dashboard_actions import asked, count, fields_of, send
from tests.support.dashboard import ORIGIN, Dashboard, running_dashboard
from tests.support.fleet import REFUSED
from tests.support.history import MODEL_REPOSITORY, fill_with_history
from tests.support.searches import BEST, CHOSEN, FAILED, JUDGED, REGISTERED, SEARCHED, VERSION, fill_with_search
from tests.support.store import make_trial, write

PAGE = f"/trainings/{SEARCHED}"
FORM = f"/actions/register?training={SEARCHED}&trial=2"
WHY = "as good within noise, and half as deep"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("searched") / "home", fill_with_history) as running:
        fill_with_search(running.home)
        yield running


@pytest.fixture
def client(fleet: Dashboard) -> Iterator[httpx.Client]:
    with fleet.client() as client:
        yield client


def row_of(client: httpx.Client, number: int, *, page: str = PAGE) -> str:
    """Return a trial's row, on whichever part of the table it is."""
    text = client.get(f"{page}?trial={number}").text
    found = re.search(rf'<tr id="trial-{number}".*?</tr>', text, re.DOTALL)
    assert found, text
    return found[0]


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<tr id="trial-(\d+)"', page)]


def test_page_shows_the_best_fifty_and_leads_to_the_others(client: httpx.Client) -> None:
    first = client.get(PAGE).text
    assert (len(numbers(first)), numbers(first)[0]) == (50, BEST)
    assert 'rel="next" href="?from=51#trial-rows"' in first
    second = client.get(f"{PAGE}?from=51").text
    assert sorted([*numbers(first), *numbers(second)]) == list(range(1, 55))


def test_page_is_narrowed_by_its_address(client: httpx.Client) -> None:
    assert numbers(client.get(f"{PAGE}?state=Errored&sort=number").text) == [17, 34, 51]
    assert numbers(client.get(f"{PAGE}?from.value=0.97").text) == [BEST]
    fragment = client.get(f"{PAGE}?state=Errored", headers={"HX-Request": "true"}).text
    assert numbers(fragment) == [17, 34, 51]


def test_attack_70_address_of_a_page_is_text(client: httpx.Client) -> None:
    script = "<script>alert(1)</script>"
    names = ("sort", "state", "from", "trial", "from.value", "to.p.parameter_0", f"to.p.{script}")
    page = client.get(PAGE, params=dict.fromkeys(names, script))
    assert page.status_code == 200
    assert script not in page.text
    main = page.text[page.text.index("<main") :]
    assert "alert" not in main[main.index(">") :]


# ---------------------------------------------------------------- its logs


def test_row_of_a_trial_leads_to_its_log(client: httpx.Client) -> None:
    for number, page in ((BEST, PAGE), (FAILED, PAGE), (2, f"/trainings/{CHOSEN}")):
        assert f'href="{PAGE}/trials/{number}/log"' in row_of(client, number, page=page)


def test_log_of_a_trial_is_shown_with_its_state_and_what_it_was_given(client: httpx.Client) -> None:
    page = client.get(f"{PAGE}/trials/{BEST}/log")
    assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    text = page.text
    assert f'<a href="{PAGE}">Training</a>' in text
    assert f'The best of the 54 trials of <a href="{PAGE}?trial={BEST}#trial-{BEST}">' in text
    assert "accuracy <b>0.97</b>" in text
    assert 'href="http://127.0.0.1:5000/#/experiments/3/runs/run-40"' in text
    assert "All of it, of attempt 2" in text
    assert f"<code>launchpin logs {SEARCHED}.{BEST} -f</code>" in text
    assert 'id="L2" href="#L2"' in text
    assert "<span>\\x1b[31m&lt;b&gt;accuracy 0.97</span>" in text
    assert "an older attempt" not in text


def test_log_of_a_trial_is_read_from_the_record_where_its_file_is_on_another_machine(client: httpx.Client) -> None:
    text = client.get(f"{PAGE}/trials/{FAILED}/log").text
    assert "Its last 2 lines" in text
    assert "<span>ValueError: &lt;too&gt; deep</span>" in text
    assert "TrainingFailed" in text


def test_training_that_judges_a_chosen_trial_has_the_log_of_that(client: httpx.Client) -> None:
    page = client.get(f"/trainings/{CHOSEN}").text
    link = f'<a href="{PAGE}/trials/{JUDGED}/log">trial {JUDGED} of {SEARCHED}</a>'
    assert f"Its script ran as {link}, which has the log." in page
    told = client.get(VERBS["logs"].route, params={"name": CHOSEN}).json()
    assert (told["kind"], told["id"]) == ("trial", f"{SEARCHED}.{JUDGED}")


def test_trial_without_a_log_says_why(client: httpx.Client, tmp_path: Path) -> None:
    assert '<p class="quiet">It has no log.</p>' in client.get(f"{PAGE}/trials/2/log").text
    with running_dashboard(tmp_path / "home") as fleet, fleet.client() as other:
        fill_with_search(fleet.home, phase=Phase.RUNNING, step="search")
        write(fleet.store, StartTrial(make_trial(55, training_id=SEARCHED, repository_id=MODEL_REPOSITORY)))
        path = f"{PAGE}/trials/55/log"
        elsewhere = "It has no log here yet: while it trains, that is on its worker&#39;s machine"
        assert elsewhere in other.get(path).text
        (fleet.home / "stack.json").touch()
        assert '<p class="quiet">It has no log yet.</p>' in other.get(path).text


@pytest.mark.parametrize("path", ["99/log", "0/log", "040/log", "x/log", "-1/log", "40.1/log", "9999999/log"])
def test_there_is_no_log_of_what_is_no_trial(client: httpx.Client, path: str) -> None:
    assert client.get(f"{PAGE}/trials/{path}").status_code == 404


def test_attack_66_log_of_a_trial_is_there_for_whoever_sees_its_training(fleet: Dashboard) -> None:
    path = f"{PAGE}/trials/{BEST}/log"
    fleet.add_person("looks", {MODEL_REPOSITORY: AccessRole.VIEWER})
    fleet.add_person("looks elsewhere", {1: AccessRole.ADMIN})
    for login, status in (("looks", 200), ("looks elsewhere", 404)):
        with fleet.client(login=login) as client:
            assert client.get(path).status_code == status
            assert client.get(f"/trainings/t-none/trials/{BEST}/log").status_code == 404
    with fleet.client(signed_in=False) as client:
        assert client.get(path).status_code == 401


# ---------------------------------------------------------------- choosing one


def test_row_of_a_trial_leads_to_the_form_that_registers_it(client: httpx.Client) -> None:
    assert f'href="/actions/register?training={SEARCHED}&amp;trial=2"' in row_of(client, 2)
    assert "/actions/register" in row_of(client, 2, page=f"/trainings/{CHOSEN}")


def test_form_is_not_offered_for_a_trial_that_failed_or_was_judged_or_is_a_version(client: httpx.Client) -> None:
    rows = {number: row_of(client, number) for number in (REGISTERED, JUDGED, FAILED)}
    assert all("/actions/" not in row for row in rows.values())
    assert f">v{VERSION}</a>" in rows[REGISTERED]
    assert f'href="/trainings/{CHOSEN}"' in rows[JUDGED]


@pytest.mark.parametrize(
    ("phase", "is_offered"),
    [(Phase.SUCCEEDED, False), (Phase.REFUSED, True), (Phase.ERRORED, True), (Phase.CANCELLED, True)],
)
def test_form_for_the_best_trial_is_offered_unless_its_search_judged_it_to_the_end(
    tmp_path_factory: pytest.TempPathFactory, phase: Phase, is_offered: bool
) -> None:
    with running_dashboard(tmp_path_factory.mktemp("best") / "home") as fleet, fleet.client() as client:
        fill_with_search(fleet.home, phase=phase, step="register")
        assert ("/actions/register" in row_of(client, BEST)) is is_offered


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.PENDING])
def test_form_is_not_offered_while_the_search_goes_on(tmp_path_factory: pytest.TempPathFactory, phase: Phase) -> None:
    with running_dashboard(tmp_path_factory.mktemp("searching") / "home") as fleet, fleet.client() as client:
        fill_with_search(fleet.home, phase=phase, step="search")
        assert "/actions/register" not in client.get(PAGE).text
        refused = client.get(FORM)
    assert refused.status_code == 409
    assert "is under way: wait for its end" in refused.text


def test_form_says_what_the_trial_is_and_what_will_happen_and_changes_nothing(
    client: httpx.Client, fleet: Dashboard
) -> None:
    before = count(fleet)
    page = client.get(FORM).text
    assert f"Register trial 2 of {SEARCHED}" in page
    assert re.search(
        r"Trial 2 has accuracy 0\.71\d* with parameter_0 [^;]*; the best, trial 40, has accuracy 0\.97\.", page
    )
    assert "nothing is trained again" in page
    assert re.search(r'<input id="f-reason"[^>]* required>', page)
    assert 'id="f-trial"' not in page
    assert count(fleet) == before


def test_form_asks_for_the_trial_with_the_reason_and_once(client: httpx.Client, fleet: Dashboard) -> None:
    before = count(fleet)
    answer = send(client, FORM, reason=WHY)
    arguments = {"training": SEARCHED, "trial": "2", "reason": WHY}
    assert asked(fleet, answer) == ("register", arguments, "session")
    fields = {**fields_of(client.get(FORM).text), "reason": WHY}
    again = [client.post("/actions/register", data=fields, headers={"Origin": ORIGIN}) for _ in range(3)]
    assert len({one.headers["location"] for one in again}) == 1
    assert count(fleet) == before + 2


def test_form_without_a_trial_has_a_field_for_it(client: httpx.Client, fleet: Dashboard) -> None:
    path = f"/actions/register?training={SEARCHED}"
    assert re.search(r'<input id="f-trial"[^>]* inputmode="numeric"[^>]* required>', client.get(path).text)
    answer = send(client, path, trial="4", reason=WHY)
    assert asked(fleet, answer)[1] == {"training": SEARCHED, "trial": "4", "reason": WHY}


@pytest.mark.parametrize(("reason", "words"), [("", "reason"), ("x" * 2001, "up to 2000 characters")])
def test_form_is_shown_again_when_the_reason_is_none(
    client: httpx.Client, fleet: Dashboard, reason: str, words: str
) -> None:
    before = count(fleet)
    answer = send(client, FORM, reason=reason)
    assert answer.status_code == 422
    assert words in answer.text
    assert fields_of(answer.text)["trial"] == "2"
    assert count(fleet) == before


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        (f"training={SEARCHED}&trial=99", 409, f"training {SEARCHED} has no trial 99 of its 54"),
        (f"training={SEARCHED}&trial={FAILED}", 409, f"trial {FAILED} of {SEARCHED} came to no model: TrainingFailed"),
        (f"training={SEARCHED}&trial={REGISTERED}", 409, f"launchpin promote fraud {VERSION} --to ENDPOINT"),
        (f"training={CHOSEN}&trial=2", 409, "made no search"),
        (f"training={REFUSED}&trial=1", 409, "made no search"),
        (f"training={REFUSED}", 409, "made no search"),
        (f"training={SEARCHED}&trial=0", 422, "a number from 1 to 1000"),
        (f"training={SEARCHED}&trial=1001", 422, "a number from 1 to 1000"),
        ("training=t-none&trial=1", 404, "no such training"),
    ],
)
def test_form_about_a_trial_that_cannot_be_chosen_is_not_shown(
    client: httpx.Client, query: str, status: int, words: str
) -> None:
    answer = client.get(f"/actions/register?{query}")
    assert (answer.status_code, words in answer.text) == (status, True), answer.text


def test_attack_66_trial_is_chosen_by_whoever_approves_there(fleet: Dashboard) -> None:
    before = count(fleet)
    fleet.add_person("runs", {MODEL_REPOSITORY: AccessRole.RUNNER})
    fleet.add_person("elsewhere", {1: AccessRole.APPROVER, MODEL_REPOSITORY: AccessRole.VIEWER})
    fleet.add_person("stranger", {1: AccessRole.APPROVER})
    for login, seen, form in (("runs", 200, 403), ("elsewhere", 200, 403), ("stranger", 404, 404)):
        with fleet.client(login=login) as client:
            page = client.get(PAGE)
            assert (page.status_code, "/actions/register" in page.text) == (seen, False)
            assert client.get(FORM).status_code == form
    fleet.add_person("approves", {MODEL_REPOSITORY: AccessRole.APPROVER})
    with fleet.client(login="approves") as client, fleet.client(login="elsewhere") as other:
        assert f"/actions/register?training={SEARCHED}&amp;trial=2" in client.get(PAGE).text
        fields = {**fields_of(client.get(FORM).text), "reason": WHY}
        for sender, data, origin in (
            (other, fields, ORIGIN),
            (client, {**fields, "_csrf": "x"}, ORIGIN),
            (client, fields, "http://evil.example"),
        ):
            answer = sender.post("/actions/register", data=data, headers={"Origin": origin})
            assert answer.status_code == 403
        assert count(fleet) == before
        assert client.post("/actions/register", data=fields, headers={"Origin": ORIGIN}).status_code == 303

"""The dashboard as people see it, in Debian's Chromium: live, in both colour schemes, narrow, and without scripts."""

from collections.abc import Iterator, Sequence

import pytest
from playwright.sync_api import Browser, Page, expect

from gitops.audit.entry import Actor, Event
from gitops.records import Command, Environment
from gitops.writes import SaveEnvironment, SaveVersion
from tests.support.axe import find_barriers
from tests.support.browser import running_chromium
from tests.support.dashboard import HOST, ORIGIN, Dashboard, running_dashboard
from tests.support.fleet import BAD_BODY, BAKING, REFUSED
from tests.support.history import FAILED, MERGED, fill_with_history
from tests.support.searches import BEST, SEARCHED, fill_with_search
from tests.support.store import make_command, make_version, write
from tests.support.told import NO_MAILBOX, tell

pytestmark = pytest.mark.chromium

ASKED = "c-000000042"
FACTS = {
    "/": "launchpin resume churn-staging",
    "/models": "churn",
    "/models/fraud": "champion v6",
    "/models/iris": "champion v6",
    "/models/fraud/plan": "Show the plan",
    "/models/fraud/plan?endpoint=fraud-staging&version=5": "version 5 is older than version 6, which serves",
    "/models/iris/plan?endpoint=iris-staging": "Plan for iris-staging",
    f"/trainings/{REFUSED}": "accuracy 0.893 is not above 0.9; champion v6 has 0.953",
    "/trainings/t-fraud-06": "auc 0.896 is above 0.85",
    f"/promotions/{MERGED}": "merged by ada",
    "/promotions/p-000000007": "whoever may merge in acme/iris-deploy",
    f"/rollouts/{BAKING}": "45 s to go",
    f"/rollouts/{FAILED}": "KeyError: 'amount'",
    "/audit": "promotion.proposed",
    "/audit?kind=hold": "hold.set",
    "/audit/at?endpoint=fraud-production&time=2999-01-01T00:00": "trained from",
    "/audit/verify": "signed heads that hold",
    "/deliveries": "after is missing",
    f"/deliveries/{BAD_BODY}": "BadPayload: after is missing",
    "/messages": NO_MAILBOX,
    "/settings": "workers and the relay ask it",
    "/no-such-page": "nothing is here",
    "/actions/hold?endpoint=iris-staging": "It merges nothing and rolls nothing out there",
    "/actions/rollback?endpoint=fraud-production": "Now v6 serves.",
    "/actions/promote?model=fraud&version=4": "Its merge rolls the version out.",
    "/actions/pause": "merges and rolls out nothing anywhere",
    f"/actions/redeliver?delivery={BAD_BODY}": "The delivery is read once more as it was stored",
    f"/actions/register?training={SEARCHED}&trial=2": "The gates judge the trial",
    f"/commands/{ASKED}": "asked for by mona",
    f"/trainings/{SEARCHED}": "accuracy 0.97 is not above 0.98",
    f"/trainings/{SEARCHED}?state=Errored&trial=99": "TrainingFailed",
    "/trainings/t-chosen?to.p.parameter_0=0.0005": "half as deep",
    f"/trainings/{SEARCHED}/trials/{BEST}/log": "fitting 48211 rows",
    f"/trainings/{SEARCHED}/trials/2/log": "It has no log.",
}
"""Each page, and what it must say to whoever reads it without scripts."""

PAGES = tuple(FACTS)
LOOKS = ((390, "dark"), (1280, "light"), (768, "light"), (1280, "dark"))
SLOWLY = 15_000
LOOKED_AT = """(answer) => {
  Object.defineProperty(document, "hidden", { configurable: true, value: answer === "no" });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("fleet") / "home", fill_with_history) as running:
        tell(running.home)
        fill_with_search(running.home)
        running.store.save_command(make_command(id=ASKED))
        # What is proposed for production is better than what serves there.
        proposed = {"version": "8", "metrics": {"accuracy": "0.961", "f1": "0.958"}}
        write(running.store, SaveVersion(make_version(**proposed, training_id=REFUSED, environment_key="a" * 64)))
        yield running


@pytest.fixture(scope="module")
def chromium(fleet: Dashboard) -> Iterator[Browser]:
    with running_chromium(host=HOST, port=fleet.port) as browser:
        yield browser


def sign_in(chromium: Browser, dashboard: Dashboard, *, width: int = 1280, scheme: str = "light") -> Page:
    """Open the front page by a one-time link."""
    context = chromium.new_context(
        base_url=ORIGIN, viewport={"width": width, "height": 900}, color_scheme=scheme, service_workers="block"
    )
    page = context.new_page()
    page.goto(dashboard.login_path())
    return page


def test_front_page_follows_the_store_without_being_loaded_again(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    expect(page.locator("#live-words")).to_have_text("Live")
    page.evaluate("window.loaded_once = true")
    card = page.locator(".place", has_text="iris-production")
    card.locator("summary").click()
    card.locator("summary").focus()
    before = fleet.store.environment(2, "production")
    assert before is not None
    now = before.model_copy(update={"serving": "7"})
    write(fleet.store, SaveEnvironment(now, tuple(Environment.model_fields)))
    expect(card.locator(".serving")).to_have_text("v7", timeout=SLOWLY)
    assert page.evaluate("window.loaded_once")
    expect(card.locator("details")).to_have_attribute("open", "")
    expect(card.locator("summary")).to_be_focused()
    write(fleet.store, SaveEnvironment(before, tuple(Environment.model_fields)))
    assert complaints == []
    page.context.close()


def test_what_is_recorded_is_shown_before_the_page_would_look_by_itself(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    patient = "sse:changed"
    with page.expect_response("**/_changes"):
        page.evaluate(f"main.setAttribute('hx-trigger', '{patient}'); htmx.process(main)")
    expect(page.locator("#live-words")).to_have_text("Live")
    assert page.evaluate("main.getAttribute('hx-trigger')") == patient
    fleet.store.append_audit(Event(kind="token.made", actor=Actor(type="user", login="somebody-new")))
    expect(page.locator("#audit", has_text="somebody-new")).to_be_visible(timeout=SLOWLY)
    page.context.close()


def test_page_says_that_it_is_not_live_when_the_session_is_over(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    expect(page.locator("#live-words")).to_have_text("Live")
    page.context.clear_cookies()
    expect(page.locator("#live-words")).to_have_text("Session over", timeout=SLOWLY)
    expect(page.locator(".place").first).to_be_visible()
    page.context.close()


@pytest.fixture
def plain(chromium: Browser, fleet: Dashboard) -> Iterator[Page]:
    """Give the front page in a browser without scripts."""
    context = chromium.new_context(base_url=ORIGIN, java_script_enabled=False)
    page = context.new_page()
    page.goto(fleet.login_path())
    yield page
    context.close()


def test_every_page_tells_its_fact_without_scripts(plain: Page) -> None:
    expect(plain.locator("#live-words")).to_have_text("Refresh")
    plain.get_by_role("link", name="Refresh").click()
    plain.get_by_role("link", name="iris-production v6").first.click()
    expect(plain.get_by_role("heading", level=1)).to_contain_text("iris-production")
    expect(plain.locator("[data-copy]").first).to_be_hidden()
    missing: dict[str, str] = {}
    for path, fact in FACTS.items():
        plain.goto(path)
        seen = " ".join(plain.locator("main").inner_text().split())
        missing |= {} if fact in seen else {path: seen}
    assert missing == {}


def test_log_is_filtered_and_verified_without_scripts(plain: Page) -> None:
    plain.goto("/audit")
    plain.locator("summary", has_text="Filters").click()
    plain.get_by_label("Kind").select_option("rollout.rolled_back")
    plain.get_by_label("Model, endpoint").fill("fraud-production")
    plain.get_by_role("button", name="Show", exact=True).click()
    kinds = plain.locator(".timeline .mono").all_inner_texts()
    assert kinds == ["rollout.rolled_back"]
    expect(plain.locator(".timeline")).to_contain_text("fraud-production")
    plain.get_by_role("link", name="All", exact=True).click()
    assert len(set(plain.locator(".timeline .mono").all_inner_texts())) > 1
    plain.get_by_role("button", name="Verify the log").click()
    expect(plain.get_by_role("heading", level=1)).to_contain_text("The log is intact")


def test_delivery_is_handled_again_without_scripts(plain: Page, fleet: Dashboard) -> None:
    plain.goto("/deliveries")
    plain.get_by_role("link", name=BAD_BODY[:8]).click()
    plain.get_by_role("link", name="Handle again").click()
    expect(plain.get_by_text("wakes what it concerns")).to_be_visible()
    plain.get_by_role("button", name="Handle it again").click()
    expect(plain.get_by_role("heading", level=1)).to_contain_text("Redeliver")
    newest = fleet.store.recent("command", limit=1)[0]
    assert isinstance(newest, Command)
    assert (newest.verb, newest.arguments) == ("redeliver", {"delivery": BAD_BODY})
    assert plain.url.endswith(f"/commands/{newest.id}")


def test_endpoint_is_held_without_scripts_after_the_page_said_what_will_happen(plain: Page, fleet: Dashboard) -> None:
    plain.goto("/models/fraud")
    plain.locator(".place", has_text="fraud-staging").get_by_role("link", name="Hold").click()
    expect(plain.get_by_text("It merges nothing and rolls nothing out there")).to_be_visible()
    plain.get_by_label("Reason").fill("an audit")
    plain.get_by_role("button", name="Hold it").click()
    expect(plain.get_by_role("heading", level=1)).to_contain_text("Hold")
    expect(plain.get_by_text("an audit")).to_be_visible()
    assert fleet.store.recent("command", limit=1)[0].id in plain.url


def test_a_plan_is_foreseen_without_scripts_and_leads_to_its_promotion(plain: Page) -> None:
    plain.goto("/models/fraud")
    plain.get_by_label("Version", exact=True).select_option("5")
    plain.get_by_label("Environment", exact=True).select_option("acme/fraud-deploy:staging")
    plain.get_by_role("button", name="Show the plan").click()
    expect(plain.get_by_role("heading", level=1)).to_have_text("Plan for fraud-staging")
    expect(plain.get_by_text("version 5 is older than version 6, which serves")).to_be_visible()
    plain.get_by_role("link", name="Promote").click()
    expect(plain.get_by_role("heading", level=1)).to_have_text("Promote fraud v5 to fraud-staging")
    expect(plain.get_by_text("Nothing that serves changes before that")).to_be_visible()


def test_page_that_does_not_exist_has_the_sections_for_whoever_is_signed_in(
    chromium: Browser, fleet: Dashboard
) -> None:
    page = sign_in(chromium, fleet)
    page.goto("/no-such-page")
    expect(page.get_by_role("heading", level=1)).to_have_text("Not Found")
    page.get_by_role("navigation", name="Sections").get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Models")
    page.context.close()


def test_page_that_nobody_sees_gives_its_connection_back_and_looks_again_when_it_is_seen(
    chromium: Browser, fleet: Dashboard
) -> None:
    page = sign_in(chromium, fleet)
    expect(page.locator("#live-words")).to_have_text("Live")
    with page.expect_event("requestfailed", lambda one: one.url.endswith("/_changes")):
        page.evaluate(LOOKED_AT, "no")
    expect(page.locator("main")).to_have_attribute("hx-disable", "")
    with page.expect_response("**/_changes"), page.expect_response(f"{ORIGIN}/"):
        page.evaluate(LOOKED_AT, "yes")
    page.context.close()


def test_what_was_written_into_a_field_stays_when_the_page_renews_itself(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    page.goto("/audit")
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("Who").fill("somebody")
    page.get_by_label("Kind").select_option("hold")
    page.locator("#at-time").fill("2026-01-01T12:00")
    page.get_by_role("button", name="Ask").focus()
    with page.expect_response(f"{ORIGIN}/audit"):
        page.evaluate("htmx.trigger(main, 'look')")
    fleet.store.append_audit(Event(kind="token.made", actor=Actor(type="user", login="renewed")))
    expect(page.get_by_text("renewed").first).to_be_visible(timeout=SLOWLY)
    expect(page.get_by_label("Who")).to_have_value("somebody")
    expect(page.get_by_label("Kind")).to_have_value("hold")
    expect(page.locator("#at-time")).to_have_value("2026-01-01T12:00")
    expect(page.get_by_role("button", name="Ask")).to_be_focused()
    expect(page.locator("details.filters")).to_have_attribute("open", "")
    page.context.close()


def test_sign_out_button_ends_the_session(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in with a one-time link")
    assert page.context.cookies() == []
    page.context.close()


def test_keyboard_reaches_the_content_first_and_always_shows_where_it_is(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    page.goto("/models/fraud")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    for _ in range(12):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")
    page.context.close()


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_and_the_page_fits_and_asks_nobody_but_us(
    chromium: Browser, fleet: Dashboard, width: int, scheme: str
) -> None:
    page = sign_in(chromium, fleet, width=width, scheme=scheme)
    asked: set[str] = set()
    page.on("request", lambda request: asked.add(request.url))
    assert find_wrong(page, PAGES, width=width) == {}
    assert len(asked) > len(PAGES)
    assert all(url.startswith((f"{ORIGIN}/", "data:image/svg+xml")) for url in asked)
    page.context.close()


def test_axe_finds_what_is_wrong(chromium: Browser, fleet: Dashboard) -> None:
    page = sign_in(chromium, fleet)
    page.evaluate("main.append(document.createElement('input'), document.createElement('img'))")
    assert sorted(one.partition(":")[0] for one in find_barriers(page)) == ["image-alt", "label"]
    page.context.close()


def find_wrong(page: Page, paths: Sequence[str], *, width: int) -> dict[str, list[str]]:
    """Return what axe and the browser say against each of these pages, with all that can be opened open."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    wrong: dict[str, list[str]] = {}
    for path in paths:
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        across = page.evaluate("document.documentElement.scrollWidth")
        # That the page itself was answered with 404 is no fault of it; what the policy refused would be.
        complaints = [one for one in said if "status of 40" not in one]
        found = [*([f"{across} wide"] if across > width else []), *complaints, *find_barriers(page)]
        wrong |= {path: found} if found else {}
        said.clear()
    return wrong

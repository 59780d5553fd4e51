"""What the pages of models, promotions and logs say."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gitops.records import Environment, Health
from gitops.store import SqlStore
from gitops.writes import OpenRollout, SaveEnvironment, SaveVersion
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.fleet import REFUSED
from tests.support.history import FAILED, MERGED, fill_with_history
from tests.support.many import fill_with_many
from tests.support.store import Clock, make_environment, make_rollout, make_training, make_version, write
from webhooks.dashboard.logs import MOST_LINES, read_log
from webhooks.dashboard.overview import MOST_CARDS, PAGE


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("history") / "home", fill_with_history) as running:
        yield running


@pytest.fixture
def client(history: Dashboard) -> Iterator[httpx.Client]:
    with history.client() as client:
        yield client


def test_model_page_tells_which_version_served_when_and_why_it_ended(client: httpx.Client) -> None:
    page = client.get("/models/fraud").text
    bands = re.findall(r'class="bands"[^>]*aria-label="([^"]+)"', page)
    assert [name.partition(":")[0] for name in bands] == ["fraud-production", "fraud-staging"]
    assert "v4 for 7 d; v5 for 3 h; v4 for" in bands[0]
    assert bands[0].endswith("serving now")
    drawn = re.findall(r'<title>(v\d) from [^<]*</title><rect class="([^"]*)"', page)
    assert {version for version, look in drawn if look.endswith(" failed")} == {"v5"}
    assert drawn.count(("v5", "band tone-1 failed")) == 1
    assert ("v5", "band tone-1") in drawn, "staging kept it until the next one came"
    assert "failed: EndpointUnhealthy: 31 of 900 requests were answered with 500" in page
    assert '<td class="anywhere">lin</td><td class="anywhere">ada</td>' in page


def test_model_page_draws_each_metric_over_the_versions_and_says_it_in_words(client: httpx.Client) -> None:
    page = client.get("/models/fraud").text
    assert "auc over 6 versions: v1 had 0.861, v6 has 0.896; between 0.861 and 0.896" in page
    assert page.count('class="dot champion"') == 3  # two metrics, and the key
    assert page.index("auc over") < page.index("recall over")


def test_model_page_lists_versions_with_verdict_metrics_and_where_each_serves(client: httpx.Client) -> None:
    page = client.get("/models/fraud").text
    rows = re.findall(r'<tr>\s*<th scope="row" class="num">(.*?)</tr>', page, re.DOTALL)
    assert len(rows) == 6
    assert "/trainings/t-fraud-06" in rows[0]
    assert rows[0].count('class="tag good"') == 2
    assert 'class="tag good"' not in rows[1]
    assert "Promote" not in rows[0]
    assert "/actions/promote?model=fraud&amp;version=5" in rows[1]


def test_model_page_says_what_to_do_when_it_never_served(tmp_path: Path) -> None:
    def fill(store: SqlStore, _: Clock) -> None:
        write(store, SaveVersion(make_version()))

    with running_dashboard(tmp_path / "home", fill) as dashboard, dashboard.client() as client:
        page = client.get("/models/iris").text
        assert "launchpin promote MODEL VERSION" in page
        assert "No rollout of it is on record yet" in page
        assert "iris" in client.get("/models").text


def test_models_page_says_what_to_do_when_there_is_none(tmp_path: Path) -> None:
    with running_dashboard(tmp_path / "home") as dashboard, dashboard.client() as client:
        assert "git push launchpin main" in client.get("/models").text


def test_promotion_page_shows_the_plan_its_lineage_and_who_merged_it(client: httpx.Client) -> None:
    page = client.get(f"/promotions/{MERGED}").text
    merged = "approved by lin, merged by ada"
    for text in ("v4", "v6", "9d3f" * 16, merged, "pull/16", "t-fraud-06", "auc 0.896 is above 0.85"):
        assert text in page
    assert "promotion.succeeded" in page


def test_promotion_page_says_what_it_waits_on(client: httpx.Client) -> None:
    page = client.get("/promotions/p-000000007").text
    assert "whoever may merge in acme/iris-deploy" in page
    assert 'href="http://127.0.0.1:3000/acme/iris-deploy/pull/12"' in page


def test_promotion_page_shows_how_each_check_stands(client: httpx.Client) -> None:
    page = client.get("/promotions/p-000000007").text
    checks = page[page.index('<h2 id="checks">') :].partition("</section>")[0]
    told = [" ".join(re.sub(r"<[^>]*>", "", line).split()) for line in re.findall(r"<li>.*?</li>", checks, re.DOTALL)]
    assert told == ["success launchpin/plan (production)", "failure tests", "pending security"]
    assert "As they were when the pull request was last looked at." in checks
    assert "How they stood was not recorded." in client.get(f"/promotions/{MERGED}").text


def test_rollout_page_shows_who_has_the_traffic(client: httpx.Client) -> None:
    baking, failed = client.get("/rollouts/r-000000007").text, client.get(f"/rollouts/{FAILED}").text
    assert shares(baking) == [("v7", "100"), ("v6", "0")]
    assert shares(failed) == [("v4", "100"), ("v5", "0")]
    assert "KeyError: &#39;amount&#39;" in failed


def test_rollout_page_tells_the_endpoints_health_of_today_apart_from_how_the_rollout_ended(
    client: httpx.Client,
) -> None:
    failed, baking = client.get(f"/rollouts/{FAILED}").text, client.get("/rollouts/r-000000007").text
    assert "Healthy" not in card(failed, "traffic")
    assert "Traffic at its end" in card(failed, "traffic")
    assert "Healthy" in card(failed, "health")
    assert "The endpoint fraud-production serves v6, whatever became of this rollout." in words(card(failed, "health"))
    assert "Progressing" in card(baking, "health")
    assert "The endpoint iris-production serves v6." in words(card(baking, "health"))


def test_rollout_page_keeps_the_last_lines_of_what_failed_and_says_that_others_have_none(client: httpx.Client) -> None:
    failed, baking = client.get(f"/rollouts/{FAILED}").text, client.get("/rollouts/r-000000007").text
    assert "KeyError: &#39;amount&#39;" in card(failed, "log")
    assert "No lines were kept" not in failed
    assert "No lines were kept: only a version that fails while it starts" in card(baking, "log")
    assert "launchpin logs r-000000007" in card(baking, "log")


def test_rollout_page_has_the_health_also_where_nobody_has_traffic_or_the_place_is_another_ones(tmp_path: Path) -> None:
    def fill(store: SqlStore, _: Clock) -> None:
        place = make_environment(endpoint="iris-new", sync_reason="RollbackPending", health=Health.DEGRADED)
        write(store, SaveEnvironment(place, tuple(Environment.model_fields)))
        write(store, OpenRollout(make_rollout(id="r-000000001", version="")))
        write(store, OpenRollout(make_rollout(id="r-000000002", path="gone", endpoint="iris-gone")))

    with running_dashboard(tmp_path / "home", fill) as dashboard, dashboard.client() as client:
        renamed, gone = (client.get(f"/rollouts/r-00000000{number}").text for number in (1, 2))
    assert 'id="traffic"' not in renamed
    told = words(card(renamed, "health"))
    assert "Degraded" in told
    assert "RollbackPending" in told
    assert "The endpoint iris-new serves nothing; this rollout was of iris-staging, which is not" in told
    assert "Nothing is known of acme/iris-deploy/gone any more." in words(card(gone, "health"))


def card(page: str, name: str) -> str:
    """Return one card of a page, by the id of its title."""
    return page[page.index(f'aria-labelledby="{name}"') :].partition("</section>")[0]


def words(html: str) -> str:
    return re.sub(r"\s+([.;,])", r"\1", " ".join(re.sub(r"<[^>]+>", " ", html).split()))


def shares(page: str) -> list[tuple[str, str]]:
    return re.findall(r'<li><b class="num">(v\d+)</b>.*?<span class="num">(\d+) %', page)


def test_training_page_links_its_run_in_mlflow(client: httpx.Client) -> None:
    page = client.get("/trainings/t-fraud-06").text
    assert 'href="http://127.0.0.1:5000/#/experiments/3/runs/5f0c9b1d7a3e4a55"' in page
    assert 'href="http://127.0.0.1:5000/#/models/fraud/versions/6"' in page


def test_training_page_shows_the_end_of_the_log_with_an_anchor_for_each_line(
    client: httpx.Client, history: Dashboard
) -> None:
    folder = history.home / "trainings" / "logs"
    folder.mkdir(parents=True)
    (folder / f"{REFUSED}-1.log").write_text("an older attempt\n")
    (folder / f"{REFUSED}-2.log").write_bytes(b"".join(b"line %d\n" % n for n in range(1, 901)) + b"\x1b[31m<b>\xff")
    page = client.get(f"/trainings/{REFUSED}").text
    assert f"Its last {MOST_LINES} lines, of attempt 2" in page
    assert 'id="L900" href="#L900"' in page
    assert "<span>line 900</span>" in page
    assert 'id="L501"' not in page
    assert "\\x1b[31m&lt;b&gt;\ufffd" in page
    assert "an older attempt" not in page


def test_log_is_bounded_numbered_and_never_a_link_to_elsewhere(tmp_path: Path) -> None:
    training = make_training(id="t-000000001")
    folder = tmp_path / "trainings" / "logs"
    folder.mkdir(parents=True)
    assert read_log(training, tmp_path) is None
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    (folder / "t-000000001-1.log").symlink_to(secret)
    assert read_log(training, tmp_path) is None
    many = [f"{number:07d} {'x' * 90}" for number in range(1, 20_001)]
    (folder / "t-000000001-2.log").write_text("\n".join(many) + "\n")
    log = read_log(training, tmp_path)
    assert log is not None
    assert [line.number for line in log.lines] == list(range(20_001 - MOST_LINES, 20_001))
    assert [line.text for line in log.lines] == many[-MOST_LINES:]
    assert not log.is_whole


def test_fleet_of_many_models_is_a_table_in_parts_that_can_be_searched(tmp_path: Path) -> None:
    with (
        running_dashboard(tmp_path / "home") as dashboard,
        dashboard.client() as client,
    ):
        fill_with_many(dashboard.home, 120)
        first = client.get("/").text
        assert first.count('<th scope="row">') == PAGE
        assert "120 models" in first
        assert re.findall(r'<th scope="col">([^<]+)</th>', first)[:3] == ["Model", "staging", "production"]
        (after,) = re.findall(r'rel="next" href="([^"]+)"', first)
        second = client.get(after.replace("&amp;", "&")).text
        assert ">m0050<" in second
        assert ">m0049<" not in second
        found = client.get("/?q=M011").text
        assert "10 models" in found
        assert found.count('<th scope="row">') == 10
        one = client.get("/?q=m0119").text
        assert 'class="places"' in one
        assert ">m0118</a>" not in one
        assert "Show all of them" in client.get("/?q=nothing").text
        assert client.get("/models?q=m011").text.count('<th scope="row">') == 10
    assert MOST_CARDS < 10

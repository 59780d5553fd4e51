"""Alert rules, dashboard and pages hold what a running process shows, and nothing else."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from gitops.ports import Exit
from gitops.steps import Stalled
from gitops.store import SqlStore
from gitops.writes import SetHold
from tests.support import docs
from tests.support.postgres import require
from tests.support.processes import Web, make_home, running_web
from tests.support.store import make_hold, take, write
from tests.support.web import Knock, knock
from workers.metrics import PrometheusMeters

MONITORING = docs.ROOT / "infra" / "monitoring"
_NAME = re.compile(r"\b(?:launchpin|process)_[a-z_]+\b")
_LABELS = re.compile(r"\b(launchpin_[a-z_]+)\{([^}]*)\}")
_SERIES = re.compile(r"_(?:bucket|count|sum)$")
_GROUPS = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
_RULES = [rule for group in _GROUPS for rule in group["rules"]]
_CHECKS = (
    ("check", "config", "prometheus.yml"),
    ("check", "rules", "alerts.yml"),
    ("test", "rules", "alerts_test.yml"),
)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Give every metric that web and workers show, each with its labels; from real scrapes."""
    folder = tmp_path_factory.mktemp("installation")
    variables = make_home(folder)
    _fill(f"sqlite:///{folder / 'home' / 'launchpin.sqlite3'}")
    with running_web(folder, variables) as web:
        knock(web.port, _signed_here(web))
        text = web.scrape()
    return _families(text) | _families(_workers())


def _fill(url: str) -> None:
    """Put into a database what brings out the series that are not always there."""
    store = SqlStore(url)
    store.lead("relay", "a relay", seconds=60)
    write(store, SetHold(make_hold()))
    store.save_checkpoint(store.audit_size(), "a head\n")
    store.wake("compare", "1")
    store.finish(take(store), Exit(None, Stalled("DiskLow", "no room"), recurring=True))
    store.close()


def _signed_here(web: Web) -> Knock:
    return Knock(without=(b"host",), headers=((b"Host", f"127.0.0.1:{web.port}".encode()),))


def _workers() -> str:
    from prometheus_client.exposition import generate_latest  # noqa: PLC0415 - for this alone

    meters = PrometheusMeters()
    meters.count_step("training", "train", "done", 1.0)
    meters.count_lost("training")
    meters.count_delivery("woke")
    meters.count_message("control")
    return generate_latest(meters.registry).decode()


def _families(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = _SERIES.sub("", sample.name) if family.type == "histogram" else sample.name
            found.setdefault(name, set()).update(sample.labels.keys() - {"le"})
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Give every PromQL expression of rules and dashboard, by where it stands."""
    for rule in _RULES:
        yield rule["alert"], rule["expr"]
    for panel in json.loads((MONITORING / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_expression_asks_for_metrics_and_labels_that_exist(
    where: str, expression: str, shown: dict[str, set[str]]
) -> None:
    del where
    known = {*shown, *(f"{name}_bucket" for name in shown)}
    assert set(_NAME.findall(expression)) - known == set()
    for name, selector in _LABELS.findall(expression):
        assert set(re.findall(r"(\w+)\s*[=!]", selector)) - shown[name] == set()
    grouped = {word for words in re.findall(r"by \(([^)]*)\)", expression) for word in re.split(r",\s*", words)}
    assert grouped - {"instance", "le"} <= set().union(*(shown[_SERIES.sub("", n)] for n in _NAME.findall(expression)))


def test_reference_lists_every_metric_with_its_labels_and_no_other(shown: dict[str, set[str]]) -> None:
    page = docs.read_page("reference/metrics.md")
    listed: dict[str, set[str]] = {}
    for names, labels in re.findall(r"^\| ((?:`launchpin_\w+`(?:, )?)+) \| ([^|]*) \|", page, re.MULTILINE):
        for name in re.findall(r"`(\w+)`", names):
            listed[name] = set(re.findall(r"`(\w+)`", labels))
    ours = {name: labels for name, labels in shown.items() if name.startswith("launchpin_")}
    assert listed == ours
    processes = {name for name in shown if name.startswith("process_")}
    assert processes - docs.words_in_code(page) == set()


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule["alert"])
def test_rule_says_how_bad_it_is_and_leads_to_its_section_of_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert "{{ $labels.instance }}" in rule["annotations"]["summary"]
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert anchor == rule["alert"].lower()
    assert anchor in docs.anchors(docs.ROOT / page)


def test_runbook_has_no_section_for_an_alert_that_is_gone() -> None:
    page = docs.read_page("how-to/answer-an-alert.md")
    assert re.findall(r"^## (\w+)$", page, re.MULTILINE) == [rule["alert"] for rule in _RULES]


def test_every_rule_has_a_case_that_raises_it_and_one_that_does_not() -> None:
    cases = yaml.safe_load((MONITORING / "alerts_test.yml").read_text())["tests"]
    told = [test for case in cases for test in case["alert_rule_test"]]
    names = {rule["alert"] for rule in _RULES}
    assert {test["alertname"] for test in told if test["exp_alerts"]} == names
    assert {test["alertname"] for test in told if not test["exp_alerts"]} == names


def test_promtool_takes_configuration_and_rules_and_their_tests_pass(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    require(promtool, "promtool is not here: `apt-get install --no-install-recommends prometheus` brings it")
    assert promtool
    for file in MONITORING.glob("*.yml"):
        shutil.copy(file, tmp_path)
    (tmp_path / "metrics.token").write_text("token")
    for arguments in _CHECKS:
        done = subprocess.run([promtool, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

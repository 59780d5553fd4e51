"""What the page for whoever is on call shows: the first screen, as it is printed, and the alerts that page."""

import re
from collections.abc import Mapping

import yaml

from gitops.explaining import Place, explain_endpoint, show
from gitops.records import RolloutFacts
from tests.reference.marks import Part, always
from tests.reference.prose import table
from tests.support.docs import ROOT
from tests.support.explained import EARLIER, failed_rollout, open_pull, reading, serving
from tests.support.store import make_hold

_ALERTS = ROOT / "infra" / "monitoring" / "alerts.yml"
_COMMIT, _PULL = "9d2e4f6a8b0c1d3e5f7a9b1c3d5e7f9a1b3c5d7e", "https://github.com/acme/iris-deploy/pull/12"
_CAUSE = "the input example was answered with 500"


def parts() -> Mapping[str, Part]:
    """Return the page's parts."""
    return {"screen": always(_screen()), "alerts": always(_alerts())}


def _screen() -> str:
    """Return the screen of an endpoint that went back by itself, with a proposal that waits."""
    here = {"environment": "production", "path": "production"}
    facts = RolloutFacts(
        failure="SmokeFailed", failure_message=_CAUSE, log_tail=("KeyError: 'petal_width'",), serving="7"
    )
    message = f"SmokeFailed: {_CAUSE} - version 7 serves"
    place = Place(
        serving(name="production", path="production", endpoint="iris-production", pin_commit=_COMMIT),
        holds=(make_hold(**here, reason="SmokeFailed", message=f"version 8 failed: {_CAUSE}", created_at=EARLIER),),
        rollouts=(failed_rollout(**here, endpoint="iris-production", facts=facts, message=message),),
        promotions=(open_pull(**here, version="9", facts={"number": 12, "url": _PULL}),),
    )
    return f"```console\n$ launchpin explain iris-production\n{show(explain_endpoint(place, reading()))}\n```"


def _alerts() -> str:
    rules = [rule for group in yaml.safe_load(_ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    rows = [
        (f"[{rule['alert']}](answer-an-alert.md#{rule['alert'].lower()})", _plain(rule["annotations"]["summary"]))
        for rule in rules
        if rule["labels"]["severity"] == "page"
    ]
    return table(("alert", "says"), rows)


def _plain(summary: str) -> str:
    """Return a summary without what Prometheus fills in."""
    said = re.sub(r"\{\{ \$labels\.instance \}\}: ", "", summary)
    return re.sub(r"(?: for|:|,)? ?\{\{.*?\}\}( a second)?", "", said).strip()

"""A store in which strangers wrote markup wherever their text can come to lie."""

from gitops.ports import Claim
from gitops.records import Environment, Repository, Role
from gitops.steps import Done
from gitops.store import SqlStore
from gitops.writes import OpenPromotion, OpenRollout, SaveEnvironment, SaveRepository, SetHold, StartTraining
from tests.support.store import (
    Clock,
    answer,
    make_delivery,
    make_environment,
    make_hold,
    make_promotion,
    make_rollout,
    make_training,
    take,
    write,
)

SCRIPT = "<script>alert(1)</script>"
HOSTILE_PAGES = (
    *("/", "/models", "/trainings/t-hostile", "/promotions/p-hostile", "/rollouts/r-hostile"),
    *("/audit", "/audit?kind=%3Cscript%3E&name=%22%3E%3Cimg%20src=x%3E", "/deliveries", "/settings", "/audit/verify"),
    "/?q=%3Cscript%3E",
)
"""The pages that show what strangers wrote; the last ones what was typed into the address."""


def fill_with_hostile_names(store: SqlStore, _: Clock) -> None:
    """Write markup wherever a stranger's text can come to lie."""
    forge = {"clone_url": "http://127.0.0.1/x.git", "html_url": "javascript:alert(2)//"}
    write(store, SaveRepository(Repository(id=2, full_name=f"acme/{SCRIPT}", role=Role.DEPLOY, **forge)))
    names = {"name": SCRIPT, "model": SCRIPT, "endpoint": "x; rm -rf ~", "message": SCRIPT, "serving": SCRIPT}
    place = make_environment(**names, pinned='"><img src=x onerror=alert(3)>', url="javascript:alert(4)", path=SCRIPT)
    write(store, SaveEnvironment(place, tuple(Environment.model_fields)))
    write(store, SetHold(make_hold(path=SCRIPT, message=SCRIPT, author=SCRIPT, reason=SCRIPT)))
    training = make_training(id="t-hostile", model=SCRIPT, repository=SCRIPT, ref=f"refs/heads/{SCRIPT}")
    write(store, StartTraining(training))
    facts = {
        "metrics": {SCRIPT: SCRIPT},
        "parameters": {SCRIPT: SCRIPT},
        "sentence": SCRIPT,
        "log_tail": [SCRIPT, "\udcff"],
        "version": SCRIPT,
        "promotions": ["p-hostile"],
    }
    answer(store, take(store), Done(facts=facts), step="judge", next_step="register")
    take(store)
    write(store, OpenPromotion(make_promotion(id="p-hostile", environment=SCRIPT, model=SCRIPT, version=SCRIPT)))
    answer(store, take(store), Done(facts={"url": "javascript:alert(5)", "number": 1}), step="plan", next_step="plan")
    write(store, OpenRollout(make_rollout(id="r-hostile", environment=SCRIPT, model=SCRIPT, endpoint=SCRIPT)))
    failed = {"failure": SCRIPT, "failure_message": SCRIPT, "log_tail": [SCRIPT], "write_back_url": "javascript:x"}
    answer(store, _take(store, "rollout"), Done(facts=failed), step="admit", next_step="bake")
    store.save_delivery(make_delivery(event="push"))
    answer(
        store,
        _take(store, "delivery"),
        Done(facts={"outcome": "rejected", "reason": SCRIPT, "detail": SCRIPT}),
        step="triage",
    )


def _take(store: SqlStore, kind: str) -> Claim:
    claim = take(store)
    while claim.kind != kind:
        claim = take(store)
    return claim

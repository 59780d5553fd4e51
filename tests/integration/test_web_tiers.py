"""What pages and the API tell of tiers, by the served web process."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from gitops.facts import PromotionFacts
from gitops.records import Environment, Health, Role, Sync
from gitops.roles import AccessRole
from gitops.steps import Done
from gitops.store import SqlStore
from gitops.writes import RefusePromotion, SaveEnvironment, SaveRepository, SaveVersion, StartTraining
from tests.support.api import program_as
from tests.support.dashboard import Dashboard, running_dashboard
from tests.support.store import (
    Clock,
    answer,
    make_environment,
    make_promotion,
    make_repository,
    make_training,
    take,
    write,
)
from tests.support.tiers import judged_by, make_tiered

TRAINING, PROMOTION = "t-tiered-1", "p-tiered-1"
TOLD = "iris 3 has the tier bronze, and production/endpoint.yaml asks for the tier gold: it is not good enough"


def fill(store: SqlStore, clock: Clock) -> None:
    """Let gold serve in production, and a training's bronze be kept out of it."""
    deploy = make_repository(id=2, full_name="acme/iris-deploy", role=Role.DEPLOY)
    training = make_training(id=TRAINING)
    write(store, SaveRepository(make_repository()), SaveRepository(deploy), StartTraining(training))
    facts = {
        "verdict": "pass",
        "sentence": "accuracy 0.91 is above 0.9",
        "version": "3",
        "tier": "bronze",
        "tiers": [one.model_dump() for one in judged_by("bronze")],
        "min_tiers": {"acme/iris-deploy:staging": "bronze"},
        "promotions": (PROMOTION,),
    }
    answer(store, take(store), Done(facts=facts, message="iris 3 goes nowhere"), step="hand_over")
    place = make_environment(
        repository="acme/iris-deploy",
        path="production",
        name="production",
        endpoint="iris-production",
        is_champion=True,
        serving="2",
        pinned="2",
        tier="gold",
        serving_since=clock(),
        sync=Sync.SYNCED,
        health=Health.HEALTHY,
    )
    kept_out = make_promotion(
        id=PROMOTION,
        training_id=TRAINING,
        environment="production",
        path="production",
        version="3",
        facts=PromotionFacts(tier="bronze", min_tier="gold"),
    )
    write(
        store,
        SaveEnvironment(place, tuple(Environment.model_fields)),
        SaveVersion(make_tiered("gold", version="2", training_id=TRAINING)),
        SaveVersion(make_tiered("bronze", version="3", training_id=TRAINING)),
        RefusePromotion(kept_out, "TierTooLow", TOLD),
    )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    with running_dashboard(tmp_path_factory.mktemp("tiers") / "home", fill) as running:
        yield running


@pytest.fixture
def client(served: Dashboard) -> Iterator[httpx.Client]:
    with served.client() as client:
        yield client


def tag(name: str) -> str:
    return f'<span class="tag">{name}<span class="unseen"> tier</span></span>'


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/", [tag("gold")]),
        ("/models", [tag("bronze")]),
        ("/models/iris", [tag("gold"), tag("bronze"), "Tiers of v3"]),
        (f"/trainings/{TRAINING}", ["It is <b>bronze</b>.", "accuracy 0.90 is not at least 0.99"]),
        (
            f"/promotions/{PROMOTION}",
            ["It is <b>bronze</b>; <b>gold</b> or better is asked for.", "asks for the tier gold"],
        ),
    ],
)
def test_pages_show_the_tier(client: httpx.Client, path: str, shown: list[str]) -> None:
    page = client.get(path)
    assert page.status_code == 200
    for words in shown:
        assert words in page.text


def get(program: httpx.Client, path: str) -> Any:  # noqa: ANN401 - JSON
    found = program.get(f"/api/v1/{path}")
    assert found.status_code == 200, found.text
    return found.json()


def test_the_api_tells_the_tier_of_everything_that_has_one(served: Dashboard) -> None:
    with program_as(served, AccessRole.VIEWER) as program:
        version, training = get(program, "models/iris/versions/3"), get(program, f"trainings/{TRAINING}")
        promotion, endpoint = get(program, f"promotions/{PROMOTION}"), get(program, "endpoints/iris-production")
    assert version["tier"] == training["tier"] == promotion["tier"] == "bronze"
    assert [one["outcome"] for one in version["tiers"]] == ["fail", "fail", "pass"]
    assert training["tiers"] == version["tiers"]
    assert (promotion["min_tier"], promotion["reason"]) == ("gold", "TierTooLow")
    assert endpoint["tier"] == "gold"

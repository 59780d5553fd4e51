"""The trials of a search as the API tells them, and as the training's page draws them."""

import pytest

from gitops.records import TrainingFacts
from gitops.steps import Done, Queue
from gitops.writes import SaveRepository, StartTraining, StartTrial
from tests.integration.api_rig import VIEWER, get, own
from tests.support.api import program_as
from tests.support.dashboard import Dashboard
from tests.support.fleet import REFUSED
from tests.support.store import answer, make_repository, make_training, make_trial, take, write

__all__ = ["own"]

SEARCHED = "t-searched"


@pytest.fixture
def searched(own: Dashboard) -> Dashboard:
    """Give a dashboard with a search of three trials, of which two are over: the second has the lesser loss."""
    facts = {"trials": 3, "objective": {"metric": "loss", "goal": "minimize"}, "experiment_id": "1", "run_id": "r"}
    training = make_training(id=SEARCHED, facts=TrainingFacts.model_validate(facts))
    begun = (StartTrial(make_trial(number, training_id=SEARCHED)) for number in (1, 2))
    write(own.store, SaveRepository(make_repository(id=1)), StartTraining(training), *begun)
    for loss in ("0.3", "0.2"):
        done = Done(facts={"metrics": {"loss": loss}, "run_id": f"r{loss}"})
        answer(own.store, take(own.store, Queue.TRAINING), done, step="measure")
    return own


def test_the_trials_of_a_training_are_listed_with_the_best_marked(searched: Dashboard) -> None:
    with program_as(searched, VIEWER) as client:
        told = get(client, "trials", training=SEARCHED)
        assert (told["training"], told["total"], told["objective"]["goal"]) == (SEARCHED, 3, "minimize")
        assert [(one["id"], one["metrics"], one["is_best"]) for one in told["trials"]] == [
            (f"{SEARCHED}.1", {"loss": 0.3}, False),
            (f"{SEARCHED}.2", {"loss": 0.2}, True),
        ]
        sorted_by = get(client, "trials", training=SEARCHED, sort="depth")["trials"]
        assert [one["number"] for one in sorted_by] == [2, 1]
        lowest = get(client, "trials", training=SEARCHED, sort="depth", lowest="true")["trials"]
        assert [one["number"] for one in lowest] == [1, 2]
        best = get(client, "trials", training=SEARCHED, sort="loss")["trials"]
        assert [(one["number"], one["is_best"]) for one in best] == [(2, True), (1, False)]
        alone = client.get("/api/v1/trials", params={"training": SEARCHED, "lowest": "true"})
        assert (alone.status_code, alone.json()["code"]) == (422, "lowest_alone")
        assert get(client, "trials", training=REFUSED)["trials"] == []
        assert client.get("/api/v1/trials", params={"training": "t-nobody"}).status_code == 404
        shown = get(client, f"trainings/{SEARCHED}")
    assert (shown["trials"], shown["trial"]) == (3, None)


def test_a_trainings_page_draws_its_search(searched: Dashboard) -> None:
    with searched.client() as client:
        page = client.get(f"/trainings/{SEARCHED}").text
        assert "as parallel coordinates" in page
        assert "/#/experiments/1/runs/r0.2" in page
        turned = client.get(f"/trainings/{SEARCHED}", params={"sort": "-number"}).text
        assert 'aria-sort="descending"' in turned
        assert "as parallel coordinates" not in client.get(f"/trainings/{REFUSED}").text

"""`runs` of the API with `best`, `lowest` and `where`: what the command line says, by a real MLflow server."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from gitops.embedded.stack.environment import settings_for
from gitops.embedded.stack.layout import Layout
from gitops.grammar import VERBS
from gitops.records import TrainingFacts
from gitops.registry.mlflow import MlflowRegistry
from gitops.roles import AccessRole
from gitops.steps import Phase
from gitops.writes import SaveRepository, StartTraining
from tests.contract.mlflow_registry_rig import call as ask
from tests.contract.mlflow_registry_rig import start, unique
from tests.support.api import give_token
from tests.support.cli import Stack, make_stack
from tests.support.mlflow import free_port
from tests.support.mlflow_wire import guarded_proxy
from tests.support.store import make_repository, make_training, write
from tests.support.web import serving
from webhooks.asgi import create_app

DEPTHS = {"1": 0.5, "2": 0.75, "3": 0.9}
ROUTE = VERBS["runs"].route


@dataclass(frozen=True)
class Asked:
    """A stack with a training of each depth, the deepest in a repository of its own."""

    stack: Stack

    def get(self, *, on: int = 0, **given: str) -> httpx.Response:
        """Ask the API as somebody who may look at one repository, or at all."""
        settings = settings_for(Layout.load(self.stack.layout.dir))
        token = give_token(self.stack.store, f"p{on}", {on: AccessRole.VIEWER})
        headers = {"Host": urlsplit(settings.base_url).netloc, "Authorization": f"Bearer {token}"}
        with serving(create_app(settings)) as port:
            return httpx.get(
                f"http://127.0.0.1:{port}{ROUTE}", params=given, headers=headers, trust_env=False, timeout=60
            )

    def rows(self, *, on: int = 0, **given: str) -> list[tuple[str, str]]:
        answer = self.get(on=on, **given)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["trainings"]
        return [(one["id"], one["value"]) for one in found]


@pytest.fixture
def asked(tmp_path: Path, tracking_uri: str) -> Iterator[Asked]:
    registry, experiment = MlflowRegistry(tracking_uri), unique("exp")
    with make_stack(tmp_path) as stack:
        stack.set_mlflow(urlsplit(tracking_uri).port or 0)
        write(stack.store, *(SaveRepository(make_repository(id=each, full_name=f"acme/r{each}")) for each in (1, 2)))
        for depth, accuracy in DEPTHS.items():
            run = start(registry, experiment=experiment)
            metric = {"key": "accuracy", "value": accuracy, "timestamp": 1}
            ask(tracking_uri, "runs/log-metric", {"run_id": run.run_id, **metric})
            facts = TrainingFacts(run_id=run.run_id, experiment_id=run.experiment_id)
            place = {"repository_id": 2 if depth == "3" else 1, "id": f"t-{depth}"}
            write(stack.store, StartTraining(make_training(**place, facts=facts, phase=Phase.SUCCEEDED)))
        yield Asked(stack)


def test_the_best_are_those_of_the_command_line(asked: Asked) -> None:
    typed = asked.stack.launchpin("runs", "--best", "accuracy", "--json").json["trainings"]
    assert asked.rows(best="accuracy") == [(one["id"], one["value"]) for one in typed]
    assert asked.rows(best="accuracy", lowest="yes", limit="1") == [("t-1", "0.5")]
    assert asked.rows(where="metrics.accuracy > 0.6") == [("t-3", ""), ("t-2", "")]


def test_attack_66_a_filter_finds_no_run_of_a_training_that_one_may_not_see(asked: Asked) -> None:
    assert asked.rows(on=1, best="accuracy") == [("t-2", "0.75"), ("t-1", "0.5")]
    assert asked.rows(on=1, where="metrics.accuracy > 0.8") == []


def test_attack_67_a_filter_that_would_end_the_question_is_refused(asked: Asked) -> None:
    answer = asked.get(on=1, where="metrics.accuracy > 0 or metrics.accuracy > 0")
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "where_invalid", "where")


def test_mlflow_that_is_away_is_said_and_runs_alone_still_answer(asked: Asked) -> None:
    asked.stack.set_mlflow(free_port())
    away = asked.get(best="accuracy")
    assert (away.status_code, away.json()["code"]) == (503, "RegistryUnavailable")
    assert len(asked.rows()) == 3


def test_mlflow_that_asks_who_is_told_by_api_and_command_line_alike(
    asked: Asked, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guarded_proxy(tracking_uri, "Bearer t-0123") as uri:
        asked.stack.set_mlflow(urlsplit(uri).port or 0)
        refused = asked.get(best="accuracy")
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t-0123")
        rows = asked.rows(best="accuracy")
        typed = asked.stack.launchpin("runs", "--best", "accuracy", "--json").json["trainings"]
    assert (refused.status_code, refused.json()["code"]) == (503, "RegistryForbidden")
    assert [one for one, _ in rows] == [one["id"] for one in typed] == ["t-3", "t-2", "t-1"]

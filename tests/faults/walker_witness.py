"""Looks at everything that a walked case has left behind: the database, the forge, MLflow and the endpoint host."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import pygit2
from sqlalchemy import text
from sqlalchemy.engine import Engine

from gitops.records import Repository
from gitops.store import SqlStore
from tests.faults.walker_setting import Scene


class Witness:
    """Looks at everything a case has left behind.

    Args:
        scene: the case.
        store: its database, for what only the store can compute.
        engine: the same, for its rows as they are.
    """

    def __init__(self, scene: Scene, store: SqlStore, engine: Engine) -> None:
        self.scene = scene
        self.stage = scene.stage
        self.store = store
        self._engine = engine
        self._forge = self.stage.behind.home

    # ------------------------------------------------------------ raw looks

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Ask the case's database."""
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(query)).mappings()]

    def forge_rows(self, table: str) -> list[dict[str, Any]]:
        """Return the forge's rows about this case's repositories."""
        numbers = [repository.id for repository in self.repositories()]
        with closing(sqlite3.connect(f"file:{self._forge / 'forge.sqlite3'}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            marks = ",".join("?" * len(numbers))
            found = connection.execute(f"SELECT * FROM {table} WHERE repo_id IN ({marks}) ORDER BY id", numbers)  # noqa: S608 - names of our own
            return [dict(row) for row in found]

    def repositories(self) -> list[Repository]:
        """Return the case's repositories."""
        both = (self.scene.model_repository, self.scene.deploy_repository)
        return [repository for repository in both if repository is not None]

    def git(self, repository: Repository) -> pygit2.Repository:
        """Open a repository as the forge has it."""
        return pygit2.Repository(str(self._forge / "repositories" / f"{repository.id}.git"))

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs of this case's experiment, as MLflow has them."""
        if not self.scene.is_training:
            return []
        found = self.stage.http.get(
            f"{self.stage.mlflow}/api/2.0/mlflow/experiments/get-by-name", params={"experiment_name": self.scene.model}
        )
        if not found.is_success:
            return []
        asked = {"experiment_ids": [found.json()["experiment"]["experiment_id"]], "max_results": 1000}
        runs: list[dict[str, Any]] = self.stage.track("POST", "runs/search", asked).get("runs", [])
        return runs

    def versions(self) -> list[dict[str, Any]]:
        """Return the versions of this case's model, as MLflow has them."""
        wanted = f"name='{self.scene.model}'"
        found: list[dict[str, Any]] = self.stage.track("GET", "model-versions/search", filter=wanted).get(
            "model_versions", []
        )
        return found


def facts_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record's facts; one database gives them parsed, the other as text."""
    facts: dict[str, Any] = json.loads(row["facts"]) if isinstance(row["facts"], str) else row["facts"]
    return facts


def blob_of(git: pygit2.Repository, commit: pygit2.Commit, path: str) -> bytes:
    """Return a file at a commit, empty where it is not there."""
    try:
        return git[commit.tree[path].id].peel(pygit2.Blob).data
    except KeyError:
        return b""

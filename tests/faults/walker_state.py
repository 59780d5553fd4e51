"""How a walked case ended, in a form in which two cases of one scene are equal."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pygit2

from tests.faults.walker_setting import Scene
from tests.faults.walker_witness import Witness

_IDS = (
    (re.compile(r"\b[0-9a-f]{40}\b"), "SHA"),
    (re.compile(r"\b[0-9a-f]{32}\b"), "RUN"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "SHORT"),
    (re.compile(r"(?<=model-KEY-)[0-9a-f]{8}\b"), "BRANCH"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "DIGEST"),
    (re.compile(r"\b[tpr]-[0-9a-z]{9,}\b"), "ID"),
    (re.compile(r"127\.0\.0\.1:\d+"), "ADDRESS"),
)


@dataclass(frozen=True)
class _View:
    """One table's part of the final state."""

    name: str
    query: str


_VIEWS = (
    _View("trainings", "SELECT phase, step, reason FROM trainings ORDER BY id"),
    _View("promotions", "SELECT environment, version, phase, step, reason FROM promotions ORDER BY environment, id"),
    _View("rollouts", "SELECT path, version, direction, phase, step, reason, message FROM rollouts ORDER BY id"),
    _View(
        "environments",
        "SELECT path, name, pinned, serving, earlier, sync, sync_reason, health, message FROM environments"
        " ORDER BY path",
    ),
    _View("versions", "SELECT version, verdict FROM versions ORDER BY version"),
    _View("holds", "SELECT path, reason, message, lifted_by FROM holds ORDER BY created_at"),
    # Whether a hook is heard depends on how long it took: nobody sends deliveries of what the loop itself pushes.
    _View("watched", "SELECT ref FROM watched_refs WHERE ref <> 'hook' ORDER BY ref"),
)


def final_state(seen: Witness) -> dict[str, Any]:
    """Return how the story ended, for comparison with the undisturbed one."""
    state: dict[str, Any] = {view.name: [list(row.values()) for row in seen.rows(view.query)] for view in _VIEWS}
    pulls = seen.forge_rows("pulls")
    state["pulls"] = [[row[name] for name in ("number", "title", "body", "state", "head_ref")] for row in pulls]
    said = seen.forge_rows("check_runs")
    state["checks"] = sorted([row["name"], row["status"], row["conclusion"] or "", row["title"]] for row in said)
    for repository in seen.repositories():
        state[f"git {repository.role}"] = sorted(_branches(seen.git(repository)))
    state["versions in mlflow"] = len(seen.versions())
    registered = seen.stage.http.get(
        f"{seen.stage.mlflow}/api/2.0/mlflow/registered-models/get", params={"name": seen.scene.model}
    )
    aliases = registered.json()["registered_model"].get("aliases", [])
    state["aliases"] = sorted(f"{alias['alias']} {alias['version']}" for alias in aliases)
    state["finished runs"] = sum(run["info"]["status"] == "FINISHED" for run in seen.runs())
    live = seen.stage.host_process.target.describe(seen.scene.endpoint)
    state["endpoint"] = [live.version, live.status.value, live.failure] if live is not None else []
    return state


def _branches(git: pygit2.Repository) -> Iterator[list[str]]:
    for name in git.branches.local:
        tip = git[git.branches[name].target].peel(pygit2.Commit)
        if name == "launchpin-audit":
            yield [name]
            continue
        files = sorted(_files(git, tip.tree, ""))
        messages = sorted(commit.message for commit in git.walk(tip.id))
        yield [name, *messages, *files]


def _files(git: pygit2.Repository, tree: pygit2.Tree, below: str) -> Iterator[str]:
    for entry in tree:
        if entry.type_str == "tree":
            yield from _files(git, git[entry.id].peel(pygit2.Tree), f"{below}{entry.name}/")
        else:
            yield f"{below}{entry.name}: {git[entry.id].peel(pygit2.Blob).data.decode()}"


def normal(state: dict[str, Any], scene: Scene) -> dict[str, Any]:
    """Return a state in which nothing is left that differs from case to case by its nature."""
    return {key: _normal(value, scene) for key, value in state.items()}


def _normal(value: Any, scene: Scene) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, list):
        return [_normal(each, scene) for each in value]
    if not isinstance(value, str):
        return value
    for old, new in scene.words.items():
        value = value.replace(old, new)
    for pattern, word in _IDS:
        value = pattern.sub(word, value)
    return value

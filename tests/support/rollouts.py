"""A deploy repository on a real forge with its clone, a real mirror and store, and a target and registry in memory."""

import json
import shutil
import sys
import uuid
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from gitops.errors import RetryError
from gitops.forge.github import GitHubForge
from gitops.forge.mirror import GitMirror
from gitops.manifest import Manifest
from gitops.models import hash_folder, manifest_text
from gitops.ports import BuiltEnvironment, Deps, RegisteredVersion
from gitops.records import Command, Environment, Hold, Repository, Role, Rollout, Version
from gitops.store import SqlStore
from gitops.writes import SaveRepository, SaveVersion
from tests.support.deps import make_deps, run_all
from tests.support.forge import ForgeUnderTest
from tests.support.store import Clock, make_command, make_version, write
from tests.support.target import MemoryTarget

BOT = "launchpin[bot]"
_BUILDSPEC = """\
version: 0.2
phases:
  pre_build:
    commands:
      - TRACKING_URI="http://127.0.0.1:2"
      - MODEL_NAME="{model}"
      - MODEL_VERSION="{version}"
"""
_ENDPOINT = """\
version: 1
endpoint: {endpoint}
strategy: {{type: all_at_once, bake: {bake}}}
rollback: {{write: {write}}}
"""


@dataclass
class MemoryRegistry:
    """The part of `Registry` that rollouts ask: versions in folders, and aliases.

    Args:
        is_away: every call fails as if nobody listened.
    """

    folder: Path
    is_away: bool = False
    aliases: dict[str, str] = field(default_factory=dict)

    def add(self, model: str, version: str, *, has_example: bool = True) -> Manifest:
        """Make a version."""
        place = self.folder / model / version
        place.mkdir(parents=True)
        (place / "model.txt").write_text(f"{model} {version}")
        if has_example:
            (place / "serving_input_example.json").write_text(json.dumps({"inputs": [1]}))
        return hash_folder(place)

    def version(self, model: str, version: str) -> RegisteredVersion | None:
        """Return a version that was made."""
        self._answer()
        exists = (self.folder / model / version).is_dir()
        return RegisteredVersion(model=model, version=version, run_id="run-1") if exists else None

    def fetch(self, model: str, version: str, into: Path) -> Manifest:
        """Copy a version's files."""
        self._answer()
        shutil.copytree(self.folder / model / version, into)
        return hash_folder(into)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        """Move an alias."""
        self._answer()
        self.aliases[f"{model}@{alias}"] = version

    def _answer(self) -> None:
        if self.is_away:
            raise RetryError("RegistryUnavailable", "nobody listens")


class OneEnvironment:
    """The part of `Environments` that rollouts ask: every key was built, as this interpreter."""

    def find(self, key: str) -> BuiltEnvironment:
        """Return this interpreter."""
        return BuiltEnvironment(key=key, python=Path(sys.executable))


@dataclass
class Deployment:
    """A connected deploy repository and everything around it."""

    forge: ForgeUnderTest
    store: SqlStore
    clock: Clock
    repository: Repository
    clone: Path
    target: MemoryTarget
    registry: MemoryRegistry
    deps: Deps

    def add_version(
        self,
        version: str,
        *,
        model: str = "iris",
        judged: Version | None = None,
        has_example: bool = True,
        environment: str = "e" * 64,
    ) -> None:
        """Register a version that passed its gates.

        Args:
            judged: how it was judged, where that matters.
            environment: the key of the one that it was trained in.
        """
        manifest = self.registry.add(model, version, has_example=has_example)
        files = {
            "manifest_sha256": manifest.digest,
            "manifest": manifest_text(manifest),
            "environment_key": environment,
        }
        known = judged or make_version(model=model, version=version)
        write(self.store, SaveVersion(known.model_copy(update=files)))

    def write(self, path: str, text: str) -> str:
        """Commit and push one file as a person; returns the commit."""
        self.git("pull", "-q", "--rebase", "origin", "main", check=False)
        (self.clone / path).parent.mkdir(parents=True, exist_ok=True)
        (self.clone / path).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", f"Write {path}")
        self.git("push", "-q", "origin", "HEAD:refs/heads/main")
        return self.git("rev-parse", "HEAD").strip()

    def configure(self, path: str = "staging", *, endpoint: str = "iris-staging", **how: str) -> None:
        """Write an endpoint.yaml."""
        fields = {"endpoint": endpoint, "bake": "1m", "write": "commit", **how}
        self.write(f"{path}/endpoint.yaml", _ENDPOINT.format(**fields))

    def pin(self, version: str, *, path: str = "staging", compare: bool = True) -> str:
        """Push a pin, and compare."""
        commit = self.write(f"{path}/buildspec.yml", _BUILDSPEC.format(model="iris", version=version))
        if compare:
            self.compare()
        return commit

    def serve(self, version: str) -> None:
        """Pin a version and let it come through its bake."""
        self.pin(version)
        self.target.end_bake("iris-staging")
        self.later(1, seconds=6)
        assert self.environment().serving == version

    def compare(self) -> None:
        """Compare now, and do what comes of it."""
        self.store.wake("compare", str(self.repository.id))
        run_all(self.deps)

    def later(self, times: int = 2, *, seconds: float = 40.0) -> None:
        """Let time pass, each time so much, until everything that waits was looked at."""
        for _ in range(times):
            self.clock.advance(timedelta(seconds=seconds))
            run_all(self.deps)

    def ask(self, verb: str, **arguments: str) -> Command:
        """Have a person ask for something of staging, or with an empty endpoint of all; do what is ready then."""
        given = {"endpoint": "iris-staging", **arguments}
        asked = make_command(verb=verb, arguments={name: value for name, value in given.items() if value})
        self.store.save_command(asked)
        run_all(self.deps)
        found = self.store.command(asked.id)
        assert found is not None
        return found

    def ended(self, command: Command) -> Command:
        """Return a command after a while."""
        self.later()
        found = self.store.command(command.id)
        assert found is not None
        return found

    def environment(self, path: str = "staging") -> Environment:
        """Return what is known of an environment."""
        found = self.store.environment(self.repository.id, path)
        assert found is not None
        return found

    def rollouts(self, path: str = "staging") -> list[Rollout]:
        """Return an environment's rollouts, oldest first."""
        found = [each for each in self.store.recent("rollout", limit=500) if isinstance(each, Rollout)]
        return sorted((each for each in found if each.path == path), key=lambda each: each.id)

    def holds(self) -> list[Hold]:
        """Return the open holds."""
        return list(self.store.holds(repository_id=self.repository.id))

    def live(self, endpoint: str = "iris-staging") -> str:
        """Return the version that answers."""
        found = self.target.describe(endpoint)
        return found.version if found is not None and found.live else ""

    def pinned(self, path: str = "staging", *, ref: str = "main") -> str:
        """Return the line of the pin on a branch."""
        self.git("fetch", "-q", "origin")
        text = self.git("show", f"origin/{ref}:{path}/buildspec.yml")
        return next(line.split('"')[1] for line in text.splitlines() if "MODEL_VERSION" in line)

    def message(self) -> str:
        """Return the message of the last commit on main."""
        self.git("fetch", "-q", "origin")
        return self.git("log", "-1", "--format=%B", "origin/main")

    def pulls(self) -> list[dict[str, Any]]:
        """Return the open pull requests."""
        return list(self.forge.http().get(f"/repos/{self.repository.full_name}/pulls").json())

    def with_parts(self, **parts: Any) -> None:  # noqa: ANN401 - any part
        """Replace parts."""
        self.deps = replace(self.deps, **parts)

    def git(self, *arguments: str, check: bool = True) -> str:
        """Run git in the clone."""
        return self.forge.git(*arguments, cwd=self.clone, check=check)


def make_deployment(forge: ForgeUnderTest, store: SqlStore, clock: Clock, folder: Path) -> Deployment:
    """Connect a new deploy repository with an environment `staging`, nothing pinned."""
    adapter = GitHubForge(forge.api, forge.bot, login=BOT)
    made = adapter.ensure_repository(f"acme/d-{uuid.uuid4().hex[:8]}")
    repository = Repository(id=made.id, full_name=made.full_name, role=Role.DEPLOY, clone_url=made.clone_url)
    write(store, SaveRepository(repository))
    target, registry = MemoryTarget(), MemoryRegistry(folder / "registry")
    parts: dict[str, Any] = {
        "forge": adapter,
        "mirror": GitMirror(folder / "mirrors", forge_api=forge.api, token=forge.bot),
        "registry": registry,
        "environments": OneEnvironment(),
        "targets": {"local": target},
    }
    clone = folder / "clone"
    clone.mkdir()
    deployment = Deployment(forge, store, clock, repository, clone, target, registry, make_deps(store, folder, **parts))
    deployment.git("init", "-q", "-b", "main")
    deployment.git("remote", "add", "origin", made.clone_url)
    deployment.configure()
    return deployment

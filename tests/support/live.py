"""A whole stack as a test's user sees it: real parts, real repositories, real pushes and merges."""

import base64
import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

from gitops.bootstrap import for_command
from gitops.cli.scaffold import Kind, Names, fill_template
from gitops.embedded.stack.environment import settings_for
from gitops.embedded.stack.layout import Layout
from gitops.embedded.stack.supervisor import Supervisor
from gitops.identifiers import new_id
from gitops.ports import CheckState
from gitops.records import Cause, Command, Environment, Promotion, Rollout, Training
from gitops.store import SqlStore

T = TypeVar("T")
# A machine that runs every other test beside it is slow; only what hangs should come to this.
PATIENCE = 600.0
ENVIRONMENTS = "TEST_ENVIRONMENTS"
"""Names the folder of built Python environments that the stacks of a run share: each is 1 GB, copied and compiled."""


@dataclass
class Live:
    """A running stack."""

    layout: Layout
    store: SqlStore

    def wait(self, what: str, look: Callable[[], T | None], *, timeout: float = PATIENCE) -> T:
        """Look until there is something."""
        deadline = time.monotonic() + timeout
        while (found := look()) is None:
            if time.monotonic() > deadline:
                jobs = "\n".join(str(job) for job in self.store.jobs() if job.state not in {"idle", "waiting"})
                raise TimeoutError(f"{what}: nothing after {timeout:.0f} s; jobs:\n{jobs}")
            time.sleep(0.05)  # the pace of looking, not the condition
        return found

    def ask(self, verb: str, **arguments: str) -> Command:
        """Write a command row as the command line does, and wait for its end."""
        cause = Cause(kind="command", actor="ada")
        row = Command(id=new_id("c"), cause=cause, verb=verb, arguments=arguments, idempotency_key=uuid.uuid4().hex)
        asked = self.store.save_command(row)
        return self.wait(f"{verb} {arguments}", lambda: final(self.store.command(asked.id)))

    def forge(self) -> httpx.Client:
        """Return a client of the forge's API as the person."""
        token = (self.layout.forge_home / "user.token").read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"{self.layout.url('forge')}/api/v3", headers=headers, trust_env=False, timeout=20)

    def api(self, method: str, path: str, **body: object) -> Any:  # noqa: ANN401 - JSON
        """Ask the forge as the person."""
        with self.forge() as client:
            answer = client.request(method, path, json=body or None)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def file(self, repository: str, path: str, *, ref: str) -> str:
        """Return a file as the forge has it, empty when it is not there."""
        with self.forge() as client:
            answer = client.get(f"/repos/{repository}/contents/{path}", params={"ref": ref})
        return base64.b64decode(answer.json()["content"]).decode() if answer.is_success else ""

    def checks(self, repository: str, sha: str) -> dict[str, tuple[str, str, str]]:
        """Return state, title and summary of each check on a commit, as the forge shows them."""
        runs = self.api("GET", f"/repos/{repository}/commits/{sha}/check-runs")["check_runs"]
        return {
            run["name"]: (
                run["conclusion"] or CheckState.PENDING,
                run["output"]["title"],
                run["output"]["summary"] or "",
            )
            for run in runs
        }


def final(record: T | None) -> T | None:
    """Return a record that is over."""
    return record if record is not None and record.phase.is_final else None  # type: ignore[attr-defined]


@dataclass
class Pair:
    """A model repository and its deploy repository, connected and cloned."""

    live: Live
    folder: Path
    name: str
    commits: list[str] = field(default_factory=list)

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def deploy(self) -> Path:
        return self.folder / "deploy"

    @property
    def repository(self) -> str:
        return f"acme/{self.name}"

    @property
    def deploy_repository(self) -> str:
        return f"acme/{self.name}-deploy"

    def edit(self, path: str, old: str, new: str, *, count: int = 1) -> None:
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} does not hold {old!r}"
        file.write_text(text.replace(old, new, count))

    def append(self, path: str, text: str) -> None:
        with (self.folder / path).open("a") as file:
            file.write(text)

    def push(self, which: str = "model", *, message: str = "Change") -> str:
        """Commit everything and push it; returns the commit."""
        folder = self.folder / which
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "--allow-empty", "-m", message)
        git(folder, "push", "-q", "launchpin", "main")
        return git(folder, "rev-parse", "HEAD").strip()

    def pull(self, which: str = "deploy") -> None:
        git(self.folder / which, "pull", "-q", "--rebase", "launchpin", "main")

    def training(self, commit: str) -> Training | None:
        for record in self.live.store.recent("training", limit=50):
            if isinstance(record, Training) and record.commit == commit and record.repository == self.repository:
                return record
        return None

    def trained(self, commit: str) -> Training:
        """Wait until the commit's training is over."""
        return self.live.wait(f"training of {commit[:8]}", lambda: final(self.training(commit)))

    def promotion(self, environment: str, version: str) -> Promotion | None:
        for record in self.live.store.recent("promotion", limit=100):
            if not isinstance(record, Promotion) or record.repository != self.deploy_repository:
                continue
            if (record.environment, record.version) == (environment, version):
                return record
        return None

    def proposed(self, environment: str, version: str) -> Promotion:
        """Wait until the version's pull request is open."""

        def look() -> Promotion | None:
            found = self.promotion(environment, version)
            return found if found is not None and found.facts.number is not None else None

        return self.live.wait(f"pull request of {version} in {environment}", look)

    def merge(self, promotion: Promotion) -> None:
        """Merge as the person."""
        self.live.api("PUT", f"/repos/{self.deploy_repository}/pulls/{promotion.facts.number}/merge")

    def environment(self, name: str) -> Environment | None:
        for known in self.live.store.environments():
            if known.repository == self.deploy_repository and known.path == name:
                return known
        return None

    def rollout(self, name: str) -> Rollout | None:
        known = self.environment(name)
        return self.live.store.newest_rollout(known.repository_id, known.path) if known else None

    def rolled_out(self, name: str, version: str) -> Rollout:
        """Wait until the newest rollout of that version is over."""

        def look() -> Rollout | None:
            found = self.rollout(name)
            return final(found) if found is not None and found.version == version else None

        return self.live.wait(f"rollout of {version} in {name}", look)

    def serving(self, name: str, version: str) -> Environment:
        """Wait until the environment is recorded as serving that version, in sync."""

        def look() -> Environment | None:
            found = self.environment(name)
            return found if found is not None and found.serving == version and found.sync == "Synced" else None

        return self.live.wait(f"{name} serves {version}", look)

    def example(self, version: str) -> bytes:
        found = self.live.store.version(self.name, version)
        assert found is not None
        return (self.live.layout.dir / "models" / found.manifest_sha256 / "serving_input_example.json").read_bytes()

    def head_message(self) -> str:
        commit = self.live.api("GET", f"/repos/{self.deploy_repository}/commits/main")
        message: str = commit["commit"]["message"]
        return message

    def pinned(self, name: str) -> str:
        """Return the buildspec on the base branch, as the forge has it."""
        return self.live.file(self.deploy_repository, f"{name}/buildspec.yml", ref="main")


def git(folder: Path, *arguments: str) -> str:
    person = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@localhost", "GIT_TERMINAL_PROMPT": "0"}
    person |= {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@localhost", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ("git", *arguments),
        cwd=folder,
        env=os.environ | person,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"git {arguments}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def running(folder: Path, **settings: str) -> Iterator[Live]:
    """Run a whole stack.

    Args:
        settings: `LAUNCHPIN_*` variables without their prefix, for every part.
    """
    variables = {f"LAUNCHPIN_{name.upper()}": value for name, value in settings.items()}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    layout = Layout.make(folder)
    if ENVIRONMENTS in os.environ:
        (layout.dir / "environments").symlink_to(os.environ[ENVIRONMENTS])
    supervisor = Supervisor(layout, report=lambda _: None)
    try:
        supervisor.start()
        supervisor.wait_ready(180)
        store = for_command(settings_for(supervisor.layout))
        yield Live(supervisor.layout, store)
        store.close()
    finally:
        supervisor.stop()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def make_pair(live: Live, folder: Path, name: str, *, bake: str = "1s", hooks: bool = True) -> Pair:
    """Write, connect and clone a model and its deploy repository; the deploy repository is pushed.

    Args:
        hooks: whether their webhooks stay installed; without them only polling sees a push.
    """
    pair = Pair(live, folder, name)
    names = Names(name, pair.deploy_repository, live.layout.url("mlflow"))
    for which, kind, full_name in (
        ("deploy", Kind.DEPLOY, pair.deploy_repository),
        ("model", Kind.MODEL, pair.repository),
    ):
        clone = folder / which
        for path, content in fill_template(kind, names).items():
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_bytes(content)
        git(clone, "init", "-q", "-b", "main")
        _connect(live, clone, full_name, role=kind.value, hooks=hooks)
    for name_ in ("staging", "production"):
        pair.edit(f"deploy/{name_}/endpoint.yaml", "bake: 10s", f"bake: {bake}")
    pair.push("deploy", message="Begin")
    return pair


def _connect(live: Live, clone: Path, full_name: str, *, role: str, hooks: bool) -> None:
    asked = live.ask("connect", repository=full_name, role=role)
    assert asked.phase == "Succeeded", asked.message
    token = (live.layout.forge_home / "user.token").read_text().strip()
    url = str(asked.facts.result["clone_url"])
    # A test's clone may hold its token; what `launchpin add` writes has tests of its own.
    git(clone, "remote", "add", "launchpin", url.replace("http://", f"http://you:{token}@"))
    if not hooks:
        for hook in live.api("GET", f"/repos/{full_name}/hooks"):
            live.api("DELETE", f"/repos/{full_name}/hooks/{hook['id']}")

"""`make strangers`: projects that others wrote, as they are, from `launchpin init model .` to a prediction.

Starts a stack of its own, copies each folder, types what Launchpin says comes next, and prints how far each one came.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from gitops.config.launchpin import parse_launchpin
from gitops.records import Environment, Promotion, Rollout, Training
from tests.support.live import Live, final, git, running

_NEXT = re.compile(r"^Next:\n((?:  .*\n?)+)", re.MULTILINE)
_LONGEST = 400
_EXAMPLE = "serving_input_example.json"
_WAITS = {"NoInterpreter", "DiskLow"}


@dataclass
class Stranger:
    """A project on its way.

    Args:
        folder: our copy of it.
        request: what is asked of its endpoint; empty where the model's own example is.
        typed: the commands that were typed.
    """

    live: Live
    folder: Path
    request: bytes = b""
    typed: set[str] = field(default_factory=set)

    def go(self) -> bool:
        """Take the whole way; returns whether the endpoint answered a prediction."""
        git(self.folder, "init", "-q", "-b", "main")
        git(self.folder, "add", ".")
        git(self.folder, "commit", "-q", "-m", "As it was found")
        if not self._type("launchpin init model ."):
            return False
        training = self.live.wait("the training", self._trained)
        self._say(f"training {training.phase} {training.reason}: {training.message}")
        version = training.facts.version or ""
        if training.phase != "Succeeded" or not self._serves("staging", version):
            return False
        number = self.live.wait("the pull request", lambda: self._proposed(training.model, version))
        return (
            self._type(f"launchpin pr merge {number} --repo {self._deploy}")
            and self._serves("production", version)
            and self._predict(training.model, version)
        )

    def _serves(self, name: str, version: str) -> bool:
        """Wait until the rollout of a version is over; returns whether it serves."""
        rollout = self.live.wait(name, lambda: self._settled(name, version))
        # Read after the end of the rollout, which writes it.
        serving = next(one.serving for one in self._environments() if one.path == name)
        self._say(f"{name}: {serving or 'nothing'} serves; {rollout.phase} {rollout.message}")
        return serving == version

    def _type(self, command: str) -> bool:
        """Run a command and then what it says comes next, as a newcomer does; nothing twice."""
        self.typed.add(command)
        done = subprocess.run(command, shell=True, cwd=self.folder, capture_output=True, text=True, check=False)  # noqa: S602
        _print(f"    $ {command}")
        _print("".join(f"    | {line}\n" for line in (done.stdout + done.stderr).splitlines()).rstrip())
        if done.returncode:
            self._say(f"`{command}` ended with {done.returncode}: {done.stderr.strip()[-_LONGEST:]}")
            return False
        return all(following in self.typed or self._type(following) for following in _next(done.stdout))

    @property
    def _deploy(self) -> str:
        """The deploy repository that the new launchpin.yaml names."""
        deploy = parse_launchpin((self.folder / "launchpin.yaml").read_bytes(), file="launchpin.yaml").deploy
        return deploy.repository if deploy else ""

    def _trained(self) -> Training | None:
        commit = git(self.folder, "rev-parse", "HEAD").strip()
        found = [one for one in self.live.store.recent("training", limit=20) if isinstance(one, Training)]
        return final(next((one for one in found if one.commit == commit), None)) or self._stalled(found, commit)

    def _stalled(self, found: Sequence[Training], commit: str) -> Training | None:
        """Return a training that waits for a person: nobody comes here."""
        return next((one for one in found if one.commit == commit and one.reason in _WAITS), None)

    def _proposed(self, model: str, version: str) -> int | None:
        for one in self.live.store.recent("promotion", limit=20):
            if not isinstance(one, Promotion) or (one.model, one.version) != (model, version):
                continue
            if one.environment == "production" and one.facts.number:
                return one.facts.number
        return None

    def _environments(self) -> list[Environment]:
        return [one for one in self.live.store.environments() if one.repository == self._deploy]

    def _settled(self, name: str, version: str) -> Rollout | None:
        """Return the rollout of the version in an environment when it is over."""
        for known in self._environments():
            rollout = self.live.store.newest_rollout(known.repository_id, known.path)
            if known.path == name and rollout and rollout.version == version:
                return final(rollout)
        return None

    def _predict(self, model: str, version: str) -> bool:
        body = self.request
        record = self.live.store.version(model, version)
        example = self.live.layout.dir / "models" / (record.manifest_sha256 if record else "") / _EXAMPLE
        if not body and example.is_file():
            body = example.read_bytes()
        if not body:
            self._say("the model has no example and no request was given, so nothing was asked")
            return False
        (endpoint,) = (one.endpoint for one in self._environments() if one.path == "production")
        url = f"{self.live.layout.url('endpoints')}/endpoints/{endpoint}/invocations"
        headers = {"content-type": "application/json"}
        answer = httpx.post(url, content=body, headers=headers, trust_env=False, timeout=60)
        self._say(f"prediction {answer.status_code}: {answer.text[:_LONGEST]}")
        return answer.is_success

    def _say(self, sentence: str) -> None:
        _print(f"  {sentence[:_LONGEST]}")


def _next(output: str) -> Iterator[str]:
    for block in _NEXT.findall(output):
        yield from (line.strip() for line in block.splitlines())


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Try each project; returns how many of them answered no prediction."""
    parser = argparse.ArgumentParser(prog="make strangers", description=__doc__)
    parser.add_argument("projects", nargs="+", metavar="FOLDER[=REQUEST]", help="a folder with an MLproject")
    parser.add_argument("--work", type=Path, help="where the copies and the stack go; a temporary folder by default")
    asked = parser.parse_args(arguments)
    work = asked.work or Path(tempfile.mkdtemp(prefix="strangers-"))
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    os.environ |= {"LAUNCHPIN_DIR": str(work / "stack"), "EMAIL": "ada@localhost", "GIT_TERMINAL_PROMPT": "0"}
    lost = 0
    with running(work / "stack", poll="10s", compare="5s") as live:
        for given in asked.projects:
            path, _, request = given.partition("=")
            folder = work / Path(path).resolve().name
            shutil.copytree(path, folder, ignore=shutil.ignore_patterns(".git"))
            _print(f"{folder.name}:")
            begun = time.monotonic()
            stranger = Stranger(live, folder, Path(request).read_bytes() if request else b"")
            try:
                has_answered = stranger.go()
            except TimeoutError as error:
                _print(f"  {error}")
                has_answered = False
            lost += not has_answered
            _print(f"  {'ANSWERED' if has_answered else 'NO ANSWER'} after {time.monotonic() - begun:.0f} s\n")
    return lost


if __name__ == "__main__":
    sys.exit(main())

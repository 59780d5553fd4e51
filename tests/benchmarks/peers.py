"""What a delivery could be given to instead, each small and in its best form, on the server that Launchpin uses.

`python -P -m tests.benchmarks.peers KIND --port N` serves one of them. None checks a signature, which only helps them.
"""

import argparse
import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import Body, FastAPI, Header

from tests.benchmarks.waiting import await_port
from tests.support.mlflow import free_port
from tests.support.processes import ROOT
from tests.support.web import PATH
from webhooks.replies import App, Receive, Scope, Send
from webhooks.server import allow_connections, make_server

_JSON = (b"content-type", b"application/json")
_SCHEMA = "CREATE TABLE IF NOT EXISTS deliveries (guid TEXT PRIMARY KEY, event TEXT NOT NULL, body TEXT NOT NULL)"


async def do_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body and answer 202: what no receiver on this server can be faster than."""
    del scope
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": [_JSON, (b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


def commit_each(file: Path) -> App:
    """Return a FastAPI application that binds the body and commits once for each request.

    One connection behind a lock: with one for each thread, SQLite's own waiting for the write lock is far slower.
    """
    app = FastAPI()
    connection = sqlite3.connect(file, check_same_thread=False)
    connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_SCHEMA}")
    lock = threading.Lock()

    @app.post(PATH, status_code=202)
    def receive(
        body: Annotated[dict[str, Any], Body()],
        x_github_event: Annotated[str, Header()],
        x_github_delivery: Annotated[str, Header()],
    ) -> dict[str, str]:
        with lock, connection:
            row = (x_github_delivery, x_github_event, json.dumps(body))
            connection.execute("INSERT OR IGNORE INTO deliveries VALUES (?, ?, ?)", row)
        return {"status": "accepted"}

    return app


def publish_each() -> App:
    """Return a FastAPI application that hands each body to Celery before it answers; Redis keeps it in memory alone."""
    from tests.benchmarks.peer_tasks import store  # noqa: PLC0415 - the others need no Celery

    app = FastAPI()

    @app.post(PATH, status_code=202)
    def receive(
        body: Annotated[dict[str, Any], Body()],
        x_github_event: Annotated[str, Header()],
        x_github_delivery: Annotated[str, Header()],
    ) -> dict[str, str]:
        store.delay(x_github_event, x_github_delivery, body)
        return {"status": "accepted"}

    return app


def make_app(kind: str) -> App:
    """Return one of them."""
    match kind:
        case "commit":
            return commit_each(Path(os.environ["PEER_FILE"]))
        case "celery":
            return publish_each()
        case _:
            return do_nothing


@contextmanager
def running_peer(kind: str, folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[tuple[int, int]]:
    """Run one in a process of its own until the block ends; gives its port and its pid."""
    port = free_port()
    environment = {"PATH": os.defpath, "PYTHONPATH": str(ROOT), "HOME": str(folder), **(variables or {})}
    command = (sys.executable, "-P", "-m", "tests.benchmarks.peers", kind, "--port", str(port))
    with (folder / f"{kind}.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        await_port(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("bare", "commit", "celery"))
    parser.add_argument("--port", type=int, required=True)
    asked = parser.parse_args()
    allow_connections()
    asyncio.run(make_server(make_app(asked.kind), port=asked.port, lifespan=False).serve())


if __name__ == "__main__":
    main()

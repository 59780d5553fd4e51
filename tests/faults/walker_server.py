"""A process with everything imported that forks a worker for each line it is given: a case must not pay for imports.

It keeps no thread, connection or database of its own: a fork of it is a process as if freshly started.
"""

import gc
import json
import os
import signal
import sys
import traceback
from typing import Any

from gitops.bootstrap import stories
from gitops.registry.mlflow import MlflowRegistry
from tests.faults.walker_play import play

# Seconds of a worker, far beyond any on a busy machine: what is over then hangs. A stopped one's go on meanwhile.
_DEADLINE = 240


def main() -> None:
    """Serve until standard input ends: `{"run": PLAY, "log": FILE}`, or `{"continue": PID}` for one that stopped.

    `{"warm": PLAY}` is played by this process itself: what is imported and compiled on the way, no fork pays for again.
    """
    # Imports what the adapters import when they are made.
    MlflowRegistry("http://127.0.0.1:9")
    stories()
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        if "warm" in asked:
            play(asked["warm"])
            gc.collect()
            gc.freeze()  # what a fork never touches is never copied
            print(json.dumps({"pid": 0, "end": "done"}), flush=True)  # noqa: T201 - this is the answer
            continue
        pid = asked.get("continue") or _start(asked)
        if "continue" in asked:
            os.kill(pid, signal.SIGCONT)
        print(json.dumps({"pid": pid, "end": _await(pid)}), flush=True)  # noqa: T201 - this is the answer


def _start(asked: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(_DEADLINE)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    try:
        play(asked["run"])
    except BaseException:  # noqa: BLE001 - whatever it was goes to the log, and never back into the server's loop
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _await(pid: int) -> str:
    """Return how it ended: `done`, `failed`, `killed`, `stopped`, or `hung`."""
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return "stopped"
    code = os.waitstatus_to_exitcode(status)
    return {0: "done", -signal.SIGKILL: "killed", -signal.SIGALRM: "hung"}.get(code, "failed")


if __name__ == "__main__":
    main()

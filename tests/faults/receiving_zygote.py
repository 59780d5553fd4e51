"""Forks web processes out of one that has imported everything: a thousand deaths pay for no import.

Reads a line for each on standard input, `PORT FAILPOINTS`, and answers with its pid. What runs after the fork is the
web process's own `main`.
"""

import gc
import os
import signal
import sys

import uvicorn.lifespan.on
import uvicorn.loops.asyncio

from gitops import failpoints
from gitops.bootstrap import for_web, observe
from gitops.settings import Settings
from webhooks import serve

_IMPORTED_LATER = (uvicorn.lifespan.on, uvicorn.loops.asyncio)


def _become_web(port: str, traps: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(0)
    os.dup2(2, 1)
    failpoints.arm(traps)
    sys.argv = ["webhooks.serve", "--port", port]
    os.environ["LAUNCHPIN_BASE_URL"] = f"http://127.0.0.1:{port}"
    try:
        serve.main()
    finally:
        os._exit(1)


def main() -> None:
    """Fork until the input ends."""
    # Once for all: what is imported late is imported on the way, and nothing is left open that a child would inherit.
    settings = Settings()
    observe("web", settings)
    store = for_web(settings)
    store.recent("delivery")
    store.close()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    gc.freeze()
    for line in sys.stdin:
        port, _, traps = line.strip().partition(" ")
        pid = os.fork()
        if not pid:
            _become_web(port, traps)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Run the embedded forge: `python -m gitops.embedded.forge --home DIR --port N`."""

import gitops.telemetry.lean_uvicorn  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import argparse
import sys
from pathlib import Path

import pygit2
import uvicorn
from pygit2.enums import ConfigLevel

from gitops.embedded.forge.app import build_app, open_forge
from gitops.embedded.forge.server import server_config
from gitops.embedded.logs import begin_logs
from gitops.errors import InputError

_LEVELS = (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL)


def main() -> int:
    """Serve until a signal; return 2 when the directory is not prepared."""
    parser = argparse.ArgumentParser(prog="python -m gitops.embedded.forge", description="A GitHub-shaped server.")
    parser.add_argument("--home", type=Path, required=True, help="data directory, prepared by make_tokens")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--public-url", default="", help="how others reach it; http://HOST:PORT when not given")
    options = parser.parse_args()
    begin_logs("forge")
    for level in _LEVELS:
        pygit2.settings.search_path[level] = str(options.home / "no-configuration")
    try:
        forge = open_forge(options.home, options.public_url or f"http://{options.host}:{options.port}")
    except InputError as error:
        sys.stderr.write(f"forge: {error}\n")
        return 2
    app = build_app(forge, port=options.port)
    uvicorn.Server(server_config(app, host=options.host, port=options.port)).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())

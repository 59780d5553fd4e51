"""Starts the web process: `python -P -m webhooks.serve --port N`."""

import webhooks.lean  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import argparse

from gitops.bootstrap import observe
from gitops.settings import Settings
from webhooks.asgi import create_app
from webhooks.server import allow_connections, make_server


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Launchpin's web process")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    settings = Settings()
    observe("web", settings)
    allow_connections()
    make_server(create_app(settings), host=arguments.host, port=arguments.port).run()


if __name__ == "__main__":
    main()

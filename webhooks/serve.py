"""Starts the web process: `python -P -m webhooks.serve --port N`."""

import webhooks.lean  # noqa: F401 - first: what it loads is not loaded again

# isort: split
import argparse
import gc
import importlib
import signal
import sys

from gitops.bootstrap import for_web, observe
from gitops.settings import Settings
from webhooks.asgi import create_app
from webhooks.saving import Save, saver
from webhooks.scribe import Scribe, start_scribe
from webhooks.server import allow_connections, make_server


def main() -> None:
    """Serve until SIGTERM or SIGINT, or until the process that stores deliveries is gone: that ends with an error."""
    parser = argparse.ArgumentParser(description="Launchpin's web process")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    settings = Settings()
    # Set up before the fork, the logs are in memory once; the exporter of spans has threads, and comes after it.
    observe("web", settings, has_spans=False)
    scribe = _start_scribe(settings)
    try:
        observe("web", settings)
        allow_connections()
        asked: list[int] = []
        app = create_app(settings, keeper=scribe, is_stopping=lambda: bool(asked))
        server = make_server(app, host=arguments.host, port=arguments.port)
        scribe.wake()

        def stop(number: int, _: object) -> None:
            asked.append(number)
            server.should_exit = True

        def stop_without_scribe(*_: object) -> None:
            server.should_exit |= scribe.is_gone()

        # The server sends itself what ended it once more, when all is answered: the scribe is ended before that counts.
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGCHLD, stop_without_scribe)
        # It may have gone before anybody heard of that.
        stop_without_scribe()
        server.run()
        is_broken = not asked and scribe.is_gone()
    finally:
        scribe.end()
    if is_broken:
        sys.exit("the process that stores deliveries is gone")
    if asked:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def _start_scribe(settings: Settings) -> Scribe:
    def open_saver() -> Save:
        return saver(for_web(settings))

    # Imported before the fork, it is in memory once.
    importlib.import_module("gitops.store")
    gc.freeze()
    return start_scribe(open_saver)


if __name__ == "__main__":
    main()

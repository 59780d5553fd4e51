"""Starts a worker as the embedded stack does, under a name of its own and with what a test adds to the application."""

import workers.start  # isort: skip  # first, as in a worker

import argparse
import importlib


def main() -> None:
    """Work until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--application", default="workers.app", help="the module that has it as `app`")
    parser.add_argument("--name", required=True)
    parser.add_argument("--queues", required=True, help="joined by commas")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    application = importlib.import_module(arguments.application).app
    workers.start.work(application, name=arguments.name, queues=arguments.queues.split(","), threads=arguments.threads)


if __name__ == "__main__":
    main()

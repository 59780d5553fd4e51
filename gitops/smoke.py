"""The questions a version must answer before it gets traffic, and again after."""

import json
from datetime import timedelta
from pathlib import Path

from gitops.config.endpoint import Smoke
from gitops.ports import Answer, Deps

_EXAMPLES = ("serving_input_example.json", "input_example.json")
_PATIENCE = timedelta(seconds=30)
_OK = 200
_SHOWN = 300


def run_smoke(deps: Deps, *, target: str, configuration: str, tests: tuple[Smoke, ...], folder: Path) -> str:
    """Ask a configuration each question.

    Args:
        folder: the version's files, which hold its input example.

    Returns:
        What went wrong, in one sentence; empty when every answer was good.
    """
    for test in tests:
        failure = _ask(deps, target, configuration, test, folder)
        if failure:
            return failure
    return ""


def _ask(deps: Deps, target: str, configuration: str, test: Smoke, folder: Path) -> str:
    body = _example(folder)
    if body is None:
        return "the model has no input example: log it with input_example=, or leave smoke empty"
    timeout = max(_PATIENCE, test.max_latency or _PATIENCE)
    answer = deps.targets[target].invoke(configuration, body, content_type="application/json", timeout=timeout)
    return _judge(answer, test)


def _judge(answer: Answer, test: Smoke) -> str:
    if answer.status != _OK:
        shown = answer.body[:_SHOWN].decode("utf-8", "replace")
        return f"the input example was answered with {answer.status}: {shown}"
    if test.max_latency is not None and answer.seconds > test.max_latency.total_seconds():
        return f"the answer took {answer.seconds:.3f} s, over max_latency {test.max_latency.total_seconds():.3f} s"
    return ""


def _example(folder: Path) -> bytes | None:
    """Return the request that MLflow stored beside the model, in the scoring server's own form."""
    for name in _EXAMPLES:
        file = folder / name
        if file.is_file():
            content = file.read_bytes()
            return content if _is_request(content) else None
    return None


def _is_request(content: bytes) -> bool:
    try:
        document = json.loads(content)
    except ValueError:
        return False
    return isinstance(document, dict) and any(
        key in document for key in ("dataframe_split", "dataframe_records", "inputs", "instances", "input")
    )

"""The questions a version must answer before it gets traffic, and again after."""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from gitops.config.endpoint import Missing, Smoke
from gitops.ports import Answer, Deps

_EXAMPLES = ("serving_input_example.json", "input_example.json")
_PATIENCE = timedelta(seconds=30)
_OK = 200
_SHOWN = 300
NOT_ASKED = "not asked"
"""What a rollout notes where there was nothing to send, and endpoint.yaml lets such a version through."""
NO_EXAMPLE = "it has no input example, so it was asked nothing"


@dataclass(frozen=True)
class Smoked:
    """What came of the questions.

    Args:
        failure: what went wrong, in one sentence; empty when every answer was good.
        is_asked: False when a question could not be asked, and need not be.
    """

    failure: str = ""
    is_asked: bool = True

    @property
    def noted(self) -> str:
        """What the rollout's record says of a version that did not fail."""
        return "pass" if self.is_asked else NOT_ASKED

    @property
    def words(self) -> str:
        """The same in words."""
        return "the smoke test passed" if self.is_asked else f"the version is ready; {NO_EXAMPLE}"


def run_smoke(deps: Deps, *, target: str, configuration: str, tests: tuple[Smoke, ...], folder: Path) -> Smoked:
    """Ask a configuration each question.

    Args:
        folder: the version's files, which hold its input example.
    """
    body = _example(folder)
    for test in tests:
        if body is None and test.missing is Missing.WARN:
            continue
        failure = _ask(deps, target, configuration, test, body)
        if failure:
            return Smoked(failure)
    return Smoked(is_asked=body is not None or not tests)


def _ask(deps: Deps, target: str, configuration: str, test: Smoke, body: bytes | None) -> str:
    if body is None:
        return "the model has no input example: log it with input_example=, or say `missing: warn` beside `input`"
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

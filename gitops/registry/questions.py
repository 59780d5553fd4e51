"""Questions about runs that a command asks MLflow's server in its own filter language, without MLflow's client.

The call is `runs/search` of MLflow's REST API; a client that takes seconds to import is nothing for a command line.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from gitops.errors import InputError, RetryError, StalledError
from gitops.registry.credentials import NAMES, Credentials, find_credentials
from gitops.registry.replies import UNAVAILABLE, bad_reply
from gitops.registry.runs import decimal_string
from gitops.registry.search import quoted

_PATIENCE = 20.0
_AT_ONCE = 100  # ids in one question
_SHOWN = 300
_WHAT = "search runs"
_DIRECT: Mapping[str, None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}
_EXAMPLE = "metrics.accuracy > 0.9 and params.max_depth = '3'"


@dataclass(frozen=True)
class FoundRun:
    """A run that answers a question; metrics are the shortest decimal strings of what was logged last."""

    run_id: str
    metrics: Mapping[str, str]


class RunQuestions:
    """Asks one tracking server.

    Args:
        tracking_uri: `http(s)://host[:port][/prefix]`; no proxy is asked for one on this machine.
        credentials: by default those that MLflow's client would find when it is asked.
        patience: seconds that the server may take to answer.
    """

    def __init__(
        self, tracking_uri: str, credentials: Credentials | None = None, *, patience: float = _PATIENCE
    ) -> None:
        self._uri = tracking_uri.rstrip("/")
        self._credentials = credentials
        self._patience = patience

    def check(self) -> None:
        """Make sure that the server answers us.

        Raises:
            RetryError: `RegistryUnavailable` when it does not.
            StalledError: `RegistryForbidden`.
        """
        with self._open() as client:
            self._ask(client, {"experiment_ids": ["0"], "max_results": 1})

    def find(self, run_ids: Sequence[str], *, experiments: Sequence[str], where: str = "") -> dict[str, FoundRun]:
        """Return those of the runs that still exist and match, by their id.

        Args:
            run_ids: the runs that are meant.
            experiments: the ids of theirs.
            where: a filter in MLflow's language; empty for none.

        Raises:
            InputError: `where_invalid`, in MLflow's words.
            RetryError: `RegistryUnavailable` when the server does not answer.
            StalledError: `RegistryForbidden`.
        """
        found: dict[str, FoundRun] = {}
        with self._open() as client:
            for start in range(0, len(run_ids), _AT_ONCE):
                part = run_ids[start : start + _AT_ONCE]
                meant = f"attributes.run_id IN ({', '.join(map(quoted, part))})"
                asked = {
                    "experiment_ids": list(experiments),
                    "filter": f"{meant} and {where}" if where else meant,
                    "max_results": _AT_ONCE,
                }
                found |= {run.run_id: run for run in _read(self._ask(client, asked)) if run.run_id in set(part)}
        return found

    def _open(self) -> httpx.Client:
        known = self._credentials or find_credentials(os.environ, Path.home())
        return httpx.Client(
            base_url=self._uri, timeout=self._patience, headers=known.headers, verify=known.open_tls(), mounts=_DIRECT
        )

    def _ask(self, client: httpx.Client, asked: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON of the API
        try:
            answer = client.post("/api/2.0/mlflow/runs/search", json=asked)
        except httpx.HTTPError as error:
            raise self._away(str(error) or type(error).__name__) from error
        match answer.status_code:
            case HTTPStatus.OK:
                return _parsed(answer)
            case HTTPStatus.BAD_REQUEST:
                message = f"MLflow does not take this filter: {_words(answer)} (one that it takes: {_EXAMPLE})"
                raise InputError("where_invalid", message, field="--where")
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                message = f"MLflow at {self._uri} refuses: {_words(answer)} (who asks is told by {NAMES})"
                raise StalledError("RegistryForbidden", message)
            case status:
                raise self._away(f"status {status}")

    def _away(self, why: str) -> RetryError:
        look = "see `launchpin doctor`, or `launchpin logs mlflow` where `launchpin up` runs"
        return RetryError(UNAVAILABLE, f"MLflow at {self._uri} does not answer ({why}): {look}")


def _parsed(answer: httpx.Response) -> Any:  # noqa: ANN401 - JSON of the API
    try:
        return answer.json()
    except ValueError as error:
        raise bad_reply(_WHAT, f"no JSON: {answer.text[:80]!r}") from error


def _words(answer: httpx.Response) -> str:
    """Return the server's own words on one line of printable characters."""
    try:
        text = str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        text = answer.text or answer.reason_phrase
    return "".join(each if each.isprintable() else " " for each in text)[:_SHOWN].strip()


def _read(answer: Any) -> Iterator[FoundRun]:  # noqa: ANN401 - JSON of the API
    try:
        for run in answer.get("runs", []):
            metrics = {str(one["key"]): decimal_string(float(one["value"])) for one in run["data"].get("metrics", [])}
            yield FoundRun(str(run["info"]["run_id"]), metrics)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise bad_reply(_WHAT, "no list of runs") from error

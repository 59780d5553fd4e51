"""GitHub's REST API as far as a person's own verbs need it, over plain HTTP with the person's token.

Source: https://docs.github.com/en/rest/pulls, https://docs.github.com/en/rest/checks and /commits/statuses.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any, Self

import httpx

from gitops.embedded.stack.layout import Layout
from gitops.errors import InputError, NotFoundError, RefusedError, RetryError, UnknownOutcomeError
from gitops.words import short

_PATIENCE = 30.0
_PAGE = 100


@dataclass(frozen=True)
class Pull:
    """A pull request.

    Args:
        state: `open`, `closed` or `merged`.
        head: the branch that is merged; `head_sha` is its commit.
        base: the branch it is merged into.
    """

    repository: str
    number: int
    title: str
    state: str
    author: str
    head: str
    head_sha: str
    base: str
    url: str
    body: str
    merge_sha: str
    updated_at: datetime

    @classmethod
    def read(cls, repository: str, found: dict[str, Any]) -> Self:
        """Read what the API says."""
        return cls(
            repository=repository,
            number=int(found["number"]),
            title=str(found["title"]),
            state="merged" if found["merged_at"] else str(found["state"]),
            author=str(found["user"]["login"]),
            head=str(found["head"]["ref"]),
            head_sha=str(found["head"]["sha"]),
            base=str(found["base"]["ref"]),
            url=str(found["html_url"]),
            body=str(found["body"] or ""),
            merge_sha=str(found["merge_commit_sha"] or "") if found["merged_at"] else "",
            updated_at=datetime.fromisoformat(found["updated_at"]),
        )


@dataclass(frozen=True)
class Check:
    """A check run or status on a commit.

    Args:
        state: GitHub's word: `success`, `failure`, `pending`, `in_progress` and so on.
    """

    name: str
    state: str
    text: str


class ForgeOfPerson:
    """The forge as the person sees it."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def pulls(self, repository: str, *, state: str) -> Sequence[Pull]:
        """Return pull requests, newest first.

        Args:
            state: `open`, `closed` or `all`.
        """
        asked = {"state": state, "per_page": str(_PAGE)}
        return [Pull.read(repository, one) for one in self._get(f"/repos/{repository}/pulls", asked)]

    def pull(self, repository: str, number: int) -> Pull | None:
        """Return a pull request; None when there is none of that number."""
        try:
            return Pull.read(repository, self._get(f"/repos/{repository}/pulls/{number}"))
        except NotFoundError:
            return None

    def checks(self, pull: Pull) -> Sequence[Check]:
        """Return what was said about a pull request's commit."""
        commit = f"/repos/{pull.repository}/commits/{pull.head_sha}"
        runs = self._get(f"{commit}/check-runs")["check_runs"]
        statuses = self._get(f"{commit}/status")["statuses"]
        found = [
            Check(
                str(one["name"]), str(one["conclusion"] or one["status"]), str((one["output"] or {}).get("title") or "")
            )
            for one in runs
        ]
        told = [Check(str(one["context"]), str(one["state"]), str(one["description"] or "")) for one in statuses]
        return [*found, *told]

    def merge(self, pull: Pull) -> str:
        """Merge a pull request as it was read, and return the merge's commit.

        Raises:
            RefusedError: `NotMergeable` in the forge's words.
        """
        path = f"/repos/{pull.repository}/pulls/{pull.number}/merge"
        answer = self._send("PUT", path, json={"sha": pull.head_sha, "merge_method": "merge"})
        if answer.is_success:
            return str(answer.json()["sha"])
        said = _message(answer)
        if answer.status_code == HTTPStatus.CONFLICT:
            message = f"the branch moved on from {short(pull.head_sha)} meanwhile: look at it again ({said})"
            raise RefusedError("HeadMoved", message)
        raise RefusedError("NotMergeable", f"{pull.repository}#{pull.number} cannot be merged: {said}")

    def _get(self, path: str, asked: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - JSON of the API
        answer = self._send("GET", path, params=asked or {})
        if answer.status_code == HTTPStatus.NOT_FOUND:
            raise NotFoundError("NotFound", f"the forge has no {path}")
        if not answer.is_success:
            raise InputError("forge_refused", f"GET {path}: {_message(answer)}")
        return answer.json()

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
        try:
            answer = self._client.request(method, path, **content)
        except httpx.ConnectError as error:
            raise RetryError("ForgeUnavailable", "the forge does not answer: `launchpin up` first") from error
        except httpx.HTTPError as error:
            kind = RetryError if method == "GET" else UnknownOutcomeError
            raise kind("ForgeUnavailable", f"{method} {path}: {error}") from error
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            raise InputError("forge_token", "the forge does not know this stack's user.token: `launchpin up` again")
        if answer.is_server_error:
            raise RetryError("ForgeUnavailable", f"{method} {path}: {answer.status_code} {_message(answer)}")
        return answer


@contextmanager
def connect(layout: Layout) -> Iterator[ForgeOfPerson]:
    """Give the embedded forge of a stack, signed in as the person.

    Raises:
        NotFoundError: `NoToken` when the stack was never up.
    """
    file = layout.forge_home / "user.token"
    if not file.is_file():
        raise NotFoundError("NoToken", f"the stack in {layout.dir} was never up: `launchpin up` first")
    headers = {
        "Authorization": f"Bearer {file.read_text(encoding='utf-8').strip()}",
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    base = layout.url("forge") + "/api/v3"
    # Loopback: no proxy of the person's may see the token.
    with httpx.Client(base_url=base, headers=headers, timeout=_PATIENCE, trust_env=False) as client:
        yield ForgeOfPerson(client)


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or answer.reason_phrase

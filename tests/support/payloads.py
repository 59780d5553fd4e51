"""Webhook bodies as the forge sends them, cut to what is read, with room for what a test wants wrong."""

import json
from typing import Any

SHA = "1" * 40
OLD = "0123456789" * 4


def person(login: str = "ada", number: int = 7) -> dict[str, Any]:
    return {"login": login, "id": number, "type": "User"}


def repository(number: int = 1001, name: str = "acme/iris") -> dict[str, Any]:
    return {"id": number, "full_name": name, "default_branch": "main"}


def push(**changes: Any) -> bytes:  # noqa: ANN401 - any field of the body
    body = {
        "ref": "refs/heads/main",
        "before": OLD,
        "after": SHA,
        "repository": repository(),
        "sender": person(),
        "commits": [],
    }
    return json.dumps({**body, **changes}).encode()


def pull_request(*, head_repository: dict[str, Any] | None, **changes: Any) -> bytes:  # noqa: ANN401 - any field
    side = {"ref": "launchpin/staging/iris", "sha": SHA}
    pull = {
        "number": 3,
        "state": "open",
        "merged": False,
        "head": {**side, "repo": head_repository},
        "base": {"ref": "main", "sha": OLD, "repo": repository()},
    }
    body = {"action": "opened", "number": 3, "pull_request": pull, "repository": repository(), "sender": person()}
    return json.dumps({**body, **changes}).encode()


def comment(text: str) -> bytes:
    body = {"action": "created", "comment": {"body": text}, "repository": repository(), "sender": person()}
    return json.dumps(body).encode()

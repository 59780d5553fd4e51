"""Answers that refuse, in GitHub's words and shapes."""

from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

DOCS = "https://docs.github.com/rest"


class ForgeError(Exception):
    """A request is refused.

    Args:
        status: the HTTP status.
        message: what GitHub writes into `message`.
        errors: the entries of GitHub's `errors` list.
    """

    def __init__(self, status: int, message: str, *, errors: tuple[Json, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors

    def body(self) -> Json:
        """Return the JSON of the answer."""
        document: Json = {"message": self.message, "documentation_url": DOCS, "status": str(int(self.status))}
        if self.errors:
            document["errors"] = list(self.errors)
        return document


def not_found(message: str = "Not Found") -> ForgeError:
    """Return a 404."""
    return ForgeError(HTTPStatus.NOT_FOUND, message)


def unprocessable(message: str) -> ForgeError:
    """Return a 422 that says only its message."""
    return ForgeError(HTTPStatus.UNPROCESSABLE_ENTITY, message)


def invalid(resource: str, field: str, code: str = "invalid", *, message: str = "") -> ForgeError:
    """Return GitHub's 422 `Validation Failed`.

    Args:
        resource: `PullRequest`, `Hook` and so on.
        field: the JSON key that is wrong; empty when it is about no single one.
        code: `invalid`, `missing_field`, `already_exists` or `custom`.
        message: what a person reads, with the code `custom`.
    """
    entry: Json = {"resource": resource, "code": code}
    if field:
        entry["field"] = field
    if message:
        entry["message"] = message
    return ForgeError(HTTPStatus.UNPROCESSABLE_ENTITY, "Validation Failed", errors=(entry,))

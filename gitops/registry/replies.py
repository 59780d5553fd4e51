"""What the tracking server's failures mean to us: every error of the client becomes one of ours, by what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from urllib3.exceptions import NewConnectionError

from gitops.errors import (
    ConflictError,
    LaunchpinError,
    NotFoundError,
    RefusedError,
    RetryError,
    StalledError,
    UnknownOutcomeError,
)

UNAVAILABLE = "RegistryUnavailable"
_SHOWN = 300
_FIRST_SERVER_ERROR = 500
_ANSWERS: dict[int, tuple[type[LaunchpinError], str]] = {
    401: (StalledError, "RegistryForbidden"),
    403: (StalledError, "RegistryForbidden"),
    404: (NotFoundError, "NotInRegistry"),
    408: (RetryError, "RegistryUnavailable"),
    409: (ConflictError, "RegistryConflict"),
    429: (RetryError, "RegistryUnavailable"),
}


class UnansweredError(Exception):
    """The server is not able to answer now.

    Args:
        after: seconds it asks us to wait, 0 when it does not say.
    """

    def __init__(self, message: str, *, after: float) -> None:
        super().__init__(message)
        self.after = after


class BrokenReplyError(Exception):
    """The answer is none that a tracking server gives."""


def bad_reply(what: str, problem: str, *, creates: bool = False) -> RetryError:
    """Return the error for an answer that no tracking server gives: a redirect, HTML, broken JSON, too many bytes."""
    kind = UnknownOutcomeError if creates else RetryError
    return kind("upstream_bad_reply", f"{what}: the tracking server's answer cannot be used: {problem[:_SHOWN]}")


@contextmanager
def translated(what: str, *, creates: bool = False) -> Iterator[None]:
    """Turn what the MLflow client raises inside the block into our errors.

    Args:
        what: the sentence's start for people, `create version of iris` for example.
        creates: the call makes something each time it is sent, so a lost answer leaves its outcome unknown.

    Raises:
        RetryError: `RegistryUnavailable` or `upstream_bad_reply`; with `creates`, UnknownOutcomeError once it was sent.
        NotFoundError: what was named does not exist.
        ConflictError: it exists already.
        StalledError: `RegistryForbidden`, the credentials do not suffice.
        RefusedError: `RegistryRefused`, the server or its client rejects what was asked.
    """
    from google.protobuf.json_format import (  # type: ignore[import-untyped]  # noqa: PLC0415 - comes with mlflow
        ParseError,
    )
    from mlflow.exceptions import MlflowException, RestException  # noqa: PLC0415 - importing us must not import mlflow

    try:
        yield
    except UnansweredError as error:
        kind = UnknownOutcomeError if creates else RetryError
        raise kind(UNAVAILABLE, f"{what}: the tracking server did not answer: {error}", after=error.after) from error
    except BrokenReplyError as error:
        raise bad_reply(what, str(error), creates=creates) from error
    except RestException as error:
        raise _explain_answer(what, error.get_http_status_code(), str(error), creates=creates) from error
    except MlflowException as error:
        cause = error.__cause__ or error.__context__
        if isinstance(cause, requests.RequestException):
            raise explain_transport(what, cause, creates=creates) from error
        if error.error_code == "INVALID_PARAMETER_VALUE":
            raise RefusedError("RegistryRefused", f"{what}: {str(error)[:_SHOWN]}") from error
        raise bad_reply(what, str(error), creates=creates) from error
    except requests.RequestException as error:
        raise explain_transport(what, error, creates=creates) from error
    except (ParseError, ValueError) as error:
        raise bad_reply(what, str(error), creates=creates) from error


def explain_transport(what: str, cause: Exception, *, creates: bool = False) -> RetryError:
    """Return the error for a call that got no answer."""
    message = f"{what}: the tracking server did not answer: {str(cause)[:_SHOWN]}"
    if creates and not _never_left(cause):
        return UnknownOutcomeError(UNAVAILABLE, message)
    return RetryError(UNAVAILABLE, message)


def _never_left(cause: Exception) -> bool:
    if isinstance(cause, requests.ConnectTimeout):
        return True
    inner = cause.args[0] if cause.args else None
    return isinstance(getattr(inner, "reason", None), NewConnectionError)


def _explain_answer(what: str, status: int, text: str, *, creates: bool) -> LaunchpinError:
    message = f"{what}: {text[:_SHOWN]}"
    if text.startswith("RESOURCE_ALREADY_EXISTS"):
        return ConflictError("RegistryConflict", message)
    if status >= _FIRST_SERVER_ERROR:
        kind = UnknownOutcomeError if creates else RetryError
        return kind("RegistryUnavailable", message)
    known, reason = _ANSWERS.get(status, (RefusedError, "RegistryRefused"))
    return known(reason, message)

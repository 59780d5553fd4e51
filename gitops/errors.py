"""The error tree, named by what must happen next.

LaunchpinError
├── InputError        what a person wrote is wrong: names the place, the limit and the way out
├── RefusedError      a rule said no: nothing is tried again
├── StalledError      a person must change something first
├── RetryError        try again later, by itself; says when if it was told
│   └── UnknownOutcomeError  the call may or may not have had its effect: look before trying again
├── NotFoundError     what was named does not exist
│   └── UnknownNameError  nobody knows the name; says which one is near
├── ConflictError     it exists already, or moved meanwhile: look again
└── StaleEpochError   somebody else holds this job: stop at once, write nothing
"""

from collections.abc import Collection

_MOST_NAMES = 50


class LaunchpinError(Exception):
    """Anything Launchpin raises on purpose.

    Args:
        reason: a CamelCase word from the closed set in the reference, or snake_case for an API code.
        message: one sentence for a person: what was wrong, which limit, what to do.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class InputError(LaunchpinError):
    """Something a person wrote cannot be accepted.

    Args:
        reason: the stable code, `yaml_alias` for example.
        message: what is wrong, which limit, what to do.
        file: the file as the person knows it, relative to its repository.
        field: the dotted path of the key, `train.timeout` for example.
        line: 1-based line in the file.
        column: 1-based column in the line, counted in characters.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        file: str = "",
        field: str = "",
        line: int = 0,
        column: int = 0,
    ) -> None:
        super().__init__(reason, message)
        self.file = file
        self.field = field
        self.line = line
        self.column = column

    def __str__(self) -> str:
        """Show the place, the field and the message in one line."""
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.field, self.message) if part)


class RefusedError(LaunchpinError):
    """A rule said no; trying again changes nothing."""


class StalledError(LaunchpinError):
    """A person must change something before this can go on."""


class RetryError(LaunchpinError):
    """The outside was not able to answer; try again later.

    Args:
        reason: the cause, `ForgeUnavailable` for example.
        message: what was tried and what came back.
        after: seconds the outside asked us to wait, 0 when it did not say.
    """

    def __init__(self, reason: str, message: str, *, after: float = 0.0) -> None:
        super().__init__(reason, message)
        self.after = after


class UnknownOutcomeError(RetryError):
    """The connection broke after the request left: its effect may exist."""


class NotFoundError(LaunchpinError):
    """What was named does not exist."""


class UnknownNameError(NotFoundError):
    """A name that nobody knows, with the nearest one that somebody does.

    Args:
        what: the kind of name, `endpoint` for example.
        name: as it was typed.
        known: every right name.
    """

    def __init__(self, what: str, name: str, known: Collection[str]) -> None:
        from difflib import get_close_matches  # noqa: PLC0415 - only for a mistake

        near = get_close_matches(name, known, n=1, cutoff=0.5)
        more = ", and more" if len(known) > _MOST_NAMES else ""
        listed = ", ".join(list(known)[:_MOST_NAMES]) or "none"
        hint = f"did you mean {near[0]}?" if near else f"there are: {listed}{more}"
        super().__init__("name_unknown", f"no such {what}: {name!r}; {hint}")


class ConflictError(LaunchpinError):
    """It exists already, or moved since it was read."""


class StaleEpochError(LaunchpinError):
    """Another worker holds the job now; whatever this one did must not be written."""

    def __init__(self, job: int, epoch: int) -> None:
        super().__init__("StaleEpoch", f"job {job} is no longer held at epoch {epoch}")

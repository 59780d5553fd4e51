"""The exit codes of every verb."""

from enum import IntEnum

from gitops.errors import InputError, LaunchpinError, NotFoundError, RefusedError, RetryError


class ExitCode(IntEnum):
    """What a verb ends with; scripts rely on it."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    INCONCLUSIVE = 3
    BROKEN = 4
    INTERRUPTED = 130


def exit_code_for(error: LaunchpinError) -> ExitCode:
    """Return what a verb that met this error ends with."""
    match error:
        case InputError() | NotFoundError():
            return ExitCode.USAGE
        case RefusedError():
            return ExitCode.REFUSED
        case RetryError():
            return ExitCode.INCONCLUSIVE
        case _:
            return ExitCode.BROKEN

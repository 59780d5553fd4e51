"""What a look at an installation finds: for `launchpin doctor`, and for the page of settings."""

from dataclasses import dataclass
from enum import StrEnum

GIB = 1024**3
CLOCK_DRIFT = 60.0
"""Seconds that two clocks may differ."""

_LITTLE, _TOO_LITTLE = 5.0, 1.0  # GiB: an environment with scikit-learn and MLflow takes about one


class Grade(StrEnum):
    """How a thing looked at is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """What was found.

    Args:
        what: the thing looked at.
        text: how it is.
        remedy: what to do, empty when nothing is to be done.
    """

    what: str
    grade: Grade
    text: str
    remedy: str = ""


def grade_disk(what: str, free: float, *, remedy: str) -> Finding:
    """Grade a disk's free space.

    Args:
        free: in GiB.
    """
    text = f"{free:.1f} GiB free"
    if free >= _LITTLE:
        return Finding(what, Grade.OK, text)
    return Finding(what, Grade.FAIL if free < _TOO_LITTLE else Grade.WARN, text, remedy)

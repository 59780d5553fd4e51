"""Why a training's process is over. The process that watches one loads this, and must start fast."""

from enum import StrEnum


class End(StrEnum):
    """Why a training's process is over."""

    EXITED = "Exited"
    TIMED_OUT = "TimedOut"
    OUT_OF_MEMORY = "OutOfMemory"
    TOO_MANY_TASKS = "TooManyTasks"
    CANCELLED = "Cancelled"
    LOST = "WorkerLost"

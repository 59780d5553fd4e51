"""The logs of a process: one JSON record a line on standard error, or text for a person at a terminal.

Everything that logs (our modules, Celery, uvicorn, warnings, errors that nobody caught) goes through one structlog
formatter. `LAUNCHPIN_LOG` chooses the form; it is read here because the logs stand before the settings are read.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, MutableMapping
from types import TracebackType
from typing import Any

from gitops.telemetry.lean import import_without
from gitops.telemetry.lines import show_record
from gitops.telemetry.shape import Mask, Record, Shaper, to_json

FORMS = ("json", "text")
_VARIABLE = "LAUNCHPIN_LOG"
# A line for every request that we make, and two for every message, would bury everything else.
_QUIET = ("httpx", "httpcore", "urllib3", "alembic", "celery.worker.strategy", "celery.app.trace")

Spell = Callable[[str], str]


def set_up_logs(part: str, *, mask: Mask, spell: Spell) -> None:
    """Send every log record of this process to standard error; called again, it replaces what it did before.

    Args:
        part: which process this is.
        mask: takes known secrets out of a text.
        spell: writes control characters so that they do nothing, for the form `text`.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(Shaper(part, mask), spell if _form() == "text" else None))
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_death
    threading.excepthook = _log_thread_death


def _form() -> str:
    form = os.environ.get(_VARIABLE, FORMS[0])
    # A wrong word must not keep a process from saying what is wrong: the settings refuse it a moment later.
    return form if form in FORMS else FORMS[0]


def _formatter(shaper: Shaper, spell: Spell | None) -> logging.Formatter:
    """Return structlog's formatter, which takes records of the standard library and of structlog alike."""
    # Its console would bring rich, for nobody to look at.
    stdlib = import_without("rich", "structlog.stdlib")

    def shape(_: object, __: str, told: MutableMapping[str, Any]) -> Record:
        found, stack = told.get("exc_info"), told.get("stack_info")
        return shaper.shape(told["_record"], str(told["event"]), exc_info=found, stack_info=stack)

    def render(_: object, __: str, told: Record) -> str:
        return to_json(told) if spell is None else "\n".join(map(spell, show_record(told)))

    return _Unfailing(stdlib.ProcessorFormatter(processors=[shape, render]), shaper)


class _Unfailing(logging.Formatter):
    """Writes a record that cannot be written as another one that says so, so that none is lost and none breaks a line.

    Args:
        inner: writes every other record.
    """

    def __init__(self, inner: logging.Formatter, shaper: Shaper) -> None:
        super().__init__()
        self._inner = inner
        self._shaper = shaper

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line."""
        try:
            return self._inner.format(record)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a record, its process goes on
            told = f"a record cannot be written ({type(error).__name__}): {record.msg!s:.200}"
            return to_json(self._shaper.shape(record, told, exc_info=None, stack_info=None))


def _log_death(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("launchpin").critical("this process dies of an error", exc_info=(kind, error, trace))


def _log_thread_death(death: threading.ExceptHookArgs) -> None:
    if death.exc_value is None or isinstance(death.exc_value, SystemExit):
        return
    found = (death.exc_type, death.exc_value, death.exc_traceback)
    name = death.thread.name if death.thread else "unknown"
    logging.getLogger("launchpin").error("thread %s died of an error", name, exc_info=found)

"""What a log record says, as one flat and bounded set of fields. Values in, values out.

The fields that we set can be replaced by no caller: `ts`, `level`, `part`, `logger`, `event` and the context's own.
"""

import json
import logging
import math
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType

from gitops.telemetry.context import current

Mask = Callable[[bytes], bytes]
Record = dict[str, str | int | float | bool | None]
Caught = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None] | None

_LONGEST = 16 * 1024  # characters of one value: a record stays a line that tools can read
_CUT = " ... (cut)"
# What logging itself puts on a record; whatever else is there was given as `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Shaper:
    """Turns records into fields.

    Args:
        part: which process this is: `web`, `relay`, `control` and so on.
        mask: takes secrets out of a text.
    """

    def __init__(self, part: str, mask: Mask) -> None:
        self._part = part
        self._mask = mask

    def shape(self, record: logging.LogRecord, event: str, *, exc_info: Caught, stack_info: str | None) -> Record:
        """Return a record's fields, the fixed ones first."""
        told: Record = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "part": self._part,
            "logger": record.name,
            "event": self._clean(event),
        }
        context = current()
        extra = {name: value for name, value in vars(record).items() if name not in _OWN and not name.startswith("_")}
        for name, value in (*context.items(), *extra.items()):
            told.setdefault(name, self._clean(value))
        if exc_info is not None and exc_info[0] is not None:
            told["exception"] = self._clean("".join(traceback.format_exception(*exc_info)).rstrip("\n"))
        if stack_info:
            told["stack"] = self._clean(stack_info)
        return told

    def _clean(self, value: object) -> str | int | float | bool | None:
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        text = value if isinstance(value, str) else _show(value)
        masked = self._mask(text.encode("utf-8", "backslashreplace")).decode("utf-8", "replace")
        return masked if len(masked) <= _LONGEST else masked[:_LONGEST] + _CUT


def _show(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001 - what cannot be shown must not take its record with it
        return f"<a {type(value).__name__} that cannot be shown: {type(error).__name__}>"


def to_json(record: Mapping[str, object]) -> str:
    r"""Return the record as one line of ASCII: every control character and line break is written as `\u....`."""
    return json.dumps(record, ensure_ascii=True, allow_nan=False, default=repr)

"""Metrics that a script printed and did not log, found in its log by the expressions of launchpin.yaml.

The log is read from its end, since the last match counts; its time is bounded whatever the script printed.
"""

import math
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from gitops.config.launchpin import MetricDefinition
from gitops.config.regexes import MAX_LINE, compile_regex
from gitops.errors import RefusedError
from gitops.ports import LOG_PREFIX

TAIL = 1024 * 1024
"""Bytes of a log's end that are read."""
PATIENCE = 20.0
"""Seconds after which the rest of a log is left unread."""
_LONGEST = 60
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


def read_printed(log: Path, definitions: Sequence[MetricDefinition]) -> dict[str, str]:
    """Return, by metric, what the last match in a log caught; nothing for those that nothing matched."""
    if not definitions:
        return {}
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL))
        lines = file.read().decode("utf-8", "replace").splitlines()
    # The first line of a tail may be half a line.
    return find_printed(lines[1:] if size > TAIL else lines, definitions)


def find_printed(
    lines: Sequence[str], definitions: Iterable[MetricDefinition], *, clock: Callable[[], float] = time.monotonic
) -> dict[str, str]:
    """Return, by metric, what the last match caught, as it was printed.

    Args:
        lines: of a log, the oldest first.
        clock: seconds; when it has gone on by `PATIENCE`, what was found until then is all.
    """
    wanted = {definition.name: compile_regex(definition.regex) for definition in definitions}
    found: dict[str, str] = {}
    deadline = clock() + PATIENCE
    for line in reversed(lines):
        text = LOG_PREFIX.sub("", line)[:MAX_LINE]
        for name in [name for name in wanted if name not in found]:
            if clock() > deadline:
                return found
            caught = [match[1] for match in wanted[name].finditer(text) if match[1] is not None]
            if caught:
                found[name] = caught[-1][:_LONGEST]
        if len(found) == len(wanted):
            break
    return found


def read_numbers(printed: Mapping[str, str]) -> dict[str, float]:
    """Return the numbers that were caught.

    Raises:
        RefusedError: `MetricNotANumber` when one is something else, or not finite.
    """
    numbers = {name: float(text) if _NUMBER.fullmatch(text) else math.nan for name, text in printed.items()}
    for name, number in numbers.items():
        if not math.isfinite(number):
            message = f"train.metric_definitions: {name} caught {printed[name]!r} in the log, which is no finite number"
            raise RefusedError("MetricNotANumber", message)
    return numbers

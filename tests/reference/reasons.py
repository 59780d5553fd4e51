"""Who has to act for each reason, put into the tables of reasons; their words are written by hand and stay."""

import re
from collections.abc import Mapping

from gitops.explaining.answers import ANSWERS
from tests.reference.marks import Part
from tests.reference.prose import cells, table

_COLUMN = "who acts"
_PARTS = ("trainings", "commit", "promotions", "rollouts", "commands", "stack", "outside", "deliveries", "audit")


def parts() -> Mapping[str, Part]:
    """Return the page's parts."""
    return dict.fromkeys(_PARTS, _with_who)


def _with_who(text: str) -> str:
    """Return a table with its column of who acts made anew, the last but one."""
    head, _, *rows = (cells(line) for line in text.strip().splitlines())
    at = head.index(_COLUMN) if _COLUMN in head else None
    words = head.index("reason")
    plain = [[cell for place, cell in enumerate(row) if place != at] for row in (head, *rows)]
    who = [_COLUMN, *(_who(row[words]) for row in plain[1:])]
    full = [[*row[:-1], one, row[-1]] for row, one in zip(plain, who, strict=True)]
    return table(full[0], full[1:])


def _who(cell: str) -> str:
    """Return who acts for the reasons of a row, each once."""
    return ", ".join(dict.fromkeys(ANSWERS[word].who.value for word in re.findall(r"`(\w+)`", cell)))

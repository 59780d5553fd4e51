"""Text that every database and every reader can hold: log lines and file names of strangers are not always Unicode."""

from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from gitops.ports import Exit
from gitops.steps import Done, Facts, Outcome


def to_text(text: str) -> str:
    """Return text with lone surrogates and NUL written out: JSON and SQLite refuse the first, PostgreSQL the second."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def to_storable(value: object) -> object:
    """Return a value of JSON's kinds in which every text can be stored."""
    if isinstance(value, str):
        return to_text(value)
    if isinstance(value, Mapping):
        return {to_text(str(key)): to_storable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_storable(inner) for inner in value]
    return value


def storable_exit(end: Exit) -> Exit:
    """Return how a claim ended with every text fit to be stored: no odd byte keeps a story from ending."""
    return replace(end, error=to_text(end.error), outcome=_storable_outcome(end.outcome) if end.outcome else None)


def _storable_outcome(outcome: Outcome) -> Outcome:
    facts = cast("Facts", to_storable(outcome.facts))
    if isinstance(outcome, Done):
        return replace(outcome, facts=facts, message=to_text(outcome.message))
    return replace(outcome, facts=facts, message=to_text(outcome.message), reason=to_text(outcome.reason))

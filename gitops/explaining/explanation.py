"""What an explanation is: statements that records make, in the order in which somebody at night asks for them."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gitops.ports import JobView
from gitops.records import Hold

MOST_COMMANDS = 3
_PLAIN = re.compile(r"[\w@%+=:,./-][\w@%+=:,./#-]*")


class Who(StrEnum):
    """Who has to act before something goes on."""

    ITSELF = "itself"
    AUTHOR = "author"
    MERGER = "merger"
    OWNER = "owner"
    OPERATOR = "operator"
    ASKER = "asker"
    NOBODY = "nobody"

    @property
    def is_person(self) -> bool:
        """Whether nothing goes on until a person acts."""
        return self not in {Who.ITSELF, Who.NOBODY}


class Part(StrEnum):
    """A part of an explanation, in the order of the screen."""

    SERVING = "Serving"
    FAILED = "Failed"
    GIT = "Git"
    WAITS = "Waits"
    NEXT = "Next"


@dataclass(frozen=True)
class Statement:
    """One thing that the records say.

    Args:
        text: for people, complete without the rest.
        about: the id of the record it is about, empty where it is about none.
        reason: that record's reason, from the closed set.
        who: who has to act; None where nothing is asked of anybody.
        since: when it began.
        due: when it is looked at next.
        tail: the last lines of a log.
    """

    text: str
    about: str = ""
    reason: str = ""
    who: Who | None = None
    since: datetime | None = None
    due: datetime | None = None
    tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hint:
    """A command that may be typed next, and what it is good for.

    Args:
        page: the address where a browser does the same, of what is the forge's alone.
    """

    command: str
    purpose: str
    page: str = ""

    @property
    def is_page(self) -> bool:
        """Whether nothing is typed, and that address is all there is."""
        return bool(self.page) and self.command == self.page


@dataclass(frozen=True)
class Explanation:
    """Everything about one thing on one screen.

    Args:
        kind: `endpoint`, `training` or `pull`.
        name: how it was or may be asked for.
        now: when it was written.
        headline: the whole in one sentence.
        parts: those that have something to say.
        hints: at most three.
    """

    kind: str
    name: str
    now: datetime
    headline: str
    parts: Mapping[Part, tuple[Statement, ...]]
    hints: tuple[Hint, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What was read beside the records, for every explanation alike.

    Args:
        now: the database's clock.
        is_up: whether anything runs that would carry work out.
        jobs: those that are not over, by kind and subject.
        pause: the hold on everything, None when there is none.
    """

    now: datetime
    is_up: bool = True
    jobs: Mapping[tuple[str, str], JobView] = field(default_factory=dict)
    pause: Hold | None = None

    def job(self, kind: str, subject: str) -> JobView | None:
        """Return the job about something; None when it is over or there is none."""
        return self.jobs.get((kind, subject))


def collect_parts(**parts: Iterable[Statement]) -> dict[Part, tuple[Statement, ...]]:
    """Return the parts that have something to say, in the screen's order; names are those of `Part`, in lower case."""
    found = {part: tuple(parts.get(part.name.lower(), ())) for part in Part}
    return {part: statements for part, statements in found.items() if statements}


def quote(name: str) -> str:
    """Return a name as it is typed; a pull request's `OWNER/NAME#NUMBER` needs no quotes in any shell."""
    return name if _PLAIN.fullmatch(name) else shlex.quote(name)


def choose_hints(*hints: Hint | None) -> tuple[Hint, ...]:
    """Return the first three hints that there are, each command once."""
    known = {hint.command: hint for hint in reversed(hints) if hint is not None}
    ordered = [hint for hint in hints if hint is not None and known.pop(hint.command, None) is not None]
    return tuple(ordered[:MOST_COMMANDS])

"""Which part of a search's trials a page's table shows, as its address says: order, state, marks, page. Pure.

All of it is in the address, so that a page that renews itself, or is sent to somebody, stays where it is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self
from urllib.parse import urlencode

from webhooks.dashboard.scales import Marks

ROWS = 50
"""Trials that a page's table shows."""

PLACE = "trial-rows"
"""The id of the table's heading."""

_NUMBER = re.compile(r"[1-9][0-9]{0,5}")
_MARK = re.compile(r"(from|to)\.(value|p\..*)", re.DOTALL)
_MOST_MARKS = 100
_LONGEST = 200


@dataclass(frozen=True)
class Asked:
    """What is asked of the table; the defaults are the whole search, the best first.

    Args:
        sort: `number`, `state`, `value` or `p.NAME`, after a `-` for the greatest first; empty for the best first.
        state: only trials of this phase; empty for all.
        start: the place of the first row in that order, from 1.
        trial: the number of one trial, whose page it is to be; 0 for none.
        marks: what brushing left of the axes.
    """

    sort: str = ""
    state: str = ""
    start: int = 1
    trial: int = 0
    marks: tuple[Marks, ...] = ()

    @classmethod
    def read(cls, unverified: Mapping[str, str]) -> Self:
        """Return what an address asks for; what makes no sense is left out."""
        return cls(
            sort=unverified.get("sort", "")[:_LONGEST],
            state=unverified.get("state", "")[:_LONGEST],
            start=_number(unverified.get("from", "")) or 1,
            trial=_number(unverified.get("trial", "").strip()),
            marks=_read_marks(unverified),
        )

    @property
    def kept(self) -> dict[str, str]:
        """What another page of the same table is asked by, too."""
        marks = {f"{end}.{one.key}": text for one in self.marks for end, text in (("from", one.start), ("to", one.end))}
        given = {"sort": self.sort or None, "state": self.state or None, **marks}
        return {name: value for name, value in given.items() if value is not None}

    def url(self, *, place: str = PLACE, **changes: Any) -> str:  # noqa: ANN401 - any field but the page's place
        """Return the address of a part that differs from this one; it begins at its first row unless that is said."""
        fields: dict[str, Any] = {"start": 1, "trial": 0, **changes}
        other = replace(self, **fields)
        page = {"from": other.start if other.start > 1 else 0, "trial": other.trial}
        query = urlencode(other.kept | {name: str(value) for name, value in page.items() if value})
        return f"?{query}#{place}"


EVERYTHING = Asked()


def _number(text: str) -> int:
    return int(text) if _NUMBER.fullmatch(text) else 0


def _read_marks(unverified: Mapping[str, str]) -> tuple[Marks, ...]:
    """Return the marks of each axis: `from.p.depth` and `to.p.depth` of a parameter, `from.value` of the objective."""
    read: dict[str, dict[str, str]] = {}
    for name, text in unverified.items():
        found = _MARK.fullmatch(name)
        if found and len(name) <= _LONGEST and len(text) <= _LONGEST and len(read) < _MOST_MARKS:
            read.setdefault(found[2], {})[found[1]] = text
    return tuple(Marks(key, given.get("from"), given.get("to")) for key, given in read.items())

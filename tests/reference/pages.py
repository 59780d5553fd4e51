"""The pages that have made parts, and who makes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.reference import entries, metrics, night, outcomes, reasons, routes, settings, verbs
from tests.reference.marks import Part, fill, names
from tests.support.docs import DOCS


@dataclass(frozen=True)
class Page:
    """A page with made parts.

    Args:
        name: its path below docs, without its ending.
        parts: gives each part's maker by its name.
        prepare: puts marks where a new thing has none yet.
    """

    name: str
    parts: Callable[[], Mapping[str, Part]]
    prepare: Callable[[str], str] = lambda page: page

    @property
    def file(self) -> Path:
        """The page's file."""
        return DOCS / f"{self.name}.md"


PAGES = (
    Page("reference/settings", settings.parts),
    Page("reference/cli", verbs.parts, verbs.prepare),
    Page("reference/api", routes.parts),
    Page("reference/metrics", metrics.parts),
    Page("reference/reasons", reasons.parts),
    Page("reference/audit", entries.parts),
    Page("reference/messages", outcomes.parts),
    Page("how-to/on-call", night.parts),
)


def remake(page: Page, text: str) -> str:
    """Return a page's text with its parts made anew.

    Raises:
        LookupError: the page lacks a part, or marks one that nobody makes.
    """
    parts = page.parts()
    text = page.prepare(text)
    marked = names(text)
    if sorted(marked) != sorted(parts):
        missing, odd = sorted(parts.keys() - set(marked)), sorted(set(marked) - parts.keys())
        raise LookupError(f"{page.name}.md: no marks for {missing}, unknown or double marks {odd}")
    return fill(text, parts)

"""The pages of the reference that have made parts, and who makes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.reference import entries, metrics, outcomes, reasons, routes, settings, verbs
from tests.reference.marks import Part, fill, names
from tests.support.docs import DOCS


@dataclass(frozen=True)
class Page:
    """A page with made parts.

    Args:
        parts: gives each part's maker by its name.
        prepare: puts marks where a new thing has none yet.
    """

    name: str
    parts: Callable[[], Mapping[str, Part]]
    prepare: Callable[[str], str] = lambda page: page

    @property
    def file(self) -> Path:
        """The page's file."""
        return DOCS / "reference" / f"{self.name}.md"


PAGES = (
    Page("settings", settings.parts),
    Page("cli", verbs.parts, verbs.prepare),
    Page("api", routes.parts),
    Page("metrics", metrics.parts),
    Page("reasons", reasons.parts),
    Page("audit", entries.parts),
    Page("messages", outcomes.parts),
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

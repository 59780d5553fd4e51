"""What axe-core finds on an open page: WCAG 2.2 A and AA, and what it calls best practice."""

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

_TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
_OPTIONS = {"runOnly": list(_TAGS), "resultTypes": ["violations"]}


def find_barriers(page: Page) -> list[str]:
    """Return what keeps somebody from using the page, each with the elements that are in the way."""
    found = Axe().run(page, options=_OPTIONS).response["violations"]
    return [f"{one['id']}: {one['help']}: {' | '.join(node['html'][:120] for node in one['nodes'])}" for one in found]

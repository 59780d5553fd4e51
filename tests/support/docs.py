"""Reads our pages as data: fenced blocks, links, words in backquotes, commands."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_DEFINITION = re.compile(r"^\[([^\]]+)\]: (\S+)$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_HEADING = re.compile(r"^#{1,6} +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        page: its file, relative to the repository.
        language: the first word after the fence.
        name: what `file=` or `title=` gives, empty without.
        text: between the fences.
    """

    page: str
    language: str
    name: str
    text: str


def pages() -> list[Path]:
    """Return every page that users read."""
    return [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *sorted(DOCS.rglob("*.md")),
        *sorted((ROOT / "infra").rglob("*.md")),
    ]


def read_page(path: str) -> str:
    """Return a page's text.

    Args:
        path: relative to docs.
    """
    return (DOCS / path).read_text(encoding="utf-8")


def blocks(*, language: str = "") -> list[Block]:
    """Return the fenced blocks of all pages."""
    found = [block for page in pages() for block in _blocks(page)]
    return [block for block in found if not language or block.language == language]


def _blocks(page: Path) -> Iterator[Block]:
    for match in _FENCE.finditer(page.read_text(encoding="utf-8")):
        words = shlex.split(match[1])
        named = (word.partition("=")[2] for word in words[1:] if word.startswith(("file=", "title=")))
        yield Block(str(page.relative_to(ROOT)), words[0] if words else "", next(named, ""), match[2])


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text)


def words_in_code(text: str) -> set[str]:
    """Return what stands in backquotes."""
    return set(_CODE.findall(prose(text)))


def links(page: Path) -> set[str]:
    """Return where a page links to."""
    return set(_LINK.findall(prose(page.read_text(encoding="utf-8")))) | set(definitions(page).values())


def definitions(page: Path) -> dict[str, str]:
    """Return the links that a page defines at its end, by their words."""
    return dict(_DEFINITION.findall(prose(page.read_text(encoding="utf-8"))))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings(page)}


def headings(page: Path) -> list[str]:
    """Return a page's headings, in its order."""
    return _HEADING.findall(prose(page.read_text(encoding="utf-8")))


def typed_commands() -> list[tuple[str, list[str]]]:
    """Return every `launchpin` command of the shell blocks, with its page."""
    lines = (
        (block.page, line) for block in blocks(language="sh") for line in block.text.replace("\\\n", " ").splitlines()
    )
    parts = ((page, part.strip()) for page, line in lines for part in line.split("&&"))
    ours = ((page, shlex.split(part, comments=True)) for page, part in parts if part.startswith("launchpin "))
    return [(page, words[1:]) for page, words in ours]


def mentioned_commands() -> list[tuple[str, list[str]]]:
    """Return every `launchpin` command that prose mentions, with its page."""
    codes = ((page, code) for page in pages() for code in sorted(words_in_code(page.read_text(encoding="utf-8"))))
    ours = ((page, code.split()[1:]) for page, code in codes if code.startswith("launchpin "))
    return [(str(page.relative_to(ROOT)), words) for page, words in ours]

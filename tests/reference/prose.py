"""Reads what docstrings say, and writes tables."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable, Sequence
from enum import Enum

_ARGUMENT = re.compile(r"^ {4}(\w+): ", re.MULTILINE)


def arguments_of(text: str) -> dict[str, str]:
    """Return what the section `Args:` of a docstring says of each name, each as one line."""
    section = inspect.cleandoc(text).partition("Args:\n")[2].partition("\n\n")[0]
    _, *found = _ARGUMENT.split(section)
    return {name: " ".join(words.split()) for name, words in zip(found[::2], found[1::2], strict=True)}


def summary_of(text: str) -> str:
    """Return a docstring's first paragraph as one line."""
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].split())


def members_of(kind: type[Enum]) -> dict[str, str]:
    """Return the docstring below each member of an enumeration, by the member's value."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for node, after in zip(tree.body, tree.body[1:], strict=False):
        match node, after:
            case (
                ast.Assign(targets=[ast.Name()], value=ast.Constant(value=str() as name)),
                ast.Expr(value=ast.Constant(value=str() as words)),
            ):
                found[name] = " ".join(words.split())
    return found


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    assert all(len(line) == len(head) for line in lines)
    first, second, *rest = (f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)
    return "\n".join([first, second.replace(" ", ""), *rest])


def cells(line: str) -> list[str]:
    """Return the cells of a table's line."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def code(word: str) -> str:
    """Return a word as code."""
    return f"`{word}`"


def listed(words: Iterable[str]) -> str:
    """Return words as code, with commas between."""
    return ", ".join(map(code, words))


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))

"""Collects from our own syntax trees every reason that the code can give, so that a test can ask the pages for it."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("gitops", "workers", "webhooks")

# Where each call has its reason.
_AT = {
    **dict.fromkeys(("InputError", "RefusedError", "StalledError", "RetryError", "UnknownOutcomeError"), 0),
    **dict.fromkeys(("NotFoundError", "ConflictError", "ForkError", "BadNameError", "UnreadableScalarError"), 0),
    **dict.fromkeys(("Refused", "Stalled", "Loss", "error", "_error", "_show_error"), 0),
    **dict.fromkeys(("Wait", "Ended", "_failed", "ended", "Decision"), 1),
    "Hold": -1,
    "Considered": -1,
    "super().__init__": 0,
}
_NAMES = ("reason", "sync_reason")
_REASON = re.compile(r"[A-Z][A-Za-z]+|[a-z]+(_[a-z]+)*")
_PAIR = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)+")


def collect_reasons() -> dict[str, str]:
    """Return every reason with a file that gives it."""
    found: dict[str, str] = {}
    for path, tree in trees().items():
        for word in _words(tree, is_story=path.count("/") == 1):
            if _REASON.fullmatch(word):
                found.setdefault(word, path)
    return found


def collect_codes(*names: str) -> set[str]:
    """Return the codes that calls of these names give as their first text."""
    calls = [call for tree in trees().values() for call in ast.walk(tree) if isinstance(call, ast.Call)]
    texts = [text for call in calls if _name(call) in names for argument in call.args for text in _texts(argument, {})]
    return {text for text in texts if re.fullmatch(r"[a-z]+(_[a-z]+)*", text)}


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax tree of every module, by its path."""
    files = (file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))
    return {_path(file): ast.parse(file.read_text(encoding="utf-8")) for file in files if "templates" not in file.parts}


def _path(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _words(tree: ast.Module, *, is_story: bool) -> Iterator[str]:
    known = _constants()
    scopes: list[ast.Module | ast.FunctionDef] = [tree]
    scopes += [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    for scope in scopes:
        local = known | _assigned(scope)
        for node in ast.walk(scope):
            yield from _of_node(node, local, is_story=is_story)


def _of_node(node: ast.AST, known: dict[str, list[str]], *, is_story: bool) -> Iterator[str]:
    match node:
        case ast.Call():
            yield from _of_call(node, known)
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value in _NAMES:
                    yield from _texts(value, known)
        case ast.Tuple(elts=[ast.Constant(value=str() as word), _]) if is_story and _PAIR.fullmatch(word):
            yield word
        case _:
            return


def _of_call(call: ast.Call, known: dict[str, list[str]]) -> Iterator[str]:
    at = _AT.get(_name(call))
    if at is None:
        return
    if 0 <= at < len(call.args):
        yield from _texts(call.args[at], known)
    for keyword in call.keywords:
        if keyword.arg == "reason":
            yield from _texts(keyword.value, known)


def _name(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name):
            return name
        case ast.Attribute(attr="__init__", value=ast.Call(func=ast.Name(id="super"))):
            return "super().__init__"
        case ast.Attribute(attr=name):
            return name
        case _:
            return ""


def _texts(node: ast.expr, known: dict[str, list[str]]) -> Iterator[str]:
    """Give every text that an expression can be, as far as it is written down."""
    match node:
        case ast.Constant(value=str() as text):
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from (*_texts(body, known), *_texts(other, known))
        case ast.BoolOp(values=values):
            for value in values:
                yield from _texts(value, known)
        case ast.Name(id=name):
            yield from known.get(name, ())
        case _:
            return


@cache
def _constants() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for tree in trees().values():
        for name, texts in _assigned(tree).items():
            if name.lstrip("_").isupper():
                found.setdefault(name, []).extend(texts)
    return found


def _assigned(scope: ast.Module | ast.FunctionDef) -> dict[str, list[str]]:
    """Return what the names of a scope are assigned, tuples taken apart."""
    found: dict[str, list[str]] = {}
    nodes = scope.body if isinstance(scope, ast.Module) else list(ast.walk(scope))
    for node in nodes:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            continue
        for target, value in _pairs(node.targets[0], node.value):
            found.setdefault(target, []).extend(_texts(value, {}))
    return found


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match target, value:
        case ast.Name(id=name), _:
            yield name, value
        case ast.Tuple(elts=names), ast.Tuple(elts=values):
            yield from ((name.id, one) for name, one in zip(names, values, strict=False) if isinstance(name, ast.Name))
        case _:
            return

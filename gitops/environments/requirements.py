"""The requirements file format, as much of it as can be locked with hashes. Pure.

What cannot be locked (the checkout itself, Git addresses, source builds) is refused by name here: the resolver's
words for it would come later and help less. Format: https://pip.pypa.io/en/stable/reference/requirements-file-format/
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from gitops.errors import RefusedError

UNRESOLVABLE = "EnvironmentUnresolvable"

_DEPTH = 10
_COMMENT = re.compile(r"(^|\s+)#.*$")
_OPTION = re.compile(r"(--?[a-z][a-z-]*)(?:\s*=\s*|\s+|$)(.*)")
_SHORT = {"-r": "--requirement", "-c": "--constraint", "-i": "--index-url", "-f": "--find-links", "-e": "--editable"}
_INDEX_OPTIONS = frozenset({"--index-url", "--extra-index-url", "--find-links", "--no-index"})
# True of every environment of ours already.
_NEEDLESS = frozenset({"--prefer-binary", "--only-binary", "--require-hashes"})
_NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[^\]]*\])?\s*(?P<rest>$|[<>=!~;(@]|\s--hash)")
_WHEEL_URL = re.compile(r"https?://\S+\.whl(#\S*)?(\s.*)?$")
_VERSION_CONTROL = re.compile(r"(^|@\s*)(git|hg|svn|bzr)\+", re.IGNORECASE)


@dataclass(frozen=True)
class Requirements:
    """What is asked for, in one order however it was written.

    Args:
        lines: requirements, each in one line, with their hashes where they had some.
        constraints: narrow versions without asking for anything.
        options: where packages are found, in the written order.
    """

    lines: tuple[str, ...]
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def is_hashed(self) -> bool:
        """Return whether every requirement names its hashes, so that nothing is left to resolve."""
        return bool(self.lines) and all("--hash=" in line for line in self.lines)


def read_requirements(text: str, *, file: str, include: Callable[[str, str], str]) -> Requirements:
    """Return what a requirements file and the files it includes ask for.

    Args:
        text: the file's text.
        file: its name, for errors and for `include`.
        include: returns the text of the file named second in the file named first.

    Raises:
        RefusedError: `EnvironmentUnresolvable` for what cannot be locked, naming file and line.
    """
    found = list(_read(text, file=file, include=include, depth=0))
    kinds = {kind: [line for which, line in found if which == kind] for kind in ("line", "constraint", "option")}
    return Requirements(
        lines=tuple(sorted(set(kinds["line"]))),
        constraints=tuple(sorted(set(kinds["constraint"]))),
        options=tuple(dict.fromkeys(kinds["option"])),
    )


def _read(text: str, *, file: str, include: Callable[[str, str], str], depth: int) -> Iterable[tuple[str, str]]:
    if depth > _DEPTH:
        raise RefusedError(
            UNRESOLVABLE, f"{file} is included more than {_DEPTH} files deep; does a file include itself?"
        )
    for number, line in _logical_lines(text):
        where = f"{file}:{number}"
        if not line.startswith("-"):
            yield "line", _requirement(line, where=where)
            continue
        name, value = _option(line, where=where)
        if name in {"--requirement", "--constraint"}:
            inner = _read(include(file, value), file=_beside(file, value), include=include, depth=depth + 1)
            yield from inner if name == "--requirement" else (_as_constraint(kind, item) for kind, item in inner)
        elif name in _INDEX_OPTIONS:
            yield "option", _index_option(name, value, where=where)


def _as_constraint(kind: str, line: str) -> tuple[str, str]:
    return ("constraint" if kind == "line" else kind), line


def _logical_lines(text: str) -> Iterable[tuple[int, str]]:
    """Yield the lines that say something with the number they begin at, continued lines joined."""
    parts: list[str] = []
    begin = 1
    for number, raw in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        begin = begin if parts else number
        line = raw if raw.endswith("\\") else _COMMENT.sub("", raw)
        parts.append(line.removesuffix("\\").strip())
        if raw.endswith("\\"):
            continue
        whole = " ".join(part for part in parts if part)
        parts = []
        if whole:
            yield begin, whole
    if any(parts):
        yield begin, " ".join(part for part in parts if part)


def _option(line: str, *, where: str) -> tuple[str, str]:
    match = _OPTION.fullmatch(line)
    name = _SHORT.get(match[1], match[1]) if match else line
    if match is None or name not in {"--requirement", "--constraint"} | _INDEX_OPTIONS | _NEEDLESS:
        hint = "; the checkout can be imported as it is" if name == "--editable" else ""
        raise RefusedError(UNRESOLVABLE, f"{where}: {name} cannot be locked: remove it{hint}")
    return name, match[2].strip().strip("\"'")


def _index_option(name: str, value: str, *, where: str) -> str:
    if name == "--no-index":
        return name
    parts = urlsplit(value)
    if parts.password or (parts.username and "$" not in parts.username):
        raise RefusedError(
            UNRESOLVABLE, f"{where}: {name} holds a password; give it to the service by ~/.netrc instead"
        )
    if not parts.scheme and not value.startswith("/"):
        raise RefusedError(UNRESOLVABLE, f"{where}: {name} names a folder of the checkout; name an address instead")
    return f"{name} {value}"


def _requirement(line: str, *, where: str) -> str:
    if _VERSION_CONTROL.search(line):
        raise RefusedError(UNRESOLVABLE, f"{where}: {line!r} has no hash to lock: name a released version instead")
    match = _NAMED.match(line)
    is_file = match is not None and match["rest"] == "@" and "://" not in line
    if _WHEEL_URL.match(line) or (match and not is_file and "file:" not in line):
        return _in_one_spelling(line)
    raise RefusedError(
        UNRESOLVABLE, f"{where}: {line!r} is no package by name; the checkout itself can be imported as it is"
    )


def _in_one_spelling(line: str) -> str:
    """Return a requirement as MLflow writes it into a model, so that serving finds what training resolved."""
    try:
        return str(Requirement(line))
    except InvalidRequirement:  # with hashes, for example: the resolver knows more forms
        return line


def _beside(file: str, name: str) -> str:
    """Return a name that was written in a file, relative to where that file's name is relative to."""
    folder, slash, _ = file.rpartition("/")
    return f"{folder}{slash}{name}"

"""Just enough of the POSIX shell to find assignments and to know what their values are. Pure; nothing is expanded.

Source: POSIX.1-2024, Shell Command Language, 2.2 (quoting), 2.9.1 (simple commands). The scanner is linear.
"""

import re
from dataclasses import dataclass, field

_RESERVED = frozenset({"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time"})
_DECLARERS = frozenset({"export", "readonly", "declare", "typeset", "local"})
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\[[^\]]*\])?(\+?=)")
_SEPARATORS = frozenset("\n;&|()")
_BLANK = frozenset(" \t\r")
_REDIRECTS = frozenset("<>")


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a command as written, quotes included, and where it starts."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """A name that a command sets.

    Args:
        name: the variable.
        start: where the assignment starts.
        value: the value as written, quotes included.
        value_start: where the value starts.
        is_alone: whether the text is this one assignment and nothing else, with or without `export`.
    """

    name: str
    start: int
    value: str
    value_start: int
    is_alone: bool


def find_assignments(text: str) -> list[Assignment]:
    """Return the assignments in a text of shell commands, wherever a shell would see one."""
    scanner = _scan(text)
    found: list[Assignment] = []
    for command in scanner.commands:
        words = command[next((at for at, word in enumerate(command) if word.text not in _RESERVED), len(command)) :]
        prefix = next((at for at, word in enumerate(words) if not _ASSIGNMENT.match(word.text)), len(words))
        is_exported = prefix < len(words) and words[prefix].text in _DECLARERS
        sets = [*words[:prefix], *(words[prefix + 1 :] if is_exported else ())]
        is_plain = len(words) == 1 and prefix == 1
        is_export = len(words) == 2 and prefix == 0 and words[0].text == "export"  # noqa: PLR2004 - export NAME=value
        is_alone = scanner.is_single and len(words) == len(command) and (is_plain or is_export)
        found += [one for word in sets if (one := _read(word, is_alone=is_alone))]
    return found


def _read(word: Word, *, is_alone: bool) -> Assignment | None:
    opening = len(word.text) - len(word.text.lstrip("\"'"))  # `export "NAME=value"` sets it too
    match = _ASSIGNMENT.match(word.text, opening)
    if match is None:
        return None
    is_plain = match[2] is None and match[3] == "=" and not opening
    value = word.text[match.end() :]
    return Assignment(match[1], word.start, value, word.start + match.end(), is_alone and is_plain)


@dataclass(slots=True)
class _Scanner:
    """Collects words and commands; `separators` are those seen, `-` before one that stands before any word."""

    text: str
    commands: list[list[Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    begin: int = -1
    separators: str = ""

    @property
    def is_single(self) -> bool:
        """Whether the text is one command in the shell itself, at most with one `;` after it."""
        return len(self.commands) == 1 and self.separators in {"", ";"}

    def end_word(self, at: int) -> None:
        if self.begin >= 0:
            self.words.append(Word(self.text[self.begin : at], self.begin))
            self.begin = -1

    def end_command(self, at: int) -> None:
        self.end_word(at)
        if self.words:
            self.commands.append(self.words)
            self.words = []


def _scan(text: str) -> _Scanner:
    """Split a text into commands and their words; an open quote ends with the text."""
    scanner, at = _Scanner(text), 0
    while at < len(text):
        char = text[at]
        if char in _SEPARATORS:
            scanner.end_command(at)
            scanner.separators += char if scanner.commands else f"-{char}"
        elif char in _BLANK or char in _REDIRECTS:
            scanner.end_word(at)
            if char in _REDIRECTS:
                scanner.words.append(Word(char, at))
        elif char == "#" and scanner.begin < 0:
            at = _find(text, "\n", at) - 1
        else:
            if scanner.begin < 0:
                scanner.begin = at
            at = _end_of_part(text, at)
            continue
        at += 1
    scanner.end_command(len(text))
    return scanner


def _end_of_part(text: str, at: int) -> int:
    """Return the index after a character of a word, or after the whole quoted part that starts there."""
    match text[at]:
        case "\\":
            return min(at + 2, len(text))
        case "'" | "`":
            return min(_find(text, text[at], at + 1) + 1, len(text))
        case '"':
            return _end_of_quotes(text, at + 1)
        case "$" if text[at + 1 : at + 2] == "(":
            return _end_of_substitution(text, at + 2)
        case _:
            return at + 1


def _end_of_quotes(text: str, at: int) -> int:
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def _end_of_substitution(text: str, at: int) -> int:
    depth = 1
    while at < len(text) and depth:
        if text[at] == "'":
            at = _find(text, "'", at + 1)
        elif text[at] == "\\":
            at += 1
        else:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
    return min(at, len(text))


def _find(text: str, char: str, at: int) -> int:
    found = text.find(char, at)
    return found if found >= 0 else len(text)

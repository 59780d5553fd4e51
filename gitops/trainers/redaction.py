"""What a training prints, made safe to keep and to show: secrets masked, control characters spelled out. No IO.

Masked are the granted secrets in every common spelling (raw, Base64 at each alignment, percent-encoded, hexadecimal,
escaped as JSON or HTML) and whatever looks like a well-known token. Anything further, reversed or encoded twice say,
passes: a training must not be granted what its log may not show.
"""

import base64
import json
import re
import threading
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = b"***"

# A spelling shorter than this would mask ordinary words; the raw secret is masked whatever its length.
_SHORTEST_ENCODED = 6
# A secret of several lines (a PEM key) is printed line by line; its lines of this length are secrets of their own.
_SHORTEST_LINE = 8
# As `html.escape` writes them, whose module brings a table of 2,000 names into every process that logs.
_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
# How far a token of the well-known kinds may reach beyond a cut, in bytes.
_TOKEN_REACH = 1024

_TOKENS = (
    rb"gh[pousr]_[A-Za-z0-9]{30,255}",  # GitHub: personal, OAuth, user, server, refresh
    rb"github_pat_[A-Za-z0-9_]{22,255}",
    rb"glpat-[A-Za-z0-9_-]{20,255}",
    rb"(?:AKIA|ASIA)[0-9A-Z]{16}",  # AWS access key ids
    rb"xox[abeprs]-[A-Za-z0-9-]{10,255}",  # Slack
    rb"hf_[A-Za-z0-9]{30,255}",  # Hugging Face
    rb"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",  # JSON Web Tokens
    rb"(?<=://)[^\s/@:]{0,255}:[^\s/@]{1,255}(?=@)",  # user and password in a URL
    rb"(?<=://)[^\s/@:]{16,255}(?=@)",  # a token in a URL
)

# C0 but the tab, DEL, C1, the line separators that JSON and JavaScript disagree on, and what turns the writing round.
_CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Redactor:
    """Masks secrets in bytes.

    Args:
        secrets: the values; an empty one is ignored.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        values = {value for secret in secrets for value in _values(secret)}
        plain = {spelling for value in values for spelling in _spellings(value)}
        encoded = {form for value in values for form in _base64_cores(value.encode())}
        known = [(plain, b""), (encoded, rb"[A-Za-z0-9+/_-]?={0,2}")]
        parts = [b"(?i:%b)%b" % (_any_of(spellings), tail) for spellings, tail in known if spellings]
        self._pattern = re.compile(b"|".join([*parts, *_TOKENS]))
        self.reach = max([_TOKEN_REACH, *map(len, plain), *map(len, encoded)])

    def mask(self, text: bytes) -> bytes:
        """Return the text with every secret replaced."""
        return self._pattern.sub(MASK, text)

    def cut(self, text: bytes, at: int) -> int:
        """Return where a text may be cut, at `at` or earlier, without cutting through a secret."""
        for match in self._pattern.finditer(text):
            if match.start() < at < match.end():
                return match.start() or match.end()
            if match.start() >= at:
                break
        return at


class Masks:
    """Masks every secret that this process has read, whenever it read it: what a new one replaced stays masked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._secrets: set[str] = set()
        self._redactor: Redactor | None = None

    def learn(self, *secrets: str) -> None:
        """Mask these as well from now on."""
        with self._lock:
            if not self._secrets.issuperset(secrets):
                self._secrets.update(secrets)
                self._redactor = None  # made when something is written: a command that writes no log needs none

    def mask(self, text: bytes) -> bytes:
        """Return the text with every secret replaced."""
        with self._lock:
            if self._redactor is None:
                self._redactor = Redactor(self._secrets)
            redactor = self._redactor
        return redactor.mask(text)


def show_controls(text: str) -> str:
    r"""Return a text with control characters written as `\x1b`, so that it stays one line and moves no cursor."""
    return _CONTROLS.sub(_spell_out, text)


def _spell_out(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number <= 0xFF else f"\\u{number:04x}"  # noqa: PLR2004 - the last one-byte character


def _any_of(spellings: set[bytes]) -> bytes:
    """Return a pattern that matches the longest of them."""
    return b"|".join(map(re.escape, sorted(spellings, key=len, reverse=True)))


def _values(secret: str) -> set[str]:
    lines = {line.strip() for line in secret.splitlines()}
    return {secret, secret.strip(), *(line for line in lines if len(line) >= _SHORTEST_LINE)} - {""}


def _spellings(value: str) -> Iterable[bytes]:
    raw = value.encode()
    yield raw
    texts = (
        raw.hex(),
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        value.translate(_HTML),
    )
    yield from (text.encode() for text in texts if len(text) >= _SHORTEST_ENCODED)


def _base64_cores(raw: bytes) -> Iterable[bytes]:
    """Yield the characters that stand in any Base64 text that holds the bytes, for each of the three alignments."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw)
        core = text[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        if len(core) >= _SHORTEST_ENCODED:
            yield core
            yield core.translate(bytes.maketrans(b"+/", b"-_"))

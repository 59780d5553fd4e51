"""Where a span stands in a trace: ids that follow from what the span is about, so that no process has to be told them.

A delivery and everything that it caused is one trace, whichever processes did the work and however many hours lie
between: each derives the same ids from the records' own. Format: W3C Trace Context, level 1.
"""

import hashlib
from dataclasses import dataclass

_TRACE_BYTES = 16
_SPAN_BYTES = 8
_SAMPLED = "01"


@dataclass(frozen=True)
class Place:
    """A span's ids, as lower-case hexadecimal digits: 32 of its trace, 16 of its own."""

    trace: str
    span: str

    @property
    def traceparent(self) -> str:
        """The header's value that makes the receiver's spans children of this one."""
        return f"00-{self.trace}-{self.span}-{_SAMPLED}"


def place_of(root: tuple[str, str], thing: tuple[str, str]) -> Place:
    """Return the place of the span that tells the whole of something.

    Args:
        root: kind and id of what caused it all, a delivery mostly.
        thing: kind and id of what the span is about.
    """
    return Place(_digest("trace", root, _TRACE_BYTES), _digest("span", thing, _SPAN_BYTES))


def _digest(what: str, thing: tuple[str, str], size: int) -> str:
    text = "\0".join(("launchpin", what, *thing))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:size].hex()

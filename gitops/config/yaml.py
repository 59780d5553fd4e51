"""A closed reader of YAML 1.2: nothing that expands, nothing that runs, nothing said twice. Pure.

The C parser gives events, one after the other; the tree is built here without recursion, so that no input can exhaust
the stack, and every limit is checked before the next event is asked for. Source: YAML 1.2.2, chapter 10.3 (core
schema). Pin files use the same tree with `closed=False`, where anchors, aliases and tags are kept as facts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from gitops.config.scalars import UnreadableScalarError, resolve
from gitops.config.text import Path, Source, show
from gitops.config.tree import Alias, Document, Mapping, Node, Scalar, Sequence, Value
from gitops.errors import InputError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 10_000
BOM = "\ufeff"

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# YAML 1.2.2, 5.1: everything else is not printable. A byte order mark inside the text moves the C parser's marks.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # databases and processes refuse them


def load(data: bytes, *, file: str) -> Document:
    """Read a file that must be one closed YAML document.

    Raises:
        InputError: always with a place; the reason starts with `yaml_`.
    """
    source = Source(file, decode(data, file=file).removeprefix(BOM))
    root = compose(source, closed=True)
    return Document(source, root, _to_plain(root, source, ()))


def decode(data: bytes, *, file: str) -> str:
    """Return the text of a file, a byte order mark kept.

    Raises:
        InputError: `yaml_too_large`, `yaml_encoding` or `yaml_character`.
    """
    if len(data) > MAX_BYTES:
        message = f"the file has {len(data)} bytes, the limit is {MAX_BYTES}; make it shorter"
        raise InputError("yaml_too_large", message, file=file, line=1, column=1)
    if data.startswith(_UTF16):
        message = "the file is UTF-16; save it as UTF-8"
        raise InputError("yaml_encoding", message, file=file, line=1, column=1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = Source(file, data[: error.start].decode("utf-8"))
        message = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise before.error("yaml_encoding", message, at=len(before.text)) from None
    body = Source(file, text.removeprefix(BOM))
    if found := _UNPRINTABLE.search(body.text):
        message = f"the character U+{ord(found[0]):04X} is not allowed in YAML; remove it"
        raise body.error("yaml_character", message, at=found.start())
    return text


@dataclass(slots=True)
class _Frame:
    """A list or mapping that has begun and not ended."""

    start: int
    mark: str
    anchor: str = ""
    is_mapping: bool = True
    nodes: list[Node] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    @property
    def wants_key(self) -> bool:
        return self.is_mapping and len(self.nodes) % 2 == 0

    @property
    def part(self) -> str | int:
        """The name of the child that is being read."""
        if not self.is_mapping:
            return len(self.nodes)
        key = self.nodes[-1] if len(self.nodes) % 2 else None
        return key.text if isinstance(key, Scalar) else ""

    def close(self) -> Node:
        if self.is_mapping:
            return Mapping.of(tuple(zip(self.nodes[::2], self.nodes[1::2], strict=True)), self.start, self.mark)
        return Sequence(tuple(self.nodes), self.start, self.mark)


def compose(source: Source, *, closed: bool) -> Node:
    """Return the tree of the one document in a text that `decode` gave, its byte order mark removed.

    Args:
        closed: refuse anchors, aliases, tags, merge and duplicate keys, and keys that are no scalars.

    Raises:
        InputError: where the text is no such document, or exceeds a limit.
    """
    builder = _Builder(source, closed=closed)
    for event in _parse(source):
        builder.take(event)
    if builder.root is None:
        raise source.error("yaml_empty", "the file is empty; write its keys, `version: 1` first")
    return builder.root


def _parse(source: Source) -> Iterator[yaml.Event]:
    try:
        yield from yaml.parse(source.text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(part for part in (error.context, error.problem) if part)
        at = min(mark.index, len(source.text)) if mark else 0
        raise source.error("yaml_syntax", f"this is not YAML: {words}; mend the line", at=at) from None
    except yaml.YAMLError:
        raise source.error("yaml_syntax", "this is not YAML text; save the file as UTF-8 text") from None


class _Builder:
    """Builds the tree from events, with every limit and rule checked on the way."""

    def __init__(self, source: Source, *, closed: bool) -> None:
        self.root: Node | None = None
        self._source = source
        self._closed = closed
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def take(self, event: yaml.Event) -> None:
        match event:
            case yaml.DocumentStartEvent():
                self._start_document(event)
            case yaml.AliasEvent():
                self._count_node(event)
                self._refuse_mark(event)
                name = str(event.anchor)
                self._add(Alias(name, _start(event), self._anchors.get(name)))
            case yaml.ScalarEvent():
                self._count_node(event)
                self._refuse_mark(event)
                self._add_scalar(event)
            case yaml.CollectionStartEvent():
                self._count_node(event)
                self._refuse_mark(event)
                self._open(event)
            case yaml.CollectionEndEvent():
                frame = self._stack.pop()
                self._add(frame.close(), anchor=frame.anchor)
            case _:  # the stream's two ends, and a document's
                return

    def _error(self, reason: str, message: str, event: yaml.Event) -> InputError:
        path = tuple(frame.part for frame in self._stack if not frame.wants_key)
        return self._source.error(reason, message, at=_start(event), path=path)

    def _start_document(self, event: yaml.DocumentStartEvent) -> None:
        if self.root is not None:
            raise self._error("yaml_documents", "a second document starts here; keep one, without `---`", event)
        if self._closed and event.tags:
            raise self._error("yaml_tag", "a %TAG directive is not read; remove it", event)

    def _count_node(self, event: yaml.Event) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            message = f"the file has more than {MAX_NODES} values, which is the limit; make it shorter"
            raise self._error("yaml_too_large", message, event)

    def _refuse_mark(self, event: yaml.Event) -> None:
        if not self._closed:
            return
        if getattr(event, "anchor", None) is not None:
            message = "anchors (&name) and aliases (*name) are not read; write the value out, or quote a text"
            raise self._error("yaml_alias", message, event)
        if getattr(event, "tag", None) is not None:
            raise self._error("yaml_tag", "tags (!name) are not read; remove it, or quote a text", event)

    def _add_scalar(self, event: yaml.ScalarEvent) -> None:
        if _UNSTORABLE.search(event.value):
            raise self._error("yaml_character", "NUL and lone surrogates are not allowed; remove the escape", event)
        mark = _mark(event)
        node = Scalar(event.value, event.style or "", _start(event), _end(event), mark)
        self._add(node, anchor=event.anchor or "")

    def _open(self, event: yaml.CollectionStartEvent) -> None:
        if len(self._stack) >= MAX_DEPTH:
            message = f"values are nested deeper than {MAX_DEPTH}, which is the limit; make it flatter"
            raise self._error("yaml_too_deep", message, event)
        if self._closed and self._stack and self._stack[-1].wants_key:
            raise self._error("yaml_key", "a key must be a word, not a list or mapping", event)
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        self._stack.append(_Frame(_start(event), _mark(event), event.anchor or "", is_mapping))

    def _add(self, node: Node, *, anchor: str = "") -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        if self._closed and frame.wants_key and isinstance(node, Scalar):
            self._take_key(frame, node)
        frame.nodes.append(node)

    def _take_key(self, frame: _Frame, key: Scalar) -> None:
        path = (*(outer.part for outer in self._stack[:-1]), key.text)
        if key.text == "<<" and not key.style:
            message = "merge keys (<<) are not read; write the keys out"
            raise self._source.error("yaml_merge", message, at=key.start, path=path)
        if key.text in frame.keys:
            message = f"the key {show(key.text)} stands here twice; keep one"
            raise self._source.error("yaml_duplicate_key", message, at=key.start, path=path)
        frame.keys.add(key.text)


def _start(event: yaml.Event) -> int:
    return event.start_mark.index if event.start_mark else 0


def _end(event: yaml.Event) -> int:
    return event.end_mark.index if event.end_mark else 0


def _mark(event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> str:
    if event.anchor is not None:
        return f"&{event.anchor}"
    return f"!{event.tag}" if event.tag is not None else ""


def _to_plain(node: Node, source: Source, path: Path) -> Value:
    """Return a closed tree as plain values; recursion ends at `MAX_DEPTH`."""
    match node:
        case Scalar():
            try:
                return resolve(node.text) if not node.style else node.text
            except UnreadableScalarError as error:
                raise source.error(error.reason, str(error), at=node.start, path=path) from None
        case Sequence():
            return [_to_plain(item, source, (*path, index)) for index, item in enumerate(node.items)]
        case Mapping():
            entries = node.by_name.items()
            return {name: _to_plain(value, source, (*path, name)) for name, (_, value) in entries}
        case Alias():
            raise AssertionError("a closed tree has no aliases")

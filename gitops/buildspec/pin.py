"""Reading and setting the pin: text in, text out, byte for byte the same outside the values that change. Pure."""

import re
from dataclasses import dataclass, replace

from gitops.buildspec.find import Place, Spelling, find_places
from gitops.config.names import BadNameError, check_model
from gitops.config.text import Source, show
from gitops.config.tree import Alias, Mapping, Node, Scalar, Sequence
from gitops.config.yaml import BOM, compose, decode
from gitops.errors import InputError

DEFAULT_FILE = "buildspec.yml"
_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_LONGEST_URI = 500  # characters
# in a bare word of a shell, and in every kind of quotes of a shell and of YAML
_SAFE_WORD = re.compile(r"[\w.@%+-]*")
_SAFE_TEXT = re.compile(r"[\w.@%+, ()-]*")


@dataclass(frozen=True)
class Pin:
    """Which version an environment should serve.

    Args:
        tracking_uri: the MLflow server, as written; whoever uses it must ask the settings whether it is allowed.
        model_name: the registered model.
        model_version: a whole number as written, empty for unpinned.
    """

    tracking_uri: str
    model_name: str
    model_version: str = ""

    @property
    def is_pinned(self) -> bool:
        """Whether a version is named."""
        return bool(self.model_version)


@dataclass(frozen=True)
class Change:
    """An edit of a buildspec.

    Args:
        old: the pin before.
        new: the pin after.
        text: the whole new file, a byte order mark kept.
    """

    old: Pin
    new: Pin
    text: str

    @property
    def is_change(self) -> bool:
        """Whether anything differs; where nothing does, the text is the old one."""
        return self.old != self.new

    @property
    def data(self) -> bytes:
        """The new file's bytes."""
        return self.text.encode()


@dataclass(frozen=True)
class _Reading:
    """A buildspec with its pin's places.

    Args:
        text: the whole text.
        source: the text without a byte order mark.
        root: its tree.
        places: by name.
        pin: what they say.
    """

    text: str
    source: Source
    root: Node
    places: dict[str, Place]
    pin: Pin


def read_pin(text: str | bytes, *, file: str = DEFAULT_FILE) -> Pin:
    """Return the pin of a buildspec.

    Args:
        text: the file, never trusted and never executed.
        file: its path, for messages.

    Raises:
        InputError: with line and column, when the pin is missing, or written in a way that is refused.
    """
    return _read(text, file).pin


def set_pin(text: str | bytes, *, version: str, model_name: str | None = None, file: str = DEFAULT_FILE) -> Change:
    """Return the file with another version in its pin, every other byte as it was.

    Args:
        text: the file.
        version: a whole number, or empty to unpin.
        model_name: the model to pin; None leaves it as it is.
        file: its path, for messages.

    Raises:
        InputError: when the pin cannot be read, or the values cannot be written into it safely.
    """
    before = _read(text, file)
    new = replace(before.pin, model_version=version, model_name=_or(model_name, before.pin.model_name))
    _check_pin(before.source, before.places, new)
    wanted = {"MODEL_VERSION": new.model_version, "MODEL_NAME": new.model_name}
    changed = {name: value for name, value in wanted.items() if before.places[name].value != value}
    if not changed:
        return Change(before.pin, before.pin, before.text)
    spliced = before.source.text
    for place in sorted((before.places[name] for name in changed), key=lambda place: place.start, reverse=True):
        written = _write(before.source, place, changed[place.name])
        spliced = spliced[: place.start] + written + spliced[place.end :]
    whole = (BOM if before.text.startswith(BOM) else "") + spliced
    _check_splice(before, whole, new, len(changed))
    return Change(before.pin, new, whole)


def _or(value: str | None, default: str) -> str:
    return default if value is None else value


def _read(text: str | bytes, file: str) -> _Reading:
    whole = decode(_to_bytes(text, file), file=file)
    source = Source(file, whole.removeprefix(BOM))
    root = compose(source, closed=False)
    places = find_places(source, root)
    pin = Pin(places["TRACKING_URI"].value, places["MODEL_NAME"].value, places["MODEL_VERSION"].value)
    _check_pin(source, places, pin)
    version = places["MODEL_VERSION"]
    if source.text[version.start : version.end] != version.value:
        raise _version_error(source, version, source.text[version.start : version.end])
    return _Reading(whole, source, root, places, pin)


def _to_bytes(text: str | bytes, file: str) -> bytes:
    if isinstance(text, bytes):
        return text
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        source = Source(file, text)
        raise source.error("yaml_encoding", "a lone surrogate is no text; remove it", at=error.start) from None


def _check_pin(source: Source, places: dict[str, Place], pin: Pin) -> None:
    if pin.model_version and not _VERSION.fullmatch(pin.model_version):
        raise _version_error(source, places["MODEL_VERSION"], pin.model_version)
    for name, value in (("TRACKING_URI", pin.tracking_uri), ("MODEL_NAME", pin.model_name)):
        place = places[name]
        if not value and pin.model_version:
            message = f"{name} is empty while a version is pinned; fill it in, or empty the version"
            raise source.error("pin_incomplete", message, at=place.start, path=(name,))
    uri = pin.tracking_uri
    if len(uri) > _LONGEST_URI or not uri.isprintable() or " " in uri:
        message = f"{show(uri)} is no address of an MLflow server; write its URL"
        raise source.error("pin_invalid", message, at=places["TRACKING_URI"].start, path=("TRACKING_URI",))
    try:
        if pin.model_name:
            check_model(pin.model_name)
    except BadNameError as error:
        message = f"{show(pin.model_name)} is refused: {error}"
        raise source.error(error.reason, message, at=places["MODEL_NAME"].start, path=("MODEL_NAME",)) from None


def _version_error(source: Source, place: Place, value: str) -> InputError:
    message = (
        f"{show(value)} is no version, which is a whole number from 1, at most ten digits; "
        'quote the version, MODEL_VERSION="2" for example, or write "" for not pinned'
    )
    return source.error("version_invalid", message, at=place.start, path=("MODEL_VERSION",))


def _write(source: Source, place: Place, value: str) -> str:
    """Return what to put in a place so that both the shell and YAML read the value there."""
    match place.spelling:
        case Spelling.NO_SCALAR:
            is_safe, written = _SAFE_TEXT.fullmatch(value), f' "{value}"'
        case Spelling.PLAIN_SCALAR:
            is_safe, written = _SAFE_TEXT.fullmatch(value), value if _VERSION.fullmatch(value) else f'"{value}"'
        case Spelling.BARE_WORD:
            is_safe, written = _SAFE_WORD.fullmatch(value), value
        case Spelling.SINGLE_QUOTED | Spelling.DOUBLE_QUOTED | Spelling.QUOTED_SCALAR:
            is_safe, written = _SAFE_TEXT.fullmatch(value), value
    if not is_safe:
        message = f"{show(value)} cannot be written here without escapes; write it by hand"
        raise source.error("pin_unwritable", message, at=place.start, path=(place.name,))
    return written


def _check_splice(before: _Reading, whole: str, new: Pin, changes: int) -> None:
    """Read the result back: the new pin, in the same places, and as many other values changed as were meant."""
    problem = before.source.error(
        "pin_unwritable",
        "changing the pin would change something else too; write it by hand",
        at=before.places["MODEL_VERSION"].start,
        path=("MODEL_VERSION",),
    )
    try:
        after = _read(whole, before.source.file)
    except InputError:
        raise problem from None
    old, now = _flatten(before.root), _flatten(after.root)
    differing = sum(one != other for one, other in zip(old, now, strict=False))
    if after.pin != new or len(old) != len(now) or differing != changes:
        raise problem


def _flatten(root: Node) -> list[str]:
    """Return all that a tree says, in order; recursion ends at the reader's depth limit."""
    match root:
        case Scalar():
            return [f"{root.mark} {root.text}"]
        case Alias():
            return [f"*{root.name}"]
        case Sequence():
            return [f"{root.mark}[", *(part for item in root.items for part in _flatten(item)), "]"]
        case Mapping():
            pairs = (part for pair in root.entries for node in pair for part in _flatten(node))
            return [f"{root.mark}{{", *pairs, "}"]

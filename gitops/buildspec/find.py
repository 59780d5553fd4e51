"""Finding the pin's three values in a buildspec, and refusing every way to them that could mislead. Pure.

A buildspec is CodeBuild's file: anchors, aliases, tags, merge keys and unknown keys may be in it, but not on the way to
the pin, where a reader of the file would see one value and CodeBuild another.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from gitops.buildspec.shell import Assignment, find_assignments
from gitops.buildspec.spans import source_indexes
from gitops.config.text import Source, show
from gitops.config.tree import Alias, Mapping, Node, Scalar, Sequence
from gitops.errors import InputError

NAMES = ("TRACKING_URI", "MODEL_NAME", "MODEL_VERSION")
_COMMANDS = ("phases", "pre_build", "commands")
_VARIABLES = ("env", "variables")


class Spelling(Enum):
    """What surrounds a value, and so what may be written there."""

    BARE_WORD = auto()  # of a shell
    SINGLE_QUOTED = auto()  # in a shell's quotes
    DOUBLE_QUOTED = auto()
    PLAIN_SCALAR = auto()  # of YAML, under env.variables
    QUOTED_SCALAR = auto()
    NO_SCALAR = auto()  # nothing after the colon


@dataclass(frozen=True, slots=True)
class Place:
    """Where one value of the pin stands.

    Args:
        name: one of `NAMES`.
        value: what it means.
        start: index of its first character in the source, quotes left out.
        end: index after its last one.
        spelling: what surrounds it.
    """

    name: str
    value: str
    start: int
    end: int
    spelling: Spelling


@dataclass(frozen=True, slots=True)
class _Step:
    """A node on the way.

    Args:
        node: what is there.
        trap: index of the first anchor, alias, tag, merge or second key on the way to it; -1 for none.
    """

    node: Node
    trap: int = -1


def find_places(source: Source, root: Node) -> dict[str, Place]:
    """Return the place of each of the pin's values.

    Raises:
        InputError: with line and column, when one is missing, there twice, or written in a way that is refused.
    """
    places: dict[str, Place] = {}
    for place in (*_find_in_variables(source, root), *_find_in_commands(source, root)):
        if place.name in places:
            message = f"{place.name} is set twice; keep one of the two"
            raise source.error("pin_twice", message, at=place.start, path=(place.name,))
        places[place.name] = place
    if missing := [name for name in NAMES if name not in places]:
        message = (
            f'{missing[0]} is not set; write `- {missing[0]}="..."` under phases.pre_build.commands, '
            "or the name under env.variables"
        )
        raise source.error("pin_missing", message, at=root.start, path=(missing[0],))
    return places


def _follow(root: Node, path: tuple[str, ...]) -> Iterator[_Step]:
    """Return every node that a reader could mean by a path, traps noted."""
    steps = [_enter(_Step(root))]
    for part in path:
        seen: set[int] = set()  # of this part, so that aliases of aliases cost no more than their nodes
        steps = [child for step in steps for mapping in _mappings(step, seen) for child in _children(mapping, part)]
    yield from steps


def _enter(step: _Step) -> _Step:
    """Go through an alias, and note an anchor, a tag or the alias itself."""
    node, trap = step.node, step.trap
    if isinstance(node, Alias):
        return _Step(node.target or node, trap if trap >= 0 else node.start)
    return _Step(node, node.start if node.mark and trap < 0 else trap)


def _mappings(step: _Step, seen: set[int]) -> list[_Step]:
    """Return the mapping at a step and all that are merged into it, except those seen already."""
    found: list[_Step] = []
    waiting = [step]
    while waiting:
        one = waiting.pop()
        if id(one.node) in seen:
            continue
        seen.add(id(one.node))
        if isinstance(one.node, Sequence):  # `<<: [*a, *b]`
            waiting += [_enter(_Step(item, one.trap)) for item in one.node.items if found]
        elif isinstance(one.node, Mapping):
            found.append(one)
            merged = [entry for entry in one.node.entries if isinstance(entry[0], Scalar) and entry[0].text == "<<"]
            waiting += [_enter(_Step(value, key.start if one.trap < 0 else one.trap)) for key, value in merged]
    return found


def _children(step: _Step, part: str) -> list[_Step]:
    if not isinstance(step.node, Mapping):
        return []
    entries = [(key, value) for key, value in step.node.entries if isinstance(key, Scalar) and key.text == part]
    doubled = entries[1][0].start if len(entries) > 1 else -1
    marked = next((key.start for key, _ in entries if key.mark), -1)
    trap = step.trap if step.trap >= 0 else max(doubled, marked)
    return [_enter(_Step(value, trap)) for _, value in entries]


def _refuse_trap(source: Source, name: str, trap: int) -> None:
    if trap >= 0:
        message = (
            f"an anchor, alias, tag, merge key or second key stands on the way to {name}; "
            "write the pin out where it is used"
        )
        raise source.error("pin_anchor", message, at=trap, path=(name,))


def _find_in_variables(source: Source, root: Node) -> Iterator[Place]:
    for name in NAMES:
        for step in _follow(root, (*_VARIABLES, name)):
            _refuse_trap(source, name, step.trap)
            if not isinstance(step.node, Scalar):
                message = f"{name} is no text; write one in quotes"
                raise source.error("pin_syntax", message, at=step.node.start, path=(name,))
            yield _read_variable(source, name, step.node)


def _read_variable(source: Source, name: str, scalar: Scalar) -> Place:
    if scalar.style in {"|", ">"}:
        raise _block_error(source, name, scalar)
    indexes = source_indexes(source.text, scalar)
    if indexes is None:
        message = f"{name} goes over several lines; write it on one"
        raise source.error("pin_syntax", message, at=scalar.start, path=(name,))
    plain = Spelling.PLAIN_SCALAR if scalar.text else Spelling.NO_SCALAR
    spelling = Spelling.QUOTED_SCALAR if scalar.style else plain
    return Place(name, scalar.text, indexes[0], indexes[-1], spelling)


def _find_in_commands(source: Source, root: Node) -> Iterator[Place]:
    seen: set[int] = set()
    for commands in _follow(root, _COMMANDS):
        items = commands.node.items if isinstance(commands.node, Sequence) else ()
        for item in items:
            step = _enter(_Step(item, commands.trap))
            if not isinstance(step.node, Scalar) or (isinstance(item, Alias) and id(step.node) in seen):
                continue
            seen.add(id(step.node))
            if any(name in step.node.text for name in NAMES):
                yield from _read_command(source, step.node, step.trap)


def _read_command(source: Source, scalar: Scalar, trap: int) -> Iterator[Place]:
    found = [one for one in find_assignments(scalar.text) if one.name in NAMES]
    if not found:
        return
    first = found[0]
    _refuse_trap(source, first.name, trap)
    if scalar.style in {"|", ">"}:
        raise _block_error(source, first.name, scalar)
    indexes = source_indexes(source.text, scalar)
    if indexes is None:
        message = f"the command that sets {first.name} goes over several lines; write it on one"
        raise source.error("pin_syntax", message, at=scalar.start, path=(first.name,))
    if len(found) > 1:
        message = f"{first.name} and {found[1].name} are set in one line; write each in its own"
        raise source.error("pin_two_on_line", message, at=indexes[found[1].start], path=(found[1].name,))
    if not first.is_alone:
        message = (
            f'{first.name} is set beside something else; write `{first.name}="..."` alone, or with `export` before'
        )
        raise source.error("pin_not_alone", message, at=indexes[first.start], path=(first.name,))
    yield _read_assignment(source, first, indexes)


def _read_assignment(source: Source, assignment: Assignment, indexes: list[int]) -> Place:
    value, start = assignment.value, assignment.value_start

    def error(reason: str, message: str) -> InputError:
        return source.error(reason, message, at=indexes[start], path=(assignment.name,))

    quote = value[0] if value[:1] in {'"', "'"} else ""
    if quote and (len(value) == 1 or value[-1] != quote or quote in value[1:-1]):
        raise error("pin_syntax", f"the quotes of {show(value)} are not one pair around it; write one pair")
    inner = value[len(quote) : len(value) - len(quote)]
    if quote != "'" and set("$`") & set(inner):
        raise error("pin_expansion", f"{show(value)} is computed when the build runs; write the value itself")
    if quote != "'" and ("\\" in inner or (not quote and (set("\"'") & set(inner) or inner.startswith("~")))):
        raise error("pin_syntax", f"{show(value)} mixes quotes or escapes; write it in one pair of double quotes")
    begin = start + len(quote)
    spelling = {"": Spelling.BARE_WORD, "'": Spelling.SINGLE_QUOTED, '"': Spelling.DOUBLE_QUOTED}[quote]
    return Place(assignment.name, inner, indexes[begin], indexes[begin + len(inner)], spelling)


def _block_error(source: Source, name: str, scalar: Scalar) -> InputError:
    message = f'{name} is set in a block of text; write it alone, `- {name}="..."`'
    return source.error("pin_block_scalar", message, at=scalar.start, path=(name,))

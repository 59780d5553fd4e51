"""Which trials a search has: from what launchpin.yaml says to one set of parameters for each. Pure.

The same search has the same trials, on every machine and in every release: whoever is told of a trial by its number can
lay it out again.
"""

import hashlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache, partial

from gitops.config.search import Search, Strategy
from gitops.config.space import DRAW_BITS

# A space of which so many draws in a row were known already has hardly a point left that is likely to come.
_MISSES = 100


@lru_cache(maxsize=16)
def lay_out(search: Search) -> tuple[Mapping[str, str], ...]:
    """Return the parameters of each trial, the first trial's first.

    A grid goes through the space like nested loops, the first parameter's outermost. A random search draws each point
    once: what was drawn before is drawn anew, and a space of fewer points than `max_trials` is tried whole.
    """
    if search.strategy is Strategy.GRID:
        return tuple(_grid(search))
    size = search.size
    wanted = search.max_trials if size is None else min(size, search.max_trials)
    found = _distinct(map(partial(_draw, search), itertools.count()), wanted)
    if size is not None and len(found) < wanted:
        found = _distinct(itertools.chain(found, _grid(search)), wanted, misses=len(found) + size)
    return found


def _grid(search: Search) -> Iterator[dict[str, str]]:
    indices = itertools.product(*(range(axis.count or 0) for axis in search.space))
    return ({axis.name: axis.at(at) for axis, at in zip(search.space, chosen, strict=True)} for chosen in indices)


def _draw(search: Search, number: int) -> dict[str, str]:
    return {axis.name: axis.draw(_dice(search.seed, number, axis.name)) for axis in search.space}


def _dice(seed: int, number: int, name: str) -> int:
    """Return bits that depend on nothing else; each parameter has its own, so another one changes none of them."""
    digest = hashlib.sha256(f"{seed}/{number}/{name}".encode()).digest()
    return int.from_bytes(digest[: DRAW_BITS // 8], "big")


def _distinct(
    points: Iterable[Mapping[str, str]], wanted: int, *, misses: int = _MISSES
) -> tuple[Mapping[str, str], ...]:
    """Return the first so many that differ; fewer where so many in a row were known already."""
    seen: dict[tuple[str, ...], Mapping[str, str]] = {}
    missed = 0
    for point in points:
        known = len(seen)
        seen.setdefault(tuple(point.values()), point)
        missed = missed + 1 if len(seen) == known else 0
        if len(seen) == wanted or missed > misses:
            break
    return tuple(seen.values())

"""Where a story can be cut, read from an undisturbed run of it: its failpoints, its commits, its writing requests."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

EFFECTS = frozenset(
    {
        "anchor",
        "apply_configuration",
        "check_pull_request",
        "commit_pin",
        "create_version",
        "merge_pull_request",
        "open_pull_request",
        "open_rollback_pull_request",
        "report_check",
        "start_run",
        "write_back",
    }
)
"""What is made through rows of effects; a test holds this to the source."""

# Whoever stops there holds a lock of the database or of an environment: everybody else waits, and shall.
_HOLDING = {
    "commit.before",
    "build_environment.before",
    "build_environment.after",
    "fill_environment.before",
    "fill_environment.after",
}
_AFTER_COMMIT = {"claim.after", "finish.after"}
_BEFORE_COMMIT = {"finish.before", "finish.after"}
_COMMITS = {"commit.before", "commit.after"}
_AROUND = {"claim.after", "finish.before", "finish.after"}
_ORDERS = {"local_target.apply.before", "local_target.restore.before"}
# A story looks at some things again and again by the very same commits; each kind of place is cut so often.
_KILLS = 2


@dataclass(frozen=True)
class Hit:
    """A failpoint that the undisturbed run passed.

    Args:
        place: at which hit of this name, from 1.
        at: what was claimed then, `rollout.apply` for example.
    """

    name: str
    place: int
    at: str


@dataclass(frozen=True)
class Cut:
    """One case: a scene, and what happens to it where.

    Args:
        action: `kill`, `raise`, `stop`, `lose` for a reply that is lost after the effect was applied, or `crash` for
            an outside that dies.
        name: the failpoint, of the outside where that dies; or the outside whose reply is lost.
        place: at which hit, or which writing request.
        at: what was claimed then; for a lost reply what was asked.
        nth: which time this scene comes by a place of this kind.
        is_stored: whether the database is asked there: at a commit or an effect, whose rows lie on both sides of it.
    """

    scene: str
    action: str
    name: str
    place: int
    at: str = ""
    nth: int = 1
    is_stored: bool = False

    @property
    def is_late(self) -> bool:
        """Whether an order to move traffic was on its way when its worker was overtaken: nobody can call it back.

        It is healed: the promises hold, and the same version serves in the end.
        """
        return self.action == "stop" and self.name in _ORDERS

    def __str__(self) -> str:
        return f"{self.scene}: {self.action} {self.name}@{self.place} ({self.at})"


@dataclass(frozen=True)
class Score:
    """An undisturbed run: where it ended, and everything it came by."""

    state: dict[str, Any]
    hits: tuple[Hit, ...]
    asked: tuple[tuple[str, str], ...] = field(default=())


def cuts_of(scene: str, score: Score) -> list[Cut]:
    """Return every case of a scene.

    A process is killed at every place of every step, the second time as well; it stops there, and is overtaken;
    something raises at every failpoint and commit of every step; every request that writes loses its reply. Places
    between which nothing happens, in the database or outside, are one case.
    """
    cuts = [*_cuts_of_places(scene, score.hits), *_raises(scene, score.hits)]
    places: Counter[str] = Counter()
    for outside, path in score.asked:
        places[outside] += 1
        cuts.append(Cut(scene, "lose", outside, places[outside], path))
    return cuts


def _cuts_of_places(scene: str, hits: Sequence[Hit]) -> Iterator[Cut]:
    seen: Counter[tuple[str, ...]] = Counter()
    for places in _joined(hits):
        first = places[0]
        names = " = ".join(f"{hit.name}@{hit.place}" for hit in places[1:])
        at = f"{first.at}, {names}" if names else first.at
        key = (first.at, *(hit.name for hit in places))
        stored = any(map(_is_stored, places))
        seen[key] += 1
        if seen[key] <= _KILLS:
            yield Cut(scene, "kill", first.name, first.place, at, seen[key], stored)
        free = next((hit for hit in places if hit.name not in _HOLDING), None)
        if seen[key] == 1 and free is not None:
            yield Cut(scene, "stop", free.name, free.place, at, is_stored=stored)


def _joined(hits: Sequence[Hit]) -> Iterator[list[Hit]]:
    """Join the places between which nothing happens."""
    places: list[Hit] = []
    for hit in hits:
        if places and not _is_next_to(places[-1].name, hit.name):
            yield places
            places = []
        places.append(hit)
    if places:
        yield places


def _is_next_to(before: str, after: str) -> bool:
    """Return whether nothing happens from one failpoint to the next: the loop's own lie right beside a commit."""
    if before == "commit.after":
        return after in _AFTER_COMMIT or (after.endswith(".before") and after.removesuffix(".before") in EFFECTS)
    if after == "commit.before":
        return before in _BEFORE_COMMIT or (before.endswith(".after") and before.removesuffix(".after") in EFFECTS)
    return False


def _raises(scene: str, hits: Sequence[Hit]) -> Iterator[Cut]:
    """Raise at every failpoint and commit of a step; around it, once for each kind of record."""
    seen: set[tuple[str, str]] = set()
    for hit in hits:
        at = hit.at.partition(".")[0] if hit.name in _AROUND else hit.at
        if (hit.name, at) not in seen:
            seen.add((hit.name, at))
            yield Cut(scene, "raise", hit.name, hit.place, hit.at, is_stored=_is_stored(hit))


def _is_stored(hit: Hit) -> bool:
    return hit.name in _COMMITS or hit.name.rpartition(".")[0] in EFFECTS

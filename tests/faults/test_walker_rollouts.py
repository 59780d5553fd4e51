"""Every failpoint of the loop, every commit, and every lost reply: the same end as without. Rollouts, and all in one.

What must hold is in `invariants`.
"""

import pytest

from tests.faults.tally import choose
from tests.faults.walker import Walker
from tests.faults.walker_cuts import Cut, cuts_of
from tests.faults.walker_lane import DATABASES, Listen, Open, walk_all, walk_scene

SCENES = ("roll", "back", "back_by_pull")
# A part dies at the hits of these places; the endpoint host saves once when it starts.
CRASHES = {
    "promote": {
        "forge.update_refs": (1, 2),
        "forge.announce": (1, 2),
        "forge.merge": (1,),
        "forge.send_delivery": (1, 2),
    },
    "roll": {
        "endpoint_host.start_scorer": (1,),
        "endpoint_host.save": (2, 3, 4),
        "endpoint_host.switch": (1,),
    },
}
"""At which failpoints the forge and the endpoint host die, during which scene, and at which hits."""

# The whole loop in one piece is cut at places far from each other: what one scene leaves is what the next one finds.
_APART = 11
# Ordinary runs on PostgreSQL, which have fewer of the other cases.
_LIGHTER = pytest.mark.slices(1, 3, 5, 7, 9)


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.parametrize("scene", SCENES)
def test_i4_to_i25_hold_wherever_a_rollout_is_cut(
    walker: Walker, listen: Listen, tally: Open, scene: str, database: str
) -> None:
    walk_scene(walker, tally(f"I4-I25 walked: {scene}, {database}"), listen, scene=scene, database=database)


@_LIGHTER
def test_i4_to_i25_hold_wherever_the_whole_loop_is_cut(walker: Walker, listen: Listen, tally: Open) -> None:
    score = listen("loop", "sqlite")
    row = tally("I4-I25 walked: the whole loop, sqlite")
    walk_all(walker, row, choose(cuts_of("loop", score)[::_APART], of=5), score)
    row.check()


@_LIGHTER
def test_i4_to_i25_hold_wherever_the_forge_or_the_endpoint_host_dies(
    walker: Walker, listen: Listen, tally: Open
) -> None:
    row = tally("I4-I25 walked: the forge or the endpoint host dies, sqlite")
    for scene in CRASHES:
        walk_all(walker, row, [cut for cut in choose(_crashes(), of=5) if cut.scene == scene], listen(scene, "sqlite"))
    row.check()


def _crashes() -> list[Cut]:
    return [
        Cut(scene, "crash", f"{name}.{when}", hit)
        for scene, places in CRASHES.items()
        for name, hits in places.items()
        for when in ("before", "after")
        for hit in hits
    ]

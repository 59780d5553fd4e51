"""What the tests of the walker share: a lane of cases, and which cases of a scene are walked on which database.

A lane lasts as long as its test process, whatever other tests come between: to set its stage takes half a minute.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache

import pytest

from tests.faults.tally import Tally, choose, is_full, turn
from tests.faults.walker import Databases, PostgresDatabases, SqliteFiles, Walker, walking
from tests.faults.walker_cuts import Cut, Score, cuts_of

Open = Callable[[str], Tally]
Listen = Callable[[str, str], Score]
DATABASES = tuple(turn(["sqlite", "postgres"]))
"""On which this run walks: to hear every scene undisturbed costs as much as a few dozen cases."""
_PLACES = re.compile(r"@[0-9]+")
# What differs from case to case in a path: parts with a number, a digest or a name made of one.
_NAMES = re.compile(r"(?<=/)[^/]*[0-9][^/]*")
# What a scene comes by as those before it do is cut there alone.
_BEFORE: Mapping[str, Sequence[str]] = {
    "build": ("train",),
    "promote": ("train",),
    "again": ("train", "promote"),
    "anchor": ("train", "promote"),
    "roll": ("train", "promote", "anchor"),
    "back": ("train", "promote", "anchor", "roll"),
    "back_by_pull": ("train", "promote", "anchor", "roll", "back"),
}
# But these do something else in it: a comparison that opens a rollout, or finds a pin that was written back; a delivery
# to another repository; a check that tells of a rollout; a rollout that replaces a version.
_OWN: Mapping[str, frozenset[str]] = {
    "roll": frozenset({"delivery", "compare", "report"}),
    "back": frozenset({"compare", "rollout"}),
}
# A reply does not tell which step asked: it is the same only in a scene that is another one but for a few places.
_TWINS = {"build": "train", "again": "promote", "back_by_pull": "back"}


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Databases]:
    """Give a function that returns each kind of database, made when it is asked for first."""

    @cache
    def find(name: str) -> Databases:
        if name == "postgres":
            return PostgresDatabases(request.getfixturevalue("postgres"))
        return SqliteFiles(tmp_path_factory.mktemp("template") / "launchpin.sqlite3")

    return find


@pytest.fixture(scope="session")
def walker(
    databases: Callable[[str], Databases], tracking_uri: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Walker]:
    """Give one lane of cases for all tests of a process."""
    with walking(tmp_path_factory.mktemp("walker"), tracking_uri, databases("sqlite")) as lane:
        yield lane


@pytest.fixture(scope="session")
def listen(walker: Walker, databases: Callable[[str], Databases]) -> Listen:
    """Give a function that plays a scene undisturbed, once for each database, which is the walker's from then on."""
    scores: dict[tuple[str, str], Score] = {}

    def hear(scene: str, database: str) -> Score:
        walker.databases = databases(database)
        if (scene, database) not in scores:
            scores[scene, database] = walker.listen(scene)
        return scores[scene, database]

    return hear


def cuts_for(scene: str, score: Score, listen: Listen, *, database: str) -> list[Cut]:
    """Return the cases of a scene on a database that no scene before it has.

    SQLite has all. On PostgreSQL workers are killed and overtaken, and something raises, once at every kind of commit
    and effect, and every reply is lost: between those nothing is different there.
    """
    before = {
        _kind_of(cut)
        for each in _BEFORE.get(scene, ())
        for cut in _on(database, cuts_of(each, listen(each, database)))
        if cut.action != "lose" or each == _TWINS.get(scene)
    }
    own = _OWN.get(scene, frozenset())
    cuts = _on(database, cuts_of(scene, score))
    return [cut for cut in cuts if cut.at.partition(".")[0] in own or _kind_of(cut) not in before]


def _on(database: str, cuts: list[Cut]) -> list[Cut]:
    return [cut for cut in cuts if _is_on_postgres(cut)] if database == "postgres" else cuts


def _kind_of(cut: Cut) -> tuple[object, ...]:
    """Return what makes a cut the same in two scenes: what lies there in a step, or what was asked for a lost reply."""
    if cut.action == "lose":
        return (cut.action, cut.name, _NAMES.sub("*", cut.at))
    return (cut.action, cut.name, _PLACES.sub("", cut.at), cut.nth)


def _is_on_postgres(cut: Cut) -> bool:
    return cut.action == "lose" or (cut.is_stored and cut.nth == 1)


def walk_scene(walker: Walker, row: Tally, listen: Listen, *, scene: str, database: str) -> None:
    """Walk the cases of this run of one scene: a fifth, since every second run walks on this database."""
    score = listen(scene, database)
    row.figures |= {"failpoints passed": str(len(score.hits)), "requests": str(len(score.asked))}
    walk_all(walker, row, choose(cuts_for(scene, score, listen, database=database), of=5), score)
    if row.cases or is_full():
        row.check()


def walk_all(walker: Walker, row: Tally, cuts: list[Cut], score: Score) -> None:
    """Walk cases of one scene."""
    for cut in cuts:
        with row.case(str(cut)):
            walker.walk(cut, score)
    for action, count in sorted(Counter(cut.action for cut in cuts).items()):
        row.figures[action] = str(count + int(row.figures.get(action, "0")))

"""The end of the log, as pages remember it."""

from datetime import timedelta
from typing import TYPE_CHECKING, cast

from gitops.audit.entry import Entry, canonical
from tests.unit.test_audit_history import FIRST, SECOND, trained
from webhooks.dashboard.trail import MOST_RECENT, Trail

if TYPE_CHECKING:
    from gitops.ports import AuditLog
    from webhooks.dashboard.sight import Sight


class Log:
    """A log in memory, in whose place another one can be put."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries

    def audit_size(self) -> int:
        return len(self.entries)

    def audit_entries(self, start: int, limit: int) -> list[bytes]:
        return [canonical(entry) for entry in self.entries[start : start + limit]]


class Everything:
    """Whoever may read all."""

    def may_read(self, _: Entry) -> bool:
        return True


def versions(trail: Trail) -> list[str]:
    found, _ = trail.tenures(cast("Sight", Everything()), "iris")
    return [one.version for one in found]


def test_what_came_since_is_read_on() -> None:
    log = Log(FIRST)
    trail = Trail(cast("AuditLog", log))
    assert versions(trail) == ["1"]
    log.entries = [*FIRST, *SECOND]
    assert versions(trail) == ["1", "2"]
    found = trail.about(cast("Sight", Everything()), None, training_id="t1")
    (row,) = found.rows
    assert found.is_whole
    assert (row.position, row.entry) == (0, FIRST[0])


def test_log_is_read_anew_when_another_one_stands_in_its_place() -> None:
    log = Log([*FIRST, *SECOND])
    trail = Trail(cast("AuditLog", log))
    assert versions(trail) == ["1", "2"]
    log.entries = FIRST
    assert versions(trail) == ["1"], "a shorter one"
    log.entries = [*FIRST, *SECOND]
    assert versions(trail) == ["1", "2"]
    other = trained("7", "d" * 40, minute=1)
    log.entries = [*FIRST, *SECOND[:-1], other, other]
    assert versions(trail) == ["1"], "a longer one, whose beginning is the same"
    found = trail.about(cast("Sight", Everything()), None, training_id="t7")
    assert found.rows[0].position == len(FIRST) + len(SECOND)


def test_entries_about_a_record_are_whole_when_it_is_younger_than_what_is_remembered() -> None:
    made = trained("1", "d" * 40, minute=30)
    trail = Trail(cast("AuditLog", Log([made] * (MOST_RECENT + 1))))
    for since, is_whole in ((None, False), (made.time, False), (made.time + timedelta(minutes=1), True)):
        found = trail.about(cast("Sight", Everything()), since, training_id="nobody")
        assert (found.rows, found.is_whole) == ((), is_whole)

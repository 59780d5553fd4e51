"""The worker as it is shipped, but for its stories: a delivery's only step notes when it began.

`celery -A tests.benchmarks.dispatch_worker worker ...`, as `workers.app`.
"""

import time

from gitops.ports import Deps
from gitops.records import Delivery
from gitops.settings import Settings
from gitops.steps import Done, Outcome, Step, Story
from workers import tasks
from workers.app import app

__all__ = ["app"]

# An id and a moment in each line.
_notes = (Settings().home / "started").open("a", encoding="utf-8", buffering=1)


def _note(deps: Deps, delivery: Delivery) -> Outcome:
    """Note the moment by the clock that all processes of a machine share."""
    del deps
    _notes.write(f"{delivery.id} {time.monotonic():.6f}\n")
    return Done()


def _load(deps: Deps, subject: str) -> Delivery | None:
    return deps.store.delivery(subject)


_STORIES = {"delivery": Story("delivery", (Step("note", _note),), _load)}
setattr(tasks, "stories", lambda: _STORIES)  # noqa: B010 - the name is imported there, so mypy would refuse it

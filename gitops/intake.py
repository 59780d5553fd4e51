"""How pushes are seen: by a delivery, or by looking at the refs now and then. Both come to the same."""

import logging
import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from gitops.arrivals import UNREADABLE, consider, ended, handle_delivery
from gitops.disk.space import disk_low, is_disk_full
from gitops.errors import RetryError, StaleEpochError
from gitops.hooks import look_at_hook
from gitops.ports import Deps
from gitops.records import Cause, Delivery, Repository, Role
from gitops.steps import Outcome, Stalled, Step, Story, Wait

if TYPE_CHECKING:
    from gitops.writes import Write

_log = logging.getLogger(__name__)
_SOON = timedelta(seconds=30)  # until a branch is read again whose reading is to be tried again
_SHOWN = 500  # characters of what nobody foresaw


def _give_up(deps: Deps, delivery: Delivery, error: Exception) -> Outcome:
    """Reject a delivery whose handling failed for good, so that it holds nobody up."""
    del deps, delivery
    return ended("rejected", "handling_failed", f"{type(error).__name__}: {error}")


def poll_repository(deps: Deps, repository: Repository) -> Outcome:
    """Look at every branch of a model repository, as if all its deliveries were lost.

    A branch that cannot be read, whatever the cause, hides no other one; it is said, and looked at again.
    """
    writes: list[Write] = []
    wrong: list[Stalled | Wait] = []
    is_missed = False
    try:
        deps.mirror.fetch(repository)
        heads = deps.mirror.heads(repository)
    except UNREADABLE as error:
        return Stalled(error.reason, str(error))
    for ref, head in heads.items():
        known = deps.store.watched_ref(repository.id, ref)
        if known is not None and known.commit == head:
            continue
        try:
            writes += consider(deps, repository, ref, head=head, cause=Cause(kind="poll")).writes
            is_missed = is_missed or known is not None
        except StaleEpochError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one branch raises, the others are looked at
            wrong.append(_unread(ref, error))
    writes += look_at_hook(deps, repository, is_missed=is_missed)
    if wrong:
        # What a person must mend is told before what is tried again anyway.
        worst = next((one for one in wrong if isinstance(one, Stalled)), wrong[0])
        return replace(worst, writes=tuple(writes))
    after = deps.service.poll * random.uniform(0.9, 1.1)  # noqa: S311 - spreads the looks, guards nothing
    return Wait(after, "Polling", "looks for pushes whose delivery was lost", writes=tuple(writes))


def _unread(ref: str, error: Exception) -> Stalled | Wait:
    """Return how a poll ends of which one branch could not be read."""
    _log.warning("%s is not read: %s", ref, error)
    if isinstance(error, OSError) and is_disk_full(error):
        error = disk_low(str(error))
    if isinstance(error, RetryError):
        after = max(_SOON, timedelta(seconds=error.after))
        return Wait(after, "Retrying", f"{error.reason}: {ref}: {error}")
    if isinstance(error, UNREADABLE):
        return Stalled(error.reason, f"{ref}: {error}")
    return Stalled("config_unreadable", f"{ref}: {type(error).__name__}: {error}"[:_SHOWN])


def _load_delivery(deps: Deps, subject: str) -> Delivery | None:
    return deps.store.delivery(subject)


def _load_model_repository(deps: Deps, subject: str) -> Repository | None:
    repository = deps.store.repository(int(subject))
    return repository if repository is not None and repository.role is Role.MODEL else None


DELIVERY = Story(
    "delivery",
    (Step("handle", handle_delivery, deadline=timedelta(minutes=5)),),
    _load_delivery,
    failed=_give_up,
    attempts=3,
)
POLL = Story("poll", (Step("poll", poll_repository, deadline=timedelta(minutes=5)),), _load_model_repository)

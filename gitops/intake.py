"""How pushes are seen: by a delivery, or by looking at the refs now and then. Both come to the same."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from gitops.arrivals import UNREADABLE, consider, ended, handle_delivery
from gitops.hooks import look_at_hook
from gitops.ports import Deps
from gitops.records import Cause, Delivery, Repository, Role
from gitops.steps import Outcome, Stalled, Step, Story, Wait

if TYPE_CHECKING:
    from gitops.writes import Write


def _give_up(deps: Deps, delivery: Delivery, error: Exception) -> Outcome:
    """Reject a delivery whose handling failed for good, so that it holds nobody up."""
    del deps, delivery
    return ended("rejected", "handling_failed", f"{type(error).__name__}: {error}")


def poll_repository(deps: Deps, repository: Repository) -> Outcome:
    """Look at every branch of a model repository, as if all its deliveries were lost.

    A branch that cannot be read hides no other one; it is said, and looked at again.
    """
    writes: list[Write] = []
    wrong: list[Stalled] = []
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
        except UNREADABLE as error:
            wrong.append(Stalled(error.reason, f"{ref}: {error}"))
    writes += look_at_hook(deps, repository, is_missed=is_missed)
    if wrong:
        return replace(wrong[0], writes=tuple(writes))
    after = deps.service.poll * random.uniform(0.9, 1.1)  # noqa: S311 - spreads the looks, guards nothing
    return Wait(after, "Polling", "looks for pushes whose delivery was lost", writes=tuple(writes))


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

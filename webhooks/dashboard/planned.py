"""What a version would do to an endpoint, as pages show it: the very answer of the API's `plan`. Writes nothing."""

from dataclasses import dataclass
from datetime import datetime

from gitops.explaining import Place
from gitops.grammar import VERBS
from gitops.records import Environment, Promotion, Version
from gitops.telling.answers import Plan
from gitops.telling.planning import tell_plan_at
from gitops.telling.subjects import find_place
from webhooks.api.arguments import read_arguments
from webhooks.dashboard.sight import Sight

MOST_VERSIONS = 50
"""Versions that the form offers."""


@dataclass(frozen=True)
class PlanPage:
    """A form that asks what a version of a model would do somewhere, and the answer.

    Args:
        environments: where it may be asked for.
        versions: the newest ones, those that the form offers.
        environment: the one that was asked for; None where none was.
        asked: the version that was asked for; empty for the one that the plan finds.
        plan: None where nothing was asked for yet.
    """

    now: datetime
    model: str
    environments: tuple[Environment, ...]
    versions: tuple[Version, ...]
    environment: Environment | None
    asked: str
    plan: Plan | None


def read_plan_page(sight: Sight, model: str, *, endpoint: str, version: str) -> PlanPage | None:
    """Read what a version would do to an endpoint of a model.

    Args:
        endpoint: its name, or REPOSITORY:PATH; empty for the form alone.
        version: empty for the one that is proposed there, else the newest good one.

    Returns:
        None where there is no such model, or the endpoint is another one's, as far as whoever asks may see.

    Raises:
        InputError: `endpoint_unclear`.
        ProblemError: 422 for what is no endpoint's name, or no version's number.
        UnknownNameError: no endpoint is called so.
    """
    environments = [one for one in sight.store.environments(model=model) if sight.sees(one.repository_id)]
    versions = sight.store.versions(model, limit=MOST_VERSIONS, repositories=sight.access.seen)
    if not (environments or versions):
        return None
    found = _find_asked(sight, endpoint, version) if endpoint else None
    if found is not None and found.model != model:
        return None
    plan = tell_plan_at(sight.library, sight.library.place(found), version) if found is not None else None
    return PlanPage(
        now=sight.reading.now,
        model=model,
        environments=tuple(environments),
        versions=tuple(versions),
        environment=found,
        asked=version,
        plan=plan,
    )


def _find_asked(sight: Sight, endpoint: str, version: str) -> Environment:
    read_arguments(VERBS["plan"], {"endpoint": endpoint, "version": version})
    return find_place(sight.library, endpoint)


def foresee(sight: Sight, place: Place | None, promotion: Promotion) -> Plan | None:
    """Return what the merge of a promotion's pull request would do.

    Args:
        place: everything about where it goes; None where nothing is known of it.

    Returns:
        None once it is over, for then it did what it did; and where the place is not one of its model, or not known.
    """
    if place is None or promotion.phase.is_final or place.environment.model != promotion.model:
        return None
    return tell_plan_at(sight.library, place, promotion.version)

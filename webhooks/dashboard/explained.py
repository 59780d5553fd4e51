"""Reads what `gitops.explaining` makes sentences of, in as few questions as a page can afford. Writes nothing."""

from collections import defaultdict
from collections.abc import Sequence

from gitops.explaining import (
    Explanation,
    Fleet,
    Place,
    Proposal,
    Trained,
    explain_endpoint,
    explain_pull,
    explain_training,
)
from gitops.records import Environment, Hold, Promotion, Rollout, Training
from gitops.steps import Phase
from gitops.telling.library import with_moment
from gitops.telling.service import fit_explanation
from webhooks.dashboard.sight import Sight

_NEWEST = 100
_OF_REPOSITORY = ("poll", "compare", "anchor")
_GAVE_WAY = frozenset({Phase.SUPERSEDED, Phase.CANCELLED})


def read_fleet(sight: Sight) -> Fleet:
    """Return everything as far as it needs attention."""
    holds: dict[tuple[int, str], list[Hold]] = defaultdict(list)
    rollouts: dict[tuple[int, str], list[Rollout]] = defaultdict(list)
    promotions: dict[tuple[int, str], list[Promotion]] = defaultdict(list)
    for hold in sight.holds:
        holds[hold.repository_id, hold.path].append(hold)
    for one in sight.stories:
        match one:
            case Rollout():
                rollouts[one.repository_id, one.path].append(one)
            case Promotion():
                promotions[one.repository_id, one.path].append(one)
            case Training():
                pass
    places = []
    for environment in sight.environments:
        here = (environment.repository_id, environment.path)
        found = (tuple(holds.get(here, ())), tuple(rollouts.get(here, ())), tuple(promotions.get(here, ())))
        places.append(Place(environment, *found))
    newest: dict[str, Training] = {}
    for training in sight.page(Training, _NEWEST):
        newest.setdefault(training.model, training)
    names = {(kind, str(one.id)): one.full_name for one in sight.repositories for kind in _OF_REPOSITORY}
    return Fleet(places, list(newest.values()), names)


def read_place(sight: Sight, environment: Environment) -> Place:
    """Return everything about one environment."""
    here = (environment.repository_id, environment.path)
    same = {"repository": environment.repository, "path": environment.path}
    trained = sight.page(Training, 1, model=environment.model) if environment.model else []
    place = Place(
        environment=environment,
        holds=tuple(one for one in sight.holds if (one.repository_id, one.path) == here),
        rollouts=_with_last_ended(sight.page(Rollout, 20, **same)),
        promotions=_with_newest(sight.page(Promotion, 20, **same)),
        training=trained[0] if trained else None,
    )
    return with_moment(place, sight.store)


def _with_last_ended(rollouts: Sequence[Rollout]) -> tuple[Rollout, ...]:
    """Return those that are not over, and the last that came to an end of its own."""
    ended = next((one for one in rollouts if one.phase.is_final and one.phase not in _GAVE_WAY), None)
    return tuple(one for one in rollouts if not one.phase.is_final or one is ended)


def _with_newest(promotions: Sequence[Promotion]) -> tuple[Promotion, ...]:
    return tuple(one for at, one in enumerate(promotions) if at == 0 or not one.phase.is_final)


def explain_place(sight: Sight, environment: Environment) -> Explanation:
    """Explain an environment."""
    return _fit(sight, explain_endpoint(read_place(sight, environment), sight.reading))


def _fit(sight: Sight, explanation: Explanation) -> Explanation:
    """Return an explanation with what can be typed where this page is read."""
    return fit_explanation(explanation, ()) if sight.is_service else explanation


def explain_trained(sight: Sight, training: Training, promotions: Sequence[Promotion]) -> Explanation:
    """Explain a training."""
    here = tuple(one for one in sight.store.environments(model=training.model) if sight.sees(one.repository_id))
    return _fit(sight, explain_training(Trained(training, tuple(promotions), here), sight.reading))


def explain_proposal(sight: Sight, promotion: Promotion, place: Place | None) -> Explanation:
    """Explain a promotion.

    Args:
        place: everything about where it goes; None where nothing is known of it yet.
    """
    training = sight.store.training(promotion.training_id)
    commit = training.commit if training is not None and sight.sees(training.repository_id) else ""
    return _fit(sight, explain_pull(Proposal(promotion, place, commit), sight.reading))

"""Finding a training by what a person typed: its id, the beginning of it, or nothing for the newest."""

from collections.abc import Sequence

from gitops.cli.main import fail_unknown
from gitops.errors import InputError, NotFoundError
from gitops.ports import Store
from gitops.records import Training

_FAR = 500


def recent_trainings(store: Store, *, model: str = "", limit: int = _FAR) -> Sequence[Training]:
    """Return the newest trainings, of one model where asked for."""
    found = [one for one in store.recent("training", limit=_FAR) if isinstance(one, Training)]
    if model and model not in {one.model for one in found}:
        fail_unknown("model", model, sorted({one.model for one in found}))
    return [one for one in found if model in {"", one.model}][:limit]


def find_training(store: Store, typed: str) -> Training:
    """Return the training that a person means.

    Args:
        typed: an id, the beginning of exactly one, or empty for the newest.

    Raises:
        NotFoundError: `NoTraining` when there is none at all.
        InputError: `training_unclear` when several ids begin so.
    """
    exact = store.training(typed) if typed else None
    if exact is not None:
        return exact
    known = recent_trainings(store)
    if not known:
        raise NotFoundError("NoTraining", "nothing was trained yet: push to a model repository")
    if not typed:
        return known[0]
    found = [one for one in known if one.id.startswith((typed, f"t-{typed}"))]
    if len(found) > 1:
        message = f"{typed!r} begins {len(found)} trainings: {', '.join(one.id for one in found[:5])}"
        raise InputError("training_unclear", message)
    if not found:
        fail_unknown("training", typed, [one.id for one in known])
    return found[0]

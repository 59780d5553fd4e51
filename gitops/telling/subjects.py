"""Finding what a person means by a name, a number, an id or a URL, and reading everything that is known of it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from gitops.errors import InputError, NotFoundError, UnknownNameError
from gitops.explaining import Place, Proposal, Trained
from gitops.naming import called
from gitops.records import Environment, Promotion, Rollout, Training
from gitops.telling.library import Library
from gitops.trials import SEARCHING, Progress, progress_of
from gitops.words import short

_PULL = re.compile(
    r"(?:https?://[^\s/]+/(?:.*/)?(?P<at>[^/\s]+/[^/\s]+)/pull/|(?:(?P<of>[^/\s#]+/[^/\s#]+)#|#)?)(?P<n>\d+)(?:[/?#].*)?"
)
_COMMIT = re.compile(r"[0-9a-f]{4,64}")

Subject = Place | Trained | Proposal


def find_subject(library: Library, typed: str) -> Subject:
    """Return what a person means, with everything that is known of it.

    Args:
        typed: an endpoint, REPOSITORY:PATH, a pull request (`NUMBER`, `OWNER/NAME#NUMBER` or its URL), a training's
            id or the beginning of it, the beginning of a commit, or the id of a promotion or rollout.

    Raises:
        InputError: `endpoint_unclear`, `training_unclear` or `repository_unclear` when several could be meant.
        NotFoundError: `NoPull` when Launchpin opened no such pull request.
        UnknownNameError: nobody knows it; the nearest name is told, or what there is.
    """
    finders = (_find_endpoint, _find_pull, _find_training, _find_other)
    found = (finder(library, typed) for finder in finders)
    subject = next((one for one in found if one is not None), None)
    if subject is not None:
        return subject
    if _PULL.fullmatch(typed):
        raise NotFoundError("NoPull", f"Launchpin opened no pull request {typed}: {_open_pulls(library)}")
    raise UnknownNameError("endpoint, training or pull request", typed, list(_names(library)))


def _names(library: Library) -> Iterator[str]:
    """Give what could have been meant, endpoints first."""
    yield from sorted({one.endpoint or f"{one.repository}:{one.path}" for one in library.environments})
    yield from (_pull_name(one) for one in library.promotions if not one.phase.is_final and one.facts.number)
    yield from (one.id for one in library.trainings[:5])


def _pull_name(promotion: Promotion) -> str:
    return f"{promotion.repository}#{promotion.facts.number}"


def _open_pulls(library: Library) -> str:
    names = [_pull_name(one) for one in library.promotions if not one.phase.is_final and one.facts.number]
    return f"open are {', '.join(names)}" if names else "none of its own is open; `launchpin pr list` shows all"


def _find_endpoint(library: Library, typed: str) -> Place | None:
    try:
        return library.place(find_place(library, typed))
    except UnknownNameError:
        return None


def _find_pull(library: Library, typed: str) -> Subject | None:
    match = _PULL.fullmatch(typed)
    if match is None:
        return None
    wanted, repository = int(match["n"]), (match["at"] or match["of"] or "").lower()
    newest: dict[int, Promotion] = {}
    for one in library.promotions:
        # A pull request is updated in place: what stands in it is the newest promotion's.
        if one.facts.number == wanted and repository in ("", one.repository.lower()):
            newest.setdefault(one.repository_id, one)
    meant = [one for one in newest.values() if not one.phase.is_final] or list(newest.values())
    if len(meant) > 1:
        listed = ", ".join(_pull_name(one) for one in meant)
        raise InputError("repository_unclear", f"pull request {wanted} could be {listed}: name one of these")
    return read_proposal(library, meant[0]) if meant else _find_way_back(library, wanted, repository)


def _find_way_back(library: Library, number: int, repository: str) -> Place | None:
    """Return the place whose pin a pull request of ours sets back."""
    for one in library.rollouts:
        is_its = (one.facts.write_back_url or "").endswith(f"/pull/{number}")
        if is_its and repository in ("", one.repository.lower()):
            return _place_at(library, one)
    return None


def _place_at(library: Library, record: Promotion | Rollout) -> Place | None:
    known = library.environment(record.repository_id, record.path)
    return library.place(known) if known is not None else None


def read_proposal(library: Library, promotion: Promotion) -> Proposal:
    """Return a promotion with what is known of where it goes and where it came from."""
    training = library.training(promotion.training_id)
    commit = training.commit if training is not None else ""
    place = _place_at(library, promotion)
    if place is not None:
        # An older rollout of the place is no part of its story; its own may have been followed by another.
        own = library.newest_of(Rollout, place.environment, version=promotion.version)
        known = {one.id: one for one in [*place.rollouts, *own[:1]]}
        place = replace(place, rollouts=tuple(known.values()))
    return Proposal(promotion, place, commit)


def find_training(library: Library, typed: str) -> Training:
    """Return the training that a person means.

    Args:
        typed: an id, the beginning of exactly one, or empty for the newest.

    Raises:
        NotFoundError: `NoTraining` when there is none at all.
        InputError: `training_unclear` when several ids begin so.
        UnknownNameError: none begins so.
    """
    exact = library.training(typed) if typed else None
    if exact is not None:
        return exact
    known = library.trainings
    if not known:
        raise NotFoundError("NoTraining", "nothing was trained yet: push to a model repository")
    if not typed:
        return known[0]
    found = [one for one in known if one.id.startswith((typed, f"t-{typed}"))]
    if len(found) > 1:
        message = f"{typed!r} begins {len(found)} trainings: {', '.join(one.id for one in found[:5])}"
        raise InputError("training_unclear", message)
    if not found:
        raise UnknownNameError("training", typed, [one.id for one in known])
    return found[0]


def find_place(library: Library, typed: str) -> Environment:
    """Return the environment that an endpoint's name, or REPOSITORY:PATH, means.

    Raises:
        InputError: `endpoint_unclear` when several are called so.
        UnknownNameError: none is called so.
    """
    found = called(library.environments, typed)
    if len(found) > 1:
        listed = ", ".join(f"{one.repository}:{one.path}" for one in found)
        raise InputError("endpoint_unclear", f"{typed!r} is asked for in {listed}: name one of these")
    if not found:
        raise UnknownNameError("endpoint", typed, [one.endpoint for one in library.environments if one.endpoint])
    return found[0]


def _find_training(library: Library, typed: str) -> Trained | None:
    exact = library.training(typed)
    if exact is not None:
        return read_trained(library, exact)
    found = [one for one in library.trainings if one.id.startswith((typed, f"t-{typed}"))]
    if not found and _COMMIT.fullmatch(typed):
        found = _of_commit([one for one in library.trainings if one.commit.startswith(typed)])
    if len(found) > 1:
        listed = ", ".join(f"{one.id} ({short(one.commit)}, {one.config_path})" for one in found[:5])
        raise InputError("training_unclear", f"{typed!r} could be {len(found)} trainings: {listed}")
    return read_trained(library, found[0]) if found else None


def _of_commit(found: Sequence[Training]) -> list[Training]:
    """Return the newest training of each commit and launchpin.yaml: one that was trained again is meant as it is."""
    newest: dict[tuple[str, str, str], Training] = {}
    for one in found:
        newest.setdefault((one.commit, one.ref, one.config_path), one)
    return list(newest.values())


def read_trained(library: Library, training: Training) -> Trained:
    """Return a training with what came of it."""
    promotions = {one.id: one for one in library.promotions if one.training_id == training.id}
    # Those that it brought itself it names, however long ago that was.
    named = (library.promotion(one) for one in training.facts.promotions if one not in promotions)
    promotions |= {one.id: one for one in named if one is not None}
    environments = library.environments_of(training.model)
    progress = read_progress(library, training)
    if progress is not None:
        training = training.model_copy(update={"message": progress.sentence})
    return Trained(training, tuple(promotions.values()), tuple(environments), progress)


def read_progress(library: Library, training: Training) -> Progress | None:
    """Return how far a training's search is at this moment; None where it is not at it."""
    return progress_of(training, library.store.trials(training.id)) if training.reason == SEARCHING else None


def _find_other(library: Library, typed: str) -> Subject | None:
    """Return what a promotion or rollout is about, by the id that other verbs show."""
    promotion, rollout = library.promotion(typed), library.rollout(typed)
    if promotion is not None and promotion.facts.number:
        return read_proposal(library, promotion)
    record = promotion or rollout
    return _place_at(library, record) if record is not None else None

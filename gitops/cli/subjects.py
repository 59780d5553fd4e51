"""Finding what a person means by a name, a number, an id or a URL, and reading everything that is known of it."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import TypeVar

from gitops.cli.main import fail_unknown
from gitops.errors import InputError, NotFoundError
from gitops.explaining import Fleet, Place, Proposal, Trained
from gitops.holding import is_pause
from gitops.ports import Store
from gitops.records import Environment, Hold, Promotion, Record, Role, Rollout, Training
from gitops.steps import Phase
from gitops.words import short

_FAR = 500
_SHORTEST_COMMIT = 4
_PULL = re.compile(
    r"(?:https?://[^\s/]+/(?:.*/)?(?P<at>[^/\s]+/[^/\s]+)/pull/|(?:(?P<of>[^/\s#]+/[^/\s#]+)#|#)?)(?P<n>\d+)(?:[/?#].*)?"
)
_COMMIT = re.compile(r"[0-9a-f]{4,64}")

R = TypeVar("R", bound=Record)
P = TypeVar("P", Hold, Promotion, Rollout)
ByPlace = defaultdict[tuple[int, str], list[P]]
Subject = Place | Trained | Proposal


@dataclass(frozen=True)
class Library:
    """What the store holds, each kind read once."""

    store: Store

    @cached_property
    def environments(self) -> Sequence[Environment]:
        """Every environment."""
        return self.store.environments()

    @cached_property
    def _all_holds(self) -> Sequence[Hold]:
        return self.store.holds()

    @property
    def pause(self) -> Hold | None:
        """The hold on everything, which is of no place."""
        return next(filter(is_pause, self._all_holds), None)

    @cached_property
    def holds(self) -> Sequence[Hold]:
        """The open holds of places."""
        return [one for one in self._all_holds if not is_pause(one)]

    @cached_property
    def trainings(self) -> Sequence[Training]:
        """The newest trainings, newest first."""
        return self._recent("training", Training)

    @cached_property
    def promotions(self) -> Sequence[Promotion]:
        """The newest promotions and all that are not over, newest first."""
        recent = self._recent("promotion", Promotion)
        deploys = [one for one in self.store.repositories() if one.role is Role.DEPLOY]
        still = chain.from_iterable(self.store.open_promotions(one.id) for one in deploys)
        return [*recent, *(one for one in still if one.id not in {known.id for known in recent})]

    @cached_property
    def rollouts(self) -> Sequence[Rollout]:
        """The newest rollouts, newest first."""
        return self._recent("rollout", Rollout)

    def _recent(self, kind: str, model: type[R]) -> list[R]:
        return [one for one in self.store.recent(kind, limit=_FAR) if isinstance(one, model)]

    def place(self, environment: Environment) -> Place:
        """Return everything about an environment."""
        here = (environment.repository_id, environment.path)
        trained = (one for one in self.trainings if one.model == environment.model)
        return Place(
            environment=environment,
            holds=tuple(one for one in self.holds if (one.repository_id, one.path) == here),
            rollouts=_with_last_ended(self._rollouts_of(environment)),
            promotions=_with_newest([one for one in self.promotions if (one.repository_id, one.path) == here]),
            training=next(trained, None),
        )

    def _rollouts_of(self, environment: Environment) -> list[Rollout]:
        here = (environment.repository_id, environment.path)
        found = [one for one in self.rollouts if (one.repository_id, one.path) == here]
        newest = self.store.newest_rollout(*here)
        return found if newest is None or newest in found else [newest, *found]

    def resting(self, environment: Environment) -> Place:
        """Return an environment with what is not over there, which many of them have nothing of."""
        here = (environment.repository_id, environment.path)
        holds, promotions, rollouts = self._still
        return Place(environment, tuple(holds[here]), tuple(rollouts[here]), tuple(promotions[here]))

    @cached_property
    def _still(self) -> tuple[ByPlace[Hold], ByPlace[Promotion], ByPlace[Rollout]]:
        """What is not over, by place."""
        promotions = [one for one in self.promotions if not one.phase.is_final]
        rollouts = [one for one in self.rollouts if not one.phase.is_final]
        return _by_place(self.holds), _by_place(promotions), _by_place(rollouts)


def _by_place(found: Iterable[P]) -> ByPlace[P]:
    known: ByPlace[P] = defaultdict(list)
    for one in found:
        known[one.repository_id, one.path].append(one)
    return known


def _with_last_ended(rollouts: Sequence[Rollout]) -> tuple[Rollout, ...]:
    """Return those that are not over, and the last that came to an end of its own."""
    gave_way = {Phase.SUPERSEDED, Phase.CANCELLED}
    ended = next((one for one in rollouts if one.phase.is_final and one.phase not in gave_way), None)
    return tuple(one for one in rollouts if not one.phase.is_final or one is ended)


def _with_newest(promotions: Sequence[Promotion]) -> tuple[Promotion, ...]:
    return tuple(one for at, one in enumerate(promotions) if at == 0 or not one.phase.is_final)


def read_fleet(library: Library) -> Fleet:
    """Return everything, in as few questions as its number allows."""
    newest: dict[str, Training] = {}
    for training in library.trainings:
        newest.setdefault(training.model, training)
    names = {(kind, str(one.id)): one.full_name for one in library.store.repositories() for kind in _OF_REPOSITORY}
    places = [library.resting(one) for one in library.environments]
    return Fleet(places, list(newest.values()), names)


_OF_REPOSITORY = ("poll", "compare", "anchor")


def find_subject(library: Library, typed: str) -> Subject:
    """Return what a person means, with everything that is known of it.

    Args:
        typed: an endpoint, REPOSITORY:PATH, a pull request (`NUMBER`, `OWNER/NAME#NUMBER` or its URL), a training's
            id or the beginning of it, the beginning of a commit, or the id of a promotion or rollout.

    Raises:
        InputError: `endpoint_unclear`, `training_unclear` or `repository_unclear` when several could be meant.
        NotFoundError: `NoPull` when Launchpin opened no such pull request.
        UsageError: nobody knows it; the nearest name is told, or what there is.
    """
    finders = (_find_endpoint, _find_pull, _find_training, _find_other)
    found = (finder(library, typed) for finder in finders)
    subject = next((one for one in found if one is not None), None)
    if subject is not None:
        return subject
    if _PULL.fullmatch(typed):
        raise NotFoundError("NoPull", f"Launchpin opened no pull request {typed}: {_open_pulls(library)}")
    return fail_unknown("endpoint, training or pull request", typed, list(_names(library)))


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
    found = [one for one in library.environments if typed in (one.endpoint, f"{one.repository}:{one.path}")]
    if len(found) > 1:
        listed = ", ".join(f"{one.repository}:{one.path}" for one in found)
        raise InputError("endpoint_unclear", f"{typed!r} is asked for in {listed}: name one of these")
    return library.place(found[0]) if found else None


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
    return _proposal(library, meant[0]) if meant else _find_way_back(library, wanted, repository)


def _find_way_back(library: Library, number: int, repository: str) -> Place | None:
    """Return the place whose pin a pull request of ours sets back."""
    for one in library.rollouts:
        is_its = (one.facts.write_back_url or "").endswith(f"/pull/{number}")
        if is_its and repository in ("", one.repository.lower()):
            return _place_at(library, one)
    return None


def _place_at(library: Library, record: Promotion | Rollout) -> Place | None:
    known = library.store.environment(record.repository_id, record.path)
    return library.place(known) if known is not None else None


def _proposal(library: Library, promotion: Promotion) -> Proposal:
    training = library.store.training(promotion.training_id)
    commit = training.commit if training is not None else ""
    place = _place_at(library, promotion)
    if place is not None:
        # An older rollout of the place is no part of its story; its own may have been followed by another.
        own = [one for one in library.rollouts if _is_for(one, promotion)]
        place = replace(place, rollouts=tuple(dict.fromkeys([*place.rollouts, *own[:1]])))
    return Proposal(promotion, place, commit)


def _is_for(rollout: Rollout, promotion: Promotion) -> bool:
    here = (promotion.repository_id, promotion.path, promotion.version)
    return (rollout.repository_id, rollout.path, rollout.version) == here


def _find_training(library: Library, typed: str) -> Trained | None:
    exact = library.store.training(typed)
    if exact is not None:
        return _trained(library, exact)
    found = [one for one in library.trainings if one.id.startswith((typed, f"t-{typed}"))]
    if not found and _COMMIT.fullmatch(typed):
        found = _of_commit([one for one in library.trainings if one.commit.startswith(typed)])
    if len(found) > 1:
        listed = ", ".join(f"{one.id} ({short(one.commit)}, {one.config_path})" for one in found[:5])
        raise InputError("training_unclear", f"{typed!r} could be {len(found)} trainings: {listed}")
    return _trained(library, found[0]) if found else None


def _of_commit(found: Sequence[Training]) -> list[Training]:
    """Return the newest training of each commit and launchpin.yaml: one that was trained again is meant as it is."""
    newest: dict[tuple[str, str, str], Training] = {}
    for one in found:
        newest.setdefault((one.commit, one.ref, one.config_path), one)
    return list(newest.values())


def _trained(library: Library, training: Training) -> Trained:
    promotions = [one for one in library.promotions if one.training_id == training.id]
    environments = [one for one in library.environments if one.model == training.model]
    return Trained(training, tuple(promotions), tuple(environments))


def _find_other(library: Library, typed: str) -> Subject | None:
    """Return what a promotion or rollout is about, by the id that other verbs show."""
    promotion, rollout = library.store.promotion(typed), library.store.rollout(typed)
    if promotion is not None and promotion.facts.number:
        return _proposal(library, promotion)
    record = promotion or rollout
    return _place_at(library, record) if record is not None else None

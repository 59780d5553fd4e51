"""How an endpoint stands for whoever decides about it: what serves, who holds it, what is on its way there. Pure."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from gitops.grammar import VERBS, Kind
from gitops.records import Command, Environment, Frozen, Hold, Promotion, Rollout

NOT_AS_SEEN = "NotAsSeen"

OF_ENDPOINTS = frozenset({Kind.ENDPOINT, Kind.STORY})
"""The kinds of arguments that an endpoint may be named by."""

PROPOSING = frozenset({"promote"})
"""The verbs that take the place of what is proposed; to the others a proposal that comes or goes is nothing."""


class Standing(Frozen):
    """An endpoint on one snapshot.

    Args:
        holds: the open ones that keep it, a pause first.
        rollouts: those that are not over, oldest first.
        promotions: those of its environment that are not over, oldest first.
        commands: those about it that nobody has carried out yet, oldest first.
    """

    environment: Environment
    holds: tuple[Hold, ...]
    rollouts: tuple[Rollout, ...]
    promotions: tuple[Promotion, ...]
    commands: tuple[Command, ...]

    @property
    def tag(self) -> str:
        """Its entity tag: another one as soon as anything of it is otherwise, or is asked for."""
        shown = self.model_dump_json(include={"environment", "holds"})
        return f'"{_digest(shown, _ids(self.rollouts), _ids(self.promotions), _ids(self.commands))}"'

    def digest_for(self, verb: str) -> str:
        """Return the same of what a decision rests on alone: health and messages come and go without any."""
        known = self.environment
        place = (known.model, known.pinned, known.serving, known.earlier)
        proposed = [_ids(self.promotions)] if verb in PROPOSING else []
        return _digest(place, _ids(self.holds), _ids(self.rollouts), *proposed)

    def without(self, command: Command) -> "Standing":
        """Return the same as whoever asked for this command finds it."""
        return self.model_copy(update={"commands": tuple(one for one in self.commands if one.id != command.id)})

    @property
    def sentence(self) -> str:
        """What it comes to, for a person who saw it otherwise."""
        known = self.environment
        serves = f"version {known.serving} serves" if known.serving else "nothing serves"
        pinned = f"version {known.pinned} is pinned" if known.pinned else "nothing is pinned"
        rolls = (f"rollout {one.id} of version {one.version or 'none'} is under way" for one in self.rollouts)
        proposed = (f"version {one.version} is proposed" for one in self.promotions)
        asked = (f"{one.verb} was asked for by {one.cause.actor}" for one in self.commands)
        return ", ".join([serves, pinned, *rolls, *proposed, *asked, *(["it is held"] if self.holds else [])])


@dataclass(frozen=True)
class Expected:
    """An endpoint as whoever asks has seen it: with one of these entity tags."""

    repository_id: int
    path: str
    tags: frozenset[str]


def say_unseen(command: Command, name: str, now: Standing | None) -> str:
    """Return why a command is not carried out whose endpoint is not as it was when it was asked for.

    Args:
        name: of the endpoint.
        now: how it stands; None where it is not there any more.
    """
    told = f": {now.without(command).sentence}" if now is not None else ""
    return f"nothing was done, for {name} is not as it was when this was asked{told}. Look again, and ask anew"


def is_about(command: Command, environment: Environment) -> bool:
    """Return whether a command names an endpoint, by its name or as REPOSITORY:PATH."""
    name = named_endpoint(command)
    return bool(name) and name in (environment.endpoint, f"{environment.repository}:{environment.path}")


def named_endpoint(command: Command) -> str:
    """Return what a command calls the endpoint that it is about; empty for one about none."""
    known = VERBS[command.verb].arguments if command.verb in VERBS else ()
    return next(
        (command.arguments[one.name] for one in known if one.kind in OF_ENDPOINTS and one.name in command.arguments), ""
    )


def _ids(records: Sequence[Hold | Rollout | Promotion | Command]) -> list[str]:
    return [one.id for one in records]


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

"""Which environments are at rest: their pin, their record and their endpoint agree, so nothing has to be read or done.

A comparison of many pins costs one query and one question to each target; files are read only where something moved.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gitops.errors import RetryError
from gitops.ports import Deps, Endpoint, EndpointStatus, Resting
from gitops.records import Health, Repository

HEALTH: Mapping[EndpointStatus, Health] = {
    EndpointStatus.IN_SERVICE: Health.HEALTHY,
    EndpointStatus.FAILED: Health.DEGRADED,
}
"""How an endpoint does, by its target's word for it; every other word is progress."""

# The same as plain text, once: an enumeration's value is looked up by Python code.
_WORDS = {status: health.value for status, health in HEALTH.items()}
_PROGRESSING = Health.PROGRESSING.value

# Up to so many endpoints of a target are asked one by one: a list of all would be mostly other repositories'.
_FEW = 8
# Plain tuples, here and in `Resting`: ten thousand pins are compared in the time that reading their rows takes.
_Live = tuple[str, str, str, str]  # version, URL, health, model
_NOTHING: _Live = ("", "", Health.UNKNOWN.value, "")


@dataclass(frozen=True)
class _Side:
    """A target as it is now: its host, and what each endpoint serves."""

    host: str
    live: Mapping[str, _Live]


def find_resting(deps: Deps, repository: Repository, *, head: str) -> dict[str, tuple[str, str]]:
    """Return the environments that a comparison may leave as they are: by path, their target and endpoint.

    Args:
        head: the commit that the repository's base branch names now.
    """
    known = deps.store.resting(repository.id, commit=head)
    sides = {target: _look(deps, target, known) for target in {row[1] for row in known}}
    found: dict[str, tuple[str, str]] = {}
    for path, target, host, endpoint, model, pinned, health, url in known:
        side = sides[target]
        if side is None or side.host != host:
            continue
        now = side.live.get(endpoint, _NOTHING)
        if now in ((pinned, url, health, model), (pinned, url, health, "")):
            found[path] = (target, endpoint)
    return found


def _look(deps: Deps, target: str, known: Sequence[Resting]) -> _Side | None:
    """Return how a target is now; None when it cannot be asked: then each comparison says so on its environment."""
    adapter = deps.targets.get(target)
    if adapter is None:
        return None
    names = [row[3] for row in known if row[1] == target]
    try:
        host = adapter.host()
        many = adapter.endpoints() if len(names) > _FEW else filter(None, map(adapter.describe, names))
        return _Side(host, {one.name: _live(one) for one in many})
    except RetryError:
        return None


def _live(endpoint: Endpoint) -> _Live:
    health = _WORDS.get(endpoint.status, _PROGRESSING)
    return (endpoint.version, endpoint.url, health, endpoint.model) if endpoint.live else ("", "", health, "")

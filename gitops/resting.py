"""Which environments are at rest: their pin, their record and their endpoint agree, so nothing has to be read or done.

A comparison of many pins costs one query and one question to each target; files are read only where something moved.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

from gitops.errors import RetryError
from gitops.ports import Deps, EndpointStatus, Resting
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
# A target as it is now: its host, and what each endpoint serves.
_Side = tuple[str | None, Mapping[str, _Live]]
_AWAY: _Side = (None, {})


def find_resting(deps: Deps, repository: Repository, *, head: str) -> dict[str, tuple[str, str]]:
    """Return the environments that a comparison may leave as they are: by path, their target and endpoint.

    Args:
        head: the commit that the repository's base branch names now.
    """
    known = deps.store.resting(repository.id, commit=head)
    sides: dict[str, _Side] = {}
    found: dict[str, tuple[str, str]] = {}
    for path, target, host, endpoint, model, pinned, health, url in known:
        if target not in sides:
            sides[target] = _look(deps, target, known)
        its_host, live = sides[target]
        version, place, state, name = live.get(endpoint, _NOTHING)
        if version == pinned and place == url and state == health and its_host == host and (name == model or not name):
            found[path] = (target, endpoint)
    return found


def _look(deps: Deps, target: str, known: Sequence[Resting]) -> _Side:
    """Return how a target is now; one that cannot be asked has no host: each comparison says so on its environment."""
    adapter = deps.targets.get(target)
    if adapter is None:
        return _AWAY
    names = list(islice((row[3] for row in known if row[1] == target), _FEW + 1))
    try:
        host = adapter.host()
        many = adapter.endpoints() if len(names) > _FEW else filter(None, map(adapter.describe, names))
        return host, {
            one.name: (one.version, one.url, _WORDS.get(one.status, _PROGRESSING), one.model)
            if one.live
            else ("", "", _WORDS.get(one.status, _PROGRESSING), "")
            for one in many
        }
    except RetryError:
        return _AWAY

"""What pages say of a champion: the crown is the version's, and a place that is only marked says so in words. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from gitops.ports import Crowned
from gitops.records import Environment
from webhooks.dashboard.words import label


@dataclass(frozen=True)
class Crown:
    """What stands at an environment that is marked as the champion's.

    Args:
        is_champion: whether what serves there is the version to beat.
        note: why it is not; empty where it is.
    """

    is_champion: bool
    note: str = ""

    @property
    def words(self) -> str:
        """What it is, in two words at most."""
        return "Champion" if self.is_champion else "Champion's place"


def crown(environment: Environment, crowned: Crowned | None, places: Sequence[Environment]) -> Crown | None:
    """Return what stands at an environment; None where it is not marked, or nothing serves.

    Args:
        crowned: where the model's champion comes from.
        places: the model's environments, as far as whoever asks may see them.
    """
    if crowned is None or not (environment.is_champion and environment.serving):
        return None
    if environment.serving == crowned.serving and crowned.champion is not None:
        return Crown(is_champion=True)
    return Crown(is_champion=False, note=_tell_why_not(environment, crowned, places))


def _tell_why_not(environment: Environment, crowned: Crowned, places: Sequence[Environment]) -> str:
    serving = label(crowned.serving)
    if environment.serving == crowned.serving:
        return f"{serving} has no verdict of Launchpin's, so there is no champion: gates say `NoChampion`."
    here = (crowned.repository_id, crowned.path)
    where = next((one.endpoint or one.name for one in places if (one.repository_id, one.path) == here), "")
    if not where:
        return "Another place, which you may not see, is marked, too, and its version came later: that one counts."
    if crowned.champion is not None:
        return f"The champion is {serving}: {where} is marked, too, and its version came later."
    return f"There is no champion: {where} is marked, too, and {serving} came there later, without a verdict."


def champion_among(places: Sequence[Environment], crowned: Crowned | None) -> str:
    """Return the version to beat, where it serves in one of these environments of a model; empty where none does."""
    crowns = ((one.serving, crown(one, crowned, places)) for one in places)
    return next((serving for serving, found in crowns if found is not None and found.is_champion), "")

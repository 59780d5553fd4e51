"""What a hold tells people, and the pause: a hold on everything, environments that are not known yet included. Pure."""

from gitops.records import Hold

EVERYWHERE = 0
"""The repository of a pause, an id that no forge gives to one; its path is empty."""


def is_pause(hold: Hold) -> bool:
    """Return whether a hold is on everything."""
    return hold.repository_id == EVERYWHERE


def say_held(hold: Hold, endpoint: str) -> str:
    """Return why something waits, and what lets it go on.

    Args:
        endpoint: as a person names it.
    """
    if is_pause(hold):
        return f"everything is paused by {hold.author}, {hold.message}: launchpin resume --all"
    return f"{hold.message}: launchpin resume {endpoint}"

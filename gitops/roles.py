"""The roles of people, and of the programs that have their tokens. Imports nothing of ours."""

from enum import StrEnum


class AccessRole(StrEnum):
    """What somebody may do, each more than the one before: look; train; decide what serves; administer."""

    VIEWER = "viewer"
    RUNNER = "runner"
    APPROVER = "approver"
    ADMIN = "admin"

    def covers(self, needed: "AccessRole") -> bool:
        """Return whether who has this role may do what needs the other."""
        order = list(AccessRole)
        return order.index(self) >= order.index(needed)

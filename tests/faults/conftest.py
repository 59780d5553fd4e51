"""The walker's fixtures, one of each for both of its files."""

from tests.faults.walker_lane import databases, listen, walker

__all__ = ["databases", "listen", "walker"]

"""What makes one run better than another, as a file says it. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from gitops.config.section import Section


class Goal(StrEnum):
    """Which direction of a metric is better."""

    MAXIMIZE = "maximize"
    MINIMIZE = "minimize"


@dataclass(frozen=True)
class Objective:
    """How the best of several runs is found."""

    metric: str
    goal: Goal = Goal.MAXIMIZE


def read_goal(section: Section) -> Goal:
    """Return the direction that stands beside a metric, the greater one where nothing is said."""
    return Goal(section.at("goal").text(Goal.MAXIMIZE.value))


def read_objective(section: Section) -> Objective | None:
    """Return what a part of the file chooses by, None where it is not there."""
    return Objective(section.at("metric").text(), read_goal(section)) if section else None

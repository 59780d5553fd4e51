"""Explains an endpoint, a training, a pull request or everything: records in, statements out. Pure: no IO, no clock.

The same text is for the terminal, for pages and for pull requests, so nothing here knows where it is shown.
"""

from gitops.explaining.answers import ANSWERS, Answer, answer_to
from gitops.explaining.endpoint import Place, explain_endpoint
from gitops.explaining.explanation import Explanation, Hint, Part, Reading, Statement, Who
from gitops.explaining.fleet import Concern, Fleet, PartTrouble, find_concerns, summarize
from gitops.explaining.following import DOING, JOBS
from gitops.explaining.incident import Moment, Scope, moments_of
from gitops.explaining.phrases import PHRASES
from gitops.explaining.postmortem import Incident, served_meanwhile, to_markdown
from gitops.explaining.pull import Proposal, explain_pull
from gitops.explaining.screen import show
from gitops.explaining.training import Trained, explain_training

__all__ = [
    "ANSWERS",
    "DOING",
    "JOBS",
    "PHRASES",
    "Answer",
    "Concern",
    "Explanation",
    "Fleet",
    "Hint",
    "Incident",
    "Moment",
    "Part",
    "PartTrouble",
    "Place",
    "Proposal",
    "Reading",
    "Scope",
    "Statement",
    "Trained",
    "Who",
    "answer_to",
    "explain_endpoint",
    "explain_pull",
    "explain_training",
    "find_concerns",
    "moments_of",
    "served_meanwhile",
    "show",
    "summarize",
    "to_markdown",
]

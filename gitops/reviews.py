"""What people said of a pull request before it was merged, and whose approval held at the merge. Pure."""

from collections.abc import Sequence

from pydantic import BaseModel

MOST_KEPT = 50
"""The newest reviews of a pull request that are kept; what they came to is made of all."""

_APPROVED = "APPROVED"
_DECIDES = frozenset({_APPROVED, "CHANGES_REQUESTED", "DISMISSED"})


class Review(BaseModel, frozen=True, extra="forbid"):
    """One review of a pull request.

    Args:
        login: who wrote it; empty where the forge does not know any more.
        state: in the forge's word: `APPROVED`, `CHANGES_REQUESTED`, `COMMENTED` or `DISMISSED`.
        sha: the commit that was the head when it was reviewed; empty where that is gone.
    """

    id: int
    login: str
    state: str
    sha: str


def approvers(reviews: Sequence[Review], *, head: str) -> tuple[str, ...]:
    """Return who approved a commit, in the order of their first word: of each the last decision counts, as at GitHub.

    A comment decides nothing. An approval of an earlier commit is none of this one.

    Args:
        reviews: the oldest first.
        head: the commit that was merged.
    """
    last: dict[str, Review] = {}
    for review in reviews:
        if review.login and review.state in _DECIDES:
            last[review.login] = review
    return tuple(login for login, review in last.items() if (review.state, review.sha) == (_APPROVED, head))

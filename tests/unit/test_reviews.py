"""Whose approval holds at the commit that was merged."""

import pytest

from gitops.reviews import Review, approvers

HEAD, EARLIER = "b" * 40, "a" * 40


def said(*words: tuple[str, str] | tuple[str, str, str]) -> list[Review]:
    """Return reviews of the head, or of the commit that is named, in this order."""
    return [
        Review(id=at, login=word[0], state=word[1], sha=word[2] if len(word) > 2 else HEAD)
        for at, word in enumerate(words)
    ]


@pytest.mark.parametrize(
    ("reviews", "names"),
    [
        (said(), ()),
        (said(("ada", "APPROVED")), ("ada",)),
        (said(("ada", "APPROVED"), ("bob", "APPROVED"), ("ada", "APPROVED")), ("ada", "bob")),
        (said(("ada", "COMMENTED"), ("bob", "PENDING")), ()),
        (said(("ada", "APPROVED", EARLIER)), ()),
        (said(("ada", "APPROVED", EARLIER), ("ada", "APPROVED")), ("ada",)),
        (said(("ada", "APPROVED"), ("ada", "COMMENTED")), ("ada",)),
        (said(("ada", "APPROVED"), ("ada", "CHANGES_REQUESTED")), ()),
        (said(("ada", "CHANGES_REQUESTED"), ("ada", "APPROVED")), ("ada",)),
        (said(("ada", "APPROVED"), ("ada", "DISMISSED")), ()),
        (said(("ada", "DISMISSED"), ("bob", "APPROVED")), ("bob",)),
        (said(("", "APPROVED")), ()),
        (said(("ada", "APPROVED", "")), ()),
    ],
    ids=[
        "none",
        "one",
        "each once",
        "words alone",
        "of an earlier commit",
        "anew",
        "and a comment",
        "taken back",
        "after changes",
        "dismissed",
        "another's is left",
        "of an account that is gone",
        "of a commit that is gone",
    ],
)
def test_approval_holds_as_the_last_decision_at_the_head(reviews: list[Review], names: tuple[str, ...]) -> None:
    assert approvers(reviews, head=HEAD) == names

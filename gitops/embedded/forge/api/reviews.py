"""Reviews of pull requests, as at https://docs.github.com/rest/pulls/reviews: approve, ask, comment, dismiss."""

from http import HTTPStatus

from starlette.responses import Response

from gitops.embedded.forge.api.call import Call, answer, answer_page
from gitops.embedded.forge.api.pulls import COMMENT_LIMIT
from gitops.embedded.forge.errors import ForgeError, not_found, unprocessable
from gitops.embedded.forge.events import Scene
from gitops.embedded.forge.git import commit_at
from gitops.embedded.forge.pulls import find_pull
from gitops.embedded.forge.records import Pull, Review, now
from gitops.embedded.forge.render_pulls import has_commit, pull_json, review_json
from gitops.embedded.forge.state import Transaction

_STATES = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}
_DISMISSED = "DISMISSED"


def list_reviews(call: Call) -> Response:
    """GET /pulls/{number}/reviews: the oldest first."""
    repo = call.repo
    pull = find_pull(call.forge, repo, call.number("number"))
    sql = "SELECT * FROM reviews WHERE repo_id = ? AND number = ? ORDER BY id"
    rows = call.forge.db.rows(sql, repo.id, pull.number)
    return answer_page(call, [Review(**dict(row)) for row in rows], lambda one: review_json(call.forge, repo, one))


def get_review(call: Call) -> Response:
    """GET /pulls/{number}/reviews/{id}."""
    repo = call.repo
    pull = find_pull(call.forge, repo, call.number("number"))
    return answer(call, review_json(call.forge, repo, _find(call, pull, call.number("id"))))


def create_review(call: Call) -> Response:
    """POST /pulls/{number}/reviews: a whole review at once; one that is begun and submitted later is not kept here."""
    repo, body, event = call.repo, call.text("body", ""), call.text("event", "")
    pull = find_pull(call.forge, repo, call.number("number"))
    if not event or call.items("comments"):
        raise ForgeError(HTTPStatus.NOT_IMPLEMENTED, "not in the embedded forge: a review without event, or by line")
    if event not in _STATES:
        raise unprocessable(f"Invalid event: must be one of {', '.join(_STATES)}")
    if len(body) > COMMENT_LIMIT:
        raise unprocessable(f"body is too long (maximum is {COMMENT_LIMIT} characters)")
    if event != "APPROVE" and not body.strip():
        raise unprocessable("Unprocessable Entity: a body is needed to request changes, or to comment")
    if event != "COMMENT" and pull.user_id == call.account.id:
        what = "approve" if event == "APPROVE" else "request changes on"
        raise unprocessable(f"Review Can not {what} your own pull request")
    git = call.forge.open(repo)
    commit = commit_at(git, call.optional("commit_id") or pull.head_sha)
    if commit is None or not has_commit(git, pull, str(commit.id)):
        raise unprocessable("Unprocessable Entity: commit_id is no commit of the pull request")
    with call.forge.transaction() as transaction:
        number = transaction.run(
            "INSERT INTO reviews (repo_id, number, user_id, state, body, commit_id, submitted_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(repo.id, pull.number, call.account.id, _STATES[event], body, str(commit.id), now()),
        )
        review = _find(call, pull, number)
        _tell(call, transaction, pull, review, action="submitted")
    return answer(call, review_json(call.forge, repo, review))


def dismiss_review(call: Call) -> Response:
    """PUT /pulls/{number}/reviews/{id}/dismissals."""
    repo, message = call.repo, call.text("message")
    pull = find_pull(call.forge, repo, call.number("number"))
    review = _find(call, pull, call.number("id"))
    if review.state not in {"APPROVED", "CHANGES_REQUESTED"} or not message.strip():
        raise unprocessable("Validation Failed: only an approval or a request for changes is dismissed, with a message")
    with call.forge.transaction() as transaction:
        transaction.run("UPDATE reviews SET state = ? WHERE id = ?", _DISMISSED, review.id)
        dismissed = _find(call, pull, review.id)
        _tell(call, transaction, pull, dismissed, action="dismissed")
    return answer(call, review_json(call.forge, repo, dismissed))


def _find(call: Call, pull: Pull, number: int) -> Review:
    sql = "SELECT * FROM reviews WHERE repo_id = ? AND number = ? AND id = ?"
    row = call.forge.db.row(sql, pull.repo_id, pull.number, number)
    if row is None:
        raise not_found()
    return Review(**dict(row))


def _tell(call: Call, transaction: Transaction, pull: Pull, review: Review, *, action: str) -> None:
    repo = call.repo
    git = call.forge.open(repo)
    rendered = {"review": review_json(call.forge, repo, review), "pull_request": pull_json(call.forge, repo, pull, git)}
    payload = Scene(call.forge, repo, git, call.account).payload({"action": action, **rendered})
    transaction.emit(repo, "pull_request_review", payload)


_PULL = "/repos/{owner}/{repo}/pulls/{number}"
ROUTES = (
    ("GET", f"{_PULL}/reviews", list_reviews),
    ("POST", f"{_PULL}/reviews", create_review),
    ("GET", f"{_PULL}/reviews/{{id}}", get_review),
    ("PUT", f"{_PULL}/reviews/{{id}}/dismissals", dismiss_review),
)

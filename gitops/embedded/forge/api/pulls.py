"""Pull requests and what is said on them: comments and labels."""

from http import HTTPStatus

from starlette.responses import Response

from gitops.embedded.forge.api.call import Call, answer, answer_page, no_content
from gitops.embedded.forge.errors import ForgeError, Json, invalid, not_found, unprocessable
from gitops.embedded.forge.events import Scene
from gitops.embedded.forge.merging import Method
from gitops.embedded.forge.pulls import (
    MergeWish,
    NewPull,
    PullEdit,
    edit_pull,
    find_pull,
    list_pulls,
    merge_pull,
    open_pull,
)
from gitops.embedded.forge.records import Comment, Pull, Repository, now
from gitops.embedded.forge.render import commit_json, file_json, user_json
from gitops.embedded.forge.render_pulls import (
    comment_json,
    full_pull_json,
    issue_json,
    label_json,
    pull_facts,
    pull_json,
)
from gitops.embedded.forge.state import Forge

COMMENT_LIMIT = 65536


def create_pull(call: Call) -> Response:
    """POST /pulls."""
    repo = call.repo
    wish = NewPull(call.text("title"), call.optional("body"), call.text("head"), call.text("base"), call.flag("draft"))
    pull = open_pull(call.forge, repo, call.account, wish)
    return _answer_pull(call, repo, pull, HTTPStatus.CREATED)


def list_all(call: Call) -> Response:
    """GET /pulls: by state, head and base."""
    repo, query = call.repo, call.query
    git, state = call.forge.open(repo), query.get("state", "open")
    pulls = list_pulls(call.forge, repo, state=state, head=query.get("head", ""), base=query.get("base", ""))
    if query.get("sort") == "updated":
        pulls.sort(key=lambda pull: (pull.updated_at, pull.number), reverse=True)
    if query.get("direction") == "asc":
        pulls.reverse()
    return answer_page(call, pulls, lambda pull: pull_json(call.forge, repo, pull, git))


def get_pull(call: Call) -> Response:
    """GET /pulls/{number}."""
    repo = call.repo
    return _answer_pull(call, repo, find_pull(call.forge, repo, call.number("number")))


def patch_pull(call: Call) -> Response:
    """PATCH /pulls/{number}, and /issues/{number}."""
    repo = call.repo
    edit = PullEdit(call.optional("title"), call.optional("body"), call.optional("state"), call.optional("base"))
    pull = edit_pull(call.forge, repo, call.account, number=call.number("number"), edit=edit)
    return _answer_pull(call, repo, pull)


def _answer_pull(call: Call, repo: Repository, pull: Pull, status: int = 200) -> Response:
    document = full_pull_json(call.forge, repo, pull, call.forge.open(repo))
    return answer(
        call, document, status, headers={"Location": document["url"]} if status == HTTPStatus.CREATED else None
    )


def list_files(call: Call) -> Response:
    """GET /pulls/{number}/files."""
    repo = call.repo
    pull = find_pull(call.forge, repo, call.number("number"))
    changes = pull_facts(call.forge.open(repo), pull).files
    return answer_page(call, changes, lambda change: file_json(call.forge, repo, change, pull.head_sha))


def list_pull_commits(call: Call) -> Response:
    """GET /pulls/{number}/commits."""
    repo = call.repo
    pull = find_pull(call.forge, repo, call.number("number"))
    commits = pull_facts(call.forge.open(repo), pull).commits
    return answer_page(call, commits, lambda commit: commit_json(call.forge, repo, commit))


def is_merged(call: Call) -> Response:
    """GET /pulls/{number}/merge: 204 when it is merged, 404 when not."""
    if find_pull(call.forge, call.repo, call.number("number")).merged_at is None:
        raise not_found()
    return no_content()


def merge(call: Call) -> Response:
    """PUT /pulls/{number}/merge."""
    try:
        method = Method(call.text("merge_method", "merge"))
    except ValueError as error:
        raise unprocessable("Invalid merge_method: must be merge, squash or rebase") from error
    wish = MergeWish(method, call.text("commit_title", ""), call.text("commit_message", ""), call.text("sha", ""))
    if "\0" in wish.title + wish.message:
        raise unprocessable("A commit message cannot hold a NUL character.")
    sha = merge_pull(call.forge, call.repo, call.account, number=call.number("number"), wish=wish)
    return answer(call, {"sha": sha, "merged": True, "message": "Pull Request successfully merged"})


def list_none(call: Call) -> Response:
    """GET /pulls/{number}/comments: nobody comments on lines at this forge."""
    find_pull(call.forge, call.repo, call.number("number"))
    return answer(call, [])


def get_issue(call: Call) -> Response:
    """GET /issues/{number}: a pull request is an issue too."""
    repo = call.repo
    pull = find_pull(call.forge, repo, call.number("number"))
    document = full_pull_json(call.forge, repo, pull, call.forge.open(repo))
    closer = call.forge.accounts.by_id(pull.closed_by) if pull.closed_by else None
    closed_by = user_json(call.forge, closer) if closer else None
    return answer(call, issue_json(call.forge, repo, document) | {"closed_by": closed_by})


def comments_of(forge: Forge, repo: Repository, number: int) -> list[Comment]:
    """Return a pull request's comments, oldest first."""
    sql = "SELECT * FROM comments WHERE repo_id = ? AND number = ? ORDER BY id"
    return [Comment(**dict(row)) for row in forge.db.rows(sql, repo.id, number)]


def list_comments(call: Call) -> Response:
    """GET /issues/{number}/comments."""
    repo, number = call.repo, call.number("number")
    find_pull(call.forge, repo, number)
    return answer_page(
        call, comments_of(call.forge, repo, number), lambda comment: comment_json(call.forge, repo, comment)
    )


def create_comment(call: Call) -> Response:
    """POST /issues/{number}/comments."""
    repo, body, moment = call.repo, _comment_body(call), now()
    pull = find_pull(call.forge, repo, call.number("number"))
    git = call.forge.open(repo)
    with call.forge.transaction() as transaction:
        number = transaction.run(
            "INSERT INTO comments (repo_id, number, user_id, body, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
            *(repo.id, pull.number, call.account.id, body, moment, moment),
        )
        document = comment_json(call.forge, repo, _find_comment(call, repo, number))
        issue = issue_json(call.forge, repo, full_pull_json(call.forge, repo, pull, git))
        payload: Json = {"action": "created", "issue": issue, "comment": document}
        transaction.emit(repo, "issue_comment", Scene(call.forge, repo, git, call.account).payload(payload))
    return answer(call, document, HTTPStatus.CREATED, headers={"Location": document["url"]})


def get_comment(call: Call) -> Response:
    """GET /issues/comments/{id}."""
    repo = call.repo
    return answer(call, comment_json(call.forge, repo, _find_comment(call, repo, call.number("id"))))


def edit_comment(call: Call) -> Response:
    """PATCH /issues/comments/{id}."""
    body, comment = _comment_body(call), _find_comment(call, call.repo, call.number("id"))
    with call.forge.transaction() as transaction:
        transaction.run("UPDATE comments SET body = ?, updated_at = ? WHERE id = ?", body, now(), comment.id)
    return get_comment(call)


def delete_comment(call: Call) -> Response:
    """DELETE /issues/comments/{id}."""
    comment = _find_comment(call, call.repo, call.number("id"))
    with call.forge.transaction() as transaction:
        transaction.run("DELETE FROM comments WHERE id = ?", comment.id)
    return no_content()


def _find_comment(call: Call, repo: Repository, number: int) -> Comment:
    row = call.forge.db.row("SELECT * FROM comments WHERE repo_id = ? AND id = ?", repo.id, number)
    if row is None:
        raise not_found()
    return Comment(**dict(row))


def _comment_body(call: Call) -> str:
    body = call.text("body")
    if not body.strip():
        raise invalid("IssueComment", "body", "missing_field")
    if len(body) > COMMENT_LIMIT:
        message = f"body is too long (maximum is {COMMENT_LIMIT} characters)"
        raise ForgeError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "Validation Failed",
            errors=({"resource": "IssueComment", "field": "data", "code": "unprocessable", "message": message},),
        )
    return body


def list_labels(call: Call) -> Response:
    """GET /issues/{number}/labels."""
    repo, number = call.repo, call.number("number")
    find_pull(call.forge, repo, number)
    rows = call.forge.db.rows("SELECT name FROM labels WHERE repo_id = ? AND number = ? ORDER BY id", repo.id, number)
    return answer_page(call, rows, lambda row: label_json(call.forge, repo, row["name"]))


def add_labels(call: Call) -> Response:
    """POST /issues/{number}/labels: a list, or an object with the list `labels`."""
    repo, number = call.repo, call.number("number")
    find_pull(call.forge, repo, number)
    names = call.items("") or call.items("labels")
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise invalid("Label", "name")
    with call.forge.transaction() as transaction:
        for name in names:
            sql = "INSERT OR IGNORE INTO labels (repo_id, number, name) VALUES (?, ?, ?)"
            transaction.run(sql, repo.id, number, name)
    return list_labels(call)


_REPO = "/repos/{owner}/{repo}"
ROUTES = (
    ("POST", f"{_REPO}/pulls", create_pull),
    ("GET", f"{_REPO}/pulls", list_all),
    ("GET", f"{_REPO}/pulls/{{number}}", get_pull),
    ("PATCH", f"{_REPO}/pulls/{{number}}", patch_pull),
    ("GET", f"{_REPO}/pulls/{{number}}/files", list_files),
    ("GET", f"{_REPO}/pulls/{{number}}/commits", list_pull_commits),
    ("GET", f"{_REPO}/pulls/{{number}}/merge", is_merged),
    ("PUT", f"{_REPO}/pulls/{{number}}/merge", merge),
    ("GET", f"{_REPO}/pulls/{{number}}/comments", list_none),
    ("GET", f"{_REPO}/issues/comments/{{id}}", get_comment),
    ("PATCH", f"{_REPO}/issues/comments/{{id}}", edit_comment),
    ("DELETE", f"{_REPO}/issues/comments/{{id}}", delete_comment),
    ("GET", f"{_REPO}/issues/{{number}}", get_issue),
    ("GET", f"{_REPO}/issues/{{number}}/comments", list_comments),
    ("POST", f"{_REPO}/issues/{{number}}/comments", create_comment),
    ("GET", f"{_REPO}/issues/{{number}}/labels", list_labels),
    ("POST", f"{_REPO}/issues/{{number}}/labels", add_labels),
)

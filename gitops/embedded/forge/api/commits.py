"""Commits of a repository: listed, shown with their files, compared, and the pull requests they belong to."""

from collections.abc import Iterator
from datetime import UTC, datetime
from http import HTTPStatus

import pygit2
from starlette.responses import Response

from gitops.embedded.forge.api.call import Call, answer, answer_page, require_commit, slice_page
from gitops.embedded.forge.errors import ForgeError, Json, not_found
from gitops.embedded.forge.git import commit_at, commits_between, diff_files, find_commit, merge_base, tree_entry
from gitops.embedded.forge.pulls import list_pulls
from gitops.embedded.forge.records import Repository
from gitops.embedded.forge.render import commit_json, file_json, repo_url
from gitops.embedded.forge.render_pulls import has_commit, pull_json

FILES_LIMIT = 3000


def list_commits(call: Call) -> Response:
    """GET /commits: newest first, by sha, path, since and until."""
    repo = call.repo
    git, ref = call.forge.open(repo), call.query.get("sha") or f"refs/heads/{repo.default_branch}"
    start = find_commit(git, ref)
    if start is None:
        if git.is_empty:
            raise ForgeError(HTTPStatus.CONFLICT, "Git Repository is empty.")
        raise not_found()
    commits = list(_wanted(call, git, start))
    return answer_page(call, commits, lambda commit: commit_json(call.forge, repo, commit))


def _wanted(call: Call, git: pygit2.Repository, start: pygit2.Commit) -> Iterator[pygit2.Commit]:
    path = call.query.get("path", "").strip("/")
    since, until = _moment(call.query.get("since", "")), _moment(call.query.get("until", ""))
    for commit in commits_between(git, str(start.id)):
        moment = commit.committer.time
        if (since and moment < since) or (until and moment > until):
            continue
        if not path or _touches(commit, path):
            yield commit


def _touches(commit: pygit2.Commit, path: str) -> bool:
    """Whether a commit changed a path against all its parents, as `git log -- path` simplifies history."""
    here = _entry_id(commit, path)
    if not commit.parents:
        return here is not None
    return all(_entry_id(parent, path) != here for parent in commit.parents)


def _entry_id(commit: pygit2.Commit, path: str) -> str | None:
    entry = tree_entry(commit.tree, path)
    return str(entry.id) if entry is not None else None


def _moment(text: str) -> int:
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ForgeError(HTTPStatus.UNPROCESSABLE_ENTITY, f"Invalid date: {text}") from error
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def get_commit(call: Call) -> Response:
    """GET /commits/{ref}: with its files, against the first parent."""
    repo = call.repo
    git = call.forge.open(repo)
    commit = require_commit(git, find_commit(git, call.path["ref"]), call.path["ref"])
    changes = diff_files(git, str(commit.parent_ids[0]) if commit.parent_ids else "", str(commit.id))
    added, removed = sum(change.additions for change in changes), sum(change.deletions for change in changes)
    files, headers = slice_page(call, changes[:FILES_LIMIT]) if "page" in call.query else (changes[:FILES_LIMIT], {})
    document = commit_json(call.forge, repo, commit) | {
        "stats": {"additions": added, "deletions": removed, "total": added + removed},
        "files": [file_json(call.forge, repo, change, str(commit.id)) for change in files],
    }
    return answer(call, document, headers=headers)


def compare(call: Call) -> Response:
    """GET /compare/{base}...{head}: files against the point where the two parted."""
    repo = call.repo
    git = call.forge.open(repo)
    names = [name.removeprefix(f"{repo.owner}:") for name in call.path["basehead"].split("...")]
    found = [find_commit(git, name) for name in names]
    base, head = (found[0], found[1]) if len(found) == len(("base", "head")) else (None, None)
    if base is None or head is None:
        raise not_found()
    fork = commit_at(git, merge_base(git, str(base.id), str(head.id)) or "")
    if fork is None:
        raise not_found(f"No common ancestor between {names[0]} and {names[1]}.")
    ahead = list(commits_between(git, str(head.id), without=[str(base.id)], oldest_first=True))
    behind = sum(1 for _ in commits_between(git, str(base.id), without=[str(head.id)]))
    changes = diff_files(git, str(fork.id), str(head.id))[:FILES_LIMIT]
    chosen, headers = slice_page(call, ahead) if "page" in call.query or "per_page" in call.query else (ahead[:250], {})
    words = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
    document: Json = {
        "url": f"{repo_url(call.forge, repo)}/compare/{base.id}...{head.id}",
        "html_url": f"{call.forge.url}/{repo.full_name}/compare/{base.id}...{head.id}",
        "status": words.get((bool(ahead), bool(behind)), "diverged"),
        "ahead_by": len(ahead),
        "behind_by": behind,
        "total_commits": len(ahead),
        "base_commit": commit_json(call.forge, repo, base),
        "merge_base_commit": commit_json(call.forge, repo, fork),
        "commits": [commit_json(call.forge, repo, commit) for commit in chosen],
        "files": [file_json(call.forge, repo, change, str(head.id)) for change in changes],
    }
    return answer(call, document, headers=headers)


def list_commit_pulls(call: Call) -> Response:
    """GET /commits/{sha}/pulls: the pull requests that brought or would bring a commit."""
    repo = call.repo
    git = call.forge.open(repo)
    commit = require_commit(git, find_commit(git, call.path["ref"]), call.path["ref"])
    pulls = [pull for pull in list_pulls(call.forge, repo, state="all") if has_commit(git, pull, str(commit.id))]
    return answer_page(call, pulls, lambda pull: pull_json(call.forge, repo, pull, git))


def commit_of(call: Call, repo: Repository, ref: str) -> pygit2.Commit:
    """Return the commit that a ref names.

    Raises:
        ForgeError: 422.
    """
    git = call.forge.open(repo)
    return require_commit(git, find_commit(git, ref), ref)


_REPO = "/repos/{owner}/{repo}"
ROUTES = (
    ("GET", f"{_REPO}/commits", list_commits),
    ("GET", f"{_REPO}/compare/{{basehead:path}}", compare),
    ("GET", f"{_REPO}/commits/{{ref:path}}/pulls", list_commit_pulls),
    ("GET", f"{_REPO}/commits/{{ref:path}}", get_commit),
)

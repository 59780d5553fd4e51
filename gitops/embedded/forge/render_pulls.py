"""GitHub's JSON of pull requests and what hangs on them: issues, labels, comments, reviews."""

from dataclasses import dataclass
from urllib.parse import quote

import pygit2

from gitops.embedded.forge.errors import Json
from gitops.embedded.forge.git import FileChange, commits_between, contains, diff_files, merge_base, read_ref
from gitops.embedded.forge.merging import is_mergeable
from gitops.embedded.forge.records import Comment, Pull, Repository, Review
from gitops.embedded.forge.render import node_id, repo_url, repository_json, user_json
from gitops.embedded.forge.state import Forge


@dataclass(frozen=True)
class PullFacts:
    """What Git says about a pull request now."""

    base_sha: str
    merge_base: str
    commits: tuple[pygit2.Commit, ...]
    files: tuple[FileChange, ...]


def pull_facts(git: pygit2.Repository, pull: Pull) -> PullFacts:
    """Read a pull request's commits, oldest first, and its files against the point where it left the base."""
    base_sha = pull_base(git, pull)
    fork = merge_base(git, base_sha, pull.head_sha)
    commits = tuple(commits_between(git, pull.head_sha, without=[base_sha], oldest_first=True))
    return PullFacts(base_sha, fork, commits, tuple(diff_files(git, fork, pull.head_sha)))


def pull_base(git: pygit2.Repository, pull: Pull) -> str:
    """Return the base branch's commit: now while it is open, as it was before the end afterwards."""
    return (pull.is_open and read_ref(git, f"refs/heads/{pull.base_ref}")) or pull.base_sha


def pull_json(forge: Forge, repo: Repository, pull: Pull, git: pygit2.Repository) -> Json:
    """Render a pull request as lists do."""
    url, html = f"{repo_url(forge, repo)}/pulls/{pull.number}", f"{forge.url}/{repo.full_name}/pull/{pull.number}"
    issue, rendered = f"{repo_url(forge, repo)}/issues/{pull.number}", repository_json(forge, repo)
    labels = forge.db.rows("SELECT name FROM labels WHERE repo_id = ? AND number = ? ORDER BY id", repo.id, pull.number)
    return {
        "id": pull.id,
        "node_id": node_id("PullRequest", pull.id),
        "number": pull.number,
        "url": url,
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": issue,
        "comments_url": f"{issue}/comments",
        "commits_url": f"{url}/commits",
        "review_comments_url": f"{url}/comments",
        "statuses_url": f"{repo_url(forge, repo)}/statuses/{pull.head_sha}",
        "state": pull.state,
        "locked": False,
        "draft": bool(pull.draft),
        "title": pull.title,
        "body": pull.body,
        "user": user_json(forge, forge.accounts.by_id(pull.user_id)),
        "labels": [label_json(forge, repo, row["name"]) for row in labels],
        "assignees": [],
        "requested_reviewers": [],
        "created_at": pull.created_at,
        "updated_at": pull.updated_at,
        "closed_at": pull.closed_at,
        "merged_at": pull.merged_at,
        "merge_commit_sha": pull.merge_commit_sha,
        "author_association": "OWNER",
        "auto_merge": None,
        "head": _side(rendered, pull.head_ref, pull.head_sha),
        "base": _side(rendered, pull.base_ref, pull_base(git, pull)),
    }


def _side(repository: Json, ref: str, sha: str) -> Json:
    owner = repository["owner"]
    return {"label": f"{owner['login']}:{ref}", "ref": ref, "sha": sha, "user": owner, "repo": repository}


def full_pull_json(forge: Forge, repo: Repository, pull: Pull, git: pygit2.Repository) -> Json:
    """Render a pull request as a single one is shown, with what Git says about it."""
    facts = pull_facts(git, pull)
    clean = pull.is_open and is_mergeable(git, facts.base_sha, pull.head_sha)
    merger = forge.accounts.by_id(pull.merged_by) if pull.merged_at else None
    comments = forge.db.rows("SELECT 1 FROM comments WHERE repo_id = ? AND number = ?", repo.id, pull.number)
    return pull_json(forge, repo, pull, git) | {
        "merged": pull.merged_at is not None,
        "mergeable": clean if pull.is_open else None,
        "rebaseable": clean if pull.is_open else None,
        "mergeable_state": ("clean" if clean else "dirty") if pull.is_open else "unknown",
        "merged_by": user_json(forge, merger) if merger else None,
        "comments": len(comments),
        "review_comments": 0,
        "maintainer_can_modify": False,
        "commits": len(facts.commits),
        "additions": sum(change.additions for change in facts.files),
        "deletions": sum(change.deletions for change in facts.files),
        "changed_files": len(facts.files),
    }


def has_commit(git: pygit2.Repository, pull: Pull, sha: str) -> bool:
    """Whether a commit belongs to a pull request: one of its own, or one that its merge made."""
    base = pull_base(git, pull)
    tips = [pull.head_sha, pull.merge_commit_sha or ""]
    return any(tip and contains(git, tip, sha) for tip in tips) and not contains(git, base, sha)


def label_json(forge: Forge, repo: Repository, name: str) -> Json:
    """Render a label."""
    return {
        "id": sum(name.encode()),
        "name": name,
        "color": "ededed",
        "default": False,
        "description": None,
        "url": f"{repo_url(forge, repo)}/labels/{quote(name)}",
    }


def issue_json(forge: Forge, repo: Repository, pull: Json) -> Json:
    """Render a pull request as the issue it also is."""
    shared = (
        "number",
        "state",
        "title",
        "body",
        "user",
        "labels",
        "assignees",
        "created_at",
        "updated_at",
        "closed_at",
    )
    html = pull["html_url"]
    return {key: pull[key] for key in shared} | {
        "id": pull["id"],
        "node_id": pull["node_id"],
        "url": pull["issue_url"],
        "html_url": html,
        "comments_url": pull["comments_url"],
        "repository_url": repo_url(forge, repo),
        "locked": False,
        "comments": pull.get("comments", 0),
        "pull_request": {"url": pull["url"], "html_url": html, "merged_at": pull["merged_at"]},
    }


def comment_json(forge: Forge, repo: Repository, comment: Comment) -> Json:
    """Render a comment on a pull request."""
    url = repo_url(forge, repo)
    return {
        "id": comment.id,
        "node_id": node_id("IssueComment", comment.id),
        "url": f"{url}/issues/comments/{comment.id}",
        "html_url": f"{forge.url}/{repo.full_name}/pull/{comment.number}#issuecomment-{comment.id}",
        "issue_url": f"{url}/issues/{comment.number}",
        "body": comment.body,
        "user": user_json(forge, forge.accounts.by_id(comment.user_id)),
        "created_at": comment.created_at,
        "updated_at": comment.updated_at,
        "author_association": "OWNER",
    }


def review_json(forge: Forge, repo: Repository, review: Review) -> Json:
    """Render a review of a pull request."""
    html = f"{forge.url}/{repo.full_name}/pull/{review.number}"
    return {
        "id": review.id,
        "node_id": node_id("PullRequestReview", review.id),
        "user": user_json(forge, forge.accounts.by_id(review.user_id)),
        "body": review.body,
        "state": review.state,
        "html_url": f"{html}#pullrequestreview-{review.id}",
        "pull_request_url": f"{repo_url(forge, repo)}/pulls/{review.number}",
        "author_association": "OWNER",
        "submitted_at": review.submitted_at,
        "commit_id": review.commit_id,
    }

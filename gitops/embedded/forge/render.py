"""GitHub's JSON, from rows and Git objects. Every URL begins with the configured one, never with a request's Host."""

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote

import pygit2

from gitops.embedded.forge.accounts import Account
from gitops.embedded.forge.errors import Json
from gitops.embedded.forge.git import FileChange, diff_files
from gitops.embedded.forge.records import CheckRun, Delivery, Hook, Repository, Status
from gitops.embedded.forge.state import Forge

_LAST_SECOND = int(datetime(9999, 12, 30, tzinfo=UTC).timestamp())
_DAY_MINUTES = 24 * 60


def node_id(kind: str, number: int | str) -> str:
    """Return an opaque id as GraphQL uses them."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def user_json(forge: Forge, account: Account) -> Json:
    """Render an account."""
    return {
        "login": account.login,
        "id": account.id,
        "node_id": node_id("User", account.id),
        "avatar_url": "",
        "url": f"{forge.api}/users/{quote(account.login)}",
        "html_url": f"{forge.url}/{quote(account.login)}",
        "type": account.type,
        "site_admin": False,
    }


def repo_url(forge: Forge, repo: Repository) -> str:
    """Return the API's URL of a repository."""
    return f"{forge.api}/repos/{repo.full_name}"


def repository_json(forge: Forge, repo: Repository) -> Json:
    """Render a repository."""
    api, html = repo_url(forge, repo), f"{forge.url}/{repo.full_name}"
    return {
        "id": repo.id,
        "node_id": node_id("Repository", repo.id),
        "name": repo.name,
        "full_name": repo.full_name,
        "private": bool(repo.private),
        "visibility": "private" if repo.private else "public",
        "owner": user_json(forge, forge.owner(repo.owner)),
        "html_url": html,
        "description": repo.description,
        "fork": False,
        "archived": False,
        "disabled": False,
        "url": api,
        "clone_url": f"{html}.git",
        "git_url": f"{html}.git",
        "hooks_url": f"{api}/hooks",
        "branches_url": f"{api}/branches{{/branch}}",
        "commits_url": f"{api}/commits{{/sha}}",
        "contents_url": f"{api}/contents/{{+path}}",
        "compare_url": f"{api}/compare/{{base}}...{{head}}",
        "git_refs_url": f"{api}/git/refs{{/sha}}",
        "issue_comment_url": f"{api}/issues/comments{{/number}}",
        "issues_url": f"{api}/issues{{/number}}",
        "pulls_url": f"{api}/pulls{{/number}}",
        "statuses_url": f"{api}/statuses/{{sha}}",
        "default_branch": repo.default_branch,
        "created_at": repo.created_at,
        "updated_at": repo.updated_at,
        "pushed_at": repo.pushed_at,
        "has_issues": True,
        "allow_merge_commit": True,
        "allow_squash_merge": True,
        "allow_rebase_merge": True,
        "permissions": {"admin": True, "maintain": True, "push": True, "triage": True, "pull": True},
    }


def ref_json(forge: Forge, repo: Repository, name: str, found: pygit2.Object) -> Json:
    """Render a ref that points to an object."""
    kind, sha = found.type_str, str(found.id)
    url = repo_url(forge, repo)
    return {
        "ref": name,
        "node_id": node_id("Ref", f"{repo.id}:{name}"),
        "url": f"{url}/git/{quote(name)}",
        "object": {"sha": sha, "type": kind, "url": f"{url}/git/{kind}s/{sha}"},
    }


def signature_json(signature: pygit2.Signature) -> Json:
    """Render who wrote a commit, and when, in UTC."""
    date = moment_of(signature).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"name": name_of_author(signature), "email": _email(signature), "date": date}


def moment_of(signature: pygit2.Signature) -> datetime:
    """Return when it was signed; times and zones that no calendar has, but git stores, become ones that exist."""
    seconds = min(max(signature.time, 0), _LAST_SECOND)
    minutes = signature.offset if abs(signature.offset) < _DAY_MINUTES else 0
    return datetime.fromtimestamp(seconds, timezone(timedelta(minutes=minutes)))


def name_of_author(signature: pygit2.Signature) -> str:
    """Return who wrote a commit; what is not UTF-8 in the name is replaced."""
    return signature.raw_name.decode("utf-8", "replace")


def _email(signature: pygit2.Signature) -> str:
    return signature.raw_email.decode("utf-8", "replace")


def message_of(commit: pygit2.Commit) -> str:
    """Return the message without its last newline, as GitHub shows it."""
    return commit.raw_message.decode("utf-8", "replace").rstrip("\n")


def git_commit_json(forge: Forge, repo: Repository, commit: pygit2.Commit) -> Json:
    """Render a commit as the Git data API does."""
    url, sha = f"{repo_url(forge, repo)}/git", str(commit.id)
    return {
        "sha": sha,
        "node_id": node_id("Commit", f"{repo.id}:{sha}"),
        "url": f"{url}/commits/{sha}",
        "html_url": f"{forge.url}/{repo.full_name}/commit/{sha}",
        "author": signature_json(commit.author),
        "committer": signature_json(commit.committer),
        "message": message_of(commit),
        "tree": {"sha": str(commit.tree_id), "url": f"{url}/trees/{commit.tree_id}"},
        "parents": [_parent(forge, repo, parent) for parent in commit.parent_ids],
        "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None},
    }


def _parent(forge: Forge, repo: Repository, sha: pygit2.Oid) -> Json:
    html = f"{forge.url}/{repo.full_name}/commit/{sha}"
    return {"sha": str(sha), "url": f"{repo_url(forge, repo)}/commits/{sha}", "html_url": html}


def commit_json(forge: Forge, repo: Repository, commit: pygit2.Commit) -> Json:
    """Render a commit as the repository API does, without its files."""
    inner = git_commit_json(forge, repo, commit)
    url, sha = f"{repo_url(forge, repo)}/commits/{commit.id}", str(commit.id)
    parents = inner.pop("parents")
    author, committer = _account(forge, commit.author), _account(forge, commit.committer)
    return {
        "sha": sha,
        "node_id": inner["node_id"],
        "url": url,
        "html_url": inner["html_url"],
        "comments_url": f"{url}/comments",
        "commit": inner | {"comment_count": 0},
        "author": user_json(forge, author) if author else None,
        "committer": user_json(forge, committer) if committer else None,
        "parents": parents,
    }


def _account(forge: Forge, signature: pygit2.Signature) -> Account | None:
    return next((account for account in forge.accounts.all() if account.email == _email(signature)), None)


def file_json(forge: Forge, repo: Repository, change: FileChange, sha: str) -> Json:
    """Render what a diff did to one file."""
    place = quote(change.path)
    document = {
        "sha": change.sha,
        "filename": change.path,
        "status": change.status,
        "additions": change.additions,
        "deletions": change.deletions,
        "changes": change.additions + change.deletions,
        "blob_url": f"{forge.url}/{repo.full_name}/blob/{sha}/{place}",
        "raw_url": f"{forge.url}/{repo.full_name}/raw/{sha}/{place}",
        "contents_url": f"{repo_url(forge, repo)}/contents/{place}?ref={sha}",
    }
    if change.patch:
        document["patch"] = change.patch
    if change.previous:
        document["previous_filename"] = change.previous
    return document


def push_commit_json(forge: Forge, repo: Repository, git: pygit2.Repository, commit: pygit2.Commit) -> Json:
    """Render a commit as a push event lists it, with the paths it touched."""
    parent = str(commit.parent_ids[0]) if commit.parent_ids else ""
    changes = diff_files(git, parent, str(commit.id), patches=False)
    return {
        "id": str(commit.id),
        "tree_id": str(commit.tree_id),
        "distinct": True,
        "message": message_of(commit),
        "timestamp": moment_of(commit.committer).isoformat(),
        "url": f"{forge.url}/{repo.full_name}/commit/{commit.id}",
        "author": {"name": name_of_author(commit.author), "email": _email(commit.author)},
        "committer": {"name": name_of_author(commit.committer), "email": _email(commit.committer)},
        "added": [change.path for change in changes if change.status in {"added", "renamed", "copied"}],
        "removed": [change.previous or change.path for change in changes if change.status in {"removed", "renamed"}],
        "modified": [change.path for change in changes if change.status in {"modified", "changed"}],
    }


def status_json(forge: Forge, repo: Repository, status: Status) -> Json:
    """Render one commit status."""
    return {
        "id": status.id,
        "node_id": node_id("StatusContext", status.id),
        "url": f"{repo_url(forge, repo)}/statuses/{status.sha}",
        "state": status.state,
        "context": status.context,
        "description": status.description,
        "target_url": status.target_url,
        "avatar_url": "",
        "creator": user_json(forge, forge.accounts.by_id(status.user_id)),
        "created_at": status.created_at,
        "updated_at": status.created_at,
    }


def combined_state(statuses: Iterable[Status]) -> str:
    """Return GitHub's word for several contexts together: pending when there is none."""
    states = {status.state for status in statuses}
    if states & {"error", "failure"}:
        return "failure"
    return "success" if states == {"success"} else "pending"


def check_run_json(forge: Forge, repo: Repository, run: CheckRun) -> Json:
    """Render a check run."""
    url = f"{repo_url(forge, repo)}/check-runs/{run.id}"
    html = f"{forge.url}/{repo.full_name}/commit/{run.head_sha}"
    return {
        "id": run.id,
        "node_id": node_id("CheckRun", run.id),
        "head_sha": run.head_sha,
        "external_id": run.external_id,
        "url": url,
        "html_url": f"{html}#check-{run.id}",
        "details_url": run.details_url or html,
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": run.started_at,
        "completed_at": run.completed_at,
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": run.text,
            "annotations_count": 0,
            "annotations_url": f"{url}/annotations",
        },
        "name": run.name,
        "check_suite": {"id": run.id},
        "app": {
            "id": run.user_id,
            "slug": "launchpin",
            "name": "Launchpin",
            "owner": user_json(forge, forge.accounts.by_id(run.user_id)),
        },
        "pull_requests": [],
    }


def hook_json(forge: Forge, repo: Repository, hook: Hook, last: Delivery | None) -> Json:
    """Render a hook; its secret is never shown."""
    url = f"{repo_url(forge, repo)}/hooks/{hook.id}"
    config = {"url": hook.url, "content_type": hook.content_type, "insecure_ssl": "0"}
    if hook.secret:
        config["secret"] = "********"  # noqa: S105 - what GitHub shows in place of one
    return {
        "type": "Repository",
        "id": hook.id,
        "name": "web",
        "active": bool(hook.active),
        "events": hook.events.split(","),
        "config": config,
        "created_at": hook.created_at,
        "updated_at": hook.updated_at,
        "url": url,
        "test_url": f"{url}/tests",
        "ping_url": f"{url}/pings",
        "deliveries_url": f"{url}/deliveries",
        "last_response": {
            "code": last.status_code if last else None,
            "status": (last.status if last else "unused"),
            "message": last.status if last else None,
        },
    }

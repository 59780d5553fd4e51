"""Tell what happened to the refs: the one place where pushes and pull requests follow what Git holds.

Whoever moved a ref (the API, a merge, a push, a process that died right after) ends here: the refs as they are get
compared with the refs announced last, and one transaction writes the new ones, the pull requests and the deliveries.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import islice

import pygit2

from gitops.embedded.forge.accounts import Account
from gitops.embedded.forge.errors import Json
from gitops.embedded.forge.git import ZERO, RefUpdate, commit_at, commits_between, contains, read_refs
from gitops.embedded.forge.records import Pull, Repository, now
from gitops.embedded.forge.render import push_commit_json, repository_json, user_json
from gitops.embedded.forge.render_pulls import full_pull_json
from gitops.embedded.forge.state import Forge, Transaction
from gitops.failpoints import failpoint

COMMITS_LIMIT = 2048
_HEADS = "refs/heads/"


@dataclass(frozen=True)
class Scene:
    """What an event is about: the forge, the repository, its Git, and who acts."""

    forge: Forge
    repo: Repository
    git: pygit2.Repository
    actor: Account

    def payload(self, fields: Json) -> Json:
        """Return a payload with what each of GitHub's carries."""
        repository, sender = repository_json(self.forge, self.repo), user_json(self.forge, self.actor)
        return fields | {"repository": repository, "sender": sender}


def announce(forge: Forge, repo: Repository, actor: Account) -> None:
    """Compare the refs with those announced last, and tell the difference; under the repository's lock."""
    git = forge.open(repo)
    rows = forge.db.rows("SELECT name, sha FROM refs WHERE repo_id = ?", repo.id)
    known, actual = {row["name"]: row["sha"] for row in rows}, read_refs(git)
    names = sorted(name for name in known.keys() | actual.keys() if known.get(name) != actual.get(name))
    changes = [RefUpdate(name, known.get(name, ZERO), actual.get(name, ZERO)) for name in names]
    if not changes:
        return
    failpoint("forge.announce.before")
    with forge.transaction() as transaction:
        _write_refs(transaction, repo, changes)
        repo = _choose_default_branch(transaction, forge, repo, known, actual)
        scene = Scene(forge, repo, git, actor)
        for change in changes:
            push = _push_payload(scene, change, known)
            transaction.emit(repo, "push", scene.payload(push))
        for change in changes:
            _follow(transaction, scene, change)
    failpoint("forge.announce.after")


def emit_pull(transaction: Transaction, scene: Scene, pull: Pull, *, action: str, fields: Json | None = None) -> None:
    """Queue a `pull_request` event."""
    rendered = full_pull_json(scene.forge, scene.repo, pull, scene.git)
    payload = {"action": action, "number": pull.number, "pull_request": rendered} | (fields or {})
    transaction.emit(scene.repo, "pull_request", scene.payload(payload))


def _write_refs(transaction: Transaction, repo: Repository, changes: Iterable[RefUpdate]) -> None:
    for change in changes:
        if change.after == ZERO:
            transaction.run("DELETE FROM refs WHERE repo_id = ? AND name = ?", repo.id, change.name)
        else:
            transaction.run("INSERT OR REPLACE INTO refs VALUES (?, ?, ?)", repo.id, change.name, change.after)
    moment = now()
    transaction.run("UPDATE repositories SET pushed_at = ?, updated_at = ? WHERE id = ?", moment, moment, repo.id)


def _choose_default_branch(
    transaction: Transaction, forge: Forge, repo: Repository, known: dict[str, str], actual: dict[str, str]
) -> Repository:
    """Make the first branch ever pushed the default one, when the one expected is not there."""
    heads = [name.removeprefix(_HEADS) for name in actual if name.startswith(_HEADS)]
    is_first = not any(name.startswith(_HEADS) for name in known)
    if is_first and heads and repo.default_branch not in heads:
        branch = "master" if "master" in heads else min(heads)
        forge.open(repo).set_head(f"{_HEADS}{branch}")
        transaction.run("UPDATE repositories SET default_branch = ? WHERE id = ?", branch, repo.id)
    return forge.repository_by_id(repo.id)


def _push_payload(scene: Scene, change: RefUpdate, known: dict[str, str]) -> Json:
    git, is_created, is_deleted = scene.git, change.before == ZERO, change.after == ZERO
    hidden = known.values() if is_created else [change.before]
    commits = [] if is_deleted or commit_at(git, change.after) is None else _new_commits(git, change.after, hidden)
    listed = [push_commit_json(scene.forge, scene.repo, git, commit) for commit in commits]
    head = None if is_deleted else commit_at(git, change.after)
    html = f"{scene.forge.url}/{scene.repo.full_name}"
    return {
        "ref": change.name,
        "before": change.before,
        "after": change.after,
        "base_ref": None,
        "created": is_created,
        "deleted": is_deleted,
        "forced": not is_created and not is_deleted and not contains(git, change.after, change.before),
        "compare": f"{html}/compare/{change.before[:12]}...{change.after[:12]}",
        "commits": listed,
        "head_commit": push_commit_json(scene.forge, scene.repo, git, head) if head else None,
        "pusher": {"name": scene.actor.login, "email": scene.actor.email},
    }


def _new_commits(git: pygit2.Repository, after: str, hidden: Iterable[str]) -> list[pygit2.Commit]:
    """Return the newest new commits, at most as many as GitHub lists, oldest first."""
    newest = list(islice(commits_between(git, after, without=hidden), COMMITS_LIMIT))
    return newest[::-1]


def _follow(transaction: Transaction, scene: Scene, change: RefUpdate) -> None:
    """Let the open pull requests from and into a branch follow it."""
    if not change.name.startswith(_HEADS):
        return
    branch = change.name.removeprefix(_HEADS)
    for pull in open_pulls(scene.forge, scene.repo):
        if pull.base_ref == branch:
            _follow_base(transaction, scene, pull, change)
        elif pull.head_ref == branch:
            _follow_head(transaction, scene, pull, change)


def _follow_base(transaction: Transaction, scene: Scene, pull: Pull, change: RefUpdate) -> None:
    if change.after == ZERO:
        _close(transaction, scene, pull)
        return
    begun = pull.merging_sha
    if begun and contains(scene.git, change.after, begun):
        _close(transaction, scene, pull, merge_sha=begun, base_sha=change.before)
    elif contains(scene.git, change.after, pull.head_sha):
        _close(transaction, scene, pull, merge_sha=change.after, base_sha=change.before)
    else:
        transaction.run("UPDATE pulls SET base_sha = ? WHERE id = ?", change.after, pull.id)


def _follow_head(transaction: Transaction, scene: Scene, pull: Pull, change: RefUpdate) -> None:
    if change.after == ZERO:
        _close(transaction, scene, pull)
        return
    moment = now()
    sql = "UPDATE pulls SET head_sha = ?, updated_at = ?, merging_sha = NULL WHERE id = ?"
    transaction.run(sql, change.after, moment, pull.id)
    moved = replace(pull, head_sha=change.after, updated_at=moment, merging_sha=None)
    fields = {"before": change.before, "after": change.after}
    emit_pull(transaction, scene, moved, action="synchronize", fields=fields)


def _close(transaction: Transaction, scene: Scene, pull: Pull, *, merge_sha: str = "", base_sha: str = "") -> None:
    """Close a pull request, as merged when a commit is given."""
    moment = now()
    merger = pull.merging_by if merge_sha and merge_sha == pull.merging_sha else scene.actor.id
    closed = replace(
        pull,
        state="closed",
        closed_at=moment,
        closed_by=scene.actor.id,
        updated_at=moment,
        merged_at=moment if merge_sha else None,
        merged_by=merger if merge_sha else None,
        merge_commit_sha=merge_sha or None,
        base_sha=base_sha or pull.base_sha,
    )
    transaction.run(
        "UPDATE pulls SET state = 'closed', closed_at = ?, closed_by = ?,"
        " updated_at = ?, merged_at = ?, merged_by = ?,"
        " merge_commit_sha = ?, base_sha = ?, merging_sha = NULL, merging_by = NULL WHERE id = ?",
        *(
            closed.closed_at,
            closed.closed_by,
            closed.updated_at,
            closed.merged_at,
            closed.merged_by,
            closed.merge_commit_sha,
        ),
        *(closed.base_sha, closed.id),
    )
    emit_pull(transaction, scene, closed, action="closed")


def open_pulls(forge: Forge, repo: Repository) -> list[Pull]:
    """Return the open pull requests, oldest first."""
    sql = "SELECT * FROM pulls WHERE repo_id = ? AND state = 'open' ORDER BY number"
    return [Pull(**dict(row)) for row in forge.db.rows(sql, repo.id)]

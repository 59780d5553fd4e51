"""The life of a pull request: open, edit, close, reopen, merge. What follows from a moved ref is in `events`."""

from dataclasses import dataclass, replace
from http import HTTPStatus

import pygit2

from gitops.embedded.forge.accounts import Account
from gitops.embedded.forge.errors import ForgeError, Json, invalid, not_found
from gitops.embedded.forge.events import Scene, announce, emit_pull
from gitops.embedded.forge.git import RefMovedError, RefUpdate, contains, read_ref, update_refs
from gitops.embedded.forge.merging import MergeConflictError, Method, Plan, make_merge
from gitops.embedded.forge.records import Pull, Repository, now
from gitops.embedded.forge.render import message_of
from gitops.embedded.forge.render_pulls import pull_base, pull_facts
from gitops.embedded.forge.state import Forge
from gitops.failpoints import failpoint

TITLE_LIMIT = 256
BODY_LIMIT = 65536
_RESOURCE = "PullRequest"


@dataclass(frozen=True)
class NewPull:
    """What somebody asks to be merged."""

    title: str
    body: str | None
    head: str
    base: str
    is_draft: bool


@dataclass(frozen=True)
class MergeWish:
    """How a pull request shall be merged; empty texts mean GitHub's own."""

    method: Method = Method.MERGE
    title: str = ""
    message: str = ""
    sha: str = ""


@dataclass(frozen=True)
class PullEdit:
    """What to change; None leaves it alone."""

    title: str | None = None
    body: str | None = None
    state: str | None = None
    base: str | None = None


def find_pull(forge: Forge, repo: Repository, number: int) -> Pull:
    """Find a pull request by its number.

    Raises:
        ForgeError: 404.
    """
    row = forge.db.row("SELECT * FROM pulls WHERE repo_id = ? AND number = ?", repo.id, number)
    if row is None:
        raise not_found()
    return Pull(**dict(row))


def list_pulls(forge: Forge, repo: Repository, *, state: str = "open", head: str = "", base: str = "") -> list[Pull]:
    """Return pull requests, newest first.

    Args:
        forge: the forge.
        repo: the repository.
        state: `open`, `closed` or `all`.
        head: `owner:branch` or empty for any.
        base: a branch, or empty for any.
    """
    owner, _, branch = head.rpartition(":")
    if head and owner and owner.lower() != repo.owner.lower():
        return []
    rows = forge.db.rows(
        "SELECT * FROM pulls WHERE repo_id = ? AND ? IN ('all', state) AND ? IN ('', head_ref) AND ? IN ('', base_ref)"
        " ORDER BY number DESC",
        *(repo.id, state, branch, base),
    )
    return [Pull(**dict(row)) for row in rows]


def open_pull(forge: Forge, repo: Repository, actor: Account, wish: NewPull) -> Pull:
    """Open a pull request.

    Raises:
        ForgeError: 422 when a branch is missing, nothing is to be merged, or one is open for the same two branches.
    """
    _check_texts(wish.title, wish.body)
    owner, _, head = wish.head.rpartition(":")
    if owner and owner.lower() != repo.owner.lower():
        raise invalid(_RESOURCE, "head")
    with forge.lock(repo):
        git = forge.open(repo)
        head_sha, base_sha = _branch(git, head, field="head"), _branch(git, wish.base, field="base")
        _check_new(forge, repo, head, wish.base)
        if contains(git, base_sha, head_sha):
            raise invalid(_RESOURCE, "", "custom", message=f"No commits between {wish.base} and {head}")
        moment = now()
        with forge.transaction() as transaction:
            transaction.run("UPDATE repositories SET last_number = last_number + 1 WHERE id = ?", repo.id)
            number = forge.repository_by_id(repo.id).last_number
            transaction.run(
                "INSERT INTO pulls (repo_id, number, title, body, state, draft, user_id, head_ref, head_sha, base_ref,"
                " base_sha, created_at, updated_at) VALUES (?, ?, ?, ?, 'open', ?, ?, ?, ?, ?, ?, ?, ?)",
                *(repo.id, number, wish.title, wish.body, wish.is_draft, actor.id),
                *(head, head_sha, wish.base, base_sha, moment, moment),
            )
            pull = find_pull(forge, repo, number)
            emit_pull(transaction, Scene(forge, repo, git, actor), pull, action="opened")
    return pull


def edit_pull(forge: Forge, repo: Repository, actor: Account, *, number: int, edit: PullEdit) -> Pull:
    """Change a pull request's texts, base or state.

    Raises:
        ForgeError: 422 when it cannot be so.
    """
    with forge.lock(repo):
        git, before = forge.open(repo), find_pull(forge, repo, number)
        after = _edited(forge, repo, git, before, edit)
        if before.is_open and not after.is_open:
            after = replace(after, closed_by=actor.id)
        if after == before:
            return before
        with forge.transaction() as transaction:
            transaction.run(
                "UPDATE pulls SET title = ?, body = ?, state = ?, base_ref = ?, base_sha = ?, head_sha = ?,"
                " closed_at = ?, closed_by = ?, updated_at = ? WHERE id = ?",
                *(after.title, after.body, after.state, after.base_ref, after.base_sha, after.head_sha),
                *(after.closed_at, after.closed_by, after.updated_at, after.id),
            )
            scene = Scene(forge, repo, git, actor)
            if changes := _changes(before, after):
                emit_pull(transaction, scene, after, action="edited", fields={"changes": changes})
            if before.state != after.state:
                emit_pull(transaction, scene, after, action="reopened" if after.is_open else "closed")
    return after


def _edited(forge: Forge, repo: Repository, git: pygit2.Repository, before: Pull, edit: PullEdit) -> Pull:
    if edit.state not in {None, "open", "closed"}:
        raise invalid(_RESOURCE, "state")
    _check_texts(before.title if edit.title is None else edit.title, edit.body)
    after = replace(
        before,
        title=before.title if edit.title is None else edit.title,
        body=before.body if edit.body is None else edit.body,
        state=edit.state or before.state,
        base_ref=edit.base or before.base_ref,
    )
    if after.base_ref != before.base_ref:
        if not before.is_open:
            raise invalid(
                _RESOURCE, "base", "custom", message="Cannot change the base branch of a closed pull request."
            )
        after = replace(after, base_sha=_branch(git, after.base_ref, field="base"))
        _check_new(forge, repo, after.head_ref, after.base_ref)
    if after.is_open and not before.is_open:
        after = _reopened(forge, repo, git, after)
    elif before.is_open and not after.is_open:
        after = replace(after, closed_at=now(), base_sha=pull_base(git, before))
    return after if after == before else replace(after, updated_at=now())


def _reopened(forge: Forge, repo: Repository, git: pygit2.Repository, pull: Pull) -> Pull:
    if pull.merged_at:
        message = "state cannot be changed. The pull request cannot be reopened."
        raise invalid(_RESOURCE, "state", message=message)
    _check_new(forge, repo, pull.head_ref, pull.base_ref)
    head, base = _branch(git, pull.head_ref, field="state"), _branch(git, pull.base_ref, field="state")
    return replace(pull, closed_at=None, closed_by=None, head_sha=head, base_sha=base)


def _changes(before: Pull, after: Pull) -> Json:
    changes: Json = {}
    if before.title != after.title:
        changes["title"] = {"from": before.title}
    if before.body != after.body:
        changes["body"] = {"from": before.body or ""}
    if before.base_ref != after.base_ref:
        changes["base"] = {"ref": {"from": before.base_ref}, "sha": {"from": before.base_sha}}
    return changes


def merge_pull(forge: Forge, repo: Repository, actor: Account, *, number: int, wish: MergeWish) -> str:
    """Merge a pull request.

    The commit is written first, then remembered as begun, then the base branch moves from exactly the commit that was
    merged with; `announce` marks the pull request, also after a crash in between.

    Returns:
        The sha the base branch went to.

    Raises:
        ForgeError: 405 when it is closed, conflicts or its base moved; 409 when its head is not the one given.
    """
    with forge.lock(repo):
        git, pull = forge.open(repo), find_pull(forge, repo, number)
        base, name = pull_base(git, pull), f"refs/heads/{pull.base_ref}"
        if not pull.is_open or pull.draft:
            raise ForgeError(HTTPStatus.METHOD_NOT_ALLOWED, "Pull Request is not mergeable")
        if wish.sha and wish.sha != pull.head_sha:
            raise ForgeError(HTTPStatus.CONFLICT, "Head branch was modified. Review and try the merge again.")
        sha = _write_merge(git, repo, pull, base, wish, forge.accounts.by_id(pull.user_id), actor)
        with forge.transaction() as transaction:
            sql = "UPDATE pulls SET merging_sha = ?, merging_by = ? WHERE id = ?"
            transaction.run(sql, sha, actor.id, pull.id)
        failpoint("forge.merge.before")
        try:
            update_refs(git, [RefUpdate(name, base, sha)])
        except RefMovedError as error:
            message = "Base branch was modified. Review and try the merge again."
            raise ForgeError(HTTPStatus.METHOD_NOT_ALLOWED, message) from error
        failpoint("forge.merge.after")
        announce(forge, repo, actor)
    return sha


def _write_merge(
    git: pygit2.Repository,
    repo: Repository,
    pull: Pull,
    base: str,
    wish: MergeWish,
    author: Account,
    actor: Account,
) -> str:
    plan = Plan(
        base=base,
        head=pull.head_sha,
        message=_message(git, repo, pull, wish),
        author=pygit2.Signature(author.login, author.email),
        merger=pygit2.Signature(actor.login, actor.email),
    )
    try:
        return make_merge(git, plan, wish.method)
    except MergeConflictError as error:
        raise ForgeError(HTTPStatus.METHOD_NOT_ALLOWED, "Pull Request is not mergeable") from error


def _message(git: pygit2.Repository, repo: Repository, pull: Pull, wish: MergeWish) -> str:
    match wish.method:
        case Method.SQUASH:
            commits = pull_facts(git, pull).commits
            title = f"{pull.title} (#{pull.number})"
            body = "\n\n".join(f"* {message_of(commit)}" for commit in commits) if len(commits) > 1 else ""
        case _:
            title, body = f"Merge pull request #{pull.number} from {repo.owner}/{pull.head_ref}", pull.title
    parts = (wish.title or title, wish.message or body)
    return "\n\n".join(part for part in parts if part) + "\n"


def _branch(git: pygit2.Repository, name: str, *, field: str) -> str:
    sha = read_ref(git, f"refs/heads/{name}")
    if not sha:
        raise invalid(_RESOURCE, field)
    return sha


def _check_new(forge: Forge, repo: Repository, head: str, base: str) -> None:
    if list_pulls(forge, repo, head=head, base=base):
        message = f"A pull request already exists for {repo.owner}:{head}."
        raise invalid(_RESOURCE, "", "custom", message=message)


def _check_texts(title: str, body: str | None) -> None:
    if not title.strip():
        raise invalid(_RESOURCE, "title", "missing_field")
    if len(title) > TITLE_LIMIT:
        raise invalid(_RESOURCE, "title", "custom", message=f"title is too long (maximum is {TITLE_LIMIT} characters)")
    if body and len(body) > BODY_LIMIT:
        raise invalid(_RESOURCE, "body", "custom", message=f"body is too long (maximum is {BODY_LIMIT} characters)")

"""Git data: refs, commits, trees and blobs, as GitHub's Git database API serves and takes them."""

import base64
import binascii
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import pygit2
from pygit2.enums import FileMode, ObjectType
from starlette.responses import Response

from gitops.embedded.forge.accounts import Account
from gitops.embedded.forge.api.call import Call, answer, answer_page, no_content
from gitops.embedded.forge.errors import ForgeError, Json, not_found, unprocessable
from gitops.embedded.forge.events import announce
from gitops.embedded.forge.git import (
    ZERO,
    RefMovedError,
    RefUpdate,
    contains,
    edit_tree,
    find_commit,
    is_kind,
    is_sha,
    name_of,
    read_ref,
    read_refs,
    update_refs,
)
from gitops.embedded.forge.records import Repository
from gitops.embedded.forge.render import git_commit_json, ref_json, repo_url
from gitops.embedded.forge.state import Forge

_MODES = {int(text, 8): text for text in ("040000", "100644", "100755", "120000", "160000")}
_TYPES = {"040000": "tree", "160000": "commit"}


def move_ref(forge: Forge, repo: Repository, account: Account, update: RefUpdate) -> None:
    """Move one ref and tell it; under the repository's lock.

    Raises:
        ForgeError: 422 when the ref moved meanwhile or its name collides with another's.
    """
    try:
        update_refs(forge.open(repo), [update])
    except RefMovedError as error:
        raise unprocessable(f"Reference cannot be updated: {error}") from error
    announce(forge, repo, account)


def list_refs(call: Call) -> Response:
    """GET /git/refs and /git/matching-refs/{ref}."""
    repo = call.repo
    git, prefix = call.forge.open(repo), f"refs/{call.path.get('ref', '')}"
    refs = sorted((name, sha) for name, sha in read_refs(git).items() if name.startswith(prefix))
    return answer_page(call, refs, lambda ref: ref_json(call.forge, repo, ref[0], git[ref[1]]))


def get_ref(call: Call) -> Response:
    """GET /git/ref/{ref} and /git/refs/{ref}."""
    repo, name = call.repo, f"refs/{call.path['ref']}"
    git = call.forge.open(repo)
    sha = read_ref(git, name)
    if not sha:
        raise not_found()
    return answer(call, ref_json(call.forge, repo, name, git[sha]))


def create_ref(call: Call) -> Response:
    """POST /git/refs."""
    repo, name, sha = call.repo, call.text("ref"), call.text("sha")
    if not name.startswith(("refs/heads/", "refs/tags/")) or not pygit2.reference_is_valid_name(name):
        raise unprocessable(f"{name} is not a valid ref name.")
    with call.forge.lock(repo):
        git = call.forge.open(repo)
        found = _object(git, sha)
        if read_ref(git, name):
            raise unprocessable("Reference already exists")
        move_ref(call.forge, repo, call.account, RefUpdate(name, ZERO, sha))
    document = ref_json(call.forge, repo, name, found)
    return answer(call, document, HTTPStatus.CREATED, headers={"Location": document["url"]})


def edit_ref(call: Call) -> Response:
    """PATCH /git/refs/{ref}: only forward, unless forced."""
    repo, name, sha, is_forced = call.repo, f"refs/{call.path['ref']}", call.text("sha"), call.flag("force")
    with call.forge.lock(repo):
        git = call.forge.open(repo)
        before, found = read_ref(git, name), _object(git, sha)
        if not before:
            raise unprocessable("Reference does not exist")
        if not is_forced and not contains(git, sha, before):
            raise unprocessable("Update is not a fast forward")
        move_ref(call.forge, repo, call.account, RefUpdate(name, before, sha))
    return answer(call, ref_json(call.forge, repo, name, found))


def delete_ref(call: Call) -> Response:
    """DELETE /git/refs/{ref}."""
    repo, name = call.repo, f"refs/{call.path['ref']}"
    with call.forge.lock(repo):
        before = read_ref(call.forge.open(repo), name)
        if not before:
            raise unprocessable("Reference does not exist")
        if name == f"refs/heads/{repo.default_branch}":
            raise unprocessable("Cannot delete the default branch")
        move_ref(call.forge, repo, call.account, RefUpdate(name, before, ZERO))
    return no_content()


def get_commit(call: Call) -> Response:
    """GET /git/commits/{sha}."""
    repo = call.repo
    found = _known(call, repo, ObjectType.COMMIT)
    return answer(call, git_commit_json(call.forge, repo, found.peel(pygit2.Commit)))


def create_commit(call: Call) -> Response:
    """POST /git/commits."""
    repo = call.repo
    git = call.forge.open(repo)
    tree, parents = call.text("tree"), [str(parent) for parent in call.items("parents")]
    if not is_kind(_object(git, tree), ObjectType.TREE):
        raise unprocessable("Tree SHA is not a tree object")
    if not all(is_kind(_object(git, parent), ObjectType.COMMIT) for parent in parents):
        raise unprocessable("Parent SHA is not a commit object")
    author = read_signature(call, "author")
    committer = read_signature(call, "committer", author)
    sha = git.create_commit(None, author, committer, read_message(call), tree, list(parents))
    document = git_commit_json(call.forge, repo, git[sha].peel(pygit2.Commit))
    return answer(call, document, HTTPStatus.CREATED, headers={"Location": document["url"]})


def read_message(call: Call) -> str:
    """Return the commit message in a body.

    Raises:
        ForgeError: 422 when it is empty or holds a NUL, which git cannot store.
    """
    message = call.text("message")
    if not message.strip() or "\0" in message:
        raise unprocessable('Invalid request.\n\n"message" wasn\'t supplied.')
    return message


def read_signature(call: Call, name: str, default: pygit2.Signature | None = None) -> pygit2.Signature:
    """Return the author or committer in a body; without one the default, or who asks, now.

    Raises:
        ForgeError: 422 when it is not one.
    """
    given = call.unverified_body.get(name)
    if given is None:
        return default or pygit2.Signature(call.account.login, call.account.email)
    try:
        moment = datetime.fromisoformat(given["date"]) if given.get("date") else datetime.now().astimezone()
        offset = moment.utcoffset() or timedelta()
        seconds = int(moment.timestamp()) if moment.tzinfo else int((moment - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001 - a time without zone is taken as UTC
        return pygit2.Signature(given["name"], given["email"], seconds, int(offset.total_seconds() // 60))
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, pygit2.GitError) as error:
        raise unprocessable(f'Invalid request.\n\n"{name}" is not a name, an email and a date.') from error


def get_tree(call: Call) -> Response:
    """GET /git/trees/{sha or ref}."""
    repo, ref = call.repo, call.path["sha"]
    git = call.forge.open(repo)
    commit = find_commit(git, ref)
    try:
        tree = commit.tree if commit else git[ref].peel(pygit2.Tree)
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise not_found() from error
    url = f"{repo_url(call.forge, repo)}/git"
    entries = _walk(tree, "", is_recursive=bool(call.query.get("recursive")))
    document = {"sha": str(tree.id), "url": f"{url}/trees/{tree.id}", "truncated": False}
    return answer(call, document | {"tree": [_entry_json(url, path, entry) for path, entry in entries]})


def _walk(tree: pygit2.Tree, prefix: str, *, is_recursive: bool) -> list[tuple[str, pygit2.Object]]:
    entries = []
    for entry in tree:
        path = prefix + name_of(entry)
        entries.append((path, entry))
        if is_recursive and isinstance(entry, pygit2.Tree):
            entries += _walk(entry, f"{path}/", is_recursive=True)
    return entries


def _entry_json(url: str, path: str, entry: pygit2.Object) -> Json:
    mode = _MODES.get(int(entry.filemode or 0), "100644")
    kind = _TYPES.get(mode, "blob")
    document: Json = {"path": path, "mode": mode, "type": kind, "sha": str(entry.id)}
    if isinstance(entry, pygit2.Blob):
        document["size"] = entry.size
    return document | {"url": f"{url}/{kind}s/{entry.id}"}


def create_tree(call: Call) -> Response:
    """POST /git/trees."""
    repo = call.repo
    git, base = call.forge.open(repo), call.text("base_tree", "")
    if not call.items("tree"):
        raise unprocessable("Invalid tree info")
    try:
        start = _object(git, base).peel(pygit2.Tree) if base else None
        changes = dict(_tree_change(git, entry) for entry in call.items("tree"))
        tree = edit_tree(git, start, changes)
    except (AttributeError, KeyError, TypeError, ValueError, pygit2.GitError) as error:
        raise unprocessable(f"GitRPC::BadObjectState: {error}") from error
    url = f"{repo_url(call.forge, repo)}/git"
    entries = [
        _entry_json(url, path, entry) for path, entry in _walk(git[tree].peel(pygit2.Tree), "", is_recursive=False)
    ]
    document = {"sha": str(tree), "url": f"{url}/trees/{tree}", "tree": entries, "truncated": False}
    return answer(call, document, HTTPStatus.CREATED, headers={"Location": f"{url}/trees/{tree}"})


def _tree_change(git: pygit2.Repository, entry: dict[str, Any]) -> tuple[str, tuple[pygit2.Oid, int] | None]:
    path, mode = entry["path"], int(entry.get("mode") or "100644", 8)
    if "content" in entry:
        return path, (git.create_blob(entry["content"].encode()), mode)
    if entry["sha"] is None:
        return path, None
    if mode not in _MODES:
        raise ValueError(f"mode {entry['mode']} is not allowed")
    if mode == FileMode.COMMIT:
        return path, (pygit2.Oid(hex=entry["sha"]), mode)
    return path, (_object(git, entry["sha"]).id, mode)


def get_blob(call: Call) -> Response:
    """GET /git/blobs/{sha}."""
    repo = call.repo
    blob = _known(call, repo, ObjectType.BLOB).peel(pygit2.Blob)
    document = {"sha": str(blob.id), "node_id": "", "size": blob.size, "encoding": "base64"}
    document["url"] = f"{repo_url(call.forge, repo)}/git/blobs/{blob.id}"
    return answer(call, document | {"content": base64.encodebytes(blob.data).decode()})


def create_blob(call: Call) -> Response:
    """POST /git/blobs."""
    repo, content = call.repo, call.text("content")
    encoding = call.text("encoding", "utf-8")
    if encoding not in {"utf-8", "base64"}:
        raise unprocessable("encoding must be utf-8 or base64")
    content_bytes = decode_base64(content) if encoding == "base64" else content.encode()
    sha = call.forge.open(repo).create_blob(content_bytes)
    url = f"{repo_url(call.forge, repo)}/git/blobs/{sha}"
    return answer(call, {"sha": str(sha), "url": url}, HTTPStatus.CREATED, headers={"Location": url})


def decode_base64(text: str) -> bytes:
    """Decode what a client sent as base64, line breaks allowed.

    Raises:
        ForgeError: 422.
    """
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise unprocessable("content is not valid Base64") from error


def _object(git: pygit2.Repository, sha: str) -> pygit2.Object:
    try:
        if is_sha(sha):
            return git[sha]
    except (KeyError, ValueError, pygit2.GitError):
        pass
    raise unprocessable("Object does not exist")


def _known(call: Call, repo: Repository, kind: ObjectType) -> pygit2.Object:
    try:
        found = _object(call.forge.open(repo), call.path["sha"])
    except ForgeError as error:
        raise not_found() from error
    if not is_kind(found, kind):
        raise not_found()
    return found


_GIT = "/repos/{owner}/{repo}/git"
ROUTES = (
    ("GET", f"{_GIT}/refs", list_refs),
    ("GET", f"{_GIT}/matching-refs/{{ref:path}}", list_refs),
    ("GET", f"{_GIT}/ref/{{ref:path}}", get_ref),
    ("GET", f"{_GIT}/refs/{{ref:path}}", get_ref),
    ("POST", f"{_GIT}/refs", create_ref),
    ("PATCH", f"{_GIT}/refs/{{ref:path}}", edit_ref),
    ("DELETE", f"{_GIT}/refs/{{ref:path}}", delete_ref),
    ("GET", f"{_GIT}/commits/{{sha}}", get_commit),
    ("POST", f"{_GIT}/commits", create_commit),
    ("GET", f"{_GIT}/trees/{{sha:path}}", get_tree),
    ("POST", f"{_GIT}/trees", create_tree),
    ("GET", f"{_GIT}/blobs/{{sha}}", get_blob),
    ("POST", f"{_GIT}/blobs", create_blob),
)

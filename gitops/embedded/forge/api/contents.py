"""Files of a branch: read, written and removed one commit at a time."""

import base64
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote

import pygit2
from pygit2.enums import FileMode
from starlette.responses import Response

from gitops.embedded.forge.api.call import Call, answer
from gitops.embedded.forge.api.gitdata import decode_base64, move_ref, read_message, read_signature
from gitops.embedded.forge.errors import ForgeError, Json, not_found, unprocessable
from gitops.embedded.forge.git import ZERO, RefUpdate, edit_tree, find_commit, name_of, tree_entry
from gitops.embedded.forge.records import Repository
from gitops.embedded.forge.render import git_commit_json, repo_url


@dataclass(frozen=True)
class _Place:
    """A path on a branch: the branch's commit, and the blob there, each if there is one."""

    branch: str
    commit: pygit2.Commit | None
    entry: pygit2.Object | None


def get_contents(call: Call) -> Response:
    """GET /contents/{path}."""
    repo, path = call.repo, call.path.get("path", "").strip("/")
    git, ref = call.forge.open(repo), call.query.get("ref") or f"refs/heads/{call.repo.default_branch}"
    commit = find_commit(git, ref)
    if commit is None:
        raise not_found("This repository is empty." if git.is_empty else f"No commit found for the ref {ref}")
    entry = tree_entry(commit.tree, path)
    if entry is None:
        raise not_found()
    shown = call.query.get("ref") or repo.default_branch
    if isinstance(entry, pygit2.Tree):
        folder = f"{path}/" if path else ""
        return answer(call, [_entry_json(call, repo, f"{folder}{name_of(item)}", item, shown) for item in entry])
    document = _entry_json(call, repo, path, entry, shown)
    if isinstance(entry, pygit2.Blob):
        document |= {"encoding": "base64", "content": base64.encodebytes(entry.data).decode()}
    return answer(call, document)


def _entry_json(call: Call, repo: Repository, path: str, entry: pygit2.Object, ref: str) -> Json:
    api, html = repo_url(call.forge, repo), f"{call.forge.url}/{repo.full_name}"
    kinds = {FileMode.TREE: "dir", FileMode.COMMIT: "submodule", FileMode.LINK: "symlink"}
    kind = kinds.get(FileMode(entry.filemode or FileMode.BLOB), "file")
    return {
        "type": kind,
        "name": path.rpartition("/")[2],
        "path": path,
        "sha": str(entry.id),
        "size": entry.size if isinstance(entry, pygit2.Blob) else 0,
        "url": f"{api}/contents/{quote(path)}?ref={quote(ref, safe='')}",
        "git_url": f"{api}/git/{'trees' if kind == 'dir' else 'blobs'}/{entry.id}",
        "html_url": f"{html}/blob/{quote(ref)}/{quote(path)}",
        "download_url": None,
    }


def put_contents(call: Call) -> Response:
    """PUT /contents/{path}: make or replace a file."""
    repo, path, content = call.repo, call.path["path"], decode_base64(call.text("content"))
    with call.forge.lock(repo):
        git = call.forge.open(repo)
        place = _find_place(call, repo, git, path)
        _check_sha(place.entry, path, call.optional("sha"))
        mode = int(place.entry.filemode or FileMode.BLOB) if place.entry else FileMode.BLOB
        commit = _commit(call, repo, git, place, path, (git.create_blob(content), mode))
    document = _entry_json(call, repo, path, commit.tree[path], place.branch)
    status = HTTPStatus.OK if place.entry else HTTPStatus.CREATED
    return answer(call, {"content": document, "commit": git_commit_json(call.forge, repo, commit)}, status)


def delete_contents(call: Call) -> Response:
    """DELETE /contents/{path}; what to do stands in the body, or behind the question mark."""
    body = {key: call.query[key] for key in ("message", "sha", "branch") if key in call.query} | call.unverified_body
    call = Call(call.forge, call.account, call.path, call.query, body, call.raw_path)
    repo, path, sha = call.repo, call.path["path"], call.text("sha")
    with call.forge.lock(repo):
        git = call.forge.open(repo)
        place = _find_place(call, repo, git, path)
        if place.entry is None:
            raise not_found()
        _check_sha(place.entry, path, sha)
        commit = _commit(call, repo, git, place, path, None)
    return answer(call, {"content": None, "commit": git_commit_json(call.forge, repo, commit)})


def _find_place(call: Call, repo: Repository, git: pygit2.Repository, path: str) -> _Place:
    branch = call.text("branch", repo.default_branch)
    commit = find_commit(git, f"refs/heads/{branch}")
    if commit is None:
        if not git.is_empty:
            raise not_found(f"Branch {branch} not found")
        return _Place(branch, None, None)
    return _Place(branch, commit, tree_entry(commit.tree, path))


def _check_sha(entry: pygit2.Object | None, path: str, sha: str | None) -> None:
    if entry is None:
        if sha:
            raise ForgeError(HTTPStatus.CONFLICT, f"{path} does not match {sha}")
        return
    if not isinstance(entry, pygit2.Blob):
        raise unprocessable(f"{path} is not a file")
    if sha is None:
        raise unprocessable('Invalid request.\n\n"sha" wasn\'t supplied.')
    if sha != str(entry.id):
        raise ForgeError(HTTPStatus.CONFLICT, f"{path} does not match {sha}")


def _commit(
    call: Call,
    repo: Repository,
    git: pygit2.Repository,
    place: _Place,
    path: str,
    entry: tuple[pygit2.Oid, int] | None,
) -> pygit2.Commit:
    parents = [place.commit.id] if place.commit else []
    try:
        tree = edit_tree(git, place.commit.tree if place.commit else None, {path: entry})
    except ValueError as error:
        raise unprocessable(str(error)) from error
    committer = read_signature(call, "committer")
    author = read_signature(call, "author", committer)
    sha = git.create_commit(None, author, committer, read_message(call), tree, parents)
    name = f"refs/heads/{place.branch}"
    if not pygit2.reference_is_valid_name(name):
        raise unprocessable(f"{name} is not a valid ref name.")
    before = str(place.commit.id) if place.commit else ZERO
    move_ref(call.forge, repo, call.account, RefUpdate(name, before, str(sha)))
    return git[sha].peel(pygit2.Commit)


ROUTES = (
    ("GET", "/repos/{owner}/{repo}/contents", get_contents),
    ("GET", "/repos/{owner}/{repo}/contents/{path:path}", get_contents),
    ("PUT", "/repos/{owner}/{repo}/contents/{path:path}", put_contents),
    ("DELETE", "/repos/{owner}/{repo}/contents/{path:path}", delete_contents),
)

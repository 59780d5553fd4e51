"""One changed file as a commit, by the Git data API: nothing else in the tree changes, no branch moves by force."""

import base64
import binascii
import hashlib
from http import HTTPStatus

from pydantic import JsonValue

from gitops.errors import ConflictError, RefusedError, RetryError, UnknownOutcomeError
from gitops.failpoints import failpoint
from gitops.forge.replies import (
    BlobReply,
    ContentReply,
    GitCommitReply,
    ObjectReply,
    RefReply,
    TreeEntryReply,
    TreeReply,
)
from gitops.forge.wire import Reply, Wire, repo_path
from gitops.ports import Commit

_FILE = "100644"
_EXECUTABLE = "100755"
_WRITES = 4  # blob, tree, commit, ref
_PROTECTED = ("protected branch", "rule violations", "through a pull request", "required status check")


class FileCommits:
    """Files of one forge's repositories.

    Args:
        wire: the connection.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def read(self, full_name: str, *, ref: str, path: str, most: int) -> bytes | None:
        """Return a regular file's bytes, so many at most, at a ref or commit; None when it is not there."""
        what = f"reading {path} of {full_name}"
        missing = (HTTPStatus.NOT_FOUND,)
        reply = self._wire.get(repo_path(full_name, "contents", path), what, accept=missing, query={"ref": ref})
        if reply.status == HTTPStatus.NOT_FOUND or isinstance(reply.content, list):
            return None
        content = reply.read(ContentReply)
        if content.type == "symlink":
            raise RefusedError("symlink_config", f"{path!a} is a link: commit the file itself")
        if content.type != "file":
            return None
        if content.size > most:
            raise RefusedError("repo_too_large", f"{path!a} has {content.size} bytes, limit={most}")
        if content.encoding == "base64" and (content.content or not content.size):
            return _checked(content.content, content.sha, reply=reply)
        blob = self._wire.get(repo_path(full_name, "git", "blobs", content.sha), what)
        return _checked(blob.read(BlobReply).content, content.sha, reply=blob)

    def commit(
        self, full_name: str, *, parent: str, branch: str, path: str, content: bytes, message: str, create: bool
    ) -> Commit:
        """Commit one file on `parent`, a new history when it is empty, and move the branch there."""
        what = f"committing {path} to {branch} of {full_name}"
        base = self._read_commit(full_name, parent, what) if parent else ""
        mode = self._mode(full_name, base, path, what) if base else _FILE
        self._wire.reserve(_WRITES)
        blob = self._make_blob(full_name, content, what)
        entry: dict[str, JsonValue] = {"path": path, "mode": mode, "type": "blob", "sha": blob}
        tree_body: dict[str, JsonValue] = {"tree": [entry]}
        if base:
            tree_body["base_tree"] = base
        tree = self._make(full_name, "trees", tree_body, what)
        parents: list[JsonValue] = [parent] if parent else []
        sha = self._make(full_name, "commits", {"message": message, "tree": tree, "parents": parents}, what)
        failpoint("commit_file.before_ref")
        self._move(full_name, branch, sha, what, create=create)
        return Commit(sha=sha)

    def _read_commit(self, full_name: str, parent: str, what: str) -> str:
        return self._wire.get(repo_path(full_name, "git", "commits", parent), what).read(GitCommitReply).tree.sha

    def _mode(self, full_name: str, tree: str, path: str, what: str) -> str:
        """Return the file's mode as it is, so that the commit changes its content only.

        Raises:
            RefusedError: `symlink_config` when a link, a folder or a submodule stands there or on the way.
        """
        parts = path.split("/")
        for place, part in enumerate(parts):
            reply = self._wire.get(repo_path(full_name, "git", "trees", tree), what)
            entry = next((one for one in reply.read(TreeReply).tree if one.path == part), None)
            if entry is None:
                return _FILE
            if place == len(parts) - 1:
                return _file_mode(entry, path)
            if entry.type != "tree":
                raise RefusedError("symlink_config", f"{path!a} is behind something that is no folder")
            tree = entry.sha
        return _FILE

    def _make_blob(self, full_name: str, content: bytes, what: str) -> str:
        body: dict[str, JsonValue] = {"encoding": "base64", "content": base64.b64encode(content).decode("ascii")}
        sha = self._make(full_name, "blobs", body, what)
        if sha != blob_name(content):
            raise RetryError("ForgeBadReply", f"{what}: the forge stored other bytes than ours")
        return sha

    def _make(self, full_name: str, kind: str, body: dict[str, JsonValue], what: str) -> str:
        reply = self._wire.write("POST", repo_path(full_name, "git", kind), what, body=body, is_reserved=True)
        return reply.read(ObjectReply).sha

    def _move(self, full_name: str, branch: str, sha: str, what: str, *, create: bool) -> None:
        accept = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.CONFLICT, HTTPStatus.FORBIDDEN)
        if create:
            path, body = repo_path(full_name, "git", "refs"), {"ref": f"refs/heads/{branch}", "sha": sha}
            reply = self._wire.write("POST", path, what, body=body, accept=accept, is_reserved=True)
        else:
            path = repo_path(full_name, "git", "refs", "heads", branch)
            move: dict[str, JsonValue] = {"sha": sha, "force": False}
            reply = self._wire.write("PATCH", path, what, body=move, accept=accept, is_reserved=True)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            raise _refusal(reply, branch)
        if reply.read(RefReply).object.sha != sha:
            raise UnknownOutcomeError("ForgeBadReply", f"{what}: the forge says that {branch} is elsewhere")


def blob_name(content: bytes) -> str:
    """Return the name Git gives a file with these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _refusal(reply: Reply, branch: str) -> Exception:
    said = reply.message.lower()
    if any(word in said for word in _PROTECTED):
        return RefusedError("branch_protected", f"{branch} takes no commit from us: {reply.message}")
    if any(word in said for word in ("already exists", "fast forward", "does not exist", "cannot be updated")):
        return ConflictError("branch_moved", f"{branch} is not where it was: {reply.message}")
    return reply.error()


def _file_mode(entry: TreeEntryReply, path: str) -> str:
    if entry.mode not in {_FILE, _EXECUTABLE}:
        raise RefusedError("symlink_config", f"{path!a} is no regular file: commit the file itself")
    return entry.mode


def _checked(text: str, sha: str, *, reply: Reply) -> bytes:
    try:
        content = base64.b64decode(text)
    except (binascii.Error, ValueError):
        content = b""
    if blob_name(content) != sha:
        raise RetryError("ForgeBadReply", f"{reply.what}: the bytes are not those of {sha[:12]}")
    return content

"""Git below the forge: objects and merges by libgit2, refs by `git update-ref`, nothing by a work tree.

Never run a hook, never read another configuration than ours, never pass a name from outside as an argument.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, ObjectType, SortMode

from gitops.failpoints import failpoint

ZERO = "0" * 40
_TIMEOUT = 60
_CONFIG = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "gc.auto": "0",
    "receive.autogc": "false",
    "receive.fsckObjects": "true",
    "transfer.fsckObjects": "true",
    "http.receivepack": "true",
    "http.uploadpack": "true",
    "uploadpack.allowAnySHA1InWant": "true",
    "safe.directory": "*",
}
Oids = Iterable[pygit2.Oid]


class RefMovedError(Exception):
    """A ref was not where it was expected, or its name collides with another's."""


@dataclass(frozen=True)
class RefUpdate:
    """One ref to move, if it still is where it was.

    Args:
        name: full name, `refs/heads/main`.
        before: the commit it must be at; 40 zeros when it must not exist.
        after: the commit it goes to; 40 zeros to remove it.
    """

    name: str
    before: str
    after: str


@dataclass(frozen=True)
class FileChange:
    """What a diff did to one file; `patch` is empty for binary files."""

    path: str
    previous: str
    status: str
    additions: int
    deletions: int
    sha: str
    patch: str


def git_environment() -> dict[str, str]:
    """Return the whole environment of every git process: our configuration and nobody else's."""
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": str(len(_CONFIG)),
    }
    for number, (key, value) in enumerate(_CONFIG.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


def make_repository(path: Path, default_branch: str) -> None:
    """Make a bare repository without hooks, unless it is there."""
    if not (path / "HEAD").exists():
        pygit2.init_repository(str(path), bare=True, initial_head=default_branch)


def read_refs(git: pygit2.Repository) -> dict[str, str]:
    """Return the branches and tags with what they point to; names that are not UTF-8 do not take part."""
    refs: dict[str, str] = {}
    for raw in git.raw_listall_references():
        try:
            name = raw.decode()
        except UnicodeDecodeError:
            continue
        if name.startswith(("refs/heads/", "refs/tags/")) and (sha := read_ref(git, name)):
            refs[name] = sha
    return refs


def read_ref(git: pygit2.Repository, name: str) -> str:
    """Return the object a full ref name points to, empty when there is none."""
    try:
        target = git.lookup_reference(name).resolve().target
    except (KeyError, ValueError, pygit2.GitError):
        return ""
    return str(target)


def update_refs(git: pygit2.Repository, updates: Iterable[RefUpdate]) -> None:
    """Move refs all together or not at all, each only from where it was expected.

    Raises:
        RefMovedError: when one of them was elsewhere, or its name collides (`a` and `a/b`).
    """
    lines = [f"update {item.name}\0{item.after}\0{item.before}\0" for item in updates]
    failpoint("forge.update_refs.before")
    finished = subprocess.run(
        ("git", "update-ref", "--stdin", "-z"),  # noqa: S607 - git is found on our own PATH
        cwd=git.path,
        env=git_environment(),
        input="".join(lines).encode(),
        capture_output=True,
        timeout=_TIMEOUT,
        check=False,
    )
    failpoint("forge.update_refs.after")
    if finished.returncode:
        raise RefMovedError(finished.stderr.decode("utf-8", "replace").strip())


def is_sha(text: str) -> bool:
    """Whether it is a full object name as git writes it."""
    return len(text) == len(ZERO) and not set(text) - set("0123456789abcdef")


def find_commit(git: pygit2.Repository, ref: str) -> pygit2.Commit | None:
    """Return the commit that a sha, a branch, a tag or a full ref names; None without one.

    A branch named like a sha is found by its full name only, as on GitHub.
    """
    if is_sha(ref):
        return commit_at(git, ref)
    for name in (ref, f"refs/{ref}", f"refs/heads/{ref}", f"refs/tags/{ref}"):
        if name.startswith("refs/") and (sha := read_ref(git, name)):
            return commit_at(git, sha)
    return None


def commit_at(git: pygit2.Repository, sha: str) -> pygit2.Commit | None:
    """Return the commit of that sha, through an annotated tag if need be."""
    try:
        return git[sha].peel(pygit2.Commit)
    except (KeyError, ValueError, pygit2.GitError):
        return None


def commits_between(
    git: pygit2.Repository, head: str, *, without: Iterable[str] = (), oldest_first: bool = False
) -> Iterator[pygit2.Commit]:
    """Yield the commits reachable from one and not from the others, children before parents unless asked otherwise."""
    sort = SortMode.TOPOLOGICAL | SortMode.TIME
    walker = git.walk(head, sort | SortMode.REVERSE if oldest_first else sort)
    for sha in without:
        if commit_at(git, sha) is not None:
            walker.hide(sha)
    yield from walker


def contains(git: pygit2.Repository, descendant: str, ancestor: str) -> bool:
    """Whether the second commit is the first or in its history."""
    if descendant == ancestor:
        return True
    try:
        return bool(git.descendant_of(descendant, ancestor))
    except (KeyError, ValueError, pygit2.GitError):
        return False


def merge_base(git: pygit2.Repository, one: str, other: str) -> str:
    """Return the best common ancestor, empty when the histories share nothing."""
    try:
        found = git.merge_base(one, other)
    except (KeyError, ValueError, pygit2.GitError):
        return ""
    return str(found) if found else ""


def diff_files(git: pygit2.Repository, before: str, after: str, *, patches: bool = True) -> list[FileChange]:
    """Return what changed between two commits, from nothing when the first is empty."""
    new = git[after].peel(pygit2.Tree)
    diff = git[before].peel(pygit2.Tree).diff_to_tree(new) if before else new.diff_to_tree(swap=True)
    diff.find_similar()
    if not patches:
        return [_file_change(delta, None) for delta in diff.deltas]
    return [_file_change(patch.delta, patch) for patch in diff if patch is not None]


def _file_change(delta: pygit2.DiffDelta, patch: pygit2.Patch | None) -> FileChange:
    words = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}
    status = delta.status_char()
    path, previous = _text(delta.new_file.raw_path), _text(delta.old_file.raw_path)
    side = delta.old_file if status == "D" else delta.new_file
    added, removed = (patch.line_stats[1], patch.line_stats[2]) if patch else (0, 0)
    return FileChange(
        path=previous if status == "D" else path,
        previous=previous if status == "R" else "",
        status=words.get(status, "modified"),
        additions=added,
        deletions=removed,
        sha=str(side.id),
        patch=_hunks(patch) if patch and not delta.is_binary else "",
    )


def _hunks(patch: pygit2.Patch) -> str:
    """Return the patch from its first `@@` on, as GitHub sends it."""
    text = _text(patch.data)
    start = text.find("\n@@")
    return text[start + 1 :].removesuffix("\n") if start >= 0 else ""


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


def edit_tree(
    git: pygit2.Repository, base: pygit2.Tree | None, changes: Mapping[str, tuple[pygit2.Oid, int] | None]
) -> pygit2.Oid:
    """Write a tree that is another one with some paths set (to an object and mode) or removed.

    Raises:
        ValueError: when a path is not one that git allows.
    """
    index = pygit2.Index()
    if base is not None:
        index.read_tree(base)
    for path, entry in changes.items():
        _check_path(path)
        if entry is None:
            _remove(index, path)
        else:
            _add(git, index, path, entry)
    return index.write_tree(git)


def _add(git: pygit2.Repository, index: pygit2.Index, path: str, entry: tuple[pygit2.Oid, int]) -> None:
    oid, mode = entry
    if mode != FileMode.TREE:
        try:
            index.add(pygit2.IndexEntry(path, oid, FileMode(mode)))
        except (OSError, pygit2.GitError) as error:
            raise ValueError(str(error)) from error
        return
    for item in git[oid].peel(pygit2.Tree):
        _add(git, index, f"{path}/{item.name}", (item.id, int(item.filemode)))


def _remove(index: pygit2.Index, path: str) -> None:
    try:
        index.remove(path)
    except (OSError, KeyError, pygit2.GitError) as error:
        raise ValueError(f"path {path!r} does not exist") from error


def _check_path(path: str) -> None:
    parts = path.split("/")
    if any(part in {"", ".", ".."} or part.lower() == ".git" for part in parts) or "\0" in path:
        raise ValueError(f"path {path!r} is not allowed")


def tree_entry(tree: pygit2.Tree, path: str) -> pygit2.Object | None:
    """Return what lies at a path, None when nothing does; the empty path is the tree itself."""
    if not path:
        return tree
    try:
        return tree[path]
    except (KeyError, ValueError):
        return None


def name_of(entry: pygit2.Object) -> str:
    """Return the name of a tree's entry; what is not UTF-8 in it is replaced."""
    return _text(entry.raw_name)


def is_kind(found: pygit2.Object, kind: ObjectType) -> bool:
    """Whether an object is a blob, a tree or a commit."""
    return int(found.type) == int(kind)

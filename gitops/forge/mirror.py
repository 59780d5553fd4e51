"""Bare mirrors of the connected repositories, kept by the `git` binary and read without a work tree.

A mirror is named by the repository's number, so a name that somebody else registers later meets nothing of ours. Only
`refs/heads/*` is fetched. What is broken or half made is never used: it is made anew beside and swapped in.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gitops.disk.space import disk_low, speaks_of_full_disk
from gitops.errors import ConflictError, NotFoundError, RefusedError, RetryError
from gitops.failpoints import failpoint
from gitops.forge.address import check_clone_url, web_address
from gitops.forge.checkout import TreeLimits, private_folder, write_tree
from gitops.forge.complaints import is_about_the_remote, name_failure
from gitops.forge.kept import KeptObjects
from gitops.forge.objects import COMMIT_NAME, CommitObject, ObjectReader
from gitops.forge.process import Ended, Git, basic_authorization, plain
from gitops.forge.refs import read_heads
from gitops.records import Repository

if TYPE_CHECKING:
    import subprocess

_HEADS = "+refs/heads/*:refs/heads/*"
_NO_HEAD = "couldn't find remote ref HEAD"
_WAIT = 0.02  # seconds between two tries to get a mirror's lock


@dataclass(frozen=True)
class MirrorLimits:
    """What a repository may cost.

    Args:
        mirror: bytes of a whole mirror on disk.
        read: bytes of one file read from a commit.
        tree: what a checkout may hold.
        fetch: seconds for one fetch.
        local: seconds for one command that speaks to nobody.
        lock: seconds to wait while another process fetches the same repository.
        packs: files that fetches may have left in a mirror before they are joined into one.
    """

    mirror: int = 2 * 1024**3
    read: int = 25 * 1024**2
    tree: TreeLimits = field(default_factory=TreeLimits)
    fetch: float = 300.0
    local: float = 60.0
    lock: float = 120.0
    packs: int = 50


class GitMirror:
    """Mirrors in one folder, for all repositories of one forge.

    Args:
        root: the folder, made for its owner only.
        forge_api: base of the forge's REST API; mirrors are fetched from the same forge's web address alone.
        token: the forge's token, or a function that returns one; it goes into no argument, URL or file.
        limits: what a repository may cost.
    """

    def __init__(
        self, root: Path, *, forge_api: str, token: str | Callable[[], str], limits: MirrorLimits | None = None
    ) -> None:
        self._root = root.absolute()
        self._limits = limits or MirrorLimits()
        self._web = web_address(forge_api)
        self._token = token if callable(token) else lambda: token
        home = self._root / ".home"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        scheme = urlsplit(self._web).scheme
        self._git = Git(home, scheme, self._web, lambda: basic_authorization(self._token()))
        self._listed = lru_cache(maxsize=64)(self._list)
        self._kept = KeptObjects()

    def fetch(self, repository: Repository) -> None:
        """Bring the mirror up to date."""
        url = check_clone_url(repository.clone_url, web=self._web)
        with self._locked(repository) as lock:
            failpoint("mirror_fetch.before")
            if self._is_whole(repository):
                self._update(repository, url, lock=lock)
            else:
                self._clone(repository, url, lock=lock)
            failpoint("mirror_fetch.after")

    def delete_branch(self, repository: Repository, branch: str, *, at: str) -> None:
        """Delete a branch of the forge's, if it still is where it was seen.

        This is git's work and not the API's, which deletes whatever is there: a commit that somebody pushed since
        would be gone.

        Raises:
            ConflictError: `branch_moved`; nothing was deleted.
            RefusedError: `branch_protected` when the forge does not let us.
        """
        url = check_clone_url(repository.clone_url, web=self._web)
        ref = f"refs/heads/{branch}"
        mirror = self._present(repository)  # before the lock, which it takes for itself
        with self._locked(repository) as lock:
            failpoint("delete_branch.before")
            lease = f"--force-with-lease={ref}:{at}"
            ended = self._git.run(
                mirror,
                *("push", "--quiet", "--no-verify", lease, "--end-of-options", url, f":{ref}"),
                seconds=self._limits.fetch,
                remote=True,
                keep_open=lock,
            )
            failpoint("delete_branch.after")
        if not ended.code:
            return
        if "stale info" in ended.complaint or "does not exist" in ended.complaint:
            raise ConflictError("branch_moved", f"{branch} is not at {at[:12]} any more")
        if "remote rejected" in ended.complaint:
            said = plain(ended.complaint, secrets=(self._token(),))
            raise RefusedError("branch_protected", f"{branch} cannot be deleted by us: {said}")
        raise self._failure(repository, ended)

    def heads(self, repository: Repository) -> Mapping[str, str]:
        """Return the commit of each `refs/heads/...`."""
        mirror = self._present(repository)
        with self._marking_broken(repository):
            return read_heads(mirror)

    def files(self, repository: Repository, commit: str) -> Sequence[str]:
        """Return the paths of all regular files at a commit; what a commit holds never changes, so it is remembered."""
        return self._listed(repository, commit)

    def _list(self, repository: Repository, commit: str) -> tuple[str, ...]:
        with self._at(repository, commit) as (reader, found):
            folders = reader.walk(found, files=self._limits.tree.files)
            return tuple(sorted(entry.text for folder in folders for entry in folder if entry.is_file))

    def read(self, repository: Repository, commit: str, path: str) -> bytes | None:
        """Return a regular file's bytes; None when it is not there."""
        with self._at(repository, commit) as (reader, found):
            entry = reader.find(found, path)
            if entry is not None and entry.is_link:
                raise RefusedError("symlink_config", f"{path!a} is or is behind a link: commit the file itself")
            if entry is None or not entry.is_file:
                return None
            return reader.blob(entry.name, limit=self._limits.read, what=ascii(path))

    def changed_paths(self, repository: Repository, old: str, new: str) -> Sequence[str]:
        """Return the paths that differ; all paths of `new` when `old` is empty or unknown."""
        with self._at(repository, new) as (reader, newer):
            older = reader.find_commit(old) if COMMIT_NAME.fullmatch(old) else None
            found = reader.changes(older, newer, files=self._limits.tree.files)
            return sorted(path.decode("utf-8", "surrogateescape") for path in found)

    def first_parents(self, repository: Repository, commit: str, *, limit: int) -> Sequence[str]:
        """Return the commits of the first-parent line, newest first."""
        line: list[str] = []
        with self._at(repository, commit) as (reader, _):
            following: tuple[str, ...] = (commit,)
            while following and len(line) < limit:
                found = reader.commit(following[0])
                line.append(following[0])
                following = found.parents
        return line

    def committed_at(self, repository: Repository, commit: str) -> datetime | None:
        """Return when a commit was made, by the clock of whoever made it; None when it names no moment."""
        with self._at(repository, commit) as (_, found):
            seconds = found.time
        try:
            return datetime.fromtimestamp(seconds, UTC) if seconds else None
        except (OverflowError, OSError, ValueError):
            return None  # a commit may name a year that no calendar has

    def message(self, repository: Repository, commit: str) -> str:
        """Return the commit's message."""
        with self._at(repository, commit) as (_, found):
            return found.message

    def checkout(self, repository: Repository, commit: str, into: Path) -> None:
        """Write exactly this commit's tree into a new folder; no hooks, filters, submodules or links out of it.

        A commit that the mirror lacks, or that no branch leads to, is looked for once more at the forge.
        """
        if not COMMIT_NAME.fullmatch(commit):
            raise RefusedError("commit_unreachable", f"{commit[:80]!a} is no commit: 40 hex digits are")
        if not self._is_reachable(repository, commit):
            self.fetch(repository)
            if not self._is_reachable(repository, commit):
                raise RefusedError(
                    "commit_unreachable", f"no branch of {repository.full_name} leads to {commit[:80]!a}"
                )
        with self._reader(repository) as reader:
            write_tree(reader, reader.commit(commit), into.absolute(), limits=self._limits.tree)

    def _path(self, repository: Repository) -> Path:
        return self._root / f"{repository.id:d}.git"

    def _broken_mark(self, repository: Repository) -> Path:
        return self._root / f"{repository.id:d}.broken"

    def _present(self, repository: Repository) -> Path:
        """Return the mirror's folder, fetched first on a machine that has none."""
        if not self._is_whole(repository):
            self.fetch(repository)
        return self._path(repository)

    def _is_whole(self, repository: Repository) -> bool:
        mirror = self._path(repository)
        parts = (mirror / "HEAD", mirror / "refs", mirror / "objects" / "pack")
        return all(part.exists() for part in parts) and not self._broken_mark(repository).exists()

    @contextlib.contextmanager
    def _reader(self, repository: Repository) -> Iterator[ObjectReader]:
        def start() -> "subprocess.Popen[bytes]":
            return self._git.start(self._present(repository), "cat-file", "--batch")

        reader = ObjectReader(start, self._kept, repository.id, seconds=self._limits.fetch)
        with reader, self._marking_broken(repository):
            yield reader

    @contextlib.contextmanager
    def _at(self, repository: Repository, commit: str) -> Iterator[tuple[ObjectReader, CommitObject]]:
        """Read at a commit; one that another host's mirror has, and so is in the records, is fetched first.

        Raises:
            NotFoundError: `commit_unknown` when the forge has none of that name either.
        """
        with self._reader(repository) as reader:
            try:
                found = reader.commit(commit)
            except NotFoundError:
                if not COMMIT_NAME.fullmatch(commit):
                    raise
            else:
                yield reader, found
                return
        self.fetch(repository)
        with self._reader(repository) as reader:
            yield reader, reader.commit(commit)

    @contextlib.contextmanager
    def _marking_broken(self, repository: Repository) -> Iterator[None]:
        """Have a mirror made anew that cannot be read."""
        try:
            yield
        except RetryError as error:
            if error.reason == "MirrorBroken":
                self._broken_mark(repository).touch()
                self._kept.forget(repository.id)
            raise

    def _is_reachable(self, repository: Repository, commit: str) -> bool:
        """Return whether a branch leads to a commit, as the mirror is now: what was read of it before tells nothing."""
        if commit in self.heads(repository).values():
            with self._reader(repository) as reader:
                try:
                    reader.commit(commit)
                except NotFoundError as error:
                    raise RetryError("MirrorBroken", f"a branch of the mirror names {commit}, which is lost") from error
            return True
        arguments = ("for-each-ref", "--count=1", f"--contains={commit}", "--format=%(refname)", "refs/heads/")
        ended = self._git.run(self._present(repository), *arguments, seconds=self._limits.local)
        if not ended.code:
            return bool(ended.out)
        with self._reader(repository) as reader:
            if reader.has(commit):
                raise RetryError("MirrorBroken", f"the mirror of {repository.full_name} cannot be read: made anew")
        return False

    @contextlib.contextmanager
    def _locked(self, repository: Repository) -> Iterator[int]:
        """Hold the repository's lock; the descriptor goes to git, so that it stays locked while a git of ours lives."""
        descriptor = os.open(self._root / f"{repository.id:d}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        end = time.monotonic() + self._limits.lock
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise RetryError("MirrorBusy", f"{repository.full_name} is being fetched already") from None
                    time.sleep(_WAIT)
            yield descriptor
        finally:
            os.close(descriptor)

    def _clone(self, repository: Repository, url: str, *, lock: int) -> None:
        mirror = self._path(repository)
        with private_folder(mirror) as folder:
            made = self._git.run(folder, "init", "--bare", "--quiet", "--template=", seconds=self._limits.local)
            if made.code:
                raise RetryError("MirrorBroken", f"git cannot make a mirror: {plain(made.complaint)}")
            ended = self._fetch_into(folder, url, lock=lock)
            if ended.code:
                raise self._failure(repository, ended)
            failpoint("mirror_clone.before")
            with private_folder(self._root / f"{mirror.name}.old") as old:
                if mirror.exists():
                    mirror.rename(old / mirror.name)
                folder.rename(mirror)
        self._broken_mark(repository).unlink(missing_ok=True)

    def _update(self, repository: Repository, url: str, *, lock: int) -> None:
        mirror = self._path(repository)
        packs = mirror / "objects" / "pack"
        before = set(packs.glob("*"))
        for stale in packs.glob("tmp_*"):
            stale.unlink(missing_ok=True)
        try:
            ended = self._fetch_into(mirror, url, lock=lock)
        except BaseException:
            _remove_new(packs, before)
            raise
        if ended.code:
            _remove_new(packs, before)
            if is_about_the_remote(ended.complaint):
                raise self._failure(repository, ended)
            self._clone(repository, url, lock=lock)
        elif len(list(packs.glob("*.pack"))) > self._limits.packs:
            self._git.run(mirror, "repack", "-a", "-d", "-q", seconds=self._limits.fetch, keep_open=lock)
            self._git.run(mirror, "pack-refs", "--all", seconds=self._limits.local, keep_open=lock)

    def _fetch_into(self, folder: Path, url: str, *, lock: int) -> Ended:
        """Fetch every branch, and forget those that are gone.

        A page of a proxy's, or an empty one, is to git a repository without branches (it takes any answer that is not
        Git's for the old "dumb" protocol). HEAD is asked for with them, so that such an answer fails before anything
        is forgotten. Where the forge has no such branch, nothing is forgotten either.
        """
        ended = self._run_fetch(folder, "--prune", "--end-of-options", url, "HEAD", _HEADS, lock=lock)
        if ended.code and _NO_HEAD in ended.complaint:
            return self._run_fetch(folder, "--end-of-options", url, _HEADS, lock=lock)
        return ended

    def _run_fetch(self, folder: Path, *what: str, lock: int) -> Ended:
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--force")
        arguments = ("fetch", *options, "--no-recurse-submodules", *what)
        ended = self._git.run(
            folder,
            *arguments,
            seconds=self._limits.fetch,
            remote=True,
            watch=lambda: self._watch_size(folder),
            keep_open=lock,
        )
        self._watch_size(folder)
        return ended

    def _watch_size(self, folder: Path) -> None:
        """Refuse what grows over the limit; everything is received into packs, so only these are looked at."""
        limit = self._limits.mirror
        if _size(folder / "objects" / "pack") > limit:
            raise RefusedError("repo_too_large", f"the repository is larger than limit={limit} bytes")

    def _failure(self, repository: Repository, ended: Ended) -> Exception:
        if speaks_of_full_disk(ended.complaint):
            return disk_low(f"{repository.full_name} could not be fetched")
        return name_failure(repository.full_name, ended.complaint, secret=self._token())


def _size(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_size
    return total


def _remove_new(folder: Path, before: set[Path]) -> None:
    for path in set(folder.glob("*")) - before:
        path.unlink(missing_ok=True)

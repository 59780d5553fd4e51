"""Git and the forge: what a repository holds, and what we say and do there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from gitops.records import Frozen, Repository
from gitops.reviews import Review

READABLE = 25 * 1024**2
"""Bytes of a file that is read through the forge, unless somebody says how many."""


@dataclass(frozen=True)
class ForgeRepository:
    """A repository as the forge describes it."""

    id: int
    full_name: str
    default_branch: str
    clone_url: str
    html_url: str


class Pull(Frozen):
    """A pull request in the facts we need."""

    number: int
    url: str
    state: str
    merged: bool
    head_ref: str
    head_sha: str
    base_ref: str
    title: str = ""
    body: str = ""
    merge_sha: str = ""
    merged_by: str = ""
    closed_by: str = ""
    head_by_us: bool = True


class Commit(Frozen):
    """A commit that an edit made, or found already made."""

    sha: str


class Ahead(Frozen):
    """What a commit has beyond another one.

    Args:
        commits: how many.
        by_us: whether we wrote all of them; False as well where the two share no history.
    """

    commits: int
    by_us: bool


class CheckState(StrEnum):
    """How a check on a commit stands."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    NEUTRAL = "neutral"


@dataclass(frozen=True)
class Check:
    """What we say about a commit.

    Args:
        name: `launchpin/train (MODEL)`, `launchpin/plan (ENVIRONMENT)`, ...
        title: one sentence, the first 140 characters of which must be enough.
        summary: Markdown with the details.
        path: the file it speaks of, with `line`, where it speaks of one.
    """

    name: str
    state: CheckState
    title: str
    summary: str = ""
    url: str = ""
    path: str = ""
    line: int = 0


class Forge(Protocol):
    """GitHub, or something that speaks as it does."""

    def repository(self, full_name: str) -> ForgeRepository:
        """Return a repository.

        Raises:
            NotFoundError: when there is none, or we may not see it.
        """
        ...

    def ensure_repository(self, full_name: str) -> ForgeRepository:
        """Return the repository, made empty and private when there was none."""
        ...

    def ensure_hook(self, full_name: str, *, url: str, secret: str) -> int:
        """Return the id of the webhook that sends our events to this address with this secret, made or mended."""
        ...

    def head(self, full_name: str, branch: str) -> str:
        """Return the commit a branch points at, empty when there is no such branch."""
        ...

    def ahead(self, full_name: str, *, base: str, head: str) -> Ahead:
        """Return what a commit has beyond a base, whether or not there is a pull request of it."""
        ...

    def read_file(self, full_name: str, *, ref: str, path: str, most: int = READABLE) -> bytes | None:
        """Return a file's bytes at a ref or commit; None when it is not there.

        Raises:
            RefusedError: `repo_too_large` when it has more bytes than that.
        """
        ...

    def commit_file(
        self, full_name: str, *, parent: str, branch: str, path: str, content: bytes, message: str, create: bool
    ) -> Commit:
        """Commit one changed file on top of `parent` and move the branch there, never by force.

        Args:
            create: make the branch; otherwise it must point at `parent` or an ancestor of it.

        Raises:
            ConflictError: when the branch moved meanwhile, or exists already with `create`.
        """
        ...

    def find_pull(self, full_name: str, *, head: str, base: str) -> Pull | None:
        """Return the newest pull request from a branch of the same repository, open ones first."""
        ...

    def pull(self, full_name: str, number: int) -> Pull:
        """Return a pull request."""
        ...

    def open_pulls(self, full_name: str) -> Sequence[Pull]:
        """Return the open pull requests."""
        ...

    def open_pull(self, full_name: str, *, head: str, base: str, title: str, body: str) -> Pull:
        """Open a pull request, or return the one that is open already for this head and base."""
        ...

    def update_pull(self, full_name: str, number: int, *, title: str, body: str) -> Pull:
        """Change the title and body."""
        ...

    def close_pull(self, full_name: str, number: int) -> None:
        """Close a pull request without merging it."""
        ...

    def merge_pull(self, full_name: str, number: int, *, head_sha: str, title: str) -> str:
        """Merge a pull request whose head is this commit, and return the merge commit.

        Raises:
            ConflictError: when the head moved or it cannot be merged.
        """
        ...

    def reviews(self, full_name: str, number: int) -> Sequence[Review]:
        """Return the reviews of a pull request that were submitted, the oldest first."""
        ...

    def pull_files(self, full_name: str, number: int) -> Sequence[str]:
        """Return the paths a pull request changes."""
        ...

    def report_check(self, full_name: str, sha: str, check: Check) -> None:
        """Say something about a commit; the same name again replaces what was said."""
        ...

    def checks(self, full_name: str, sha: str) -> Mapping[str, CheckState]:
        """Return the state of every check and status on a commit, by name, ours among them."""
        ...


class Mirror(Protocol):
    """Local copies of the connected repositories, read without a work tree."""

    def fetch(self, repository: Repository) -> None:
        """Bring the mirror up to date.

        Raises:
            RetryError: when the forge does not answer.
            RefusedError: when a limit is passed (`repo_too_large`) or the address is not allowed (`url_scheme`).
        """
        ...

    def delete_branch(self, repository: Repository, branch: str, *, at: str) -> None:
        """Delete a branch of ours on the forge, if it still is at this commit.

        Raises:
            ConflictError: when it moved or is gone.
            RefusedError: when the forge does not let us.
        """
        ...

    def heads(self, repository: Repository) -> Mapping[str, str]:
        """Return the commit of each `refs/heads/...`."""
        ...

    def files(self, repository: Repository, commit: str) -> Sequence[str]:
        """Return the paths of all regular files at a commit."""
        ...

    def read(self, repository: Repository, commit: str, path: str) -> bytes | None:
        """Return a regular file's bytes; None when it is not there.

        Raises:
            RefusedError: `symlink_config` when the path is a link.
        """
        ...

    def changed_paths(self, repository: Repository, old: str, new: str) -> Sequence[str]:
        """Return the paths that differ; all paths of `new` when `old` is empty or unknown."""
        ...

    def first_parents(self, repository: Repository, commit: str, *, limit: int) -> Sequence[str]:
        """Return the commits of the first-parent line, newest first."""
        ...

    def committed_at(self, repository: Repository, commit: str) -> datetime | None:
        """Return when a commit was made, by the clock of whoever made it; None when it names no moment."""
        ...

    def message(self, repository: Repository, commit: str) -> str:
        """Return the commit's message."""
        ...

    def checkout(self, repository: Repository, commit: str, into: Path) -> None:
        """Write exactly this commit's tree into a new folder; no hooks, filters, submodules or links out of it.

        Raises:
            RefusedError: when the commit is on no watched branch, or the tree passes a limit.
        """
        ...

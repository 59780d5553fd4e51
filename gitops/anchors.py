"""Anchors: signed audit heads, written to a branch of each deploy repository by one writer, append-only.

Whoever rewrites the database later must also rewrite Git. At most one commit a minute; nothing waits for it. However
long the log is, a run reads the newest file of the branch and the heads that are not there yet.
"""

import hashlib
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from gitops.audit.bundle import find_notes, name_anchors
from gitops.errors import ConflictError, RetryError
from gitops.ports import Commit, Deps
from gitops.ports.tallies import ANCHOR_REF, Anchored, note_anchored, read_anchored
from gitops.records import Repository, Role, WatchedRef
from gitops.steps import Outcome, Step, Story, Wait
from gitops.writes import MoveRef

BRANCH = "launchpin-audit"
HEADS = 512
"""A file that holds so many is full, and the next head begins another: each commit stores its file anew."""

_AT_ONCE = 20_000
"""Heads in one commit, some 5 MB: a repository that is connected late gets many at once."""

_READABLE = 34 * 1024**2
"""The file of an installation that had but one may be this long, in bytes; it is read once more and never again."""


@dataclass(frozen=True)
class _Branch:
    """What the branch holds, from one file on.

    Args:
        number: of the last file.
        text: the last file.
        digests: of all notes that were found.
        count: how many of them the last file has.
    """

    number: int
    text: str = ""
    digests: AbstractSet[bytes] = frozenset()
    count: int = 0


def anchor(deps: Deps, repository: Repository) -> Outcome:
    """Append the heads that the branch does not have yet."""
    newest = deps.audit.newest_checkpoint()
    if newest is None:
        return _wait(deps)
    held = deps.store.watched_ref(repository.id, ANCHOR_REF)
    head = deps.forge.head(repository.full_name, BRANCH)
    known = read_anchored(held.message) if held is not None else Anchored()
    if held is not None and held.commit == head and newest.size <= known.size:
        return _wait(deps)
    branch, since = _look(deps, repository, head, known)
    missing, size = _compare(deps, branch, since)
    if not missing:
        acknowledged = _acknowledge(repository, held, head, Anchored(size, branch.number))
        if acknowledged:
            # An answer of ours may have been lost.
            deps.effects.renew("anchor", _key(repository), content=branch.text, act=lambda: None)
        return _wait(deps, acknowledged)
    parent = head or deps.forge.head(repository.full_name, repository.default_branch)
    if not parent:
        return _wait(deps)
    file = _Branch(branch.number + 1) if branch.count >= HEADS else branch
    content = file.text + "".join(f"{note}\n" for note in missing)
    commit = _commit(
        deps, repository, parent=parent, file=file.number, content=content, create=not head, size=len(missing)
    )
    return _wait(deps, _acknowledge(repository, held, commit.sha, Anchored(size, file.number)))


def _look(deps: Deps, repository: Repository, head: str, known: Anchored) -> tuple[_Branch, int]:
    """Return what the branch holds from the acknowledged head on, and the size from which on heads must be there, too.

    Where the branch does not have that head any more, somebody set it back: then both from the very first.
    """
    branch = _read(deps, repository, head, first=known.file)
    acknowledged = deps.audit.checkpoints(since=known.size, limit=1)
    is_there = any(each.size == known.size and _digest(each.note) in branch.digests for each in acknowledged)
    if is_there or known == Anchored():
        return branch, known.size
    return _read(deps, repository, head, first=1), 0


def _read(deps: Deps, repository: Repository, head: str, *, first: int) -> _Branch:
    """Read the branch's files from one on to the last."""
    digests: set[bytes] = set()
    branch, number = _Branch(first), first
    while head:
        path = name_anchors(number)
        written = deps.forge.read_file(repository.full_name, ref=head, path=path, most=_READABLE)
        if written is None:
            break
        text = written.decode()
        found = {_digest(note) for note in find_notes(text)}
        digests |= found
        branch = _Branch(number, text, digests, len(found))
        number += 1
    return branch


def _compare(deps: Deps, branch: _Branch, since: int) -> tuple[Sequence[str], int]:
    """Return the first notes that the branch lacks, and the size up to which it has all heads with these."""
    missing: list[str] = []
    size = since
    while page := deps.audit.checkpoints(since=since, limit=_AT_ONCE):
        for each in page:
            if _digest(each.note) not in branch.digests:
                if len(missing) == _AT_ONCE:
                    return missing, size
                missing.append(each.note)
            size = each.size
        since = size + 1
    return missing, size


def _digest(note: str) -> bytes:
    """Return what stands for a note while there are many of them."""
    return hashlib.sha256(note.encode()).digest()


def _key(repository: Repository) -> str:
    return f"anchor:{repository.id}"


def _acknowledge(
    repository: Repository, held: WatchedRef | None, commit: str, anchored: Anchored
) -> tuple[MoveRef, ...]:
    """Return the write that remembers up to where Git has the heads, where that is news."""
    message = note_anchored(anchored)
    now = WatchedRef(repository_id=repository.id, ref=ANCHOR_REF, commit=commit, message=message)
    return () if held == now else (MoveRef(now),)


def _commit(
    deps: Deps, repository: Repository, *, parent: str, file: int, content: str, create: bool, size: int
) -> Commit:
    made: list[Commit] = []

    def append() -> None:
        commit = deps.forge.commit_file(
            repository.full_name,
            parent=parent,
            branch=BRANCH,
            path=name_anchors(file),
            content=content.encode(),
            message=f"Anchor {size} audit head{'s' if size > 1 else ''}",
            create=create,
        )
        made.append(commit)

    try:
        # The branch was read and lacks them, whatever was written before: somebody may have set it back.
        deps.effects.renew("anchor", _key(repository), content=content, act=append, anew=True)
    except ConflictError as error:
        # Somebody else wrote to the branch, or an answer of ours was lost: read it again.
        raise RetryError("AnchorMoved", f"{BRANCH} moved: {error}", after=1.0) from error
    return made[0]


def _wait(deps: Deps, writes: tuple[MoveRef, ...] = ()) -> Wait:
    return Wait(deps.service.anchor, "Anchoring", "writes new audit heads to Git", writes=writes)


def _load(deps: Deps, subject: str) -> Repository | None:
    repository = deps.store.repository(int(subject))
    return repository if repository is not None and repository.role is Role.DEPLOY else None


ANCHOR = Story("anchor", (Step("anchor", anchor),), _load)

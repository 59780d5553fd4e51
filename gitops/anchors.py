"""Anchors: signed audit heads, written to a branch of each deploy repository by one writer, append-only.

Whoever rewrites the database later must also rewrite Git. At most one commit a minute; nothing waits for it.
"""

from gitops.errors import ConflictError, RetryError
from gitops.ports import Commit, Deps
from gitops.ports.tallies import ANCHOR_REF, note_anchored
from gitops.records import Repository, Role, WatchedRef
from gitops.steps import Outcome, Step, Story, Wait
from gitops.writes import MoveRef

BRANCH = "launchpin-audit"
FILE = "checkpoints.txt"


def anchor(deps: Deps, repository: Repository) -> Outcome:
    """Append the heads that the branch does not have yet."""
    heads = deps.audit.checkpoints()
    if not heads:
        return _wait(deps)
    notes = [head.note for head in heads]
    held = deps.store.watched_ref(repository.id, ANCHOR_REF)
    head = deps.forge.head(repository.full_name, BRANCH)
    written = deps.forge.read_file(repository.full_name, ref=head, path=FILE) if head else None
    text = (written or b"").decode()
    missing = [note for note in notes if f"{note}\n" not in text]
    if not missing:
        acknowledged = _acknowledge(repository, held, head, size=heads[-1].size)
        if acknowledged:
            # An answer of ours may have been lost.
            deps.effects.renew("anchor", _key(repository), content=text, act=lambda: None)
        return _wait(deps, acknowledged)
    default = deps.forge.head(repository.full_name, repository.default_branch)
    if not head and not default:
        return _wait(deps)
    content = text + "".join(f"{note}\n" for note in missing)
    commit = _commit(deps, repository, parent=head or default, content=content, create=not head, size=len(missing))
    return _wait(deps, _acknowledge(repository, held, commit.sha, size=heads[-1].size))


def _key(repository: Repository) -> str:
    return f"anchor:{repository.id}"


def _acknowledge(repository: Repository, held: WatchedRef | None, commit: str, *, size: int) -> tuple[MoveRef, ...]:
    """Return the write that remembers up to where Git has the heads, where that is news."""
    now = WatchedRef(repository_id=repository.id, ref=ANCHOR_REF, commit=commit, message=note_anchored(size))
    return () if held == now else (MoveRef(now),)


def _commit(deps: Deps, repository: Repository, *, parent: str, content: str, create: bool, size: int) -> Commit:
    made: list[Commit] = []

    def append() -> None:
        commit = deps.forge.commit_file(
            repository.full_name,
            parent=parent,
            branch=BRANCH,
            path=FILE,
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

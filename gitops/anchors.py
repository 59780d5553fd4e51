"""Anchors: signed audit heads, written to a branch of each deploy repository by one writer, append-only.

Whoever rewrites the database later must also rewrite Git. At most one commit a minute; nothing waits for it.
"""

from gitops.errors import ConflictError, RetryError
from gitops.ports import Commit, Deps
from gitops.records import Repository, Role
from gitops.steps import Outcome, Step, Story, Wait

BRANCH = "launchpin-audit"
FILE = "checkpoints.txt"


def anchor(deps: Deps, repository: Repository) -> Outcome:
    """Append the heads that the branch does not have yet."""
    notes = [note.note for note in deps.audit.checkpoints()]
    if not notes:
        return _wait(deps)
    head = deps.forge.head(repository.full_name, BRANCH)
    written = deps.forge.read_file(repository.full_name, ref=head, path=FILE) if head else None
    text = (written or b"").decode()
    missing = [note for note in notes if f"{note}\n" not in text]
    if not missing:
        return _wait(deps)
    default = deps.forge.head(repository.full_name, repository.default_branch)
    if not head and not default:
        return _wait(deps)
    content = text + "".join(f"{note}\n" for note in missing)
    _commit(deps, repository, parent=head or default, content=content, create=not head, size=len(missing))
    return _wait(deps)


def _commit(deps: Deps, repository: Repository, *, parent: str, content: str, create: bool, size: int) -> None:
    try:
        deps.effects.once(
            "anchor",
            f"anchor:{repository.id}:{parent}:{len(content)}",
            look=lambda: None,
            act=lambda: deps.forge.commit_file(
                repository.full_name,
                parent=parent,
                branch=BRANCH,
                path=FILE,
                content=content.encode(),
                message=f"Anchor {size} audit head{'s' if size > 1 else ''}",
                create=create,
            ),
            result=Commit,
        )
    except ConflictError as error:
        # Somebody else wrote to the branch, or an answer of ours was lost: read it again.
        raise RetryError("AnchorMoved", f"{BRANCH} moved: {error}", after=1.0) from error


def _wait(deps: Deps) -> Wait:
    return Wait(deps.service.anchor, "Anchoring", "writes new audit heads to Git")


def _load(deps: Deps, subject: str) -> Repository | None:
    repository = deps.store.repository(int(subject))
    return repository if repository is not None and repository.role is Role.DEPLOY else None


ANCHOR = Story("anchor", (Step("anchor", anchor),), _load)

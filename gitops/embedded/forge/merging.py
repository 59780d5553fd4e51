"""Make the commit of a merge, in one of GitHub's three ways, without a work tree and without moving a ref."""

from dataclasses import dataclass
from enum import StrEnum

import pygit2

from gitops.embedded.forge.git import commits_between


class Method(StrEnum):
    """GitHub's ways to merge a pull request."""

    MERGE = "merge"
    SQUASH = "squash"
    REBASE = "rebase"


class MergeConflictError(Exception):
    """The two sides change the same lines."""


@dataclass(frozen=True)
class Plan:
    """What to merge.

    Args:
        base: the commit of the base branch.
        head: the commit of the branch to merge.
        message: of the new commit; a rebase keeps the old messages.
        author: who wrote it, used by a squash.
        merger: who merges.
    """

    base: str
    head: str
    message: str
    author: pygit2.Signature
    merger: pygit2.Signature


def is_mergeable(git: pygit2.Repository, base: str, head: str) -> bool:
    """Whether the two merge without a conflict."""
    return not git.merge_commits(base, head).conflicts


def make_merge(git: pygit2.Repository, plan: Plan, method: Method) -> str:
    """Write the commit that the base branch shall go to.

    Returns:
        Its sha.

    Raises:
        MergeConflictError: when the two do not merge by themselves.
    """
    if method is Method.REBASE:
        return _rebase(git, plan)
    index = git.merge_commits(plan.base, plan.head)
    tree = _write(git, index)
    if method is Method.SQUASH:
        return str(git.create_commit(None, plan.author, plan.merger, plan.message, tree, [plan.base]))
    return str(git.create_commit(None, plan.merger, plan.merger, plan.message, tree, [plan.base, plan.head]))


def _rebase(git: pygit2.Repository, plan: Plan) -> str:
    tip = plan.base
    for commit in commits_between(git, plan.head, without=[plan.base], oldest_first=True):
        if len(commit.parents) > 1:
            continue
        ancestor = commit.parents[0].tree if commit.parents else git.TreeBuilder().write()
        index = git.merge_trees(ancestor, git[tip].peel(pygit2.Tree), commit.tree)
        tree = _write(git, index)
        tip = str(git.create_commit(None, commit.author, plan.merger, commit.message, tree, [tip]))
    return tip


def _write(git: pygit2.Repository, index: pygit2.Index) -> pygit2.Oid:
    if index.conflicts:
        raise MergeConflictError
    return index.write_tree(git)

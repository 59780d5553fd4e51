"""The parts of GitHub's replies that are read, and how they become our values. Everything else in them is ignored."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from gitops.ports import ForgeRepository, Pull
from gitops.reviews import Review


class ForgeReply(BaseModel):
    """A part of a reply."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class RepositoryReply(ForgeReply):
    """GET /repos/{owner}/{repo}."""

    id: int
    full_name: str
    default_branch: str | None = None
    clone_url: str
    html_url: str

    def value(self) -> ForgeRepository:
        """Return our value."""
        branch = self.default_branch or "main"
        return ForgeRepository(self.id, self.full_name, branch, self.clone_url, self.html_url)


class ObjectReply(ForgeReply):
    """Anything that is named by its SHA."""

    sha: str = Field(pattern=r"^[0-9a-f]{40}$")


class RefReply(ForgeReply):
    """GET /git/ref/{ref}."""

    ref: str
    object: ObjectReply


class GitCommitReply(ObjectReply):
    """GET /git/commits/{sha}."""

    tree: ObjectReply


class TreeEntryReply(ObjectReply):
    """One entry of a tree."""

    path: str
    mode: str
    type: str


class TreeReply(ObjectReply):
    """GET /git/trees/{sha}."""

    tree: list[TreeEntryReply]


class ContentReply(ObjectReply):
    """GET /contents/{path} of anything but a folder; without the content of large files."""

    type: str
    size: int = 0
    encoding: str = ""
    content: str = ""


class BlobReply(ForgeReply):
    """GET /git/blobs/{sha}."""

    encoding: str
    content: str


class AccountReply(ForgeReply):
    """Who did something."""

    login: str


class PullCommitReply(ObjectReply):
    """One commit of GET /pulls/{number}/commits."""

    author: AccountReply | None = None
    committer: AccountReply | None = None


class ComparisonReply(ForgeReply):
    """A page of GET /compare/{base}...{head}."""

    commits: list[PullCommitReply]


class SideRepositoryReply(ForgeReply):
    """The repository that the head or base of a pull request is in."""

    full_name: str


class SideReply(ForgeReply):
    """The head or base of a pull request; its repository is None when the fork is gone."""

    ref: str
    sha: str
    repo: SideRepositoryReply | None = None


class PullReply(ForgeReply):
    """A pull request; lists leave out `merged_by`."""

    number: int
    html_url: str
    state: str
    title: str = ""
    body: str | None = None
    merged_at: str | None = None
    merge_commit_sha: str | None = None
    merged_by: AccountReply | None = None
    head: SideReply
    base: SideReply

    def is_within(self, full_name: str) -> bool:
        """Return whether its head is a branch of this repository, and of no fork."""
        return self.head.repo is not None and self.head.repo.full_name.lower() == full_name.lower()

    def value(self, *, closed_by: str = "", head_by_us: bool = True) -> Pull:
        """Return our value."""
        merged = self.merged_at is not None
        return Pull(
            number=self.number,
            url=self.html_url,
            state=self.state,
            merged=merged,
            head_ref=self.head.ref,
            head_sha=self.head.sha,
            base_ref=self.base.ref,
            title=self.title,
            body=self.body or "",
            merge_sha=(self.merge_commit_sha or "") if merged else "",
            merged_by=self.merged_by.login if merged and self.merged_by else "",
            closed_by=closed_by,
            head_by_us=head_by_us,
        )


class IssueReply(ForgeReply):
    """GET /issues/{number}: a pull request is an issue too, and only as such tells who closed it."""

    closed_by: AccountReply | None = None


class MergeReply(ObjectReply):
    """PUT /pulls/{number}/merge."""

    merged: bool


class ReviewReply(ForgeReply):
    """One entry of GET /pulls/{number}/reviews; whose account is gone has none."""

    id: int
    state: str
    user: AccountReply | None = None
    commit_id: str | None = None

    def value(self) -> Review:
        """Return our value."""
        login = self.user.login if self.user else ""
        return Review(id=self.id, login=login, state=self.state, sha=self.commit_id or "")


class FileReply(ForgeReply):
    """One entry of GET /pulls/{number}/files."""

    filename: str
    previous_filename: str = ""


class HookConfigReply(ForgeReply):
    """Where a webhook delivers to; its secret is never shown."""

    url: str = ""


class HookReply(ForgeReply):
    """A webhook."""

    id: int
    config: HookConfigReply


class CheckOutputReply(ForgeReply):
    """What a check run says."""

    title: str | None = None
    summary: str | None = None


class CheckRunReply(ForgeReply):
    """A check run."""

    id: int
    name: str
    status: str
    conclusion: str | None = None
    details_url: str | None = None
    output: CheckOutputReply = Field(default_factory=CheckOutputReply)


class CheckRunsReply(ForgeReply):
    """GET /commits/{sha}/check-runs."""

    check_runs: list[CheckRunReply]


class StatusReply(ForgeReply):
    """A commit status."""

    context: str
    state: str
    description: str | None = None
    target_url: str | None = None

    def says(self, body: Mapping[str, JsonValue]) -> bool:
        """Return whether it is what this request would write."""
        wanted = {"target_url": "", **body}
        mine = {
            "context": self.context,
            "state": self.state,
            "description": self.description or "",
            "target_url": self.target_url or "",
        }
        return mine == wanted


class CombinedStatusReply(ForgeReply):
    """GET /commits/{sha}/status: the newest status of each context."""

    statuses: list[StatusReply]

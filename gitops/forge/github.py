"""GitHub, or something that speaks as it does, behind our port: https://docs.github.com/rest."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import quote

from pydantic import JsonValue

from gitops.errors import ConflictError, NotFoundError, StalledError
from gitops.forge.checks import Checks
from gitops.forge.commits import FileCommits
from gitops.forge.pacing import WriteLimits, WritePacer
from gitops.forge.replies import (
    AccountReply,
    ComparisonReply,
    FileReply,
    HookReply,
    IssueReply,
    MergeReply,
    PullCommitReply,
    PullReply,
    RefReply,
    RepositoryReply,
    ReviewReply,
)
from gitops.forge.wire import Wire, read_list, repo_path
from gitops.ports import READABLE, Ahead, Check, CheckState, Commit, ForgeRepository, Pull
from gitops.reviews import Review

EVENTS = ("push", "pull_request", "issue_comment", "check_run", "status")
_WEB_FLOW = "web-flow"  # the committer of what GitHub itself wrote on somebody's behalf
_UNSUBMITTED = "PENDING"
_INVALID = (HTTPStatus.UNPROCESSABLE_ENTITY,)
_MISSING = (HTTPStatus.NOT_FOUND,)


class GitHubForge:
    """One forge, seen as one account of it.

    Args:
        api_url: `https://api.github.com`, or `https://HOST/api/v3`.
        token: ours.
        login: our own login there, `launchpin[bot]` for example.
        limits: how many writes this process may make.
        silence: seconds to connect, and between two pieces of an answer.
        clock: monotonic seconds; what the forge asks us to wait is counted by it.
    """

    def __init__(
        self,
        api_url: str,
        token: str,
        *,
        login: str,
        limits: WriteLimits | None = None,
        silence: float = 15.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._login = login.lower()
        self._wire = Wire(api_url, token, WritePacer(limits or WriteLimits(), clock=clock), silence=silence)
        self._checks = Checks(self._wire)
        self._files = FileCommits(self._wire)

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def account(self) -> str:
        """Return whose token ours is; empty where it is an app's, which is nobody's."""
        reply = self._wire.get("/user", "asking whose token ours is", accept=(HTTPStatus.FORBIDDEN,))
        return "" if reply.status == HTTPStatus.FORBIDDEN else reply.read(AccountReply).login

    def repository(self, full_name: str) -> ForgeRepository:
        """Return a repository."""
        return self._wire.get(repo_path(full_name), f"looking for {full_name}").read(RepositoryReply).value()

    def ensure_repository(self, full_name: str) -> ForgeRepository:
        """Return the repository, made empty and private when there was none."""
        try:
            return self.repository(full_name)
        except NotFoundError:
            owner, name = full_name.split("/")
        path = "/user/repos" if owner.lower() == self._login else f"/orgs/{quote(owner)}/repos"
        body: dict[str, JsonValue] = {"name": name, "private": True, "auto_init": False}
        accept = (*_INVALID, *_MISSING, HTTPStatus.FORBIDDEN)
        reply = self._wire.write("POST", path, f"making {full_name}", body=body, accept=accept)
        if reply.status == HTTPStatus.UNPROCESSABLE_ENTITY and "already exists" in reply.message.lower():
            return self.repository(full_name)
        if reply.status >= HTTPStatus.BAD_REQUEST:
            raise StalledError("ForgeCredentials", f"{full_name} cannot be made by us ({reply.message}): make it first")
        return reply.read(RepositoryReply).value()

    def ensure_hook(self, full_name: str, *, url: str, secret: str) -> int:
        """Return the id of the webhook that sends our events to this address with this secret, made or mended."""
        config: dict[str, JsonValue] = {"url": url, "content_type": "json", "secret": secret, "insecure_ssl": "0"}
        body: dict[str, JsonValue] = {"active": True, "events": list(EVENTS), "config": config}
        what = f"installing the webhook of {full_name}"
        found = self._find_hook(full_name, url, what)
        if found is None:
            made = self._wire.write(
                "POST", repo_path(full_name, "hooks"), what, body={**body, "name": "web"}, accept=_INVALID
            )
            if made.status < HTTPStatus.BAD_REQUEST:
                return made.read(HookReply).id
            found = self._find_hook(full_name, url, what) if "already exists" in made.message.lower() else None
            if found is None:
                raise made.error()
        path = repo_path(full_name, "hooks", str(found))
        return self._wire.write("PATCH", path, what, body=body).read(HookReply).id

    def head(self, full_name: str, branch: str) -> str:
        """Return the commit a branch points at, empty when there is no such branch."""
        accept = (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)  # 409: the repository is empty
        path = repo_path(full_name, "git", "ref", "heads", branch)
        reply = self._wire.get(path, f"reading {branch} of {full_name}", accept=accept)
        return "" if reply.status in accept else reply.read(RefReply).object.sha

    def ahead(self, full_name: str, *, base: str, head: str) -> Ahead:
        """Return what a commit has beyond a base, whether or not there is a pull request of it."""
        path, what = repo_path(full_name, "compare", f"{base}...{head}"), f"comparing {head[:12]} with {base[:12]}"
        try:
            replies = list(self._wire.pages(path, what))
        except NotFoundError:  # GitHub's answer where the two share no history
            return Ahead(commits=1, by_us=False)
        commits = [commit for reply in replies for commit in reply.read(ComparisonReply).commits]
        return Ahead(commits=len(commits), by_us=self._are_ours(commits))

    def read_file(self, full_name: str, *, ref: str, path: str, most: int = READABLE) -> bytes | None:
        """Return a file's bytes at a ref or commit; None when it is not there.

        Raises:
            RefusedError: `repo_too_large` when it has more bytes than that.
        """
        return self._files.read(full_name, ref=ref, path=path, most=most)

    def commit_file(
        self, full_name: str, *, parent: str, branch: str, path: str, content: bytes, message: str, create: bool
    ) -> Commit:
        """Commit one changed file on top of `parent` and move the branch there, never by force.

        An empty `parent` begins a new history. The file keeps its mode.

        Raises:
            ConflictError: `branch_moved` when the branch moved meanwhile, or exists already with `create`.
            RefusedError: `branch_protected` when the branch takes pull requests only.
        """
        return self._files.commit(
            full_name, parent=parent, branch=branch, path=path, content=content, message=message, create=create
        )

    def find_pull(self, full_name: str, *, head: str, base: str) -> Pull | None:
        """Return the newest pull request from a branch of the same repository, open ones first."""
        found = self._find_pull(full_name, head=head, base=base)
        return self.pull(full_name, found.number) if found else None

    def pull(self, full_name: str, number: int) -> Pull:
        """Return a pull request."""
        reply = self._wire.get(repo_path(full_name, "pulls", str(number)), f"reading pull request {number}")
        return self._complete(full_name, reply.read(PullReply))

    def open_pulls(self, full_name: str) -> Sequence[Pull]:
        """Return the open pull requests of the repository's own branches and forks; `head_by_us` is not looked up."""
        return [found.value() for found in self._pulls(full_name, state="open")]

    def open_pull(self, full_name: str, *, head: str, base: str, title: str, body: str) -> Pull:
        """Open a pull request, or return the one that is open already for this head and base."""
        what = f"opening a pull request from {head} in {full_name}"
        fields: dict[str, JsonValue] = {"head": head, "base": base, "title": title, "body": body}
        reply = self._wire.write("POST", repo_path(full_name, "pulls"), what, body=fields, accept=_INVALID)
        if reply.status < HTTPStatus.BAD_REQUEST:
            return self._complete(full_name, reply.read(PullReply))
        said = reply.message.lower()
        if "already exists" in said:
            found = self._find_pull(full_name, head=head, base=base)
            if found and found.state == "open":
                return self.pull(full_name, found.number)
        if "already exists" in said or "no commits between" in said:
            raise ConflictError("pull_conflict", f"{what}: {reply.message}")
        raise reply.error()

    def update_pull(self, full_name: str, number: int, *, title: str, body: str) -> Pull:
        """Change the title and body."""
        return self._complete(full_name, self._edit_pull(full_name, number, {"title": title, "body": body}))

    def close_pull(self, full_name: str, number: int) -> None:
        """Close a pull request without merging it."""
        self._edit_pull(full_name, number, {"state": "closed"})

    def merge_pull(self, full_name: str, number: int, *, head_sha: str, title: str) -> str:
        """Merge a pull request whose head is this commit, and return the merge commit."""
        body: dict[str, JsonValue] = {"sha": head_sha, "merge_method": "merge", "commit_title": title}
        path = repo_path(full_name, "pulls", str(number), "merge")
        return self._wire.write("PUT", path, f"merging pull request {number}", body=body).read(MergeReply).sha

    def reviews(self, full_name: str, number: int) -> Sequence[Review]:
        """Return the reviews of a pull request that were submitted, the oldest first."""
        path, what = repo_path(full_name, "pulls", str(number), "reviews"), f"reading the reviews of pull {number}"
        replies = self._wire.pages(path, what)
        found = [one for reply in replies for one in read_list(ReviewReply, reply.content, reply=reply)]
        return [one.value() for one in found if one.state != _UNSUBMITTED]

    def pull_files(self, full_name: str, number: int) -> Sequence[str]:
        """Return the paths a pull request changes, the earlier names of renamed files among them."""
        path, what = repo_path(full_name, "pulls", str(number), "files"), f"reading the files of pull request {number}"
        replies = self._wire.pages(path, what)
        files = [file for reply in replies for file in read_list(FileReply, reply.content, reply=reply)]
        return sorted({name for file in files for name in (file.filename, file.previous_filename) if name})

    def report_check(self, full_name: str, sha: str, check: Check) -> None:
        """Say something about a commit; the same name again replaces what was said."""
        self._checks.report(full_name, sha, check)

    def checks(self, full_name: str, sha: str) -> Mapping[str, CheckState]:
        """Return the state of every check and status on a commit, by name, ours among them."""
        return self._checks.states(full_name, sha)

    def _find_hook(self, full_name: str, url: str, what: str) -> int | None:
        for reply in self._wire.pages(repo_path(full_name, "hooks"), what):
            for hook in read_list(HookReply, reply.content, reply=reply):
                if hook.config.url == url:
                    return hook.id
        return None

    def _find_pull(self, full_name: str, *, head: str, base: str) -> PullReply | None:
        owner = full_name.split("/", maxsplit=1)[0]
        found = [
            pull
            for pull in self._pulls(full_name, state="all", head=f"{owner}:{head}", base=base)
            if pull.is_within(full_name) and (pull.head.ref, pull.base.ref) == (head, base)
        ]
        return max(found, key=lambda pull: (pull.state == "open", pull.number), default=None)

    def _pulls(self, full_name: str, **query: str) -> list[PullReply]:
        replies = self._wire.pages(
            repo_path(full_name, "pulls"), f"listing the pull requests of {full_name}", query=query
        )
        return [pull for reply in replies for pull in read_list(PullReply, reply.content, reply=reply)]

    def _edit_pull(self, full_name: str, number: int, fields: Mapping[str, JsonValue]) -> PullReply:
        path = repo_path(full_name, "pulls", str(number))
        return self._wire.write("PATCH", path, f"changing pull request {number}", body=fields).read(PullReply)

    def _complete(self, full_name: str, pull: PullReply) -> Pull:
        """Ask for what the pull request itself does not tell: whose commits it has, or who closed it."""
        if pull.state == "open":
            return pull.value(head_by_us=self._is_head_by_us(full_name, pull.number))
        if pull.merged_at is not None:
            return pull.value()
        path = repo_path(full_name, "issues", str(pull.number))
        issue = self._wire.get(path, f"reading who closed pull request {pull.number}").read(IssueReply)
        return pull.value(closed_by=issue.closed_by.login if issue.closed_by else "")

    def _is_head_by_us(self, full_name: str, number: int) -> bool:
        path, what = repo_path(full_name, "pulls", str(number), "commits"), f"reading the commits of pull {number}"
        pages = self._wire.pages(path, what)
        return all(self._are_ours(read_list(PullCommitReply, reply.content, reply=reply)) for reply in pages)

    def _are_ours(self, commits: Iterable[PullCommitReply]) -> bool:
        """Return whether we wrote all of these commits; one that somebody else amended is theirs."""
        return all(
            commit.author is not None
            and commit.author.login.lower() == self._login
            and (commit.committer is None or commit.committer.login.lower() in {self._login, _WEB_FLOW})
            for commit in commits
        )

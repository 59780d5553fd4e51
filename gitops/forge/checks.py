"""What we say about a commit, as check runs where we are an app and as statuses elsewhere, and what all others say."""

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import JsonValue

from gitops.forge.replies import CheckRunReply, CheckRunsReply, CombinedStatusReply, StatusReply
from gitops.forge.wire import Wire, repo_path
from gitops.ports import Check, CheckState

_TITLE = 140  # characters of a status; a check run's title is cut alike, so that both read the same
_SUMMARY = 65535
_MESSAGE = 60_000
_CUT = "\n\n(cut here: the whole text is too long for the forge)"
_CONCLUSIONS = {CheckState.SUCCESS: "success", CheckState.FAILURE: "failure", CheckState.NEUTRAL: "neutral"}
_STATUSES = {
    CheckState.PENDING: "pending",
    CheckState.SUCCESS: "success",
    CheckState.FAILURE: "failure",
    CheckState.NEUTRAL: "success",  # a status knows no neutral
}
_LEVELS = {CheckState.FAILURE: "failure", CheckState.NEUTRAL: "warning"}
_READ = {
    "success": CheckState.SUCCESS,
    "neutral": CheckState.NEUTRAL,
    "skipped": CheckState.NEUTRAL,
    "pending": CheckState.PENDING,
}
# When two say something under one name, the one that asks for more care counts.
_CARE = (CheckState.FAILURE, CheckState.PENDING, CheckState.NEUTRAL, CheckState.SUCCESS)
_REFUSED = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)


class Checks:
    """Checks of one forge.

    Args:
        wire: the connection.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._is_app = True  # until the forge says otherwise

    def report(self, full_name: str, sha: str, check: Check) -> None:
        """Say something about a commit; the same name again replaces what was said, and nothing new is not sent."""
        if not (self._is_app and self._report_run(full_name, sha, check)):
            self._report_status(full_name, sha, check)

    def states(self, full_name: str, sha: str) -> Mapping[str, CheckState]:
        """Return what everybody says about a commit, by name."""
        found: dict[str, CheckState] = {}
        said = [(run.name, _run_state(run)) for run in self._runs(full_name, sha)]
        said += [
            (status.context, _READ.get(status.state, CheckState.FAILURE)) for status in self._statuses(full_name, sha)
        ]
        for name, state in said:
            found[name] = min(found.get(name, state), state, key=_CARE.index)
        return found

    def _statuses(self, full_name: str, sha: str) -> list[StatusReply]:
        """Return the newest status of each name."""
        replies = self._wire.pages(
            repo_path(full_name, "commits", sha, "status"), f"reading the statuses of {sha[:12]}"
        )
        return [status for reply in replies for status in reply.read(CombinedStatusReply).statuses]

    def _runs(self, full_name: str, sha: str, *, name: str = "") -> list[CheckRunReply]:
        path, what = repo_path(full_name, "commits", sha, "check-runs"), f"reading the checks of {sha[:12]}"
        query = {"filter": "latest"} | ({"check_name": name} if name else {})
        replies = self._wire.pages(path, what, query=query)
        return [run for reply in replies for run in reply.read(CheckRunsReply).check_runs]

    def _report_run(self, full_name: str, sha: str, check: Check) -> bool:
        """Report by a check run; False when we are no app."""
        runs = [run for run in self._runs(full_name, sha, name=check.name) if run.name == check.name]
        what = f"reporting {check.name} on {sha[:12]}"
        body = _run_body(check)
        for run in runs:
            if _says_the_same(run, check):
                return True
            path = repo_path(full_name, "check-runs", str(run.id))
            reply = self._wire.write("PATCH", path, what, body=body, accept=_REFUSED)
            if reply.status < HTTPStatus.BAD_REQUEST:
                reply.read(CheckRunReply)
                return True
        path = repo_path(full_name, "check-runs")
        reply = self._wire.write("POST", path, what, body={**body, "head_sha": sha}, accept=(HTTPStatus.FORBIDDEN,))
        if reply.status != HTTPStatus.FORBIDDEN:
            reply.read(CheckRunReply)
            return True
        if "app" not in reply.message.lower() and "not accessible" not in reply.message.lower():
            raise reply.error()
        self._is_app = False
        return False

    def _report_status(self, full_name: str, sha: str, check: Check) -> None:
        """Report by a status; they pile up, so that one that says the same already is not written again."""
        body: dict[str, JsonValue] = {
            "state": _STATUSES[check.state],
            "context": check.name,
            "description": _cut(check.title, _TITLE),
        }
        body |= {"target_url": check.url} if _is_link(check.url) else {}
        if any(status.says(body) for status in self._statuses(full_name, sha)):
            return
        path = repo_path(full_name, "statuses", sha)
        self._wire.write("POST", path, f"reporting {check.name}", body=body).read(StatusReply)


def _run_body(check: Check) -> dict[str, JsonValue]:
    summary = check.summary or check.title
    output: dict[str, JsonValue] = {"title": _cut(check.title, _TITLE), "summary": _cut(summary, _SUMMARY, mark=_CUT)}
    if check.path and check.line > 0 and check.state is not CheckState.PENDING:
        annotation: dict[str, JsonValue] = {
            "path": check.path,
            "start_line": check.line,
            "end_line": check.line,
            "annotation_level": _LEVELS.get(check.state, "notice"),
            "message": _cut(check.title, _MESSAGE),
        }
        output["annotations"] = [annotation]
    body: dict[str, JsonValue] = {"name": check.name, "output": output}
    if check.state in _CONCLUSIONS:
        body |= {"status": "completed", "conclusion": _CONCLUSIONS[check.state]}
    else:
        body |= {"status": "in_progress"}
    return body | ({"details_url": check.url} if _is_link(check.url) else {})


def _says_the_same(run: CheckRunReply, check: Check) -> bool:
    output = _run_body(check)["output"]
    link = not _is_link(check.url) or run.details_url == check.url
    said = {"title": run.output.title, "summary": run.output.summary}
    return link and _run_state(run) is check.state and isinstance(output, dict) and output == output | said


def _run_state(run: CheckRunReply) -> CheckState:
    if run.status != "completed":
        return CheckState.PENDING
    return _READ.get(run.conclusion or "", CheckState.FAILURE)


def _is_link(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _cut(text: str, limit: int, *, mark: str = "...") -> str:
    return text if len(text) <= limit else text[: limit - len(mark)] + mark

"""What was said about a commit: statuses by anybody, check runs by apps."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from gitops.embedded.forge.api.call import Call, answer, answer_page, slice_page
from gitops.embedded.forge.api.commits import commit_of
from gitops.embedded.forge.errors import ForgeError, Json, invalid, not_found, unprocessable
from gitops.embedded.forge.git import is_sha
from gitops.embedded.forge.records import CheckRun, Repository, Status, now
from gitops.embedded.forge.render import check_run_json, combined_state, repo_url, repository_json, status_json
from gitops.embedded.forge.state import Forge

DESCRIPTION_LIMIT = 140
TEXT_LIMIT = 65535
_STATES = {"error", "failure", "pending", "success"}
_RUN_STATES = {"queued", "in_progress", "completed", "waiting", "requested", "pending"}
_CONCLUSIONS = {
    "action_required",
    "cancelled",
    "failure",
    "neutral",
    "success",
    "skipped",
    "stale",
    "timed_out",
}
_COLUMNS = (
    "head_sha, name, status, conclusion, details_url, external_id, title, summary, text, user_id, started_at,"
    " completed_at"
)


def statuses_of(forge: Forge, repo: Repository, sha: str) -> list[Status]:
    """Return what was said about a commit, newest first."""
    sql = "SELECT * FROM statuses WHERE repo_id = ? AND sha = ? ORDER BY id DESC"
    return [Status(**dict(row)) for row in forge.db.rows(sql, repo.id, sha)]


def latest_statuses(forge: Forge, repo: Repository, sha: str) -> list[Status]:
    """Return the newest status of each context."""
    latest: dict[str, Status] = {}
    for status in statuses_of(forge, repo, sha):
        latest.setdefault(status.context, status)
    return list(latest.values())


def check_runs_of(forge: Forge, repo: Repository, sha: str, *, is_latest: bool = True) -> list[CheckRun]:
    """Return a commit's check runs, newest first; only the newest of each name unless asked otherwise."""
    rows = forge.db.rows("SELECT * FROM check_runs WHERE repo_id = ? AND head_sha = ? ORDER BY id DESC", repo.id, sha)
    runs = [CheckRun(**dict(row)) for row in rows]
    if not is_latest:
        return runs
    latest: dict[str, CheckRun] = {}
    for run in runs:
        latest.setdefault(run.name, run)
    return list(latest.values())


def create_status(call: Call) -> Response:
    """POST /statuses/{sha}."""
    repo, sha, state = call.repo, call.path["sha"], call.text("state")
    description, target = call.optional("description"), call.optional("target_url")
    if state not in _STATES:
        raise invalid("Status", "state")
    if description and len(description) > DESCRIPTION_LIMIT:
        message = f"description is too long (maximum is {DESCRIPTION_LIMIT} characters)"
        raise invalid("Status", "description", "custom", message=message)
    _check_link(target, "Status", "target_url")
    if not is_sha(sha):
        raise unprocessable(f"No commit found for SHA: {sha}")
    commit_of(call, repo, sha)
    with call.forge.transaction() as transaction:
        number = transaction.run(
            "INSERT INTO statuses (repo_id, sha, state, context, description, target_url, user_id, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(repo.id, sha, state, call.text("context", "default"), description, target, call.account.id, now()),
        )
    status = next(status for status in statuses_of(call.forge, repo, sha) if status.id == number)
    return answer(call, status_json(call.forge, repo, status), HTTPStatus.CREATED)


def list_statuses(call: Call) -> Response:
    """GET /commits/{ref}/statuses."""
    repo = call.repo
    sha = str(commit_of(call, repo, call.path["ref"]).id)
    return answer_page(call, statuses_of(call.forge, repo, sha), lambda status: status_json(call.forge, repo, status))


def get_combined_status(call: Call) -> Response:
    """GET /commits/{ref}/status."""
    repo = call.repo
    sha = str(commit_of(call, repo, call.path["ref"]).id)
    statuses, url = latest_statuses(call.forge, repo, sha), f"{repo_url(call.forge, repo)}/commits/{sha}"
    document: Json = {
        "state": combined_state(statuses),
        "sha": sha,
        "total_count": len(statuses),
        "statuses": [status_json(call.forge, repo, status) for status in statuses],
        "repository": repository_json(call.forge, repo),
        "commit_url": url,
        "url": f"{url}/status",
    }
    return answer(call, document)


def list_check_runs(call: Call) -> Response:
    """GET /commits/{ref}/check-runs."""
    repo = call.repo
    sha = str(commit_of(call, repo, call.path["ref"]).id)
    runs = check_runs_of(call.forge, repo, sha, is_latest=call.query.get("filter", "latest") == "latest")
    name, status = call.query.get("check_name"), call.query.get("status")
    runs = [run for run in runs if name in {None, run.name} and status in {None, run.status}]
    chosen, headers = slice_page(call, runs)
    rendered = [check_run_json(call.forge, repo, run) for run in chosen]
    return answer(call, {"total_count": len(runs), "check_runs": rendered}, headers=headers)


def get_check_run(call: Call) -> Response:
    """GET /check-runs/{id}."""
    repo = call.repo
    return answer(call, check_run_json(call.forge, repo, _find(call, repo)))


def create_check_run(call: Call) -> Response:
    """POST /check-runs."""
    _require_app(call)
    repo, sha, name = call.repo, call.text("head_sha"), call.text("name")
    if not is_sha(sha):
        raise unprocessable(f"No commit found for SHA: {sha}")
    commit_of(call, repo, sha)
    start = CheckRun(0, repo.id, sha, name, "queued", None, None, "", None, None, None, call.account.id, None, None)
    fields = _changed(call, start)
    values = [fields[column] for column in _COLUMNS.replace(" ", "").split(",")]
    with call.forge.transaction() as transaction:
        sql = f"INSERT INTO check_runs (repo_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608 - constant
        number = transaction.run(sql, repo.id, *values)
    run = CheckRun(**fields | {"id": number})
    return answer(call, check_run_json(call.forge, repo, run), HTTPStatus.CREATED)


def edit_check_run(call: Call) -> Response:
    """PATCH /check-runs/{id}."""
    _require_app(call)
    repo = call.repo
    run = _find(call, repo)
    fields = _changed(call, run)
    with call.forge.transaction() as transaction:
        transaction.run(
            "UPDATE check_runs SET name = ?, status = ?, conclusion = ?, details_url = ?, external_id = ?, title = ?,"
            " summary = ?, text = ?, started_at = ?, completed_at = ? WHERE id = ?",
            *(fields["name"], fields["status"], fields["conclusion"], fields["details_url"], fields["external_id"]),
            *(fields["title"], fields["summary"], fields["text"], fields["started_at"], fields["completed_at"], run.id),
        )
    return get_check_run(call)


def _changed(call: Call, run: CheckRun) -> dict[str, Any]:
    """Return a check run's columns with what the body says put in."""
    fields = asdict(run)
    for name in ("name", "status", "conclusion", "details_url", "external_id", "started_at", "completed_at"):
        if (given := call.optional(name)) is not None:
            fields[name] = given
    output = call.unverified_body.get("output")
    if output is not None:
        fields |= _output(output)
    if fields["conclusion"] is not None and "status" not in call.unverified_body:
        fields["status"] = "completed"
    if fields["status"] not in _RUN_STATES:
        raise invalid("CheckRun", "status")
    if fields["status"] == "completed":
        if fields["conclusion"] not in _CONCLUSIONS:
            raise invalid("CheckRun", "conclusion", "missing_field" if fields["conclusion"] is None else "invalid")
        fields["completed_at"] = fields["completed_at"] or now()
    else:
        fields["conclusion"] = fields["completed_at"] = None
    _check_link(fields["details_url"], "CheckRun", "details_url")
    fields["started_at"] = fields["started_at"] or now()
    return fields


def _output(output: object) -> dict[str, str | None]:
    if not isinstance(output, dict) or not all(isinstance(output.get(key), str) for key in ("title", "summary")):
        raise invalid("CheckRun", "output", "missing_field")
    text = output.get("text")
    if text is not None and not isinstance(text, str):
        raise invalid("CheckRun", "output")
    if len(output["summary"]) > TEXT_LIMIT or len(text or "") > TEXT_LIMIT:
        message = (
            f"Only {TEXT_LIMIT} characters are allowed; {max(len(output['summary']), len(text or ''))} were supplied."
        )
        raise invalid("CheckRun", "summary", "custom", message=message)
    return {"title": output["title"], "summary": output["summary"], "text": text}


def _check_link(url: str | None, resource: str, field: str) -> None:
    if url and not url.startswith(("http://", "https://")):
        message = f"{field} must use http(s) scheme"
        raise invalid(resource, field, "custom", message=message)


def _require_app(call: Call) -> None:
    if call.account.type != "Bot":
        raise ForgeError(HTTPStatus.FORBIDDEN, "You must authenticate via a GitHub App.")


def _find(call: Call, repo: Repository) -> CheckRun:
    row = call.forge.db.row("SELECT * FROM check_runs WHERE repo_id = ? AND id = ?", repo.id, call.number("id"))
    if row is None:
        raise not_found()
    return CheckRun(**dict(row))


_REPO = "/repos/{owner}/{repo}"
ROUTES = (
    ("POST", f"{_REPO}/statuses/{{sha}}", create_status),
    ("GET", f"{_REPO}/commits/{{ref:path}}/statuses", list_statuses),
    ("GET", f"{_REPO}/statuses/{{ref:path}}", list_statuses),
    ("GET", f"{_REPO}/commits/{{ref:path}}/status", get_combined_status),
    ("GET", f"{_REPO}/commits/{{ref:path}}/check-runs", list_check_runs),
    ("POST", f"{_REPO}/check-runs", create_check_run),
    ("GET", f"{_REPO}/check-runs/{{id}}", get_check_run),
    ("PATCH", f"{_REPO}/check-runs/{{id}}", edit_check_run),
)

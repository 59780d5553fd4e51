"""Webhooks of a repository and their deliveries: https://docs.github.com/rest/repos/webhooks."""

import json
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.responses import Response

from gitops.embedded.forge.api.call import Call, answer, answer_page, no_content
from gitops.embedded.forge.deliveries import delivery_rows, queue_again, queue_for
from gitops.embedded.forge.errors import Json, invalid, not_found
from gitops.embedded.forge.events import Scene
from gitops.embedded.forge.git import read_ref
from gitops.embedded.forge.records import Delivery, Hook, Repository, now
from gitops.embedded.forge.render import hook_json, repo_url
from gitops.embedded.forge.state import Transaction

_EVENTS = {"*", "check_run", "issue_comment", "ping", "pull_request", "pull_request_review", "push", "status"}


def list_hooks(call: Call) -> Response:
    """GET /hooks."""
    repo = call.repo
    return answer_page(call, _hooks(call, repo), lambda hook: _render(call, repo, hook))


def get_hook(call: Call) -> Response:
    """GET /hooks/{id}."""
    repo = call.repo
    return answer(call, _render(call, repo, _find(call, repo)))


def create_hook(call: Call) -> Response:
    """POST /hooks; a ping follows at once."""
    repo, moment = call.repo, now()
    config = _config(call)
    events = _events(call.unverified_body.get("events", ["push"]))
    hook = Hook(0, repo.id, "", "", "json", events, call.flag("active", default=True), moment, moment)
    hook = _configured(hook, config)
    if any(other.url == hook.url for other in _hooks(call, repo)):
        raise invalid("Hook", "", "custom", message="Hook already exists on this repository")
    with call.forge.transaction() as transaction:
        number = transaction.run(
            "INSERT INTO hooks (repo_id, url, secret, content_type, events, active, created_at, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            *(repo.id, hook.url, hook.secret, hook.content_type, hook.events, hook.active, moment, moment),
        )
        hook = replace(hook, id=number)
        _ping(call, transaction, repo, hook)
    return answer(call, _render(call, repo, hook), HTTPStatus.CREATED)


def edit_hook(call: Call) -> Response:
    """PATCH /hooks/{id}."""
    repo = call.repo
    before = _find(call, repo)
    events = before.events
    if "events" in call.unverified_body:
        events = _events(call.unverified_body["events"])
    added, removed = call.items("add_events"), call.items("remove_events")
    if added or removed:
        events = _events([name for name in [*events.split(","), *added] if name not in removed])
    hook = replace(before, events=events, active=call.flag("active", default=bool(before.active)))
    if "config" in call.unverified_body:
        hook = _configured(hook, {"secret": before.secret} | _config(call))
    with call.forge.transaction() as transaction:
        transaction.run(
            "UPDATE hooks SET url = ?, secret = ?, content_type = ?, events = ?, active = ?, updated_at = ?"
            " WHERE id = ?",
            *(hook.url, hook.secret, hook.content_type, hook.events, hook.active, now(), hook.id),
        )
    return get_hook(call)


def delete_hook(call: Call) -> Response:
    """DELETE /hooks/{id}."""
    hook = _find(call, call.repo)
    with call.forge.transaction() as transaction:
        transaction.run("DELETE FROM hooks WHERE id = ?", hook.id)
    return no_content()


def ping_hook(call: Call) -> Response:
    """POST /hooks/{id}/pings."""
    repo = call.repo
    hook = _find(call, repo)
    with call.forge.transaction() as transaction:
        _ping(call, transaction, repo, hook)
    return no_content()


def repeat_push(call: Call) -> Response:
    """POST /hooks/{id}/tests: the latest push to the default branch is told again, if the hook wants pushes."""
    repo = call.repo
    hook, name = _find(call, repo), f"refs/heads/{repo.default_branch}"
    git = call.forge.open(repo)
    if sha := read_ref(git, name):
        payload: Json = {"ref": name, "before": sha, "after": sha, "created": False, "deleted": False, "forced": False}
        pusher = {"name": call.account.login, "email": call.account.email}
        payload |= {"commits": [], "head_commit": None, "base_ref": None, "pusher": pusher}
        with call.forge.transaction() as transaction:
            full = Scene(call.forge, repo, git, call.account).payload(payload)
            wanting = [hook] if hook.wants("push") else []
            transaction.deliveries += queue_for(call.forge.db, wanting, "push", full)
    return no_content()


def _ping(call: Call, transaction: Transaction, repo: Repository, hook: Hook) -> None:
    document = hook_json(call.forge, repo, hook, None)
    payload: Json = {"zen": "Design for failure.", "hook_id": hook.id, "hook": document}
    full = Scene(call.forge, repo, call.forge.open(repo), call.account).payload(payload)
    transaction.deliveries += queue_for(call.forge.db, [hook], "ping", full)


def list_deliveries(call: Call) -> Response:
    """GET /hooks/{id}/deliveries: newest first; `cursor` is the number of the first one wanted."""
    repo = call.repo
    hook = _find(call, repo)
    deliveries = delivery_rows(call.forge.db, hook)
    cursor = call.query.get("cursor", "")
    if cursor.isascii() and cursor.isdigit():
        deliveries = [delivery for delivery in deliveries if delivery.id <= int(cursor)]
    size = min(max(int(call.query["per_page"]), 1), 100) if call.query.get("per_page", "").isdecimal() else 30
    headers = {}
    if len(deliveries) > size:
        url = f"{repo_url(call.forge, repo)}/hooks/{hook.id}/deliveries"
        headers["Link"] = f'<{url}?per_page={size}&cursor={deliveries[size].id}>; rel="next"'
    return answer(call, [_delivery_json(call, repo, item) for item in deliveries[:size]], headers=headers)


def get_delivery(call: Call) -> Response:
    """GET /hooks/{id}/deliveries/{delivery}."""
    repo = call.repo
    hook = _find(call, repo)
    delivery = _find_delivery(call, hook)
    document = _delivery_json(call, repo, delivery) | {
        "url": hook.url,
        "request": {"headers": json.loads(delivery.request_headers), "payload": json.loads(delivery.body)},
        "response": {"headers": json.loads(delivery.response_headers), "payload": delivery.response_body},
    }
    return answer(call, document)


def redeliver(call: Call) -> Response:
    """POST /hooks/{id}/deliveries/{delivery}/attempts: the same body under the same GUID."""
    hook = _find(call, call.repo)
    delivery = _find_delivery(call, hook)
    with call.forge.transaction() as transaction:
        transaction.deliveries.append(queue_again(call.forge.db, delivery))
    return answer(call, {}, HTTPStatus.ACCEPTED)


def _delivery_json(call: Call, repo: Repository, delivery: Delivery) -> Json:
    return {
        "id": delivery.id,
        "guid": delivery.guid,
        "delivered_at": delivery.delivered_at,
        "redelivery": bool(delivery.redelivery),
        "duration": delivery.duration,
        "status": delivery.status,
        "status_code": delivery.status_code,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": None,
        "repository_id": repo.id,
        "throttled_at": None,
        "url": f"{repo_url(call.forge, repo)}/hooks/{delivery.hook_id}/deliveries/{delivery.id}",
    }


def _config(call: Call) -> Json:
    config = call.unverified_body.get("config")
    if not isinstance(config, dict):
        raise invalid("Hook", "config", "missing_field")
    return config


def _configured(hook: Hook, config: Json) -> Hook:
    url, secret, content_type = config.get("url"), config.get("secret") or "", config.get("content_type", "json")
    if not isinstance(url, str) or not isinstance(secret, str):
        raise invalid("Hook", "url", "missing_field")
    if content_type != "json":
        message = "not in the embedded forge: content_type other than json"
        raise invalid("Hook", "content_type", "custom", message=message)
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not url.isascii() or any(character <= " " for character in url):
        raise invalid("Hook", "url", "custom", message="url is not supported because it is not http or https")
    return replace(hook, url=url, secret=secret, content_type="json")


def _events(names: object) -> str:
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise invalid("Hook", "events")
    unknown = sorted(set(names) - _EVENTS)
    if unknown:
        message = f"not in the embedded forge: {', '.join(unknown)}; it has {', '.join(sorted(_EVENTS))}"
        raise invalid("Hook", "events", "custom", message=message)
    return ",".join(dict.fromkeys(names))


def _hooks(call: Call, repo: Repository) -> list[Hook]:
    rows = call.forge.db.rows("SELECT * FROM hooks WHERE repo_id = ? ORDER BY id", repo.id)
    return [Hook(**dict(row)) for row in rows]


def _find(call: Call, repo: Repository) -> Hook:
    row = call.forge.db.row("SELECT * FROM hooks WHERE repo_id = ? AND id = ?", repo.id, call.number("id"))
    if row is None:
        raise not_found()
    return Hook(**dict(row))


def _find_delivery(call: Call, hook: Hook) -> Delivery:
    sql = "SELECT * FROM deliveries WHERE hook_id = ? AND id = ?"
    row = call.forge.db.row(sql, hook.id, call.number("delivery"))
    if row is None:
        raise not_found()
    return Delivery(**dict(row))


def _render(call: Call, repo: Repository, hook: Hook) -> Json:
    sql = "SELECT * FROM deliveries WHERE hook_id = ? AND state = 'done' ORDER BY id DESC LIMIT 1"
    row = call.forge.db.row(sql, hook.id)
    return hook_json(call.forge, repo, hook, Delivery(**dict(row)) if row else None)


_HOOKS = "/repos/{owner}/{repo}/hooks"
ROUTES = (
    ("GET", _HOOKS, list_hooks),
    ("POST", _HOOKS, create_hook),
    ("GET", f"{_HOOKS}/{{id}}", get_hook),
    ("PATCH", f"{_HOOKS}/{{id}}", edit_hook),
    ("DELETE", f"{_HOOKS}/{{id}}", delete_hook),
    ("POST", f"{_HOOKS}/{{id}}/pings", ping_hook),
    ("POST", f"{_HOOKS}/{{id}}/tests", repeat_push),
    ("GET", f"{_HOOKS}/{{id}}/deliveries", list_deliveries),
    ("GET", f"{_HOOKS}/{{id}}/deliveries/{{delivery}}", get_delivery),
    ("POST", f"{_HOOKS}/{{id}}/deliveries/{{delivery}}/attempts", redeliver),
)

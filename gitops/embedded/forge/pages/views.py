"""What the pages show, and what their buttons do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gitops.embedded.forge.accounts import use_link
from gitops.embedded.forge.api.checks import check_runs_of, latest_statuses
from gitops.embedded.forge.api.pulls import comments_of
from gitops.embedded.forge.errors import ForgeError, not_found
from gitops.embedded.forge.git import commits_between, diff_files, find_commit, is_sha, read_refs
from gitops.embedded.forge.merging import Method, is_mergeable
from gitops.embedded.forge.pages.diffs import shown_files
from gitops.embedded.forge.pages.sessions import Session, find_session, open_session, read_form
from gitops.embedded.forge.pulls import MergeWish, PullEdit, edit_pull, find_pull, list_pulls, merge_pull
from gitops.embedded.forge.records import Repository
from gitops.embedded.forge.render import message_of, name_of_author
from gitops.embedded.forge.render_pulls import pull_base, pull_facts
from gitops.embedded.forge.state import Forge

if TYPE_CHECKING:
    from jinja2 import Environment

_RECENT = 20
_WORDS = {"failure": "bad", "error": "bad", "timed_out": "bad", "action_required": "bad", "success": "good"}
_HEADS = "refs/heads/"
View = Callable[[Forge, Request, Session], Response]

_STYLE = resources.files("gitops.embedded.forge.pages").joinpath("style.css").read_text()


@dataclass(frozen=True)
class Check:
    """A status or a check run as the page lists it; `tone` is good, bad, busy or calm."""

    name: str
    word: str
    tone: str
    title: str
    summary: str
    link: str


def page_routes(forge: Forge) -> list[Route]:
    """Return the routes of all pages."""

    def page(view: View) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            try:
                return await run_in_threadpool(lambda: view(forge, request, find_session(forge, request)))
            except ForgeError as error:
                return _refuse(error)

        return serve

    async def login(request: Request) -> Response:
        return await run_in_threadpool(_login, forge, request)

    async def change(request: Request) -> Response:
        try:
            form = await read_form(forge, request)
            return await run_in_threadpool(_change_pull, forge, request, form)
        except ForgeError as error:
            return _refuse(error)

    async def missing(request: Request) -> Response:  # noqa: ARG001 - Starlette's form
        return _refuse(not_found("There is no such page."))

    async def style(request: Request) -> Response:  # noqa: ARG001 - Starlette's form
        return Response(_STYLE, media_type="text/css", headers={"Cache-Control": "max-age=300"})

    return [
        Route("/", page(_home)),
        Route("/_login/{token}", login),
        Route("/_assets/style.css", style),
        Route("/{owner}/{repo}", page(_repository)),
        Route("/{owner}/{repo}/commit/{sha}", page(_commit)),
        Route("/{owner}/{repo}/pull/{number:int}", page(_pull)),
        Route("/{owner}/{repo}/pull/{number:int}/{verb}", change, methods=["POST"]),
        Route("/{rest:path}", missing),
    ]


def _login(forge: Forge, request: Request) -> Response:
    """Use up a one-time link and go where it leads, within this forge."""
    if not use_link(forge.home, request.path_params["token"]):
        message = "This link was used before, or is older than 15 minutes. `launchpin status` prints a new one."
        return _refuse(ForgeError(HTTPStatus.FORBIDDEN, message))
    target = request.query_params.get("next", "/")
    is_ours = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    response = RedirectResponse(target if is_ours else "/", HTTPStatus.SEE_OTHER, {"Referrer-Policy": "no-referrer"})
    open_session(forge, response)
    return response


def _change_pull(forge: Forge, request: Request, form: dict[str, str]) -> Response:
    """Merge, close or reopen, as the person, what the page had shown."""
    account = find_session(forge, request).account
    repo, number = _repo_of(forge, request), int(request.path_params["number"])
    match request.path_params["verb"]:
        case "merge":
            method = Method(form["method"]) if form.get("method") in set(Method) else Method.MERGE
            wish = MergeWish(method, sha=form.get("sha", "") or "missing")
            merge_pull(forge, repo, account, number=number, wish=wish)
        case "close":
            edit_pull(forge, repo, account, number=number, edit=PullEdit(state="closed"))
        case "reopen":
            edit_pull(forge, repo, account, number=number, edit=PullEdit(state="open"))
        case _:
            raise not_found()
    return RedirectResponse(f"/{repo.full_name}/pull/{number}", HTTPStatus.SEE_OTHER)


def _home(forge: Forge, request: Request, session: Session) -> Response:  # noqa: ARG001 - a View
    repositories = [(repo, list_pulls(forge, repo)) for repo in forge.repositories()]
    return _show("home.html", session, repositories=repositories)


def _repository(forge: Forge, request: Request, session: Session) -> Response:
    repo = _repo_of(forge, request)
    git = forge.open(repo)
    branches = [
        (name.removeprefix(_HEADS), sha, find_commit(git, sha))
        for name, sha in sorted(read_refs(git).items())
        if name.startswith(_HEADS)
    ]
    head = find_commit(git, f"{_HEADS}{repo.default_branch}")
    walk = commits_between(git, str(head.id)) if head else iter(())
    commits = [commit for commit, _ in zip(walk, range(_RECENT), strict=False)]
    return _show(
        "repository.html",
        session,
        repo=repo,
        branches=branches,
        commits=[(commit, message_of(commit).partition("\n")[0]) for commit in commits],
        tones={str(commit.id): _tone(_checks(forge, repo, str(commit.id))) for commit in commits},
        pulls=list_pulls(forge, repo, state="all")[:_RECENT],
        clone_url=f"{forge.url}/{repo.full_name}.git",
    )


def _commit(forge: Forge, request: Request, session: Session) -> Response:
    repo, sha = _repo_of(forge, request), request.path_params["sha"]
    git = forge.open(repo)
    commit = find_commit(git, sha) if is_sha(sha) else None
    if commit is None:
        raise not_found("There is no such commit.")
    changes = diff_files(git, str(commit.parent_ids[0]) if commit.parent_ids else "", sha)
    title, _, message = message_of(commit).partition("\n")
    facts = {
        "author": name_of_author(commit.author),
        "title": title,
        "message": message.strip(),
        "files": shown_files(changes),
    }
    return _show("commit.html", session, repo=repo, commit=commit, checks=_checks(forge, repo, sha), **facts)


def _pull(forge: Forge, request: Request, session: Session) -> Response:
    repo = _repo_of(forge, request)
    pull = find_pull(forge, repo, int(request.path_params["number"]))
    git = forge.open(repo)
    facts, checks = pull_facts(git, pull), _checks(forge, repo, pull.head_sha)
    comments = [(forge.accounts.by_id(item.user_id), item) for item in comments_of(forge, repo, pull.number)]
    return _show(
        "pull.html",
        session,
        repo=repo,
        pull=pull,
        author=forge.accounts.by_id(pull.user_id),
        merger=forge.accounts.by_id(pull.merged_by),
        checks=checks,
        tone=_tone(checks),
        comments=comments,
        commits=[(commit, message_of(commit).partition("\n")[0]) for commit in facts.commits],
        files=shown_files(facts.files),
        is_clean=pull.is_open and is_mergeable(git, pull_base(git, pull), pull.head_sha),
        methods=list(Method),
    )


def _repo_of(forge: Forge, request: Request) -> Repository:
    return forge.repository(request.path_params["owner"], request.path_params["repo"])


def _checks(forge: Forge, repo: Repository, sha: str) -> list[Check]:
    """Return what was said about a commit, by name."""
    runs = [
        Check(
            name=run.name,
            word=(run.conclusion or run.status).replace("_", " "),
            tone=_WORDS.get(run.conclusion or "", "calm") if run.status == "completed" else "busy",
            title=run.title or "",
            summary=run.summary or "",
            link=run.details_url or "",
        )
        for run in check_runs_of(forge, repo, sha)
    ]
    statuses = [
        Check(
            name=status.context,
            word=status.state,
            tone=_WORDS.get(status.state, "busy"),
            title=status.description or "",
            summary="",
            link=status.target_url or "",
        )
        for status in latest_statuses(forge, repo, sha)
    ]
    return sorted([*runs, *statuses], key=lambda check: check.name)


def _tone(checks: list[Check]) -> str:
    tones = {check.tone for check in checks}
    return next((tone for tone in ("bad", "busy", "good", "calm") if tone in tones), "")


@cache
def _templates() -> "Environment":
    """Return what fills in our templates; loaded at the first page, since a forge may stand idle for ever."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    from gitops.embedded.forge.pages.markdown import render_markdown  # noqa: PLC0415

    templates = Environment(
        loader=PackageLoader("gitops.embedded.forge.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["markdown"] = render_markdown
    templates.filters["path"] = lambda text: quote(text, safe="")
    return templates


def _show(name: str, session: Session | None, **values: Any) -> Response:  # noqa: ANN401 - a template takes anything
    html = _templates().get_template(name).render(session=session, **values)
    return HTMLResponse(html, headers={"Cache-Control": "no-store"})


def _refuse(error: ForgeError) -> Response:
    messages = [error.message, *(str(entry.get("message", "")) for entry in error.errors)]
    html = _templates().get_template("refusal.html").render(session=None, status=error.status, messages=messages)
    return HTMLResponse(html, error.status, {"Cache-Control": "no-store"})

"""Repositories, their owners and branches, and what the API says about itself."""

from http import HTTPStatus

import pygit2
from starlette.responses import Response

from gitops.embedded.forge.api.call import Call, answer, answer_page, no_content
from gitops.embedded.forge.errors import ForgeError, Json, invalid, not_found
from gitops.embedded.forge.events import announce
from gitops.embedded.forge.git import ZERO, RefUpdate, edit_tree, find_commit, read_ref, read_refs, update_refs
from gitops.embedded.forge.records import Repository, now
from gitops.embedded.forge.render import commit_json, repo_url, repository_json, user_json

_HEADS = "refs/heads/"
_RATE = {"limit": 5000, "used": 0, "remaining": 5000, "reset": 4_102_444_800}


def get_meta(call: Call) -> Response:
    """GET /meta: https://docs.github.com/rest/meta/meta."""
    return answer(call, {"verifiable_password_authentication": False, "hooks": [], "installed_version": "launchpin"})


def get_rate_limit(call: Call) -> Response:
    """GET /rate_limit: this forge has none."""
    return answer(call, {"resources": {"core": _RATE, "search": _RATE, "graphql": _RATE}, "rate": _RATE})


def get_me(call: Call) -> Response:
    """GET /user."""
    return answer(call, user_json(call.forge, call.account))


def get_user(call: Call) -> Response:
    """GET /users/{login}."""
    account = call.forge.accounts.by_login(call.path["login"])
    if account is None:
        raise not_found()
    return answer(call, user_json(call.forge, account))


def get_org(call: Call) -> Response:
    """GET /orgs/{org}: any name is an organization here."""
    owner = call.forge.owner(call.path["org"])
    url = f"{call.forge.api}/orgs/{owner.login}"
    document = user_json(call.forge, owner) | {"url": url, "repos_url": f"{url}/repos", "hooks_url": f"{url}/hooks"}
    return answer(call, document)


def list_repos(call: Call) -> Response:
    """GET /user/repos, /orgs/{org}/repos and /users/{login}/repos."""
    owner = call.path.get("org") or call.path.get("login") or ""
    return answer_page(call, call.forge.repositories(owner), lambda repo: repository_json(call.forge, repo))


def create_own(call: Call) -> Response:
    """POST /user/repos."""
    if call.account.type != "User":
        raise ForgeError(HTTPStatus.FORBIDDEN, "Resource not accessible by integration")
    return _create(call, call.account.login)


def create_in_org(call: Call) -> Response:
    """POST /orgs/{org}/repos."""
    return _create(call, call.path["org"])


def _create(call: Call, owner: str) -> Response:
    fields: Json = {"private": call.flag("private"), "description": call.optional("description")}
    repo = call.forge.create_repository(owner, call.text("name"), fields=fields)
    if call.flag("auto_init"):
        with call.forge.lock(repo):
            _write_readme(call, repo)
            announce(call.forge, repo, call.account)
    document = repository_json(call.forge, call.forge.repository_by_id(repo.id))
    return answer(call, document, HTTPStatus.CREATED, headers={"Location": document["url"]})


def _write_readme(call: Call, repo: Repository) -> None:
    git = call.forge.open(repo)
    signature = pygit2.Signature(call.account.login, call.account.email)
    text = git.create_blob(f"# {repo.name}\n".encode())
    tree = edit_tree(git, None, {"README.md": (text, pygit2.enums.FileMode.BLOB)})
    sha = str(git.create_commit(None, signature, signature, "Initial commit\n", tree, []))
    update_refs(git, [RefUpdate(f"{_HEADS}{repo.default_branch}", ZERO, sha)])


def get_repo(call: Call) -> Response:
    """GET /repos/{owner}/{repo}."""
    return answer(call, repository_json(call.forge, call.repo))


def edit_repo(call: Call) -> Response:
    """PATCH /repos/{owner}/{repo}: description, private and default_branch."""
    repo = call.repo
    if call.text("name", repo.name).lower() != repo.name.lower():
        raise ForgeError(HTTPStatus.NOT_IMPLEMENTED, "not in the embedded forge: renaming a repository")
    branch = call.text("default_branch", repo.default_branch)
    with call.forge.lock(repo):
        git = call.forge.open(repo)
        if branch != repo.default_branch:
            if not read_ref(git, f"{_HEADS}{branch}"):
                raise invalid("Repository", "default_branch")
            git.set_head(f"{_HEADS}{branch}")
        private = call.flag("private", default=bool(repo.private))
        description = call.text("description", repo.description or "") or None
        with call.forge.transaction() as transaction:
            transaction.run(
                "UPDATE repositories SET default_branch = ?, private = ?, description = ?, updated_at = ? WHERE id = ?",
                *(branch, private, description, now(), repo.id),
            )
    return get_repo(call)


def delete_repo(call: Call) -> Response:
    """DELETE /repos/{owner}/{repo}."""
    call.forge.delete_repository(call.repo)
    return no_content()


def list_branches(call: Call) -> Response:
    """GET /repos/{owner}/{repo}/branches."""
    repo = call.repo
    refs = read_refs(call.forge.open(repo))
    branches = [(name.removeprefix(_HEADS), sha) for name, sha in sorted(refs.items()) if name.startswith(_HEADS)]
    url = repo_url(call.forge, repo)

    def render(branch: tuple[str, str]) -> Json:
        name, sha = branch
        return {"name": name, "commit": {"sha": sha, "url": f"{url}/commits/{sha}"}, "protected": False}

    return answer_page(call, branches, render)


def get_branch(call: Call) -> Response:
    """GET /repos/{owner}/{repo}/branches/{branch}."""
    repo, name = call.repo, call.path["branch"]
    commit = find_commit(call.forge.open(repo), f"{_HEADS}{name}")
    if commit is None:
        raise not_found("Branch not found")
    rendered = commit_json(call.forge, repo, commit)
    url = f"{repo_url(call.forge, repo)}/branches/{name}"
    links = {"self": url, "html": f"{call.forge.url}/{repo.full_name}/tree/{name}"}
    return answer(
        call,
        {"name": name, "commit": rendered, "_links": links, "protected": False, "protection_url": f"{url}/protection"},
    )


ROUTES = (
    ("GET", "/meta", get_meta),
    ("GET", "/rate_limit", get_rate_limit),
    ("GET", "/user", get_me),
    ("GET", "/users/{login}", get_user),
    ("GET", "/orgs/{org}", get_org),
    ("GET", "/user/repos", list_repos),
    ("GET", "/orgs/{org}/repos", list_repos),
    ("GET", "/users/{login}/repos", list_repos),
    ("POST", "/user/repos", create_own),
    ("POST", "/orgs/{org}/repos", create_in_org),
    ("GET", "/repos/{owner}/{repo}", get_repo),
    ("PATCH", "/repos/{owner}/{repo}", edit_repo),
    ("DELETE", "/repos/{owner}/{repo}", delete_repo),
    ("GET", "/repos/{owner}/{repo}/branches", list_branches),
    ("GET", "/repos/{owner}/{repo}/branches/{branch:path}", get_branch),
)

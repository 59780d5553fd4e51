"""What `launchpin add` reads from a clone and sets in it: its files, the remote, and the helper that signs pushes in.

No token is ever written into a clone: its configuration names the file that holds it.
"""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from gitops.cli.git import ask_git, current_branch, run_git, top_of
from gitops.config.files import find_one
from gitops.config.launchpin import LaunchpinFile, launchpin_files, parse_launchpin
from gitops.config.names import BadNameError, check_repository
from gitops.embedded.forge.accounts import USER_LOGIN
from gitops.errors import InputError, RefusedError
from gitops.records import Role

REMOTE = "launchpin"
OWNER = "local"
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class Clone:
    """A repository on a person's disk.

    Args:
        folder: its top folder.
        role: what its files say that it is for.
        branch: what is checked out, empty when that is no branch.
        has_commit: whether there is anything to push.
        launchpin: its launchpin.yaml files as far as they can be read.
        problems: the errors of those that cannot.
    """

    folder: Path
    role: Role
    branch: str
    has_commit: bool
    launchpin: tuple[LaunchpinFile, ...]
    problems: tuple[InputError, ...]


def read_clone(folder: Path) -> Clone:
    """Read what a repository is.

    Raises:
        InputError: `no_folder`, or `no_repository` when git does not know the folder.
        RefusedError: `RoleUnclear` when it is neither or both a model and a deploy repository.
    """
    if not folder.is_dir():
        raise InputError("no_folder", f"there is no folder {folder}: `launchpin init model {folder}` makes one")
    top = top_of(folder)
    if top is None:
        where = shlex.quote(str(folder))
        how = f"git -C {where} init -b main && git -C {where} add . && git -C {where} commit -m Begin"
        raise InputError("no_repository", f"{folder} is no git repository: {how}")
    paths = _list_files(top)
    read, problems = _read_all(top, launchpin_files(paths))
    return Clone(
        folder=top,
        role=find_role(paths, folder=folder),
        branch=current_branch(top),
        has_commit=bool(ask_git(top, "rev-parse", "--verify", "--quiet", "HEAD")),
        launchpin=read,
        problems=problems,
    )


def find_role(paths: Sequence[str], *, folder: Path) -> Role:
    """Return what a repository is for by its files.

    Raises:
        RefusedError: `RoleUnclear`, with what to do.
    """
    is_model = bool(launchpin_files(paths))
    folders = {str(PurePosixPath(path).parent) for path in paths}
    is_deploy = any(
        find_one(paths, "buildspec", folder=one) and find_one(paths, "endpoint", folder=one) for one in folders
    )
    match is_model, is_deploy:
        case True, False:
            return Role.MODEL
        case False, True:
            return Role.DEPLOY
        case True, True:
            message = f"{folder} has launchpin.yaml and endpoint.yaml: keep the model and its pins in two repositories"
            raise RefusedError("RoleUnclear", message)
        case _:
            message = (
                f"{folder} has neither a launchpin.yaml nor a buildspec.yml beside an endpoint.yaml: "
                f"`launchpin init model {folder}` writes what is missing"
            )
            raise RefusedError("RoleUnclear", message)


def _list_files(top: Path) -> list[str]:
    """Return the files that are committed, or would be."""
    listed = run_git(top, "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    return [path for path in listed.split("\0") if path]


def _read_all(top: Path, paths: Sequence[str]) -> tuple[tuple[LaunchpinFile, ...], tuple[InputError, ...]]:
    read: list[LaunchpinFile] = []
    problems: list[InputError] = []
    for path in paths:
        try:
            read.append(parse_launchpin((top / path).read_bytes(), file=path))
        except InputError as error:
            problems.append(error)
        except OSError as error:
            problems.append(InputError("file_unreadable", f"it cannot be read: {error.strerror}", file=path))
    return tuple(read), tuple(problems)


def choose_name(clone: Clone, given: str, *, forge_url: str) -> str:
    """Return OWNER/NAME: the given one, the one it was added as before, or one made from the folder.

    Raises:
        InputError: `name_invalid`.
    """
    name = given or _added_as(clone.folder, forge_url) or f"{OWNER}/{_clean(clone.folder.name)}"
    try:
        check_repository(name)
    except BadNameError as error:
        raise InputError(error.reason, f"{name}: {error}", field="--as") from None
    return name


def _added_as(folder: Path, forge_url: str) -> str:
    url = ask_git(folder, "remote", "get-url", REMOTE)
    if not url or urlsplit(url)[:2] != urlsplit(forge_url)[:2]:
        return ""
    return urlsplit(url).path.strip("/").removesuffix(".git")


def _clean(name: str) -> str:
    return _UNFIT.sub("-", name).strip("-.").removesuffix(".git") or "model"


def set_remote(folder: Path, clone_url: str) -> None:
    """Point the remote `launchpin` at a repository; again is harmless.

    Raises:
        InputError: `url_has_secret` when the URL holds a user or password.
    """
    if urlsplit(clone_url).username is not None:
        raise InputError("url_has_secret", "a clone's URL must hold no token")
    known = REMOTE in ask_git(folder, "remote").split()
    if known and ask_git(folder, "remote", "get-url", REMOTE) != clone_url:
        run_git(folder, "remote", "set-url", REMOTE, clone_url)
    elif not known:
        run_git(folder, "remote", "add", REMOTE, clone_url)


def set_helper(folder: Path, clone_url: str, *, token_file: Path) -> None:
    """Have git sign in to this one URL with the token in a file; again is harmless.

    The empty helper before ours keeps others, a keychain say, from being asked and from storing the token.
    """
    key = f"credential.{clone_url}.helper"
    run_git(folder, "config", "--local", "--replace-all", key, "")
    run_git(folder, "config", "--local", "--add", key, helper_for(token_file))


def helper_for(token_file: Path) -> str:
    """Return the shell snippet that answers git with the person's token."""
    file = shlex.quote(str(token_file.absolute()))
    answer = f"printf 'username={USER_LOGIN}\\npassword=%s\\n' \"$(cat {file})\""
    return f'!f() {{ if test "$1" = get; then {answer}; fi; }}; f'

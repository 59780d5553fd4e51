"""What merging an open pull request of a deploy repository would do, said on its head as a check. Changes nothing."""

from gitops.desired import Desired, check_pin, digest_of, environment_paths, is_touched, read_desired
from gitops.errors import InputError, NotFoundError, RefusedError
from gitops.ports import Check, CheckState, Commit, Deps, Pull
from gitops.records import Environment, Repository
from gitops.texts import code, short


def check_pulls(deps: Deps, repository: Repository) -> None:
    """Check every open pull request of the repository's own branches, once for each head."""
    for pull in deps.forge.open_pulls(repository.full_name):
        if pull.base_ref == repository.default_branch:
            _check_pull(deps, repository, pull)


def _check_pull(deps: Deps, repository: Repository, pull: Pull) -> None:
    heads = deps.mirror.heads(repository)
    if heads.get(f"refs/heads/{pull.head_ref}") != pull.head_sha:
        return  # not in the mirror yet, or a fork's: the next look finds it
    base = heads.get(f"refs/heads/{repository.default_branch}", "")
    touched = deps.mirror.changed_paths(repository, base, pull.head_sha)
    for path in environment_paths(tuple(deps.mirror.files(repository, pull.head_sha))):
        if is_touched(path, touched):
            deps.effects.once(
                "check_pull_request",
                f"check:{repository.id}:{pull.number}:{pull.head_sha}:{path}",
                look=lambda: None,
                act=lambda path=path: _report(deps, repository, pull, path),  # type: ignore[misc]
                result=Commit,
            )


def _report(deps: Deps, repository: Repository, pull: Pull, path: str) -> Commit:
    known = deps.store.environment(repository.id, path)
    deps.forge.report_check(repository.full_name, pull.head_sha, _judge(deps, repository, pull, path, known))
    return Commit(sha=pull.head_sha)


def _judge(deps: Deps, repository: Repository, pull: Pull, path: str, known: Environment | None) -> Check:
    name = known.name if known else path
    title = f"launchpin/plan ({name})"
    try:
        desired = read_desired(deps, repository, commit=pull.head_sha, path=path)
        version = check_pin(deps, desired, known=known)
    except InputError as error:
        return Check(
            title, CheckState.FAILURE, short(str(error)), code(str(error), limit=1000), path=error.file, line=error.line
        )
    except (RefusedError, NotFoundError) as error:
        return Check(title, CheckState.FAILURE, short(f"{error.reason}: {error}"), code(str(error), limit=1000))
    host = deps.targets[desired.endpoint.target].host()
    digest = digest_of(desired, environment=name, host=host, version=version)
    return Check(title, CheckState.SUCCESS, short(f"{_change(known, desired)}, plan {digest}"), url=pull.url)


def _change(known: Environment | None, desired: Desired) -> str:
    return f"{(known.serving if known else '') or 'nothing'} -> {desired.pin.model_version or 'nothing'}"

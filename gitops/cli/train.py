"""`launchpin train`, `retry` and `cancel`: trainings that a person begins, tries once more, or calls off."""

from collections.abc import Mapping
from pathlib import Path

import click
from click.core import ParameterSource

from gitops.cli.asking import have_done, is_endpoint, timeout_option
from gitops.cli.main import fail_unknown, json_option, stack_dir_option
from gitops.cli.suggest import endpoints, model_repositories, offers, open_trainings, trainings
from gitops.records import Role
from gitops.telling.library import Library, Reader
from gitops.telling.subjects import find_training


@click.command()
@click.argument("repository", required=False, default="", shell_complete=offers(model_repositories))
@click.option("--ref", metavar="BRANCH", default="", help="The branch; by default the repository's own.")
@click.option("--config", metavar="FILE", default="", help="The launchpin.yaml to follow, where there are several.")
@click.option("--force", is_flag=True, help="Train a commit that was trained before once more.")
@click.option(
    "--local",
    metavar="[DIR]",
    is_flag=False,
    flag_value=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Try the files of a folder, uncommitted changes too; nothing is registered.",
)
@timeout_option
@stack_dir_option
@json_option
@click.pass_context
def train(
    context: click.Context,
    *,
    repository: str,
    ref: str,
    config: str,
    force: bool,
    local: Path | None,
    timeout: float,
    stack_dir: Path,
    as_json: bool,
) -> int:
    """Train the head of a branch of REPOSITORY (OWNER/NAME) now, although nothing was pushed.

    A commit that was trained before is named, and not trained again without --force.

    With --local, the files of a folder (this one by default) are trained and judged here instead, as they are: exit
    code 0 when every gate holds, 1 when one does not, 2 when a file is wrong, 3 when there is no verdict.
    """
    if local is not None:
        _require_alone(context, repository)
        from gitops.cli.local import train_here  # noqa: PLC0415 - what a try needs is for a try alone

        return train_here(local, config=config, stack_dir=stack_dir, as_json=as_json)
    if not repository:
        raise click.UsageError("name a REPOSITORY (OWNER/NAME), or try the files of this folder with --local")

    def look_up(store: Reader) -> Mapping[str, str]:
        names = [one.full_name for one in store.repositories() if one.role is Role.MODEL]
        if repository not in names:
            fail_unknown("model repository", repository, names)
        return {}

    arguments = {"repository": repository, "ref": ref, "config": config, "force": "yes" if force else ""}
    return have_done("train", arguments, stack_dir, timeout=timeout, as_json=as_json, look_up=look_up)


def _require_alone(context: click.Context, repository: str) -> None:
    """Refuse what says something about a repository's training, which --local is none of."""
    if repository:
        raise click.UsageError(f"--local tries a folder's files, and {repository!r} names a repository: leave one out")
    for name, instead in _NOT_LOCAL.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name} and --local do not go together: {instead}")


_NOT_LOCAL = {
    "ref": "what is tried is what lies in the folder",
    "force": "a folder may be tried as often as you like",
    "timeout": "train.timeout in launchpin.yaml says how long a script may run",
}


@click.command()
@click.argument("name", metavar="TRAINING|ENDPOINT", shell_complete=offers(trainings, endpoints))
@timeout_option
@stack_dir_option
@json_option
def retry(name: str, *, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Train once more what ended badly, or look at once at what waits.

    A training is named by its id or the beginning of it; an endpoint stands for its rollout and its proposal.
    """

    def look_up(store: Reader) -> Mapping[str, str]:
        return {"name": name if is_endpoint(store, name) else find_training(Library(store), name).id}

    return have_done("retry", {}, stack_dir, timeout=timeout, as_json=as_json, look_up=look_up)


@click.command()
@click.argument("training", shell_complete=offers(open_trainings))
@click.option("--reason", default="", help="Why, for the record.")
@timeout_option
@stack_dir_option
@json_option
def cancel(training: str, *, reason: str, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Call TRAINING off, by its id or the beginning of it: its processes end within seconds, nothing is registered."""

    def look_up(store: Reader) -> Mapping[str, str]:
        return {"training": find_training(Library(store), training).id}

    return have_done("cancel", {"reason": reason}, stack_dir, timeout=timeout, as_json=as_json, look_up=look_up)

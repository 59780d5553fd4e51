"""`launchpin promote`: a version is proposed for an environment by hand."""

from collections.abc import Mapping
from pathlib import Path

import click

from gitops.cli.asking import have_done, known_endpoint, timeout_option
from gitops.cli.main import fail_unknown, json_option, stack_dir_option
from gitops.cli.suggest import endpoints, models, offers, versions
from gitops.telling.library import Library, Reader
from gitops.telling.lists import read_versions

_SHOWN = 10


@click.command()
@click.argument("model", shell_complete=offers(models))
@click.argument("version", shell_complete=offers(versions))
@click.option("--to", required=True, shell_complete=offers(endpoints), help="Where: an endpoint, or REPOSITORY:PATH.")
@click.option("--reason", default="", help="Why, for the record and the pull request.")
@timeout_option
@stack_dir_option
@json_option
def promote(model: str, version: str, *, to: str, reason: str, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Open the pull request that pins VERSION of MODEL, also where an earlier one was closed.

    The version must have passed its gates. Who merges is what launchpin.yaml says of that environment; a person does
    where the environment that it needs does not serve the version.
    """

    def look_up(store: Reader) -> Mapping[str, str]:
        if store.version(model, version) is None:
            judged = [one.version for one in read_versions(Library(store), model, limit=_SHOWN)]
            fail_unknown(f"version of {model} with a verdict", version, judged)
        return known_endpoint("to", to)(store)

    arguments = {"model": model, "version": version, "to": to, "reason": reason}
    return have_done("promote", arguments, stack_dir, timeout=timeout, as_json=as_json, look_up=look_up)

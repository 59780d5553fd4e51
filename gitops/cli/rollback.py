"""`launchpin rollback`: an endpoint goes back to an earlier version, traffic first, then Git."""

from pathlib import Path

import click

from gitops.cli.asking import have_done, known_endpoint, timeout_option
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.suggest import endpoints, offers, ways_back


@click.command()
@click.argument("endpoint", shell_complete=offers(endpoints))
@click.option(
    "--to",
    "version",
    default="",
    shell_complete=offers(ways_back),
    help="The version, one that served there before; by default the last good one before this one.",
)
@click.option("--reason", default="", help="Why, for the record.")
@timeout_option
@stack_dir_option
@json_option
def rollback(endpoint: str, *, version: str, reason: str, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Set ENDPOINT back to an earlier version, and hold it there until `launchpin resume`.

    Traffic moves first, then the pin in Git follows.
    """
    arguments = {"endpoint": endpoint, "to": version, "reason": reason}
    return have_done(
        "rollback", arguments, stack_dir, timeout=timeout, as_json=as_json, look_up=known_endpoint("endpoint", endpoint)
    )

"""`launchpin hold`, `pause` and `resume`: stop automation for an endpoint or everywhere, and let it go on."""

from pathlib import Path

import click

from gitops.cli.asking import have_done, known_endpoint, timeout_option
from gitops.cli.main import json_option, stack_dir_option
from gitops.cli.suggest import endpoints, offers


@click.command()
@click.argument("endpoint", shell_complete=offers(endpoints))
@click.option("--reason", required=True, help="Why, for whoever wants to lift it.")
@timeout_option
@stack_dir_option
@json_option
def hold(endpoint: str, *, reason: str, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Stop automation for ENDPOINT: versions are proposed, but neither merged nor rolled out."""
    arguments = {"endpoint": endpoint, "reason": reason}
    return have_done(
        "hold", arguments, stack_dir, timeout=timeout, as_json=as_json, look_up=known_endpoint("endpoint", endpoint)
    )


@click.command()
@click.option("--reason", default="", help="Why, for whoever wants to go on.")
@timeout_option
@stack_dir_option
@json_option
def pause(*, reason: str, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Stop automation everywhere: versions are proposed, but not merged or rolled out. A rollback still works."""
    return have_done("pause", {"reason": reason}, stack_dir, timeout=timeout, as_json=as_json)


@click.command()
@click.argument("endpoint", required=False, default="", shell_complete=offers(endpoints))
@click.option("--all", "is_all", is_flag=True, help="Lift the pause.")
@click.option("--reason", default="", help="Why it may go on, for the record.")
@timeout_option
@stack_dir_option
@json_option
def resume(endpoint: str, *, is_all: bool, reason: str, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Lift every hold on ENDPOINT, or with --all the pause; what is held by itself stays so."""
    if bool(endpoint) is is_all:
        raise click.UsageError("name one endpoint, or end the pause with --all")
    if is_all:
        return have_done("resume", {"all": "yes", "reason": reason}, stack_dir, timeout=timeout, as_json=as_json)
    arguments = {"endpoint": endpoint, "reason": reason}
    look_up = known_endpoint("endpoint", endpoint)
    return have_done("resume", arguments, stack_dir, timeout=timeout, as_json=as_json, look_up=look_up)

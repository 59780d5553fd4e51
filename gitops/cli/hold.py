"""`launchpin hold` and `launchpin resume`: stop automation for an endpoint, and let it go on."""

from pathlib import Path

import click

from gitops.cli.asking import have_done, known_endpoint, timeout_option
from gitops.cli.main import json_option, stack_dir_option


@click.command()
@click.argument("endpoint")
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
@click.argument("endpoint")
@click.option("--reason", default="", help="Why it may go on, for the record.")
@timeout_option
@stack_dir_option
@json_option
def resume(endpoint: str, *, reason: str, timeout: float, stack_dir: Path, as_json: bool) -> int:
    """Lift every hold on ENDPOINT."""
    arguments = {"endpoint": endpoint, "reason": reason}
    return have_done(
        "resume", arguments, stack_dir, timeout=timeout, as_json=as_json, look_up=known_endpoint("endpoint", endpoint)
    )

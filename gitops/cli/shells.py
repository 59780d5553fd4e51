"""`launchpin completion`: what a shell reads to complete verbs, options and names."""

import click

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print what makes SHELL complete verbs, options and names; it is read when a shell starts."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - for this verb alone

    from gitops.cli.main import launchpin  # noqa: PLC0415 - which knows this verb

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(launchpin, {}, "launchpin", "_LAUNCHPIN_COMPLETE").source())

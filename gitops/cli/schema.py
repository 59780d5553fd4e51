"""`launchpin schema`: prints the JSON Schema of a file that people write, for editors."""

import click

from gitops.config.schema import KINDS, schema_of


@click.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
def schema(kind: str) -> None:
    """Print the JSON Schema (draft 2020-12) of a file's format."""
    click.echo(schema_of(kind).rstrip("\n"))

"""`launchpin schema`: prints the JSON Schema of a file that people write, for editors."""

import click

from gitops.config.schema import SchemaKind, schema_text

_KINDS = {kind.value.partition(".")[0]: kind for kind in SchemaKind}


@click.command()
@click.argument("kind", type=click.Choice(list(_KINDS)))
def schema(kind: str) -> None:
    """Print the JSON Schema (draft 2020-12) of a file's format."""
    click.echo(schema_text(_KINDS[kind]).rstrip("\n"))

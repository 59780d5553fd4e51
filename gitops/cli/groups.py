"""A group of verbs below a verb that answers a mistyped one with the nearest right one."""

import click

from gitops.cli.main import fail_unknown


class NearestGroup(click.Group):
    """A group whose members are few and imported already."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the member's command, or name the nearest member."""
        if args and args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            fail_unknown(f"verb of {ctx.info_name}", args[0], list(self.commands))
        return super().resolve_command(ctx, args)

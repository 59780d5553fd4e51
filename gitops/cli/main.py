"""`launchpin` as click sees it, and what every verb shares. Imports click alone until a verb is used.

Whatever goes wrong ends in one line on standard error and one of the exit codes below.
"""

import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click
from click.shell_completion import CompletionItem

from gitops.cli.exits import ExitCode, exit_code_for
from gitops.cli.verbs import VERBS, help_text
from gitops.errors import LaunchpinError, UnknownNameError

_F = TypeVar("_F", bound=Callable[..., Any])


class LazyGroup(click.Group):
    """A group that knows its verbs by a table and imports a verb's file when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the table's order."""
        return [*VERBS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a verb's command; None when there is no such verb."""
        if cmd_name not in VERBS:
            return super().get_command(ctx, cmd_name)
        module, _, name = VERBS[cmd_name][0].partition(":")
        command = getattr(import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is no command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the verb's command, or name the nearest verb."""
        if args and args[0] not in VERBS and not args[0].startswith("-") and not ctx.resilient_parsing:
            fail_unknown("verb", args[0], VERBS)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Offer the verbs of the table, so that no verb's file is imported for it; or the options."""
        found = [CompletionItem(name, help=text) for name, (_, text) in VERBS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb; a reader that has seen enough, `launchpin runs | head` say, is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Python would complain once more when it flushes at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            ctx.exit(ExitCode.OK)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's form
        """Write the same page that `--help` alone shows without click."""
        formatter.write(help_text())


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="launchpin")
def launchpin() -> None:
    """Git as the one switch for machine-learning models: push to train, merge to serve, revert to roll back."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; a command may return one."""
    try:
        result = launchpin.main(args=list(arguments), prog_name="launchpin", standalone_mode=False)
    except click.ClickException as error:
        return _show_usage(error, arguments=arguments)
    except UnknownNameError as error:
        return _show_usage(click.UsageError(error.message), arguments=arguments)
    except LaunchpinError as error:
        return _show_error(error.reason, str(error), code=exit_code_for(error), arguments=arguments)
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except Exception as error:
        if os.environ.get("LAUNCHPIN_TRACEBACK"):
            raise
        hint = "LAUNCHPIN_TRACEBACK=1 shows where"
        return _show_error("Broken", f"{type(error).__name__}: {error} ({hint})", code=4, arguments=arguments)
    return result if isinstance(result, int) else ExitCode.OK


def fail_unknown(what: str, name: str, known: Sequence[str] | dict[str, Any]) -> NoReturn:
    """Refuse a name that nobody knows, with the nearest one that somebody does.

    Args:
        what: the kind of name, `verb` for example.
        known: every right name.
    """
    raise click.UsageError(UnknownNameError(what, name, known).message)


def stack_dir_option(command: _F) -> _F:
    """Add `--dir`, given to the command as `stack_dir`."""
    return click.option(
        "--dir",
        "stack_dir",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="LAUNCHPIN_DIR",
        default=".launchpin-stack",
        show_default=True,
        show_envvar=True,
        help="The stack's folder.",
    )(command)


def json_option(command: _F) -> _F:
    """Add `--json`, given to the command as `as_json`: one JSON document on standard output, errors included."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def _show_usage(error: click.ClickException, *, arguments: Sequence[str]) -> int:
    error.show()
    _print_error("usage", error.format_message(), arguments=arguments)
    return ExitCode.USAGE


def _show_error(reason: str, message: str, *, code: int, arguments: Sequence[str]) -> int:
    click.echo(f"launchpin: {message}", err=True)
    _print_error(reason, message, arguments=arguments)
    return code


def _print_error(reason: str, message: str, *, arguments: Sequence[str]) -> None:
    """Print an error as JSON where JSON was asked for, so that standard output always holds one document."""
    if "--json" in arguments:
        import json  # noqa: PLC0415 - only for an error

        click.echo(json.dumps({"ok": False, "error": {"reason": reason, "message": message}}))

"""The sections of the command line: how each verb is typed, and its options, from the commands themselves."""

import re
from collections.abc import Iterator, Mapping

import click

from gitops.cli.main import launchpin
from gitops.cli.verbs import VERBS
from tests.reference.marks import Part, always, wrap
from tests.reference.prose import code, listed, summary_of, table

SHARED = {"stack_dir", "as_json"}
"""What nearly every verb takes; the page says it once."""

_NONE = "It has no option of its own."
_SECTION = re.compile(r"^(?=### )", re.MULTILINE)


def parts() -> Mapping[str, Part]:
    """Return a part for each verb."""
    return {verb: always(_describe(verb)) for verb in VERBS}


def prepare(page: str) -> str:
    """Return the page with a section for each verb, in the order of the table, and a mark in each.

    Raises:
        LookupError: a section is of no verb.
    """
    before, heading, rest = page.partition("## Verbs\n")
    first, *sections = _SECTION.split(rest)
    known = {text.split()[1]: text.rstrip("\n") for text in sections}
    if odd := sorted(known.keys() - VERBS.keys()):
        raise LookupError(f"cli.md: sections of no verb: {', '.join(odd)}")
    ordered = [_marked(verb, known.get(verb) or _begin(verb)) for verb in VERBS]
    return before + heading + first + "\n\n".join(ordered) + "\n"


def _begin(verb: str) -> str:
    """Return the section of a verb that has none yet: what its help says, for people to go on with."""
    return f"### {verb}\n\n{summary_of(_command(verb).help or '')}"


def _marked(verb: str, section: str) -> str:
    return section if f"<!-- make docs: {verb} -->" in section else f"{section}\n\n{wrap(verb, '')}"


def _command(verb: str) -> click.Command:
    command = launchpin.get_command(click.Context(launchpin), verb)
    assert command is not None
    return command


def _describe(verb: str) -> str:
    command = _command(verb)
    context = click.Context(command, info_name=f"launchpin {verb}")
    if isinstance(command, click.Group):
        below = [(click.Context(one, info_name=name, parent=context), one) for name, one in command.commands.items()]
        rows = [(code(_usage(inner)), summary_of(one.help or "")) for inner, one in below]
        return "\n\n".join([table(("command", "what it does"), rows), _of_group(below)])
    options = [_row(context, one) for one in _options(command)]
    shown = table(("option", "value", "default", "meaning"), options) if options else _NONE
    return f"Usage: {code(_usage(context))}\n\n{shown}"


def _of_group(below: list[tuple[click.Context, click.Command]]) -> str:
    """Return the options of what is below a verb; one that several share in the same way is told once."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for context, command in below:
        for one in _options(command):
            rows.setdefault(_row(context, one), []).append(str(context.info_name))
    told = [(option, listed(of), *others) for (option, *others), of in rows.items()]
    return table(("option", "of", "value", "default", "meaning"), told) if told else _NONE


def _usage(context: click.Context) -> str:
    has_options = any(_options(context.command))
    pieces = [one for one in context.command.collect_usage_pieces(context) if has_options or one != "[OPTIONS]"]
    return " ".join([context.command_path, *pieces])


def _options(command: click.Command) -> Iterator[click.Option]:
    for one in command.params:
        if isinstance(one, click.Option) and one.name not in SHARED and not one.hidden:
            yield one


def _row(context: click.Context, option: click.Option) -> tuple[str, ...]:
    names = listed([*option.opts, *option.secondary_opts])
    again = " May be given again." if option.multiple else ""
    return names, _value(context, option), _default(option), f"{option.help or ''}{again}"


def _value(context: click.Context, option: click.Option) -> str:
    if option.is_flag:
        return ""
    match option.type:
        case click.Choice(choices=choices):
            return listed(map(str, choices))
        case click.IntRange(min=least, max=most):
            return f"{least} to {most}"
        case click.types.FloatParamType():
            return "NUMBER"
        case _:
            return code(option.make_metavar(context))


def _default(option: click.Option) -> str:
    if option.required:
        return "required"
    if option.is_flag or option.default in (None, "", ()) or "UNSET" in repr(option.default):
        return code(f"${option.envvar}") if option.envvar else ""
    value = option.default
    return code(f"{value:g}" if isinstance(value, float) else str(value))

"""The story of a command: its arguments are held to the table of verbs, it is carried out, and its end is waited for.

The command line and the API write one row; a worker comes here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from gitops.commands.cancelling import await_cancelled, cancel
from gitops.commands.choosing import register
from gitops.commands.collecting import collect_what_may_go
from gitops.commands.deliveries import redeliver
from gitops.commands.holds import hold, pause, resume
from gitops.commands.naming import find_environment
from gitops.commands.promotions import await_pull_request, promote
from gitops.commands.repositories import connect
from gitops.commands.rollbacks import await_rollout, rollback
from gitops.commands.trainings import await_training, retry, train
from gitops.errors import RefusedError
from gitops.grammar import VERBS, Verb
from gitops.ports import Deps
from gitops.records import Command
from gitops.standing import NOT_AS_SEEN, named_endpoint, say_unseen
from gitops.steps import Done, Outcome, Step, Story

_SHOWN = 100
# As a look at a model repository has: a fetch may take as long.
_DEADLINE = timedelta(minutes=5)

Act = Callable[[Deps, Command], Outcome]


def is_over(deps: Deps, command: Command) -> Outcome:
    """End a command that began nothing that would have to be waited for."""
    del deps
    return Done(message=command.message)


@dataclass(frozen=True)
class Deed:
    """How a verb is carried out, and how its end is seen, so that whoever asked sees it, too."""

    act: Act
    await_end: Act = is_over


DEEDS: Mapping[str, Deed] = {
    "connect": Deed(connect),
    "train": Deed(train, await_training),
    "retry": Deed(retry, await_training),
    "cancel": Deed(cancel, await_cancelled),
    "register": Deed(register, await_training),
    "promote": Deed(promote, await_pull_request),
    "rollback": Deed(rollback, await_rollout),
    "hold": Deed(hold),
    "pause": Deed(pause),
    "resume": Deed(resume),
    "redeliver": Deed(redeliver),
    "gc": Deed(collect_what_may_go),
}
"""Every verb of the table that changes something."""


def carry_out(deps: Deps, command: Command) -> Outcome:
    """Do what the command asks for."""
    verb = VERBS.get(command.verb)
    deed = DEEDS.get(command.verb)
    if verb is None or deed is None:
        raise RefusedError("UnknownVerb", f"there is no verb {command.verb!r}; there are {', '.join(sorted(DEEDS))}")
    check_arguments(verb, command.arguments)
    check_seen(deps, command)
    return deed.act(deps, command)


def check_arguments(verb: Verb, given: Mapping[str, str]) -> None:
    """Hold what was given to what the verb takes.

    Raises:
        RefusedError: `ArgumentUnknown`, `ArgumentMissing` or `ArgumentInvalid`, with what may be given.
    """
    known = [one.name for one in verb.arguments]
    strange = sorted(given.keys() - set(known))
    if strange:
        takes = ", ".join(known) or "nothing"
        raise RefusedError("ArgumentUnknown", f"{verb.name} has no argument {strange[0]!r}; it takes {takes}")
    for one in verb.required:
        if not given.get(one.name):
            raise RefusedError("ArgumentMissing", f"{verb.name} needs {one.name}: {one.help}")
    for one in verb.arguments:
        value = given.get(one.name, "")
        if value and not one.takes(value):
            raise RefusedError("ArgumentInvalid", f"{verb.name}: {one.name} is {one.limit}, not {value[:_SHOWN]!r}")


def check_seen(deps: Deps, command: Command) -> None:
    """Hold the endpoint to how it stood when this was asked: between asking and now, others may have had their way.

    The store looks once more when it writes what is done, for others may have theirs meanwhile; this tells early, and
    before whatever else would be refused.

    Raises:
        RefusedError: `NotAsSeen`, with how it stands now.
    """
    if not command.facts.seen:
        return
    place = find_environment(deps, named_endpoint(command))
    now = deps.store.standing(place.repository_id, place.path)
    if now is None or now.digest_for(command.verb) != command.facts.seen:
        raise RefusedError(NOT_AS_SEEN, say_unseen(command, place.endpoint, now))


def await_end(deps: Deps, command: Command) -> Outcome:
    """Wait for what the command began, so that whoever asked sees how it ended."""
    deed = DEEDS.get(command.verb)
    return deed.await_end(deps, command) if deed else Done(message=command.message)


COMMAND = Story(
    "command",
    (
        Step("carry_out", carry_out, event="carried_out", deadline=_DEADLINE),
        Step("await_end", await_end, event="ended"),
    ),
    lambda deps, subject: deps.store.command(subject),
)

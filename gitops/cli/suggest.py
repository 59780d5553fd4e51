"""What a shell offers for a name that is typed: read from the stack, plain, and silent about whatever goes wrong."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, cast

from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    import click

    from gitops.embedded.stack.layout import Layout
    from gitops.store import SqlStore
    from gitops.telling.library import Library

Offer = tuple[str, str]
"""A name, and a word about it."""

_Read = Callable[["Layout", "Library", "click.Context"], Iterable[Offer]]
_Complete = Callable[["click.Context", "click.Parameter", str], list[CompletionItem]]

# Others gave these names, and a shell puts them into a line that is carried out: none that means anything to it.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@:+#-]{0,199}")
_MOST = 50


def offers(*reads: _Read) -> _Complete:
    """Return what click asks for the words that may stand in a place.

    Args:
        reads: where they come from; a name that comes twice is offered once.
    """

    def complete(ctx: "click.Context", _: "click.Parameter", incomplete: str) -> list[CompletionItem]:
        found: dict[str, str] = {}
        # Whatever is wrong with the stack, a line that is being typed is no place to say so.
        with contextlib.suppress(Exception):
            for name, word in _all(ctx, reads):
                if name.startswith(incomplete) and _PLAIN.fullmatch(name):
                    found.setdefault(name, word)
        return [CompletionItem(name, help=_one_line(word)) for name, word in list(found.items())[:_MOST]]

    return complete


def _one_line(word: str) -> str:
    """Return a word without what would be a line of its own, or a command to a terminal."""
    return "".join(letter for letter in word if letter.isprintable())[:60]


def _all(ctx: "click.Context", reads: Iterable[_Read]) -> Iterator[Offer]:
    from gitops.cli.asking import opened  # noqa: PLC0415 - the database, only when a name is completed
    from gitops.telling.library import Library  # noqa: PLC0415

    folder = ctx.params.get("stack_dir") or os.environ.get("LAUNCHPIN_DIR") or ".launchpin-stack"
    with opened(Path(folder)) as (layout, store):
        library = Library(store)
        for read in reads:
            yield from read(layout, library, ctx)


def endpoints(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give every endpoint's name, REPOSITORY:PATH where it has none."""
    for one in library.environments:
        yield one.endpoint or f"{one.repository}:{one.path}", f"serves {one.serving}" if one.serving else "endpoint"


def trainings(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give the newest trainings."""
    for one in library.trainings[:_MOST]:
        yield one.id, f"{one.model} {one.phase}"


def rollouts(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give the newest rollouts."""
    for one in library.rollouts[:_MOST]:
        yield one.id, f"{one.endpoint or one.path} {one.phase}"


def open_trainings(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give the trainings that are not over."""
    for one in library.trainings:
        if not one.phase.is_final:
            yield one.id, f"{one.model} {one.phase}"


def searches(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give the newest trainings that searched."""
    for one in library.trainings:
        if one.facts.trials:
            yield one.id, f"{one.model} {one.phase}, {one.facts.trials} trials"


def models(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give every model that was trained lately or has an endpoint."""
    for one in library.environments:
        yield one.model, "model"
    for training in library.trainings:
        yield training.model, "model"


def versions(_: "Layout", library: "Library", ctx: "click.Context") -> Iterator[Offer]:
    """Give the versions of the model, or of the endpoint's model, that stands before on the line."""
    from gitops.naming import called  # noqa: PLC0415 - loads what an endpoint is

    # Where an option waits for its value, click has not yet given the words before it to their arguments.
    words = (ctx.params.get("model"), ctx.params.get("endpoint"), *ctx.args)
    typed = {str(word) for word in words if word}
    places = [one for name in typed for one in called(library.environments, name)]
    for model in sorted({*typed, *(one.model for one in places)}):
        for version in library.store.versions(model, limit=_MOST):
            yield version.version, version.verdict


def ways_back(_: "Layout", library: "Library", ctx: "click.Context") -> Iterator[Offer]:
    """Give the versions that the endpoint before on the line may go back to."""
    from gitops.eligibility import ways_back as may_be_named  # noqa: PLC0415 - loads what an endpoint is
    from gitops.naming import called  # noqa: PLC0415

    words = (ctx.params.get("endpoint"), *ctx.args)
    for place in (one for name in words if name for one in called(library.environments, str(name))):
        served = library.store.ways_back(place.repository_id, place.path, model=place.model)
        for version in may_be_named(place, served):
            yield version, f"{place.model} {version} served there"


def repositories(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give every connected repository."""
    for one in library.store.repositories():
        yield one.full_name, one.role


def model_repositories(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give every connected repository that is trained from."""
    for one in library.store.repositories():
        if one.role == "model":
            yield one.full_name, one.role


def pulls(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give the open pull requests of promotions, as OWNER/NAME#NUMBER."""
    for one in library.promotions:
        if one.facts.number and not one.phase.is_final:
            yield f"{one.repository}#{one.facts.number}", f"{one.model} {one.version}"


def pull_numbers(layout: "Layout", library: "Library", ctx: "click.Context") -> Iterator[Offer]:
    """Give the same by their numbers alone."""
    for name, word in pulls(layout, library, ctx):
        yield name.rpartition("#")[2], word


def parts(layout: "Layout", _: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give the parts of the stack."""
    from gitops.embedded.stack.record import read_record  # noqa: PLC0415 - only when a name is completed

    record = read_record(layout.stack_file)
    for part in record.parts if record is not None else ():
        yield part.name, part.state


def deliveries(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give the newest deliveries."""
    for one in library.deliveries(_MOST):
        yield one.id, f"{one.event} {one.facts.outcome}".rstrip()


def _accounts(library: "Library") -> "SqlStore":
    return cast("SqlStore", library.store)


def logins(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give everybody's login."""
    for one in _accounts(library).people():
        yield one.login, one.provider


def providers(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give everybody who vouches for somebody."""
    for one in _accounts(library).people():
        yield one.provider, "vouches for people"


def tokens(_: "Layout", library: "Library", __: "click.Context") -> Iterator[Offer]:
    """Give the ids of the tokens that nobody has ended."""
    for one in _accounts(library).tokens():
        if one.revoked_at is None:
            yield one.id, one.name

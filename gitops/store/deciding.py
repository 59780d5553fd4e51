"""Who decides about an endpoint decides alone: the names that are held meanwhile, and the last look at how it stands.

A command that says how its endpoint was seen is checked by its step first. Between that look and the end of the step
others may have had their way, so the transaction that writes the end looks again, while nobody else can.
"""

from dataclasses import replace

from sqlalchemy import Connection, and_, or_

from gitops.ports import Exit
from gitops.records import Command, Environment, Record
from gitops.standing import NOT_AS_SEEN, PROPOSING, named_endpoint, say_unseen
from gitops.steps import Done, Phase, Refused
from gitops.store.queries import read_standing
from gitops.store.rows import hold_name, read_all
from gitops.store.tables import environments
from gitops.store.transaction import Transaction


def hold_place(connection: Connection, repository_id: int, *, path: str) -> None:
    """Be the only one until the transaction ends who asks for something of a place as seen, or sets a hold there."""
    hold_name(connection, f"asked:{repository_id}:{path}")


def hold_endpoint(connection: Connection, *, target: str, host: str, endpoint: str) -> None:
    """Be the only one until the transaction ends who begins a rollout on an endpoint."""
    hold_name(connection, f"rollout:{target}:{host}:{endpoint}")


def hold_proposals(connection: Connection, repository_id: int, *, environment: str, model: str) -> None:
    """Be the only one until the transaction ends who proposes a version of a model for an environment."""
    hold_name(connection, f"promotion:{repository_id}:{environment}:{model}")


def refuse_unseen(tx: Transaction, record: Record, end: Exit) -> Exit:
    """Return how a claim ends, refused where its command was decided on an endpoint that is otherwise by now.

    What was done for it so far is reading: what it asks to be written is left out with it.
    """
    if not (isinstance(record, Command) and record.facts.seen and isinstance(end.outcome, Done)):
        return end
    if record.phase is not Phase.PENDING:
        return end  # it was carried out, and what changed since is its own doing
    name = named_endpoint(record)
    place = _find_place(tx.connection, name)
    now = None
    if place is not None:
        _hold_all(tx.connection, place, record)
        now = read_standing(tx.connection, place.repository_id, path=place.path)
    if now is not None and now.digest_for(record.verb) == record.facts.seen:
        return end
    message = say_unseen(record, place.endpoint if place is not None else name, now)
    return replace(end, outcome=Refused(NOT_AS_SEEN, message))


def _hold_all(connection: Connection, place: Environment, command: Command) -> None:
    """Keep everybody from what this command's decision rests on: who comes later finds what was done."""
    hold_place(connection, place.repository_id, path=place.path)
    hold_endpoint(connection, target=place.target, host=place.host, endpoint=place.endpoint)
    if command.verb in PROPOSING:
        model = command.arguments.get("model", place.model)
        hold_proposals(connection, place.repository_id, environment=place.name, model=model)


def _find_place(connection: Connection, name: str) -> Environment | None:
    """Return the one environment that a command names, by its endpoint or as REPOSITORY:PATH."""
    repository, _, path = name.partition(":")
    here = and_(environments.c.repository == repository, environments.c.path == path)
    order = (environments.c.repository_id, environments.c.path)
    named = or_(environments.c.endpoint == name, here)
    found = read_all(connection, environments, Environment, named, order=order, limit=2)
    return found[0] if len(found) == 1 else None

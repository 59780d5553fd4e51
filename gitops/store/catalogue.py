"""What is known of very many models, in a handful of questions however many there are."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, LargeBinary, func, select, tuple_, union

from gitops.ports import Crowned
from gitops.records import Version
from gitops.store.tables import environments, is_forced, trainings, versions

_MOST_NAMED = 500
_CROWNED = ("model", "repository_id", "path", "serving")


def read_model_names(connection: Connection, *, repositories: frozenset[int] | None) -> list[str]:
    """Return the names of the models that have an environment or a version, by name.

    Args:
        repositories: only what belongs to one of these, by numeric id; None for all.
    """
    placed = select(environments.c.model).where(environments.c.model != "")
    judged = select(versions.c.model)
    if repositories is not None:
        ours = sorted(repositories)
        placed = placed.where(environments.c.repository_id.in_(ours))
        judged = judged.where(
            versions.c.training_id.in_(select(trainings.c.id).where(trainings.c.repository_id.in_(ours)))
        )
    found = union(placed.distinct(), judged.distinct()).subquery()
    return list(connection.execute(select(found.c.model).order_by(found.c.model)).scalars())


def read_newest_versions(
    connection: Connection, models: Collection[str], *, repositories: frozenset[int] | None
) -> list[Version]:
    """Return the newest version of each model that has one.

    Args:
        repositories: as in `read_model_names`.
    """
    newest = (versions.c.created_at.desc(), func.length(versions.c.version).desc(), versions.c.version.desc())
    place = func.row_number().over(partition_by=versions.c.model, order_by=newest).label("place")
    columns = [column for column in versions.c if not isinstance(column.type, LargeBinary)]
    query = select(*columns, place).where(versions.c.model.in_(sorted(models)))
    if repositories is not None:
        ours = select(trainings.c.id).where(trainings.c.repository_id.in_(sorted(repositories)))
        query = query.where(versions.c.training_id.in_(ours))
    numbered = query.subquery()
    rows = connection.execute(select(numbered).where(numbered.c.place == 1)).mappings()
    return [Version.model_validate({name: row[name] for name in row if name != "place"}) for row in rows]


def read_named_versions(connection: Connection, names: Collection[tuple[str, str]]) -> Sequence[Version]:
    """Return these versions, as far as they are known, in no order.

    Args:
        names: of model and version, at most 500.
    """
    wanted = sorted(set(names))[:_MOST_NAMED]
    if not wanted:
        return []
    rows = connection.execute(select(versions).where(tuple_(versions.c.model, versions.c.version).in_(wanted)))
    return [Version.model_validate(row) for row in rows.mappings()]


def read_crowned(connection: Connection, models: Collection[str]) -> dict[str, Crowned]:
    """Return where the champion of each of these models comes from, by model.

    Which place counts does not depend on whether we judged what serves there: a version without a verdict that came
    last leaves the model without a champion, as the version before does not serve there any more.
    """
    here = (environments.c.model.in_(sorted(models)), environments.c.is_champion, environments.c.serving != "")
    latest = (environments.c.serving_since.desc().nulls_last(), environments.c.repository_id, environments.c.path)
    rank = func.row_number().over(partition_by=environments.c.model, order_by=latest).label("rank")
    marked = select(*(environments.c[name] for name in _CROWNED), rank).where(*here).subquery()
    places = list(connection.execute(select(marked).where(marked.c.rank == 1)))
    judged: dict[tuple[str, str], Version] = {}
    for at in range(0, len(places), _MOST_NAMED):
        named = [(one.model, one.serving) for one in places[at : at + _MOST_NAMED]]
        judged |= {(one.model, one.version): one for one in read_named_versions(connection, named)}
    return {
        one.model: Crowned(one.repository_id, one.path, one.serving, judged.get((one.model, one.serving)))
        for one in places
    }


def read_versions_of_runs(connection: Connection, model: str, runs: Collection[str]) -> dict[str, str]:
    """Return the numbers of a model's versions that came from these runs, by run.

    Args:
        runs: their ids, at most 500.
    """
    here = (versions.c.model == model, versions.c.run_id.in_(sorted(set(runs))[:_MOST_NAMED]))
    rows = connection.execute(
        select(versions.c.run_id, versions.c.version).where(*here).order_by(versions.c.created_at)
    )
    return {row.run_id: row.version for row in rows}


def read_begun_from(connection: Connection, causes: Collection[str]) -> dict[str, str]:
    """Return the ids of the trainings that have these nonces, by nonce.

    Args:
        causes: at most 500.
    """
    here = (is_forced, trainings.c.nonce.in_(sorted(set(causes))[:_MOST_NAMED]))
    rows = connection.execute(select(trainings.c.nonce, trainings.c.id).where(*here).order_by(trainings.c.created_at))
    return {row.nonce: row.id for row in rows}

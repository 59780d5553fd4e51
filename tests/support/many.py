"""A database with very many models, written past the store: what is asked of it is the same."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine, insert

from gitops.records import Role
from gitops.store import tables
from gitops.store.rows import to_row
from tests.support.store import make_environment, make_repository, make_url, make_version

DEPLOY_REPOSITORY = 2


def fill_with_many(home: Path, models: int) -> None:
    """Write so many models, each with two environments and a version, and as many repositories."""
    now = datetime.now(UTC)
    names = [f"m{number:04d}" for number in range(models)]
    places = [
        make_environment(
            repository_id=DEPLOY_REPOSITORY,
            path=f"{name}/{env}",
            name=env,
            model=name,
            endpoint=f"{name}-{env}",
            serving="1",
            pinned="1",
            is_champion=env == "production",
        )
        for name in names
        for env in ("staging", "production")
    ]
    repositories = [
        make_repository(id=number, full_name=f"acme/r{number}", role=Role.DEPLOY) for number in range(2, models + 2)
    ]
    versions = [to_row(make_version(model=name), created_at=now) for name in names]
    engine = create_engine(make_url(home))
    with engine.begin() as connection:
        connection.execute(insert(tables.environments), [to_row(one) for one in places])
        connection.execute(insert(tables.repositories), [to_row(one) for one in repositories])
        connection.execute(insert(tables.versions), versions)
    engine.dispose()

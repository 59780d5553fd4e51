"""What a database itself tells of claims, by a trigger, so that nothing of ours says what happened."""

from dataclasses import dataclass

from sqlalchemy import NullPool, create_engine

_SQLITE = (
    "CREATE TABLE journal (number INTEGER PRIMARY KEY, job INTEGER, epoch INTEGER, owner TEXT, at REAL)",
    "CREATE INDEX journal_by_job ON journal (job)",
    """
    CREATE TRIGGER journal_claims AFTER UPDATE OF epoch ON jobs WHEN NEW.state = 'leased' AND NEW.epoch > OLD.epoch
    BEGIN
      INSERT INTO journal (job, epoch, owner, at)
      VALUES (NEW.id, NEW.epoch, NEW.owner, (julianday('now') - 2440587.5) * 86400.0);
    END
    """,
)
_POSTGRES = (
    "CREATE TABLE journal (number BIGSERIAL PRIMARY KEY, job BIGINT, epoch BIGINT, owner TEXT, at DOUBLE PRECISION)",
    "CREATE INDEX journal_by_job ON journal (job)",
    """
    CREATE FUNCTION journal_claim() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO journal (job, epoch, owner, at)
      VALUES (NEW.id, NEW.epoch, NEW.owner, extract(epoch FROM clock_timestamp()));
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER journal_claims AFTER UPDATE OF epoch ON jobs FOR EACH ROW
    WHEN (NEW.state = 'leased' AND NEW.epoch > OLD.epoch) EXECUTE FUNCTION journal_claim()
    """,
)


@dataclass(frozen=True)
class Claimed:
    """One claim.

    Args:
        worker: the process that claimed, as its leases name it.
        at: seconds since 1970, by this machine's clock.
    """

    job: int
    epoch: int
    worker: str
    at: float


class Journal:
    """Every claim that was committed.

    Args:
        url: of a migrated database, where it begins to watch.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, poolclass=NullPool)
        with self._engine.begin() as connection:
            for statement in _SQLITE if self._engine.dialect.name == "sqlite" else _POSTGRES:
                connection.exec_driver_sql(statement)

    def claims(self, *, job: int | None = None) -> list[Claimed]:
        """Return the claims so far, of one job where asked for, oldest first."""
        where = "" if job is None else f"WHERE job = {job:d}"
        with self._engine.connect() as connection:
            rows = connection.exec_driver_sql(f"SELECT job, epoch, owner, at FROM journal {where} ORDER BY number")  # noqa: S608 - a number
            return [Claimed(row.job, row.epoch, row.owner.partition(" ")[0], row.at) for row in rows]

    def claimed(self) -> set[int]:
        """Return the jobs that somebody claimed."""
        return {claim.job for claim in self.claims()}

"""The first schema: a frozen copy of the tables as they were, which later migrations build on. Never edit it."""

from collections.abc import Iterable

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, MetaData, Table, Text
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql import ColumnElement

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Sorted by code points: PostgreSQL's other orders change with its host, and an index in another order lets twins in.
_WORD = Text().with_variant(Text(collation="C"), "postgresql")
_NUMBER = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()


def _unique(name: str, *columns: Column[str], where: ColumnElement[bool]) -> Index:
    return Index(name, *columns, unique=True, sqlite_where=where, postgresql_where=where)


def _words(*names: str) -> Iterable[Column[str]]:
    return (Column(name, _WORD, nullable=False) for name in names)


def _record(name: str, *columns: SchemaItem) -> Table:
    return Table(
        name,
        metadata,
        Column("id", _WORD, primary_key=True),
        *_words("phase", "step", "reason", "message"),
        Column("revision", Integer, nullable=False),
        Column("cause", _WORD, nullable=False),
        Column("facts", _WORD, nullable=False),
        Column("created_at", BigInteger, nullable=False),
        Column("updated_at", BigInteger, nullable=False),
        *columns,
        Index(f"{name}_by_age", "created_at", "id"),
    )


meta = Table("meta", metadata, Column("name", _WORD, primary_key=True), Column("value", _WORD, nullable=False))

jobs = Table(
    "jobs",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    *_words("kind", "subject", "queue", "state"),
    # When the job may be claimed next: when it is ready, or when the lease ends; NULL when it is over.
    Column("due", BigInteger),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", _WORD, nullable=False),
    *(Column(name, Integer, nullable=False) for name in ("attempts", "lost", "wakes", "woken_at_claim")),
    *_words("reason", "message"),
    Index("one_job_per_subject", "kind", "subject", unique=True),
    Index("jobs_by_due", "queue", "due", "id"),
)
_open = jobs.c.state != "over"
Index("open_jobs", jobs.c.due, jobs.c.id, sqlite_where=_open, postgresql_where=_open)

deliveries = _record(
    "deliveries",
    *_words("source", "event", "body_sha256"),
    Column("body", LargeBinary, nullable=False),
)

trainings = _record(
    "trainings",
    Column("repository_id", BigInteger, nullable=False),
    *_words("repository", "ref", "commit", "config_path", "config_sha256", "model", "nonce"),
    Column("attempt", Integer, nullable=False),
)
_unique(
    "one_unforced_training",
    trainings.c.repository_id,
    trainings.c.ref,
    trainings.c.commit,
    trainings.c.config_path,
    trainings.c.config_sha256,
    where=trainings.c.nonce == "",
)

promotions = _record(
    "promotions",
    Column("training_id", _WORD, nullable=False),
    Column("repository_id", BigInteger, nullable=False),
    *_words("repository", "environment", "path", "model", "version", "merge"),
    Index("promotions_by_version", "repository_id", "environment", "model", "version"),
)
_unique(
    "one_open_promotion",
    promotions.c.repository_id,
    promotions.c.environment,
    promotions.c.model,
    where=promotions.c.phase.in_(("Pending", "Running")),
)

rollouts = _record(
    "rollouts",
    Column("repository_id", BigInteger, nullable=False),
    *_words("repository", "environment", "path", "endpoint", "target", "host", "model", "version", "commit"),
    *_words("direction", "from_version"),
    Index("rollouts_by_path", "repository_id", "path", "created_at"),
)
_endpoint = (rollouts.c.target, rollouts.c.host, rollouts.c.endpoint)
_unique("one_running_rollout", *_endpoint, where=rollouts.c.phase == "Running")
_unique("one_pending_rollout", *_endpoint, where=rollouts.c.phase == "Pending")

commands = _record(
    "commands",
    *_words("verb", "idempotency_key"),
    Column("arguments", _WORD, nullable=False),
    Index("one_command_per_key", "idempotency_key", unique=True),
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *_words("full_name", "role", "default_branch", "clone_url", "html_url"),
    Column("secrets", _WORD, nullable=False),
)

watched_refs = Table(
    "watched_refs",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("ref", _WORD, primary_key=True),
    *_words("commit", "message"),
)

environments = Table(
    "environments",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("path", _WORD, primary_key=True),
    *_words("name", "repository", "endpoint", "target", "host", "model", "tracking_uri", "pinned", "pin_commit"),
    *_words("settings_sha256", "serving", "configuration", "url", "sync", "sync_reason", "health", "message"),
    Column("is_champion", Boolean, nullable=False),
    Column("serving_since", BigInteger),
    Column("earlier", _WORD, nullable=False),
)

versions = Table(
    "versions",
    metadata,
    Column("model", _WORD, primary_key=True),
    Column("version", _WORD, primary_key=True),
    *_words("manifest_sha256", "manifest", "run_id", "training_id", "repository", "commit", "verdict"),
    *_words("environment_key", "lock_sha256"),
    *(Column(name, _WORD, nullable=False) for name in ("metrics", "gates")),
    Column("quarantined", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

holds = Table(
    "holds",
    metadata,
    Column("id", _WORD, primary_key=True),
    Column("repository_id", BigInteger, nullable=False),
    *_words("path", "environment", "model", "reason", "message", "author", "rollout_id", "lifted_by"),
    Column("cause", _WORD, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("lifted_at", BigInteger),
    Index("holds_by_environment", "repository_id", "path"),
)

declined = Table(
    "declined",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, _WORD, primary_key=True) for name in ("environment", "model", "version")),
    Column("by", _WORD, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

effects = Table(
    "effects",
    metadata,
    Column("key", _WORD, primary_key=True),
    Column("job", BigInteger, nullable=False),
    Column("name", _WORD, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("result", _WORD),
    Column("intended_at", BigInteger, nullable=False),
    Column("observed_at", BigInteger),
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("bytes", LargeBinary, nullable=False),
)

audit_nodes = Table(
    "audit_nodes",
    metadata,
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("size", BigInteger, nullable=False),
)

audit_checkpoints = Table(
    "audit_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("note", _WORD, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

_APPEND_ONLY = ("audit_entries", "audit_nodes", "audit_checkpoints")


def upgrade() -> None:
    metadata.create_all(op.get_bind(), checkfirst=False)
    forbid = _forbid_changes_sqlite if op.get_bind().dialect.name == "sqlite" else _forbid_changes_postgresql
    for table in _APPEND_ONLY:
        forbid(table)


def _forbid_changes_sqlite(table: str) -> None:
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} is append only'); END"
        )


def _forbid_changes_postgresql(table: str) -> None:
    """Refuse the tables' owner too, whom no grant holds back; a statement that changes nothing is refused as well."""
    op.execute(
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{table} is append only' USING ERRCODE = 'integrity_constraint_violation'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse()"
    )


def downgrade() -> None:
    raise NotImplementedError("migrations only go forward; restore a backup instead")

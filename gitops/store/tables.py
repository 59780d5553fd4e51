"""The tables, and the unique indexes that carry the invariants. What a newer schema needs goes into migrations/ too.

A record's columns are named as its fields in `gitops.records`, so that a row is read without a mapping between names.
"""

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    func,
    literal_column,
)
from sqlalchemy.schema import SchemaItem
from sqlalchemy.sql import ColumnElement

from gitops.store.columns import Instant, Json, Word

SCHEMA = "0014"
"""The migration that this code was written for; every process refuses to work on another one."""

_NUMBER = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()


def _unique(name: str, *columns: Column[str], where: ColumnElement[bool]) -> Index:
    # PostgreSQL gets the same from `tell_postgresql`.
    return Index(name, *columns, unique=True, sqlite_where=where)


def _words(*names: str) -> Iterable[Column[str]]:
    return (Column(name, Word, nullable=False) for name in names)


def _record(name: str, *columns: SchemaItem) -> Table:
    return Table(
        name,
        metadata,
        Column("id", Word, primary_key=True),
        *_words("phase", "step", "reason", "message"),
        Column("revision", Integer, nullable=False),
        Column("cause", Json, nullable=False),
        Column("facts", Json, nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("updated_at", Instant, nullable=False),
        *columns,
        Index(f"{name}_by_age", "created_at", "id"),
    )


meta = Table("meta", metadata, Column("name", Word, primary_key=True), Column("value", Word, nullable=False))

jobs = Table(
    "jobs",
    metadata,
    Column("id", _NUMBER, primary_key=True),
    *_words("kind", "subject", "queue", "state"),
    # When the job may be claimed next: when it is ready, or when the lease ends; NULL when it is over.
    Column("due", Instant),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", Word, nullable=False),
    *(Column(name, Integer, nullable=False) for name in ("attempts", "lost", "wakes", "woken_at_claim")),
    *_words("reason", "message"),
    Column("retries", Integer, nullable=False, server_default="0"),
    Index("one_job_per_subject", "kind", "subject", unique=True),
    Index("jobs_by_due", "queue", "due", "id"),
)
_open = jobs.c.state != "over"
Index("open_jobs", jobs.c.due, jobs.c.id, sqlite_where=_open)

deliveries = _record(
    "deliveries",
    *_words("source", "event", "body_sha256"),
    Column("body", LargeBinary, nullable=False),
)
# The zero is no parameter: SQLite uses the index only for a question that says the same words.
has_body = func.length(deliveries.c.body) > literal_column("0")
Index(
    "deliveries_with_body",
    deliveries.c.created_at,
    deliveries.c.id,
    sqlite_where=has_body,
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
# The empty word is no parameter, as with `has_body` above.
is_forced = trainings.c.nonce != literal_column("''")
Index("forced_trainings", trainings.c.nonce, sqlite_where=is_forced)

trials = _record(
    "trials",
    Column("training_id", Word, nullable=False),
    Column("number", Integer, nullable=False),
    Column("repository_id", BigInteger, nullable=False),
    *_words("repository", "commit", "model", "parent_run_id"),
    Column("parameters", Json, nullable=False),
    Index("one_trial_per_number", "training_id", "number", unique=True),
)

searches = Table(
    "searches",
    metadata,
    Column("training_id", Word, primary_key=True),
    Column("space", Json, nullable=False),
)

promotions = _record(
    "promotions",
    Column("training_id", Word, nullable=False),
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

# The phases are no parameters, as with `has_body` above.
OPEN_PHASES: tuple[ColumnElement[str], ...] = tuple(literal_column(f"'{phase}'") for phase in ("Pending", "Running"))
"""The phases of a story under way, for questions that an index of those alone answers."""

for _story in (trainings, promotions, rollouts):
    _under_way = _story.c.phase.in_(OPEN_PHASES)
    Index(f"open_{_story.name}", _story.c.phase, sqlite_where=_under_way)
    Index(f"{_story.name}_by_change", _story.c.updated_at)

commands = _record(
    "commands",
    *_words("verb", "idempotency_key"),
    Column("arguments", Json, nullable=False),
    Index("one_command_per_key", "idempotency_key", unique=True),
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    *_words("full_name", "role", "default_branch", "clone_url", "html_url"),
    Column("secrets", Json, nullable=False),
    Index("repositories_by_name", "full_name", "id"),
)

watched_refs = Table(
    "watched_refs",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("ref", Word, primary_key=True),
    *_words("commit", "message"),
)

environments = Table(
    "environments",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    Column("path", Word, primary_key=True),
    *_words("name", "repository", "endpoint", "target", "host", "model", "tracking_uri", "pinned", "pin_commit"),
    *_words("settings_sha256", "serving", "configuration", "url", "sync", "sync_reason", "health", "message"),
    Column("is_champion", Boolean, nullable=False),
    Column("serving_since", Instant),
    Column("earlier", Json, nullable=False),
    *(Column(name, Word, nullable=False, server_default="") for name in ("tier", "endpoint_file", "min_tier")),
)

versions = Table(
    "versions",
    metadata,
    Column("model", Word, primary_key=True),
    Column("version", Word, primary_key=True),
    *_words("manifest_sha256", "manifest", "run_id", "training_id", "repository", "commit", "verdict"),
    *_words("environment_key", "lock_sha256"),
    *(Column(name, Json, nullable=False) for name in ("metrics", "gates")),
    Column("quarantined", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("tier", Word, nullable=False, server_default=""),
    Column("tiers", Json, nullable=False, server_default="[]"),
    Column("min_tiers", Json, nullable=False, server_default="{}"),
    Index("versions_by_run", "model", "run_id"),
)

locks = Table("locks", metadata, Column("digest", Word, primary_key=True), Column("text", Word, nullable=False))

locked_environments = Table(
    "locked_environments",
    metadata,
    Column("key", Word, primary_key=True),
    *_words("digest", "python", "interpreter"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", Word, primary_key=True),
    Column("repository_id", BigInteger, nullable=False),
    *_words("path", "environment", "model", "reason", "message", "author", "rollout_id", "lifted_by"),
    Column("cause", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("lifted_at", Instant),
    Index("holds_by_environment", "repository_id", "path"),
    Index("holds_by_age", "created_at", "id"),
)

declined = Table(
    "declined",
    metadata,
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    *(Column(name, Word, primary_key=True) for name in ("environment", "model", "version")),
    Column("by", Word, nullable=False),
    Column("created_at", Instant, nullable=False),
)

effects = Table(
    "effects",
    metadata,
    Column("key", Word, primary_key=True),
    Column("job", BigInteger, nullable=False),
    Column("name", Word, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("result", Word),
    Column("intended_at", Instant, nullable=False),
    Column("observed_at", Instant),
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
    # The number of the first of these hashes, which are joined: see `merkle.number_node`.
    Column("start", _NUMBER, primary_key=True, autoincrement=False),
    Column("hashes", LargeBinary, nullable=False),
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
    Column("note", Word, nullable=False),
    Column("created_at", Instant, nullable=False),
)

people = Table(
    "people",
    metadata,
    Column("id", Word, primary_key=True),
    *_words("provider", "subject", "login", "name"),
    Column("created_at", Instant, nullable=False),
    Column("disabled_at", Instant),
    Index("one_person_per_login", "provider", "login", unique=True),
    Index("people_by_login", "login", "id"),
)
_unique("one_person_per_subject", people.c.provider, people.c.subject, where=people.c.subject != "")

grants = Table(
    "grants",
    metadata,
    Column("person_id", Word, primary_key=True),
    Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
    *_words("role", "by"),
    Column("created_at", Instant, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", Word, primary_key=True),
    *_words("person_id", "name", "secret_sha256", "role"),
    Column("repositories", Json, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("revoked_at", Instant),
    Index("tokens_by_person", "person_id"),
    Index("tokens_by_age", "created_at", "id"),
)

asked_once = Table(
    "asked_once",
    metadata,
    Column("key", Word, primary_key=True),
    *_words("asked_sha256", "subject"),
    Column("created_at", Instant, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Word, primary_key=True),
    *_words("person_id", "csrf"),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Index("sessions_by_person", "person_id"),
)

notices = Table(
    "notices",
    metadata,
    Column("id", Word, primary_key=True),
    *_words("news", "severity", "reason", "subject", "environment", "model", "entry", "outcome"),
    Column("created_at", Instant, nullable=False),
    Column("routed_at", Instant),
    Index("notices_by_subject", "subject", "news", "reason", "created_at"),
    Index("notices_by_age", "created_at", "id"),
)
Index("notices_to_route", notices.c.created_at, notices.c.id, sqlite_where=notices.c.routed_at.is_(None))

letters = Table(
    "letters",
    metadata,
    Column("notice_id", Word, primary_key=True),
    Column("channel", Word, primary_key=True),
    *_words("state", "reason", "message"),
    Column("tries", Integer, nullable=False),
    Column("due", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("settled_at", Instant),
    Index("letters_by_age", "settled_at"),
)
# The word is no parameter, as with `has_body` above.
is_waiting = letters.c.state == literal_column("'waiting'")
Index("waiting_letters", letters.c.channel, letters.c.due, sqlite_where=is_waiting)


def tell_postgresql() -> None:
    """Give PostgreSQL's indexes the conditions of SQLite's.

    To name its dialect above would load it, megabytes, into every process that has the other database.
    """
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        where = index.dialect_options["sqlite"]["where"]
        if where is not None:
            index.dialect_options["postgresql"]["where"] = where

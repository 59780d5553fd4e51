"""People, what they were granted, the tokens of their programs, and browser sessions; holds by their age."""

from alembic import op
from sqlalchemy import BigInteger, Column, Text, text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_WORD = Text().with_variant(Text(collation="C"), "postgresql")


def _word(name: str, *, is_key: bool = False) -> Column[str]:
    return Column(name, _WORD, nullable=False, primary_key=is_key)


def _instant(name: str, *, is_known: bool = True) -> Column[int]:
    return Column(name, BigInteger, nullable=not is_known)


def upgrade() -> None:
    """Make the tables; nobody has signed in yet but through files, which are forgotten."""
    op.create_table(
        "people",
        _word("id", is_key=True),
        *(_word(name) for name in ("provider", "subject", "login", "name")),
        _instant("created_at"),
        _instant("disabled_at", is_known=False),
    )
    op.create_index("one_person_per_login", "people", ["provider", "login"], unique=True)
    known = text("subject != ''")
    subject = ["provider", "subject"]
    op.create_index(
        "one_person_per_subject", "people", subject, unique=True, sqlite_where=known, postgresql_where=known
    )
    op.create_table(
        "grants",
        _word("person_id", is_key=True),
        Column("repository_id", BigInteger, primary_key=True, autoincrement=False),
        *(_word(name) for name in ("role", "by")),
        _instant("created_at"),
    )
    op.create_table(
        "tokens",
        _word("id", is_key=True),
        *(_word(name) for name in ("person_id", "name", "secret_sha256", "role", "repositories")),
        *(_instant(name) for name in ("created_at", "expires_at")),
        _instant("revoked_at", is_known=False),
    )
    op.create_index("tokens_by_person", "tokens", ["person_id"])
    op.create_table(
        "sessions",
        _word("id", is_key=True),
        *(_word(name) for name in ("person_id", "csrf")),
        *(_instant(name) for name in ("created_at", "expires_at")),
    )
    op.create_index("sessions_by_person", "sessions", ["person_id"])
    op.create_index("holds_by_age", "holds", ["created_at", "id"])

"""What somebody is told of, and how far it came on its way to each channel."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text, text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_WORD = Text().with_variant(Text(collation="C"), "postgresql")


def _word(name: str, *, is_key: bool = False) -> Column[str]:
    return Column(name, _WORD, nullable=False, primary_key=is_key)


def _instant(name: str, *, is_known: bool = True) -> Column[int]:
    return Column(name, BigInteger, nullable=not is_known)


def upgrade() -> None:
    """Make the tables; of what happened before, nobody is told."""
    words = ("news", "severity", "reason", "subject", "environment", "model", "entry", "outcome")
    op.create_table(
        "notices",
        _word("id", is_key=True),
        *(_word(name) for name in words),
        _instant("created_at"),
        _instant("routed_at", is_known=False),
    )
    op.create_index("notices_by_subject", "notices", ["subject", "news", "reason", "created_at"])
    op.create_index("notices_by_age", "notices", ["created_at", "id"])
    _index_where("notices_to_route", "notices", ["created_at", "id"], "routed_at IS NULL")
    op.create_table(
        "letters",
        _word("notice_id", is_key=True),
        _word("channel", is_key=True),
        *(_word(name) for name in ("state", "reason", "message")),
        Column("tries", Integer, nullable=False),
        *(_instant(name) for name in ("due", "created_at")),
        _instant("settled_at", is_known=False),
    )
    op.create_index("letters_by_age", "letters", ["settled_at"])
    _index_where("waiting_letters", "letters", ["channel", "due"], "state = 'waiting'")


def _index_where(name: str, table: str, columns: list[str], where: str) -> None:
    op.create_index(name, table, columns, sqlite_where=text(where), postgresql_where=text(where))

"""The keys of what is asked for and carried out at once; and lists that are read part by part."""

from alembic import op
from sqlalchemy import BigInteger, Column, Text

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_WORD = Text().with_variant(Text(collation="C"), "postgresql")


def _word(name: str, *, is_key: bool = False) -> Column[str]:
    return Column(name, _WORD, nullable=False, primary_key=is_key)


def upgrade() -> None:
    """Make the table and the indexes; what was asked for before had no key."""
    created_at = Column("created_at", BigInteger(), nullable=False)
    op.create_table("asked_once", _word("key", is_key=True), _word("asked_sha256"), _word("subject"), created_at)
    op.create_index("repositories_by_name", "repositories", ["full_name", "id"])
    op.create_index("people_by_login", "people", ["login", "id"])
    op.create_index("tokens_by_age", "tokens", ["created_at", "id"])

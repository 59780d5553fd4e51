"""The trials of searches."""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer, Text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_WORD = Text().with_variant(Text(collation="C"), "postgresql")


def _word(name: str, *, is_key: bool = False) -> Column[str]:
    return Column(name, _WORD, nullable=False, primary_key=is_key)


def upgrade() -> None:
    """Make the table; what was trained before had no search."""
    op.create_table(
        "trials",
        _word("id", is_key=True),
        *(_word(name) for name in ("phase", "step", "reason", "message")),
        Column("revision", Integer, nullable=False),
        *(_word(name) for name in ("cause", "facts")),
        *(Column(name, BigInteger, nullable=False) for name in ("created_at", "updated_at")),
        _word("training_id"),
        Column("number", Integer, nullable=False),
        Column("repository_id", BigInteger, nullable=False),
        *(_word(name) for name in ("repository", "commit", "model", "parent_run_id", "parameters")),
    )
    op.create_index("trials_by_age", "trials", ["created_at", "id"])
    op.create_index("one_trial_per_number", "trials", ["training_id", "number"], unique=True)

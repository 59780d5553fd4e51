"""The spaces of searches, and finding the version of a run without reading the others."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_WORD = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table; a search that was begun before has no row in it, and its trials alone tell its space."""
    op.create_table(
        "searches",
        Column("training_id", _WORD, nullable=False, primary_key=True),
        Column("space", _WORD, nullable=False),
    )
    op.create_index("versions_by_run", "versions", ["model", "run_id"])

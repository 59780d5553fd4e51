"""The tier of a version, those that it was judged by, and what its launchpin.yaml asks for; the tier of what serves."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_WORD = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns; what was judged before has no tier."""
    for table, name, empty in (
        ("environments", "tier", ""),
        ("versions", "tier", ""),
        ("versions", "tiers", "[]"),
        ("versions", "min_tiers", "{}"),
    ):
        op.add_column(table, Column(name, _WORD, nullable=False, server_default=empty))

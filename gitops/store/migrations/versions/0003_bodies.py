"""Finds the bodies of old deliveries without a look at those that were emptied, however many these are."""

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index the deliveries that have a body."""
    where = text("length(body) > 0")
    op.create_index(
        "deliveries_with_body", "deliveries", ["created_at", "id"], sqlite_where=where, postgresql_where=where
    )

"""Counts tries against an outside that is away apart from the attempts that an error nobody foresaw uses up."""

from alembic import op
from sqlalchemy import Column, Integer

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; jobs under way count from none."""
    op.add_column("jobs", Column("retries", Integer, nullable=False, server_default="0"))

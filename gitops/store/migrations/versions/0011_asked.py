"""What endpoint.yaml asks of a version, beside the file's path."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_WORD = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns; an environment without the path is read at its next comparison."""
    for name in ("endpoint_file", "min_tier"):
        op.add_column("environments", Column(name, _WORD, nullable=False, server_default=""))

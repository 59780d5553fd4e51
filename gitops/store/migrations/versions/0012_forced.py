"""Finding what was begun from a trial: trainings by what forced them."""

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index the trainings that a command, another training or a trial brought."""
    where = text("nonce != ''")
    op.create_index("forced_trainings", "trainings", ["nonce"], sqlite_where=where, postgresql_where=where)

"""The locks of environments, for machines that did not build them."""

from alembic import op
from sqlalchemy import Column, Text

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_WORD = Text().with_variant(Text(collation="C"), "postgresql")


def _word(name: str, *, is_key: bool = False) -> Column[str]:
    return Column(name, _WORD, nullable=False, primary_key=is_key)


def upgrade() -> None:
    """Make the tables; what was locked before is on the disk of the machine that did it."""
    op.create_table("locks", _word("digest", is_key=True), _word("text"))
    names = ("digest", "python", "interpreter")
    op.create_table("locked_environments", _word("key", is_key=True), *(_word(name) for name in names))

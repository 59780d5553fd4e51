"""Has the database itself give every delivery its job, so that both are kept by one statement; and counts by indexes.

What is counted for a scrape, stories under way and stories that changed of late, was found by looking at every row.
"""

from alembic import op
from sqlalchemy import text

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_WHERE_NEW = "WHERE true ON CONFLICT DO NOTHING"
_STORIES = ("trainings", "promotions", "rollouts")
_JOB = (
    "INSERT INTO jobs (kind, subject, queue, state, due, epoch, owner, attempts, retries, lost, wakes,"
    " woken_at_claim, reason, message)"
    " SELECT 'delivery', {fresh}.id, 'control', 'ready', {fresh}.created_at, 0, '', 0, 0, 0, 0, 0, '', ''"
)


def upgrade() -> None:
    """Make the trigger and the indexes; what is there has its jobs already."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "CREATE TRIGGER deliveries_give_job AFTER INSERT ON deliveries "
            f"BEGIN {_JOB.format(fresh='NEW')} {_WHERE_NEW}; END"
        )
    else:
        op.execute(
            "CREATE FUNCTION deliveries_give_job() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS "
            f"$$ BEGIN {_JOB.format(fresh='fresh')} FROM fresh {_WHERE_NEW}; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER deliveries_give_job AFTER INSERT ON deliveries REFERENCING NEW TABLE AS fresh "
            "FOR EACH STATEMENT EXECUTE FUNCTION deliveries_give_job()"
        )
    for story in _STORIES:
        where = text("phase IN ('Pending', 'Running')")
        op.create_index(f"open_{story}", story, ["phase"], sqlite_where=where, postgresql_where=where)
        op.create_index(f"{story}_by_change", story, ["updated_at"])

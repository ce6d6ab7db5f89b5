"""Visitors have sketches by quarter of a year too: all are added again, which changes nothing else."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
INSERT INTO unsketched_quarters (program_id, at)
SELECT DISTINCT program_id, date_bin('15 minutes', clicked_at, 'epoch') FROM clicks WHERE NOT is_bot
ON CONFLICT (program_id, at) DO NOTHING
""")


def downgrade() -> None:
    op.execute("DELETE FROM visitor_sketches WHERE grain = 'quarter'")

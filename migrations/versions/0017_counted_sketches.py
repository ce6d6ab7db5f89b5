"""Sketches by year, and of the whole programme, and what each counts: a question for one bucket opens no sketch."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_KIND = "ALTER TABLE visitor_sketches DROP CONSTRAINT visitor_sketches_kind_check, ADD CHECK (kind IN ({kinds}))"
# They are made anew from the rows; until then visitors are read from those.
_ANEW = (
    "TRUNCATE visitor_sketches",
    """
INSERT INTO unsketched_quarters (program_id, at)
SELECT DISTINCT program_id, date_bin('15 minutes', clicked_at, 'epoch') FROM clicks WHERE NOT is_bot
ON CONFLICT (program_id, at) DO NOTHING
""",
)


def upgrade() -> None:
    for statement in _ANEW:
        op.execute(statement)
    op.execute(_KIND.format(kinds="'program', 'time', 'influencer'"))
    op.execute("ALTER TABLE visitor_sketches ADD COLUMN visitors bigint NOT NULL")
    op.execute("COMMENT ON COLUMN visitor_sketches.visitors IS 'the estimate of this sketch alone'")


def downgrade() -> None:
    for statement in _ANEW:
        op.execute(statement)
    op.execute("ALTER TABLE visitor_sketches DROP COLUMN visitors")
    op.execute(_KIND.format(kinds="'time', 'influencer'"))

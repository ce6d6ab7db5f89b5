"""Without the rate of a plan's currency the commission alone is not known: such conversions are judged again."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_COMMENT = """
COMMENT ON COLUMN attributions.missing_rate_day IS
    'no rate from missing_rate_base to the programme''s currency on this day: its credits count, their value is 0'
"""
_MORE = "\n    '; with a rate_numerator, 1 where none was needed, it is a plan''s, and the commission alone is 0'\n"

_REOPEN = """
INSERT INTO credit_queue (program_id, conversion_id)
SELECT program_id, conversion_id
FROM attributions a JOIN conversions c USING (program_id, conversion_id)
WHERE a.missing_rate_day IS NOT NULL
  AND (a.missing_rate_base <> c.currency OR c.gross_minor = 0 AND c.discount_minor = 0)
"""


def upgrade() -> None:
    op.execute(_COMMENT + _MORE)
    op.execute(_REOPEN)


def downgrade() -> None:
    op.execute(_COMMENT)

"""Visitors of many clicks are estimated: sketches by month, week and day, and the quarters of an hour not in them."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
CREATE TABLE visitor_sketches (
    program_id    bigint NOT NULL,
    kind          text NOT NULL CHECK (kind IN ('time', 'influencer')),
    grain         text NOT NULL,
    bucket        timestamptz NOT NULL,
    influencer_id bigint NOT NULL,
    campaign_id   bigint NOT NULL,
    channel       text NOT NULL,
    sketch        bytea NOT NULL,
    PRIMARY KEY (program_id, kind, grain, bucket, influencer_id, campaign_id, channel)
)
""",
    """
COMMENT ON TABLE visitor_sketches IS
    'distinct visitors of human clicks, as HyperLogLog of Apache DataSketches; 0 and empty text stand for none'
""",
    """
CREATE TABLE unsketched_quarters (
    program_id bigint NOT NULL,
    at         timestamptz NOT NULL,
    marked_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, at)
)
""",
    """
COMMENT ON TABLE unsketched_quarters IS
    'quarters of an hour whose clicks are in the rollups but perhaps not in the sketches: they are read from rows'
""",
    """
INSERT INTO unsketched_quarters (program_id, at)
SELECT DISTINCT program_id, date_bin('15 minutes', clicked_at, 'epoch') FROM clicks WHERE NOT is_bot
""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE visitor_sketches, unsketched_quarters")

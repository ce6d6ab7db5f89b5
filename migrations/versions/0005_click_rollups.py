"""Clicks summed by time, influencer, link and audience, and what waits to be summed."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ROLLUP = """
CREATE TABLE clicks_by_{name} (
    program_id bigint NOT NULL,
    grain      text NOT NULL CHECK (grain IN ('hour', 'day', 'week', 'month', 'year')),
    bucket     timestamptz NOT NULL,
    {columns},
    clicks     bigint NOT NULL,
    bot_clicks bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (program_id, grain, bucket, {key})
) WITH (fillfactor = 80)
"""
_ROLLUPS = {
    "time": "campaign_id bigint, channel text",
    "influencer": "influencer_id bigint, campaign_id bigint, channel text",
    "link": "link_id bigint, influencer_id bigint, campaign_id bigint, channel text, post_id bigint",
    "audience": "country text, device text, campaign_id bigint, channel text",
}
_STATEMENTS = (
    "ALTER TABLE clicks ADD COLUMN country text, ADD COLUMN device text",
    "ALTER TABLE programs ADD COLUMN rolled_up_in text",
    "UPDATE programs SET rolled_up_in = timezone",
    """
COMMENT ON COLUMN programs.rolled_up_in IS
    'the time zone of the buckets of its rollups; another one than its own, or null: they are not to be used'
""",
    """
CREATE TABLE click_deltas (
    program_id    bigint NOT NULL,
    at            timestamptz NOT NULL,
    link_id       bigint NOT NULL,
    influencer_id bigint,
    campaign_id   bigint,
    channel       text,
    post_id       bigint,
    country       text,
    device        text,
    clicks        integer NOT NULL,
    bot_clicks    integer NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100000)
""",
    """
COMMENT ON TABLE click_deltas IS
    'committed with their clicks, gone when they are in the rollups: rollups + deltas = clicks in every snapshot'
""",
    "COMMENT ON COLUMN click_deltas.at IS 'the quarter of an hour, as no zone has finer offsets'",
    *(
        _ROLLUP.format(name=name, columns=columns, key=", ".join(c.split()[0] for c in columns.split(", ")))
        for name, columns in _ROLLUPS.items()
    ),
    """
CREATE FUNCTION clicked_at(uuid) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
$$
    SELECT 'epoch'::timestamptz
        + ('x' || replace(left($1::text, 18), '-', ''))::bit(64)::bigint * interval '1 microsecond'
$$
""",
    "COMMENT ON FUNCTION clicked_at IS 'the moment that the first 8 bytes of a click id say'",
    # What is there already waits to be rolled up.
    """
INSERT INTO click_deltas
SELECT program_id, date_bin('15 minutes', clicked_at, 'epoch'), link_id, influencer_id, campaign_id, channel, post_id,
       country, device, count(*) FILTER (WHERE NOT is_bot), count(*) FILTER (WHERE is_bot)
FROM clicks
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE click_deltas, " + ", ".join(f"clicks_by_{name}" for name in _ROLLUPS))
    op.execute("DROP FUNCTION clicked_at")
    op.execute("ALTER TABLE clicks DROP COLUMN country, DROP COLUMN device")
    op.execute("ALTER TABLE programs DROP COLUMN rolled_up_in")

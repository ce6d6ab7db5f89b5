"""Sums of the whole programme, of credits by time and by code, and visitors by link and audience."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_METRICS = ("impressions", "reach", "views", "likes", "comments", "shares", "saves", "link_taps", "followers")
_INSIGHTS = ", ".join(f"{metric} bigint" for metric in _METRICS)
_CREDIT_ROLLUP = """
CREATE TABLE credits_by_{name} (
    program_id     bigint NOT NULL,
    basis          text NOT NULL CHECK (basis IN ('conversion', 'click')),
    grain          text NOT NULL CHECK (grain IN ('hour', 'day', 'week', 'month', 'year')),
    bucket         timestamptz NOT NULL,
    {columns},
    counted        numeric NOT NULL,
    gross_value    bigint NOT NULL,
    net_value      bigint NOT NULL,
    discount_value bigint NOT NULL,
    commission     bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (program_id, basis, grain, bucket, {key})
) WITH (fillfactor = 80)
"""
_CREDIT_ROLLUPS = {
    "program": "type text, new_customer boolean",
    "time": "campaign_id bigint, channel text, type text, new_customer boolean",
    "code": "code text, type text, new_customer boolean",
}
_KIND = "ALTER TABLE visitor_sketches DROP CONSTRAINT visitor_sketches_kind_check, ADD CHECK (kind IN ({kinds}))"
_KEY = "program_id, kind, grain, bucket, influencer_id, campaign_id, channel"
_NEW_KEY = f"{_KEY}, link_id, post_id, country, device"
_REKEY = "ALTER TABLE visitor_sketches DROP CONSTRAINT visitor_sketches_pkey, ADD PRIMARY KEY ({key})"
# Rows answer until the rollups are rebuilt, which a consumer does as soon as it sees this.
_ANEW = ("UPDATE programs SET rolled_up_in = NULL", "TRUNCATE visitor_sketches")
_STATEMENTS = (
    *_ANEW,
    """
CREATE TABLE clicks_by_program (
    program_id bigint NOT NULL,
    grain      text NOT NULL CHECK (grain IN ('hour', 'day', 'week', 'month', 'year')),
    bucket     timestamptz NOT NULL,
    clicks     bigint NOT NULL,
    bot_clicks bigint NOT NULL,
    UNIQUE (program_id, grain, bucket)
) WITH (fillfactor = 80)
""",
    *(
        _CREDIT_ROLLUP.format(name=name, columns=columns, key=", ".join(c.split()[0] for c in columns.split(", ")))
        for name, columns in _CREDIT_ROLLUPS.items()
    ),
    f"""
CREATE TABLE insights_by_program (
    program_id bigint NOT NULL,
    grain      text NOT NULL CHECK (grain IN ('hour', 'day', 'week', 'month', 'year')),
    bucket     timestamptz NOT NULL,
    {_INSIGHTS},
    UNIQUE (program_id, grain, bucket)
) WITH (fillfactor = 80)
""",
    """
ALTER TABLE visitor_sketches
    ADD COLUMN link_id bigint NOT NULL, ADD COLUMN post_id bigint NOT NULL,
    ADD COLUMN country text NOT NULL, ADD COLUMN device text NOT NULL
""",
    _REKEY.format(key=_NEW_KEY),
    _KIND.format(kinds="'program', 'time', 'influencer', 'audience', 'link'"),
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    for statement in _ANEW:
        op.execute(statement)
    op.execute(_KIND.format(kinds="'program', 'time', 'influencer'"))
    op.execute(_REKEY.format(key=_KEY))
    for column in ("link_id", "post_id", "country", "device"):
        op.execute(f"ALTER TABLE visitor_sketches DROP COLUMN {column}")
    tables = ["clicks_by_program", *(f"credits_by_{name}" for name in _CREDIT_ROLLUPS), "insights_by_program"]
    op.execute(f"DROP TABLE {', '.join(tables)}")

"""Credits summed by influencer and by link, and what waits to be summed."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_SUMS = "counted, gross_value, net_value, discount_value, commission"
_ROLLUP = """
CREATE TABLE credits_by_{name} (
    program_id     bigint NOT NULL,
    basis          text NOT NULL CHECK (basis IN ('conversion', 'click')),
    grain          text NOT NULL CHECK (grain IN ('day', 'week', 'month', 'year')),
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
_INFLUENCER = "influencer_id bigint, campaign_id bigint, channel text, type text, new_customer boolean"
_ROLLUPS = {
    "influencer": _INFLUENCER,
    "link": f"link_id bigint, post_id bigint, code text, {_INFLUENCER}",
}
_DELTA_COLUMNS = (
    "program_id, occurred_at, influencer_id, campaign_id, channel, post_id, link_id, code, type, new_customer, "
    + _SUMS
)
_STATEMENTS = (
    *(
        _ROLLUP.format(name=name, columns=columns, key=", ".join(c.split()[0] for c in columns.split(", ")))
        for name, columns in _ROLLUPS.items()
    ),
    f"""
CREATE TABLE credit_deltas AS
SELECT coalesce(clicked_at, occurred_at) AS touched_at, {_DELTA_COLUMNS} FROM credit_entries
""",  # noqa: S608
    """
ALTER TABLE credit_deltas
    ALTER COLUMN program_id SET NOT NULL,
    SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100000)
""",
    """
COMMENT ON TABLE credit_deltas IS
    'made with their entries by a trigger, gone when they are in the rollups: both together are the entries'
""",
    "COMMENT ON COLUMN credit_deltas.touched_at IS 'the click''s moment; where there is none, the conversion''s'",
    # Not up to an entry id: a lane may commit lower ids than those that another has committed.
    f"""
CREATE FUNCTION append_credit_deltas() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO credit_deltas (touched_at, {_DELTA_COLUMNS})
    SELECT coalesce(clicked_at, occurred_at), {_DELTA_COLUMNS} FROM appended;
    RETURN NULL;
END
$$
""",  # noqa: S608
    """
CREATE TRIGGER credit_entries_appended AFTER INSERT ON credit_entries
REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION append_credit_deltas()
""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER credit_entries_appended ON credit_entries")
    op.execute("DROP FUNCTION append_credit_deltas")
    op.execute("DROP TABLE credit_deltas, credits_by_influencer, credits_by_link")

"""Credits tell the country and the device of their click, and are summed by them."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_SUMS = "counted, gross_value, net_value, discount_value, commission"
_PLACE = "program_id, occurred_at, influencer_id, campaign_id, channel, post_id, link_id, code, type, new_customer"
_APPEND = """
CREATE OR REPLACE FUNCTION append_credit_deltas() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO credit_deltas (touched_at, {columns})
    SELECT coalesce(clicked_at, occurred_at), {columns} FROM appended;
    RETURN NULL;
END
$$
"""
_KEY = "campaign_id, channel, type, new_customer"
_STATEMENTS = (
    "ALTER TABLE credit_entries ADD COLUMN country text, ADD COLUMN device text",
    "COMMENT ON COLUMN credit_entries.country IS 'of a click''s credit, once the click is here; so is device'",
    """
UPDATE credit_entries e
SET country = k.country, device = k.device
FROM clicks k
WHERE k.program_id = e.program_id AND k.clicked_at = e.clicked_at AND k.click_id = e.click_id
  AND num_nonnulls(k.country, k.device) > 0
""",
    "ALTER TABLE credit_deltas ADD COLUMN country text, ADD COLUMN device text",
    _APPEND.format(columns=f"{_PLACE}, country, device, {_SUMS}"),
    f"""
CREATE TABLE credits_by_audience (
    program_id     bigint NOT NULL,
    basis          text NOT NULL CHECK (basis IN ('conversion', 'click')),
    grain          text NOT NULL CHECK (grain IN ('day', 'week', 'month', 'year')),
    bucket         timestamptz NOT NULL,
    country        text,
    device         text,
    campaign_id    bigint,
    channel        text,
    type           text,
    new_customer   boolean,
    counted        numeric NOT NULL,
    gross_value    bigint NOT NULL,
    net_value      bigint NOT NULL,
    discount_value bigint NOT NULL,
    commission     bigint NOT NULL,
    UNIQUE NULLS NOT DISTINCT (program_id, basis, grain, bucket, country, device, {_KEY})
) WITH (fillfactor = 80)
""",
    # Deltas of now have no audience. Their entries are counted here, so they are taken away where they will be added.
    f"""
INSERT INTO credits_by_audience (program_id, basis, grain, bucket, country, device, {_KEY}, {_SUMS})
SELECT program_id, basis, grain, date_trunc(grain, at, p.rolled_up_in) AS bucket, country, device, {_KEY},
       sum(counted), sum(gross_value), sum(net_value), sum(discount_value), sum(commission)
FROM (
    SELECT program_id, occurred_at, coalesce(clicked_at, occurred_at) AS touched_at, country, device, {_KEY}, {_SUMS}
    FROM credit_entries
    UNION ALL
    SELECT program_id, occurred_at, touched_at, NULL, NULL, {_KEY}, -counted, -gross_value, -net_value,
           -discount_value, -commission
    FROM credit_deltas
) e
JOIN programs p USING (program_id)
CROSS JOIN LATERAL (VALUES ('conversion', occurred_at), ('click', touched_at)) AS moment (basis, at)
CROSS JOIN unnest('{{day,week,month,year}}'::text[]) AS g (grain)
WHERE p.rolled_up_in IS NOT NULL
GROUP BY program_id, basis, grain, bucket, country, device, {_KEY}
""",  # noqa: S608  # names of this file alone
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE credits_by_audience")
    op.execute(_APPEND.format(columns=f"{_PLACE}, {_SUMS}"))
    for table in ("credit_deltas", "credit_entries"):
        op.execute(f"ALTER TABLE {table} DROP COLUMN country, DROP COLUMN device")

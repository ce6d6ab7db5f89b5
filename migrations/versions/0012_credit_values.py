"""Credit entries tell all that statistics ask of them, and what they are worth in the programme's currency."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

ENTRIES = """
ALTER TABLE credit_entries
    ADD COLUMN occurred_at    timestamptz,
    ADD COLUMN clicked_at     timestamptz,
    ADD COLUMN type           text,
    ADD COLUMN new_customer   boolean,
    ADD COLUMN counted        numeric NOT NULL DEFAULT 0,
    ADD COLUMN gross_value    bigint NOT NULL DEFAULT 0,
    ADD COLUMN net_value      bigint NOT NULL DEFAULT 0,
    ADD COLUMN discount_value bigint NOT NULL DEFAULT 0,
    ADD COLUMN commission     bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN credit_entries.clicked_at IS 'of a click''s credit';
COMMENT ON COLUMN credit_entries.new_customer IS
    'as the shop says, or, where it does not, whether it is the customer''s first; null: the customer is not known';
COMMENT ON COLUMN credit_entries.counted IS 'the weight while the conversion is not cancelled';
COMMENT ON COLUMN credit_entries.gross_value IS
    'minor units of the programme''s currency, like the three after it; 0 of a cancelled conversion';
UPDATE credit_entries e
SET occurred_at = c.occurred_at, clicked_at = clicked_at(e.click_id), type = c.type,
    new_customer = CASE
        WHEN c.new_customer IS NOT NULL OR c.customer_id IS NULL THEN c.new_customer
        ELSE NOT EXISTS (
            SELECT FROM conversions o
            WHERE o.program_id = c.program_id AND o.customer_id = c.customer_id
              AND o.type = 'purchase' AND o.status = 'confirmed' AND o.occurred_at <= c.occurred_at
              AND (o.occurred_at, o.source, o.external_id) < (c.occurred_at, c.source, c.external_id)
        )
    END,
    counted = CASE WHEN c.status = 'confirmed' THEN e.weight ELSE 0 END,
    gross_value = CASE WHEN c.status = 'confirmed' AND c.currency = p.currency THEN e.gross_minor ELSE 0 END,
    net_value = CASE WHEN c.status = 'confirmed' AND c.currency = p.currency THEN e.net_minor ELSE 0 END,
    discount_value = CASE WHEN c.status = 'confirmed' AND c.currency = p.currency THEN e.discount_minor ELSE 0 END
FROM conversions c, programs p
WHERE c.program_id = e.program_id AND c.conversion_id = e.conversion_id AND p.program_id = e.program_id;
ALTER TABLE credit_entries
    ALTER COLUMN occurred_at SET NOT NULL,
    ALTER COLUMN type SET NOT NULL,
    ALTER COLUMN counted DROP DEFAULT,
    ALTER COLUMN gross_value DROP DEFAULT,
    ALTER COLUMN net_value DROP DEFAULT,
    ALTER COLUMN discount_value DROP DEFAULT,
    ALTER COLUMN commission DROP DEFAULT;
CREATE INDEX credit_entries_occurred ON credit_entries (program_id, occurred_at);
CREATE INDEX credit_entries_moment ON credit_entries (program_id, (coalesce(clicked_at, occurred_at)));
ALTER TABLE attributions
    ADD COLUMN rate_numerator    numeric,
    ADD COLUMN rate_denominator  numeric,
    ADD COLUMN missing_rate_day  date,
    ADD COLUMN missing_rate_base text;
COMMENT ON COLUMN attributions.rate_numerator IS
    'over rate_denominator: minor units of the programme''s currency for one of the conversion''s; null: not needed';
COMMENT ON COLUMN attributions.missing_rate_day IS
    'no rate from missing_rate_base to the programme''s currency on this day: its credits count, their value is 0';
CREATE INDEX attributions_missing_rate ON attributions (program_id, missing_rate_day)
WHERE missing_rate_day IS NOT NULL;
"""

# What an attributor has not seen must not look older than its judgement: see 0003.
VERSIONS = """
ALTER TABLE commission_plans ALTER COLUMN created_at SET DEFAULT clock_timestamp();
ALTER TABLE fx_rates ALTER COLUMN created_at SET DEFAULT clock_timestamp();
COMMENT ON COLUMN attributions.bound_at IS
    'when first credited: later rules, campaign windows, versions of codes, plans and rates never judge it';
"""

# Their value takes plans and rates: an attributor appends it.
UNVALUED = """
INSERT INTO credit_queue (program_id, conversion_id)
SELECT c.program_id, c.conversion_id
FROM conversions c JOIN programs p USING (program_id) JOIN attributions USING (program_id, conversion_id)
WHERE c.currency <> p.currency OR EXISTS (SELECT FROM commission_plans l WHERE l.program_id = c.program_id);
"""


def upgrade() -> None:
    for statements in (ENTRIES, VERSIONS, UNVALUED):
        for statement in statements.split(";\n"):
            if statement.strip():
                op.execute(statement)


def downgrade() -> None:
    op.execute(
        "COMMENT ON COLUMN attributions.bound_at IS"
        " 'when first credited, or recomputed: rules, windows and versions of codes made later never judge it'"
    )
    op.execute("ALTER TABLE commission_plans ALTER COLUMN created_at SET DEFAULT now()")
    op.execute("ALTER TABLE fx_rates ALTER COLUMN created_at SET DEFAULT now()")
    op.execute(
        "ALTER TABLE attributions DROP COLUMN rate_numerator, DROP COLUMN rate_denominator,"
        " DROP COLUMN missing_rate_day, DROP COLUMN missing_rate_base"
    )
    op.execute(
        "ALTER TABLE credit_entries DROP COLUMN occurred_at, DROP COLUMN clicked_at, DROP COLUMN type,"
        " DROP COLUMN new_customer, DROP COLUMN counted, DROP COLUMN gross_value, DROP COLUMN net_value,"
        " DROP COLUMN discount_value, DROP COLUMN commission"
    )

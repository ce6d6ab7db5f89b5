"""What customers are worth so far is kept: cohorts are sums over customers, not over all their credits."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_HORIZONS = (30, 60, 90, 180, 365)
_STATEMENTS = (
    f"""
CREATE TABLE customer_values (
    program_id    bigint NOT NULL,
    customer_id   text NOT NULL,
    first_at      timestamptz NOT NULL,
    is_new        boolean NOT NULL,
    is_influenced boolean NOT NULL,
    influencer_id bigint,
    campaign_id   bigint,
    channel       text,
    code          text,
    orders        bigint NOT NULL,
    gross_minor   bigint NOT NULL,
    net_minor     bigint NOT NULL,
    {", ".join(f"net_{days}_minor bigint NOT NULL" for days in _HORIZONS)},
    PRIMARY KEY (program_id, customer_id)
) WITH (fillfactor = 80)
""",
    "CREATE INDEX customer_values_first ON customer_values (program_id, first_at)",
    """
COMMENT ON TABLE customer_values IS
    'of customers with a purchase that is not cancelled; of those in changed_customers it may be out of date'
""",
    "COMMENT ON COLUMN customer_values.is_new IS 'the shop does not say at the first purchase that it is not'",
    "COMMENT ON COLUMN customer_values.influencer_id IS 'who, as the campaign, channel and code: that brought them'",
    """
CREATE TABLE changed_customers (
    program_id  bigint NOT NULL,
    customer_id text NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100000)
""",
    """
COMMENT ON TABLE changed_customers IS
    'committed with what changed them, gone when customer_values has it; until then they are valued anew by who reads'
""",
    # Triggers, as nothing that writes conversions or credits can forget them.
    """
CREATE FUNCTION mark_changed_customers() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO changed_customers (program_id, customer_id)
    SELECT DISTINCT program_id, customer_id FROM changed WHERE customer_id IS NOT NULL;
    RETURN NULL;
END
$$
""",
    """
CREATE FUNCTION mark_credited_customers() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO changed_customers (program_id, customer_id)
    SELECT DISTINCT program_id, customer_id
    FROM (SELECT DISTINCT program_id, conversion_id FROM appended) a
    JOIN conversions USING (program_id, conversion_id)
    WHERE customer_id IS NOT NULL;
    RETURN NULL;
END
$$
""",
    """
CREATE TRIGGER conversions_inserted AFTER INSERT ON conversions
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_changed_customers()
""",
    """
CREATE TRIGGER conversions_updated AFTER UPDATE ON conversions
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_changed_customers()
""",
    """
CREATE TRIGGER conversions_outdated AFTER UPDATE ON conversions
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_changed_customers()
""",
    """
CREATE TRIGGER credits_changed_customers AFTER INSERT ON credit_entries
REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION mark_credited_customers()
""",
    """
CREATE INDEX conversions_without_customer ON conversions (program_id, occurred_at)
WHERE customer_id IS NULL AND type = 'purchase' AND status = 'confirmed'
""",
    """
INSERT INTO changed_customers (program_id, customer_id)
SELECT DISTINCT program_id, customer_id FROM conversions WHERE customer_id IS NOT NULL
""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP INDEX conversions_without_customer")
    op.execute("DROP TRIGGER credits_changed_customers ON credit_entries")
    for name in ("inserted", "updated", "outdated"):
        op.execute(f"DROP TRIGGER conversions_{name} ON conversions")
    op.execute("DROP FUNCTION mark_changed_customers, mark_credited_customers")
    op.execute("DROP TABLE customer_values, changed_customers")

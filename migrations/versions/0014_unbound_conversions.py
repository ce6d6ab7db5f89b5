"""What has no credit yet is judged again when a code, a rule or a window is made that may give it some."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

UPGRADE = (
    """
    CREATE TABLE awaited_codes (
        program_id    bigint NOT NULL,
        code_key      text NOT NULL,
        conversion_id bigint NOT NULL,
        PRIMARY KEY (program_id, code_key, conversion_id),
        FOREIGN KEY (program_id, conversion_id) REFERENCES conversions
    )
    """,
    "COMMENT ON TABLE awaited_codes IS 'the codes of conversions that were judged and got no credit'",
    """
    CREATE INDEX attributions_rule_may_credit ON attributions (program_id, conversion_id)
    WHERE bound_at IS NULL AND reason NOT IN ('no_touch', 'only_bots')
    """,
    # Their codes become awaited when an attributor sees them.
    """
    INSERT INTO credit_queue (program_id, conversion_id)
    SELECT a.program_id, a.conversion_id
    FROM attributions a JOIN conversions c USING (program_id, conversion_id)
    WHERE a.bound_at IS NULL AND (c.discount_codes <> '{}' OR a.reason NOT IN ('no_touch', 'only_bots'))
    """,
    # Triggers, as no version goes without them. Each has a snapshot of its own, after the attributor's share lock: a
    # conversion that was judged meanwhile is seen. Without a touch in the path only `always` takes credit.
    """
    CREATE FUNCTION queue_conversions_with_code() RETURNS trigger LANGUAGE plpgsql AS
    $$
    BEGIN
        INSERT INTO credit_queue (program_id, conversion_id)
        SELECT w.program_id, w.conversion_id
        FROM awaited_codes w
        JOIN conversions c USING (program_id, conversion_id)
        JOIN attributions a USING (program_id, conversion_id)
        WHERE w.program_id = new.program_id AND w.code_key = new.code_key AND a.bound_at IS NULL
          AND (new.starts_at IS NULL OR c.occurred_at >= new.starts_at)
          AND (new.ends_at IS NULL OR c.occurred_at < new.ends_at);
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER code_may_credit AFTER INSERT ON code_versions FOR EACH ROW
    WHEN (new.status = 'active' AND new.policy = 'always')
    EXECUTE FUNCTION queue_conversions_with_code()
    """,
    """
    CREATE FUNCTION queue_conversions_with_touches() RETURNS trigger LANGUAGE plpgsql AS
    $$
    BEGIN
        INSERT INTO credit_queue (program_id, conversion_id)
        SELECT a.program_id, a.conversion_id
        FROM attributions a JOIN conversions c USING (program_id, conversion_id)
        WHERE a.program_id = new.program_id AND a.bound_at IS NULL AND a.reason NOT IN ('no_touch', 'only_bots')
          AND c.occurred_at >= new.effective_from;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER rule_may_credit AFTER INSERT ON rules FOR EACH ROW
    EXECUTE FUNCTION queue_conversions_with_touches()
    """,
    """
    CREATE TRIGGER windows_may_credit AFTER INSERT ON campaign_windows FOR EACH ROW
    EXECUTE FUNCTION queue_conversions_with_touches()
    """,
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER code_may_credit ON code_versions")
    op.execute("DROP TRIGGER rule_may_credit ON rules")
    op.execute("DROP TRIGGER windows_may_credit ON campaign_windows")
    op.execute("DROP FUNCTION queue_conversions_with_code, queue_conversions_with_touches")
    op.execute("DROP INDEX attributions_rule_may_credit")
    op.execute("DROP TABLE awaited_codes")

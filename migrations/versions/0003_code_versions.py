"""Codes by version, and versions in the order in which attributors come to know them."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UPGRADE = (
    """
    CREATE TABLE code_versions (
        program_id      bigint NOT NULL,
        code_id         bigint NOT NULL,
        code_version_id bigint GENERATED ALWAYS AS IDENTITY,
        code            text NOT NULL,
        code_key        text NOT NULL,
        influencer_id   bigint NOT NULL,
        campaign_id     bigint,
        policy          text NOT NULL,
        starts_at       timestamptz,
        ends_at         timestamptz,
        status          text NOT NULL,
        created_at      timestamptz NOT NULL,
        PRIMARY KEY (program_id, code_id, code_version_id),
        FOREIGN KEY (program_id, code_id) REFERENCES codes
    )
    """,
    "CREATE INDEX code_versions_key ON code_versions (program_id, code_key)",
    "COMMENT ON TABLE code_versions IS 'append-only, kept by a trigger: no change of a code goes without a version'",
    """
    INSERT INTO code_versions (
        program_id, code_id, code, code_key, influencer_id, campaign_id, policy, starts_at, ends_at, status,
        created_at
    )
    SELECT
        program_id, code_id, code, code_key, influencer_id, campaign_id, policy, starts_at, ends_at, status,
        created_at
    FROM codes
    ORDER BY code_id
    """,
    # clock_timestamp(), not now(): an attributor shuts new versions out while it judges, and what it has not seen
    # must not look older than its judgement because a transaction began early.
    """
    CREATE FUNCTION append_code_version() RETURNS trigger LANGUAGE plpgsql AS
    $$
    BEGIN
        INSERT INTO code_versions (
            program_id, code_id, code, code_key, influencer_id, campaign_id, policy, starts_at, ends_at, status,
            created_at
        )
        VALUES (
            new.program_id, new.code_id, new.code, new.code_key, new.influencer_id, new.campaign_id, new.policy,
            new.starts_at, new.ends_at, new.status, clock_timestamp()
        );
        RETURN NULL;
    END
    $$
    """,
    "CREATE TRIGGER code_made AFTER INSERT ON codes FOR EACH ROW EXECUTE FUNCTION append_code_version()",
    """
    CREATE TRIGGER code_changed AFTER UPDATE ON codes FOR EACH ROW
    WHEN (
        (old.code, old.influencer_id, old.campaign_id, old.policy, old.starts_at, old.ends_at, old.status)
        IS DISTINCT FROM
        (new.code, new.influencer_id, new.campaign_id, new.policy, new.starts_at, new.ends_at, new.status)
    )
    EXECUTE FUNCTION append_code_version()
    """,
    "ALTER TABLE rules ALTER COLUMN created_at SET DEFAULT clock_timestamp()",
    "ALTER TABLE campaign_windows ALTER COLUMN created_at SET DEFAULT clock_timestamp()",
    """
    COMMENT ON COLUMN attributions.bound_at IS
        'when first credited: rules, campaign windows and versions of codes made later never judge this conversion'
    """,
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    op.execute(
        "COMMENT ON COLUMN attributions.bound_at IS"
        " 'when first credited: rules and campaign windows made later never judge this conversion'"
    )
    op.execute("ALTER TABLE rules ALTER COLUMN created_at SET DEFAULT now()")
    op.execute("ALTER TABLE campaign_windows ALTER COLUMN created_at SET DEFAULT now()")
    op.execute("DROP TRIGGER code_made ON codes")
    op.execute("DROP TRIGGER code_changed ON codes")
    op.execute("DROP FUNCTION append_code_version")
    op.execute("DROP TABLE code_versions")

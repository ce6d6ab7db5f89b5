"""Recomputations: what other rules would have given, or give from now on."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UPGRADE = (
    """
    CREATE TABLE recomputations (
        program_id              bigint NOT NULL REFERENCES programs,
        recomputation_id        bigint GENERATED ALWAYS AS IDENTITY,
        external_id             text,
        start_at                timestamptz NOT NULL,
        end_at                  timestamptz NOT NULL CHECK (end_at >= start_at),
        rule_id                 bigint,
        model                   text,
        parameters              jsonb NOT NULL DEFAULT '{}',
        windows                 jsonb NOT NULL DEFAULT '{}',
        min_click_to_conversion interval,
        dry_run                 boolean NOT NULL,
        status                  text NOT NULL DEFAULT 'queued'
                                CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
        error                   text,
        total                   bigint,
        done                    bigint NOT NULL DEFAULT 0,
        changed                 bigint NOT NULL DEFAULT 0,
        reached_at              timestamptz,
        reached_id              bigint,
        created_at              timestamptz NOT NULL DEFAULT clock_timestamp(),
        started_at              timestamptz,
        finished_at             timestamptz,
        PRIMARY KEY (program_id, recomputation_id),
        UNIQUE (program_id, external_id),
        CONSTRAINT recomputations_rule_fkey FOREIGN KEY (program_id, rule_id) REFERENCES rules
    )
    """,
    "CREATE INDEX recomputations_open ON recomputations (recomputation_id) WHERE status IN ('queued', 'running')",
    """
    COMMENT ON COLUMN recomputations.created_at IS
        'rules, campaign windows and versions of codes made later do not count in it'
    """,
    """
    COMMENT ON COLUMN recomputations.reached_at IS
        'moment of the last conversion that was judged, and its id in reached_id; written with what came of it'
    """,
    """
    CREATE TABLE recomputation_differences (
        program_id       bigint NOT NULL,
        recomputation_id bigint NOT NULL,
        conversion_id    bigint NOT NULL,
        via              text NOT NULL,
        influencer_id    bigint,
        currency         char(3) NOT NULL,
        weight_before    numeric NOT NULL,
        net_minor_before bigint NOT NULL,
        weight_after     numeric NOT NULL,
        net_minor_after  bigint NOT NULL,
        UNIQUE NULLS NOT DISTINCT (program_id, recomputation_id, conversion_id, via, influencer_id),
        FOREIGN KEY (program_id, recomputation_id) REFERENCES recomputations
    )
    """,
    "COMMENT ON TABLE recomputation_differences IS 'only parts of conversions that differ'",
    "ALTER TABLE attributions ADD COLUMN recomputation_id bigint",
    """
    COMMENT ON COLUMN attributions.recomputation_id IS
        'the recomputation that bound it, at bound_at: its terms judge what comes late'
    """,
    """
    COMMENT ON COLUMN attributions.bound_at IS
        'when first credited, or recomputed: rules, windows and versions of codes made later never judge it'
    """,
    "ALTER TABLE credit_entries ADD COLUMN recomputation_id bigint",
    "COMMENT ON COLUMN credit_entries.recomputation_id IS 'the recomputation that appended it'",
    # Also by id: thousands of conversions may have one moment, and a recomputation goes on between them.
    "DROP INDEX conversions_occurred",
    "CREATE INDEX conversions_occurred ON conversions (program_id, occurred_at, conversion_id)",
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    op.execute(
        "COMMENT ON COLUMN attributions.bound_at IS"
        " 'when first credited: rules, campaign windows and versions of codes made later never judge this conversion'"
    )
    op.execute("DROP INDEX conversions_occurred")
    op.execute("CREATE INDEX conversions_occurred ON conversions (program_id, occurred_at)")
    op.execute("ALTER TABLE credit_entries DROP COLUMN recomputation_id")
    op.execute("ALTER TABLE attributions DROP COLUMN recomputation_id")
    op.execute("DROP TABLE recomputation_differences, recomputations")

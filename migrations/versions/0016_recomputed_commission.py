"""What a recomputation changes, in commission too."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

UPGRADE = (
    # Written in the transaction that holds the recomputation's own row: a check of each row says nothing more.
    """
    ALTER TABLE recomputation_differences
        DROP CONSTRAINT recomputation_differences_program_id_recomputation_id_fkey,
        ALTER COLUMN weight_before TYPE bigint USING (weight_before * 1e18)::bigint,
        ALTER COLUMN weight_after TYPE bigint USING (weight_after * 1e18)::bigint,
        ADD COLUMN commission_before bigint NOT NULL DEFAULT 0,
        ADD COLUMN commission_after bigint NOT NULL DEFAULT 0
    """,
    "ALTER TABLE recomputation_differences RENAME COLUMN weight_before TO weight_units_before",
    "ALTER TABLE recomputation_differences RENAME COLUMN weight_after TO weight_units_after",
    "COMMENT ON COLUMN recomputation_differences.weight_units_before IS 'units of 1e-18'",
    """
    COMMENT ON COLUMN recomputation_differences.commission_before IS
        'minor units of the programme''s currency; 0 before recomputations told commission'
    """,
)


def upgrade() -> None:
    for statement in UPGRADE:
        op.execute(statement)


def downgrade() -> None:
    op.execute("COMMENT ON COLUMN recomputation_differences.weight_units_before IS NULL")
    op.execute("ALTER TABLE recomputation_differences RENAME COLUMN weight_units_before TO weight_before")
    op.execute("ALTER TABLE recomputation_differences RENAME COLUMN weight_units_after TO weight_after")
    op.execute(
        "ALTER TABLE recomputation_differences DROP COLUMN commission_before, DROP COLUMN commission_after,"
        " ALTER COLUMN weight_before TYPE numeric USING weight_before * 1e-18,"
        " ALTER COLUMN weight_after TYPE numeric USING weight_after * 1e-18,"
        " ADD FOREIGN KEY (program_id, recomputation_id) REFERENCES recomputations"
    )

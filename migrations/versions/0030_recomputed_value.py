"""What a recomputation changes, in revenue of the programme's currency too."""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE recomputation_differences ADD COLUMN net_value_before bigint, ADD net_value_after bigint")
    op.execute("""
COMMENT ON COLUMN recomputation_differences.net_value_before IS
    'minor units of the programme''s currency; null before recomputations told it'
""")
    op.execute(
        "COMMENT ON TABLE recomputation_differences IS 'only parts of conversions that an entry is appended for'"
    )


def downgrade() -> None:
    op.execute("COMMENT ON TABLE recomputation_differences IS 'only parts of conversions that differ'")
    op.execute(
        "DELETE FROM recomputation_differences WHERE (weight_units_before, net_minor_before, commission_before)"
        " = (weight_units_after, net_minor_after, commission_after)"
    )
    op.execute("ALTER TABLE recomputation_differences DROP COLUMN net_value_before, DROP COLUMN net_value_after")

"""A conversion keeps the exchange rate that it was first valued at, credited or not: the moment is kept."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE attributions ADD COLUMN valued_at timestamptz")
    op.execute(
        "COMMENT ON COLUMN attributions.valued_at IS"
        " 'when first judged: exchange rates made later never value its money; null: bound_at, else attributed_at'"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE attributions DROP COLUMN valued_at")

"""Whether a programme counts orders whose prices include tax without it."""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE programs ADD COLUMN deduct_included_tax boolean NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute("ALTER TABLE programs DROP COLUMN deduct_included_tax")

"""Which leader of attribution a second connection writes for."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE credit_epoch (epoch bigint NOT NULL)")
    op.execute("INSERT INTO credit_epoch VALUES (0)")


def downgrade() -> None:
    op.execute("DROP TABLE credit_epoch")

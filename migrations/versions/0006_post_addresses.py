"""Posts are found by their addresses, as platforms' files give them."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX posts_url ON posts (program_id, url)")


def downgrade() -> None:
    op.execute("DROP INDEX posts_url")

"""Refunds: events beside those of conversions, and their sum in the fold."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

REFUND_EVENTS = """
CREATE TABLE refund_events (
    program_id   bigint NOT NULL REFERENCES programs,
    event_id     bigint GENERATED ALWAYS AS IDENTITY,
    source       text NOT NULL,
    type         text NOT NULL,
    external_id  text NOT NULL,
    refund_id    text NOT NULL,
    content_hash bytea NOT NULL,
    message      jsonb NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, event_id),
    UNIQUE (program_id, source, type, external_id, refund_id, content_hash)
)
"""


def upgrade() -> None:
    op.execute(REFUND_EVENTS)
    op.execute(
        "COMMENT ON TABLE refund_events IS"
        " 'every distinct message, append-only; of one refund id that of the greatest hash counts'"
    )
    op.execute("ALTER TABLE conversions ADD COLUMN refunded_minor bigint NOT NULL DEFAULT 0")
    op.execute("COMMENT ON COLUMN conversions.refunded_minor IS 'asked back in all, perhaps more than gross'")


def downgrade() -> None:
    op.execute("ALTER TABLE conversions DROP COLUMN refunded_minor")
    op.execute("DROP TABLE refund_events")

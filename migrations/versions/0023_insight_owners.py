"""Growth by post tells whose post it is, as posts do."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
ALTER TABLE insights_by_post
    ADD COLUMN influencer_id bigint, ADD COLUMN campaign_id bigint, ADD COLUMN channel text
""",
    """
UPDATE insights_by_post r
SET influencer_id = p.influencer_id, campaign_id = p.campaign_id, channel = p.channel
FROM posts p
WHERE p.program_id = r.program_id AND p.post_id = r.post_id
""",
    "ALTER TABLE insights_by_post ALTER COLUMN influencer_id SET NOT NULL, ALTER COLUMN channel SET NOT NULL",
    "COMMENT ON COLUMN insights_by_post.influencer_id IS 'of the post as it is now; so are campaign_id and channel'",
    "CREATE INDEX insights_by_post_influencer ON insights_by_post (program_id, grain, bucket, influencer_id)",
    # Who rolls up shares a lock of the posts: this either comes first, or sees what was rolled up.
    """
CREATE FUNCTION move_insights() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE insights_by_post
    SET influencer_id = new.influencer_id, campaign_id = new.campaign_id, channel = new.channel
    WHERE program_id = new.program_id AND grain IN ('month', 'year') AND post_id = new.post_id;
    RETURN NULL;
END
$$
""",
    """
CREATE TRIGGER post_passed_on AFTER UPDATE OF influencer_id, campaign_id, channel ON posts FOR EACH ROW
WHEN (
    (old.influencer_id, old.campaign_id, old.channel) IS DISTINCT FROM
    (new.influencer_id, new.campaign_id, new.channel)
)
EXECUTE FUNCTION move_insights()
""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER post_passed_on ON posts")
    op.execute("DROP FUNCTION move_insights")
    op.execute("DROP INDEX insights_by_post_influencer")
    op.execute("ALTER TABLE insights_by_post DROP COLUMN influencer_id, DROP COLUMN campaign_id, DROP COLUMN channel")

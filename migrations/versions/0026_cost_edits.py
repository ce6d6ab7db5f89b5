"""A cost that stays with its post is changed without a lock of the post, which who changes the post holds."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# A cost comes before its post passes on, or sees to whom it went: by a lock of the post while the cost is not the
# post's yet. Afterwards by its own row: `move_costs` waits for it, or was there before.
_OWN_COST = """
CREATE OR REPLACE FUNCTION own_cost() RETURNS trigger LANGUAGE plpgsql AS
$$
DECLARE
    post record;
BEGIN
    IF tg_op = 'INSERT' OR new.post_id IS DISTINCT FROM old.post_id THEN
        PERFORM FROM posts WHERE program_id = new.program_id AND post_id = new.post_id FOR SHARE;
    END IF;
    SELECT influencer_id, campaign_id, channel INTO post
    FROM posts
    WHERE program_id = new.program_id AND post_id = new.post_id;
    new.owner_influencer_id = coalesce(new.influencer_id, post.influencer_id);
    new.owner_campaign_id = coalesce(new.campaign_id, post.campaign_id);
    new.owner_channel = post.channel;
    RETURN new;
END
$$
"""
_OWN_COST_BEFORE = """
CREATE OR REPLACE FUNCTION own_cost() RETURNS trigger LANGUAGE plpgsql AS
$$
DECLARE
    post record;
BEGIN
    SELECT influencer_id, campaign_id, channel INTO post
    FROM posts
    WHERE program_id = new.program_id AND post_id = new.post_id
    FOR SHARE;
    new.owner_influencer_id = coalesce(new.influencer_id, post.influencer_id);
    new.owner_campaign_id = coalesce(new.campaign_id, post.campaign_id);
    new.owner_channel = post.channel;
    RETURN new;
END
$$
"""


def upgrade() -> None:
    op.execute(_OWN_COST)


def downgrade() -> None:
    op.execute(_OWN_COST_BEFORE)

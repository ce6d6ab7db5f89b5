"""Costs tell whose they are, as their posts do; costs in other currencies, and posts of an influencer, are found."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_STATEMENTS = (
    """
ALTER TABLE costs
    ADD COLUMN owner_influencer_id bigint, ADD COLUMN owner_campaign_id bigint, ADD COLUMN owner_channel text
""",
    """
COMMENT ON COLUMN costs.owner_influencer_id IS
    'influencer_id, or the post''s as it is now; so are owner_campaign_id and owner_channel'
""",
    # Its lock of the post: a cost comes before the post passes on, or sees to whom it went.
    """
CREATE FUNCTION own_cost() RETURNS trigger LANGUAGE plpgsql AS
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
""",
    """
CREATE TRIGGER cost_owned BEFORE INSERT OR UPDATE OF influencer_id, campaign_id, post_id ON costs
FOR EACH ROW EXECUTE FUNCTION own_cost()
""",
    "UPDATE costs SET post_id = post_id",
    """
CREATE FUNCTION move_costs() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE costs
    SET owner_influencer_id = coalesce(influencer_id, new.influencer_id),
        owner_campaign_id = coalesce(campaign_id, new.campaign_id),
        owner_channel = new.channel
    WHERE program_id = new.program_id AND post_id = new.post_id;
    RETURN NULL;
END
$$
""",
    """
CREATE TRIGGER post_passed_on_with_costs AFTER UPDATE OF influencer_id, campaign_id, channel ON posts FOR EACH ROW
WHEN (
    (old.influencer_id, old.campaign_id, old.channel) IS DISTINCT FROM
    (new.influencer_id, new.campaign_id, new.channel)
)
EXECUTE FUNCTION move_costs()
""",
    "CREATE INDEX costs_post ON costs (program_id, post_id) WHERE post_id IS NOT NULL",
    "CREATE INDEX costs_owner ON costs (program_id, owner_influencer_id)",
    "CREATE INDEX costs_currency ON costs (program_id, currency)",
    "CREATE INDEX posts_influencer ON posts (program_id, influencer_id)",
)
_OWNED = """
costs.owner_influencer_id AS influencer_id, costs.owner_campaign_id AS campaign_id, costs.post_id,
costs.owner_channel AS channel
"""
_JOINED = """
coalesce(costs.influencer_id, posts.influencer_id) AS influencer_id,
coalesce(costs.campaign_id, posts.campaign_id) AS campaign_id,
costs.post_id, posts.channel
"""
_POSTS = "LEFT JOIN posts ON posts.program_id = costs.program_id AND posts.post_id = costs.post_id"
_VIEWS = (
    """
CREATE OR REPLACE VIEW owned_costs AS
SELECT
    costs.program_id, costs.cost_id, costs.currency, costs.first_day, costs.end_day, costs.amount_minor, {owners}
FROM costs {posts}
WHERE costs.status = 'active'
""",
    """
CREATE OR REPLACE VIEW cost_days AS
SELECT
    costs.program_id, costs.cost_id, costs.kind, costs.currency, costs.first_day, costs.end_day, {owners},
    costs.first_day + number AS day,
    costs.amount_minor / days + (number < costs.amount_minor % days)::integer AS amount_minor
FROM costs {posts}
CROSS JOIN LATERAL (SELECT costs.end_day - costs.first_day AS days) AS length
CROSS JOIN LATERAL generate_series(0, days - 1) AS number
WHERE costs.status = 'active'
""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
    for view in _VIEWS:
        op.execute(view.format(owners=_OWNED, posts=""))


def downgrade() -> None:
    for view in _VIEWS:
        op.execute(view.format(owners=_JOINED, posts=_POSTS))
    op.execute("DROP INDEX posts_influencer")
    op.execute("DROP TRIGGER post_passed_on_with_costs ON posts")
    op.execute("DROP FUNCTION move_costs")
    op.execute("DROP TRIGGER cost_owned ON costs")
    op.execute("DROP FUNCTION own_cost")
    op.execute(
        "ALTER TABLE costs DROP COLUMN owner_influencer_id, DROP COLUMN owner_campaign_id, DROP COLUMN owner_channel"
    )
    op.execute("DROP INDEX costs_post")
    op.execute("DROP INDEX costs_currency")

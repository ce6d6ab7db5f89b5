"""Growth of insights kept, and summed by post; costs whole: no question works a year of either out anew."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_METRICS = ("impressions", "reach", "views", "likes", "comments", "shares", "saves", "link_taps", "followers")
_LISTED = ", ".join(_METRICS)
_COLUMNS = ", ".join(f"{metric} bigint" for metric in _METRICS)
_GROWN = ", ".join(f"sum(growth) FILTER (WHERE metric = '{metric}')" for metric in _METRICS)
_NEGATED = ", ".join(f"-{metric}" for metric in _METRICS)
_STATEMENTS = (
    f"""
CREATE TABLE insight_growth (
    program_id bigint NOT NULL,
    post_id    bigint NOT NULL,
    at         timestamptz NOT NULL,
    {_COLUMNS},
    PRIMARY KEY (program_id, post_id, at)
)
""",
    "COMMENT ON TABLE insight_growth IS 'insight_steps, kept by a trigger on insights; null: no total is stated'",
    "CREATE INDEX insight_growth_at ON insight_growth (program_id, at)",
    f"""
CREATE TABLE insight_deltas (
    program_id bigint NOT NULL,
    post_id    bigint NOT NULL,
    at         timestamptz NOT NULL,
    {_COLUMNS}
)
""",
    """
COMMENT ON TABLE insight_deltas IS
    'made with the growth that they change, gone when they are in the rollup: both together are insight_growth'
""",
    f"""
CREATE TABLE insights_by_post (
    program_id bigint NOT NULL,
    grain      text NOT NULL CHECK (grain IN ('month', 'year')),
    bucket     timestamptz NOT NULL,
    post_id    bigint NOT NULL,
    {_COLUMNS},
    PRIMARY KEY (program_id, grain, bucket, post_id)
) WITH (fillfactor = 80)
""",
    # A total changes its own growth and that of the next: all from the first new one on is worked out again, after
    # the posts are locked, so that who comes second sees what the first one wrote.
    f"""
CREATE FUNCTION append_insight_growth() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM FROM posts
    WHERE (program_id, post_id) IN (SELECT program_id, post_id FROM appended)
    ORDER BY program_id, post_id
    FOR NO KEY UPDATE;

    WITH gone AS (
        DELETE FROM insight_growth g
        USING (SELECT program_id, post_id, min(at) AS at FROM appended GROUP BY program_id, post_id) a
        WHERE g.program_id = a.program_id AND g.post_id = a.post_id AND g.at >= a.at
        RETURNING g.*
    )
    INSERT INTO insight_deltas (program_id, post_id, at, {_LISTED})
    SELECT program_id, post_id, at, {_NEGATED} FROM gone;

    WITH grown AS (
        INSERT INTO insight_growth (program_id, post_id, at, {_LISTED})
        SELECT a.program_id, a.post_id, i.at, {_GROWN}
        FROM (SELECT program_id, post_id, min(at) AS at FROM appended GROUP BY program_id, post_id) a
        CROSS JOIN LATERAL (
            SELECT s.at, s.metric, s.growth
            FROM insight_steps s
            WHERE s.program_id = a.program_id AND s.post_id = a.post_id
            OFFSET 0
        ) i
        WHERE i.at >= a.at
        GROUP BY a.program_id, a.post_id, i.at
        RETURNING *
    )
    INSERT INTO insight_deltas (program_id, post_id, at, {_LISTED})
    SELECT program_id, post_id, at, {_LISTED} FROM grown;
    RETURN NULL;
END
$$
""",  # noqa: S608
    """
CREATE TRIGGER insights_appended AFTER INSERT ON insights
REFERENCING NEW TABLE AS appended FOR EACH STATEMENT EXECUTE FUNCTION append_insight_growth()
""",
    f"""
INSERT INTO insight_growth (program_id, post_id, at, {_LISTED})
SELECT program_id, post_id, at, {_GROWN} FROM insight_steps GROUP BY program_id, post_id, at
""",  # noqa: S608
    "INSERT INTO insight_deltas SELECT * FROM insight_growth",
    """
CREATE VIEW owned_costs AS
SELECT
    costs.program_id, costs.cost_id, costs.currency, costs.first_day, costs.end_day, costs.amount_minor,
    coalesce(costs.influencer_id, posts.influencer_id) AS influencer_id,
    coalesce(costs.campaign_id, posts.campaign_id) AS campaign_id,
    costs.post_id, posts.channel
FROM costs
LEFT JOIN posts ON posts.program_id = costs.program_id AND posts.post_id = costs.post_id
WHERE costs.status = 'active'
""",
    "COMMENT ON VIEW owned_costs IS 'active costs, whole; cost_days has them by the day'",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP VIEW owned_costs")
    op.execute("DROP TRIGGER insights_appended ON insights")
    op.execute("DROP FUNCTION append_insight_growth")
    op.execute("DROP TABLE insight_growth, insight_deltas, insights_by_post")

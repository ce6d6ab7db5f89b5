"""Facts of a programme: insights of posts, costs, commission plans, exchange rates, goals of campaigns."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

GOALS = """
ALTER TABLE campaigns ADD COLUMN goal text CHECK (goal IN ('visibility', 'leads', 'sales', 'reputation'));
ALTER TABLE campaigns ADD COLUMN targets jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN campaigns.targets IS 'metric of the goal -> figure, a decimal string';
"""

INSIGHTS = """
CREATE TABLE insights (
    program_id  bigint NOT NULL,
    post_id     bigint NOT NULL,
    insight_id  bigint GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL,
    impressions bigint,
    reach       bigint,
    views       bigint,
    likes       bigint,
    comments    bigint,
    shares      bigint,
    saves       bigint,
    link_taps   bigint,
    followers   bigint,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, post_id, at, insight_id),
    FOREIGN KEY (program_id, post_id) REFERENCES posts
);
CREATE INDEX insights_created ON insights (program_id, post_id, insight_id);
COMMENT ON TABLE insights IS
    'running totals, append-only; of one post and moment the later message counts, for each total that it states';

CREATE VIEW insight_steps AS
SELECT
    program_id, post_id, metric, at, total,
    total - lag(total, 1, 0::bigint) OVER (PARTITION BY program_id, post_id, metric ORDER BY at) AS growth
FROM (
    SELECT DISTINCT ON (program_id, post_id, metric, at) program_id, post_id, metric, at, total
    FROM insights
    CROSS JOIN LATERAL (
        VALUES
            ('impressions', impressions), ('reach', reach), ('views', views), ('likes', likes),
            ('comments', comments), ('shares', shares), ('saves', saves), ('link_taps', link_taps),
            ('followers', followers)
    ) AS stated (metric, total)
    WHERE total IS NOT NULL
    ORDER BY program_id, post_id, metric, at, insight_id DESC
) AS current;
COMMENT ON VIEW insight_steps IS
    'each total that counts and its growth since the one before: the growth in a period is the sum of its steps';
"""

COSTS = """
CREATE TABLE costs (
    program_id    bigint NOT NULL REFERENCES programs,
    cost_id       bigint GENERATED ALWAYS AS IDENTITY,
    external_id   text,
    kind          text NOT NULL CHECK (kind IN ('fee', 'product', 'ad', 'other')),
    amount_minor  bigint NOT NULL CHECK (amount_minor >= 0),
    currency      char(3) NOT NULL,
    first_day     date NOT NULL,
    end_day       date NOT NULL CHECK (end_day > first_day),
    influencer_id bigint,
    campaign_id   bigint,
    post_id       bigint,
    status        text NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, cost_id),
    UNIQUE (program_id, external_id),
    FOREIGN KEY (program_id, influencer_id) REFERENCES influencers,
    FOREIGN KEY (program_id, campaign_id) REFERENCES campaigns,
    FOREIGN KEY (program_id, post_id) REFERENCES posts
);
CREATE INDEX costs_days ON costs (program_id, first_day, end_day);
COMMENT ON COLUMN costs.end_day IS 'exclusive; days are of the programme''s zone';

CREATE VIEW cost_days AS
SELECT
    costs.program_id, costs.cost_id, costs.kind, costs.currency, costs.first_day, costs.end_day,
    coalesce(costs.influencer_id, posts.influencer_id) AS influencer_id,
    coalesce(costs.campaign_id, posts.campaign_id) AS campaign_id,
    costs.post_id, posts.channel,
    costs.first_day + number AS day,
    costs.amount_minor / days + (number < costs.amount_minor % days)::integer AS amount_minor
FROM costs
LEFT JOIN posts ON posts.program_id = costs.program_id AND posts.post_id = costs.post_id
CROSS JOIN LATERAL (SELECT costs.end_day - costs.first_day AS days) AS length
CROSS JOIN LATERAL generate_series(0, days - 1) AS number
WHERE costs.status = 'active';
COMMENT ON VIEW cost_days IS
    'active costs by the day, as domain/costs.py spreads them; a post''s cost is its influencer''s and campaign''s';
"""

COMMISSION = """
CREATE TABLE commission_plans (
    program_id         bigint NOT NULL REFERENCES programs,
    commission_plan_id bigint GENERATED ALWAYS AS IDENTITY,
    external_id        text,
    effective_from     timestamptz NOT NULL,
    conversion_type    text,
    influencer_id      bigint,
    campaign_id        bigint,
    new_customer       boolean,
    percent            numeric CHECK (percent BETWEEN 0 AND 100),
    flat_minor         bigint CHECK (flat_minor >= 0),
    currency           char(3),
    created_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, commission_plan_id),
    UNIQUE (program_id, external_id),
    FOREIGN KEY (program_id, influencer_id) REFERENCES influencers,
    FOREIGN KEY (program_id, campaign_id) REFERENCES campaigns,
    CHECK ((percent IS NULL) <> (flat_minor IS NULL)),
    CHECK ((flat_minor IS NULL) = (currency IS NULL))
);
COMMENT ON TABLE commission_plans IS 'append-only; a null column of the scope fits all';
"""

FX = """
CREATE TABLE fx_rates (
    program_id bigint NOT NULL REFERENCES programs,
    fx_rate_id bigint GENERATED ALWAYS AS IDENTITY,
    date       date NOT NULL,
    base       char(3) NOT NULL,
    quote      char(3) NOT NULL CHECK (quote <> base),
    rate       numeric NOT NULL CHECK (rate > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, fx_rate_id)
);
CREATE INDEX fx_rates_pair ON fx_rates (program_id, date, base, quote, fx_rate_id);
COMMENT ON TABLE fx_rates IS 'one base is rate quote on this day of the programme''s zone; append-only';
"""


def upgrade() -> None:
    for statements in (GOALS, INSIGHTS, COSTS, COMMISSION, FX):
        for statement in statements.split(";\n"):
            if statement.strip():
                op.execute(statement)


def downgrade() -> None:
    op.execute("DROP VIEW insight_steps, cost_days")
    op.execute("DROP TABLE insights, costs, commission_plans, fx_rates")
    op.execute("ALTER TABLE campaigns DROP COLUMN goal, DROP COLUMN targets")

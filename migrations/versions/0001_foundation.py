"""Programmes and their objects, clicks by month, conversions, credits."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PROGRAMMES = """
CREATE TABLE programs (
    program_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key              text NOT NULL UNIQUE,
    external_id      text UNIQUE,
    name             text NOT NULL,
    currency         char(3) NOT NULL,
    timezone         text NOT NULL,
    click_id_param   text NOT NULL,
    visitor_id_param text,
    gross_margin     numeric NOT NULL,
    webhook_secrets  jsonb NOT NULL DEFAULT '{}',
    version          bigint NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
    key_hash   bytea PRIMARY KEY,
    program_id bigint NOT NULL REFERENCES programs,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE influencers (
    program_id    bigint NOT NULL REFERENCES programs,
    influencer_id bigint GENERATED ALWAYS AS IDENTITY,
    external_id   text,
    name          text NOT NULL,
    email         text,
    status        text NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, influencer_id),
    UNIQUE (program_id, external_id)
);

CREATE TABLE campaigns (
    program_id  bigint NOT NULL REFERENCES programs,
    campaign_id bigint GENERATED ALWAYS AS IDENTITY,
    external_id text,
    name        text NOT NULL,
    status      text NOT NULL CHECK (status IN ('active', 'disabled')),
    starts_at   timestamptz,
    ends_at     timestamptz,
    budget      numeric,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, campaign_id),
    UNIQUE (program_id, external_id)
);

CREATE TABLE campaign_windows (
    program_id         bigint NOT NULL,
    campaign_id        bigint NOT NULL,
    campaign_window_id bigint GENERATED ALWAYS AS IDENTITY,
    effective_from     timestamptz NOT NULL,
    windows            jsonb NOT NULL,
    created_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, campaign_id, campaign_window_id),
    FOREIGN KEY (program_id, campaign_id) REFERENCES campaigns
);
COMMENT ON COLUMN campaign_windows.windows IS 'conversion type or default -> ISO 8601 duration; append-only versions';

CREATE TABLE posts (
    program_id    bigint NOT NULL REFERENCES programs,
    post_id       bigint GENERATED ALWAYS AS IDENTITY,
    external_id   text,
    influencer_id bigint NOT NULL,
    campaign_id   bigint,
    channel       text NOT NULL,
    url           text,
    content_type  text,
    published_at  timestamptz,
    status        text NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, post_id),
    UNIQUE (program_id, external_id),
    FOREIGN KEY (program_id, influencer_id) REFERENCES influencers,
    FOREIGN KEY (program_id, campaign_id) REFERENCES campaigns
);

CREATE TABLE links (
    program_id    bigint NOT NULL REFERENCES programs,
    link_id       bigint GENERATED ALWAYS AS IDENTITY,
    external_id   text,
    slug          text NOT NULL UNIQUE,
    destination   text NOT NULL,
    influencer_id bigint,
    campaign_id   bigint,
    channel       text,
    post_id       bigint,
    forward_query text NOT NULL CHECK (forward_query IN ('none', 'append')),
    starts_at     timestamptz,
    expires_at    timestamptz,
    fallback_url  text,
    status        text NOT NULL CHECK (status IN ('active', 'disabled')),
    version       bigint NOT NULL DEFAULT 1,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, link_id),
    UNIQUE (program_id, external_id),
    FOREIGN KEY (program_id, influencer_id) REFERENCES influencers,
    FOREIGN KEY (program_id, campaign_id) REFERENCES campaigns,
    FOREIGN KEY (program_id, post_id) REFERENCES posts
);
COMMENT ON COLUMN links.version IS 'grows with every change: caches never put an older link over a newer one';

CREATE INDEX links_newest ON links (link_id);

CREATE TYPE text_range AS RANGE (subtype = text, collation = "C");

CREATE TABLE codes (
    program_id    bigint NOT NULL REFERENCES programs,
    code_id       bigint GENERATED ALWAYS AS IDENTITY,
    external_id   text,
    code          text NOT NULL,
    code_key      text NOT NULL,
    influencer_id bigint NOT NULL,
    campaign_id   bigint,
    policy        text NOT NULL CHECK (policy IN ('always', 'if_involved', 'if_winner')),
    starts_at     timestamptz,
    ends_at       timestamptz,
    status        text NOT NULL CHECK (status IN ('active', 'disabled')),
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, code_id),
    UNIQUE (program_id, external_id),
    FOREIGN KEY (program_id, influencer_id) REFERENCES influencers,
    FOREIGN KEY (program_id, campaign_id) REFERENCES campaigns,
    -- One influencer at a time: the same text may pass on only for disjoint dates.
    -- Ranges of one point say "equal" without the btree_gist extension, which not every server has.
    EXCLUDE USING gist (
        int8range(program_id, program_id, '[]') WITH &&,
        text_range(code_key, code_key, '[]') WITH &&,
        tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (status = 'active')
);
COMMENT ON COLUMN codes.code_key IS 'the code trimmed and case-folded: what orders are matched by';

CREATE TABLE rules (
    program_id              bigint NOT NULL REFERENCES programs,
    rule_id                 bigint GENERATED ALWAYS AS IDENTITY,
    external_id             text,
    effective_from          timestamptz NOT NULL,
    model                   text NOT NULL,
    windows                 jsonb NOT NULL,
    parameters              jsonb NOT NULL DEFAULT '{}',
    min_click_to_conversion interval NOT NULL,
    created_at              timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, rule_id),
    UNIQUE (program_id, external_id)
);
COMMENT ON COLUMN rules.windows IS 'conversion type or default -> ISO 8601 duration';
COMMENT ON TABLE rules IS 'append-only';
"""

CLICKS = """
CREATE TABLE clicks (
    program_id    bigint NOT NULL,
    clicked_at    timestamptz NOT NULL,
    click_id      uuid NOT NULL,
    link_id       bigint NOT NULL,
    influencer_id bigint,
    campaign_id   bigint,
    post_id       bigint,
    channel       text,
    is_bot        boolean NOT NULL,
    agent_class   text NOT NULL,
    visitor_id    text,
    ip            text,
    referrer_host text,
    sub1 text, sub2 text, sub3 text, sub4 text, sub5 text,
    PRIMARY KEY (program_id, clicked_at, click_id)
) PARTITION BY RANGE (clicked_at);
CREATE INDEX clicks_visitor ON clicks (program_id, visitor_id, clicked_at) WHERE visitor_id IS NOT NULL;
COMMENT ON COLUMN clicks.click_id IS 'its first 8 bytes are clicked_at in microseconds, so the key is the click id';
COMMENT ON COLUMN clicks.influencer_id IS 'as the link said when it was tapped, like campaign, post and channel';

CREATE TABLE imported_clicks (
    program_id  bigint NOT NULL REFERENCES programs,
    external_id text NOT NULL,
    click_id    uuid NOT NULL,
    link_id     bigint NOT NULL,
    PRIMARY KEY (program_id, external_id)
);

-- Bytes of a journal's segment whose clicks are committed (or dead letters).
CREATE TABLE journal_progress (
    journal_id uuid NOT NULL,
    segment    bigint NOT NULL,
    committed  int8multirange NOT NULL,
    PRIMARY KEY (journal_id, segment)
);

CREATE TABLE dead_letters (
    dead_letter_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reason         text NOT NULL,
    detail         text NOT NULL,
    data           bytea NOT NULL,
    journal_id     uuid,
    segment        bigint,
    created_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN dead_letters.data IS 'the record as it was, or the bytes that are none';

-- What is accepted before `complete_before` is in clicks; the pipeline of stream partition `partition`.
CREATE TABLE click_watermarks (
    partition       integer PRIMARY KEY,
    complete_before timestamptz NOT NULL
);
"""

CONVERSIONS = """
CREATE TABLE conversion_events (
    program_id   bigint NOT NULL REFERENCES programs,
    event_id     bigint GENERATED ALWAYS AS IDENTITY,
    source       text NOT NULL,
    type         text NOT NULL,
    external_id  text NOT NULL,
    updated_at   timestamptz NOT NULL,
    content_hash bytea NOT NULL,
    message      jsonb NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, event_id),
    UNIQUE (program_id, source, type, external_id, updated_at, content_hash)
);
COMMENT ON TABLE conversion_events IS 'every distinct message, append-only; conversions is their fold';

CREATE TABLE conversions (
    program_id     bigint NOT NULL REFERENCES programs,
    conversion_id  bigint GENERATED ALWAYS AS IDENTITY,
    source         text NOT NULL,
    type           text NOT NULL,
    external_id    text NOT NULL,
    updated_at     timestamptz NOT NULL,
    content_hash   bytea NOT NULL,
    status         text NOT NULL CHECK (status IN ('confirmed', 'cancelled')),
    occurred_at    timestamptz NOT NULL,
    currency       char(3) NOT NULL,
    gross_minor    bigint NOT NULL,
    discount_minor bigint NOT NULL,
    visitor_id     text,
    customer_id    text,
    new_customer   boolean,
    click_state    text CHECK (click_state IN ('valid', 'forged_click_id', 'unknown_click_id')),
    click_id       uuid,
    click_link_id  bigint,
    discount_codes text[] NOT NULL,
    PRIMARY KEY (program_id, conversion_id),
    UNIQUE (program_id, source, type, external_id)
);
CREATE INDEX conversions_customer ON conversions (program_id, customer_id, occurred_at) WHERE customer_id IS NOT NULL;
CREATE INDEX conversions_occurred ON conversions (program_id, occurred_at);

-- Click ids whose rows no attributor has seen yet: the row of one re-opens its conversions when it lands.
CREATE TABLE awaited_clicks (
    program_id    bigint NOT NULL,
    click_id      uuid NOT NULL,
    conversion_id bigint NOT NULL,
    PRIMARY KEY (program_id, click_id, conversion_id),
    FOREIGN KEY (program_id, conversion_id) REFERENCES conversions
);
CREATE INDEX awaited_clicks_conversion ON awaited_clicks (program_id, conversion_id);

CREATE TABLE conversion_visitors (
    program_id    bigint NOT NULL,
    visitor_id    text NOT NULL,
    conversion_id bigint NOT NULL,
    PRIMARY KEY (program_id, visitor_id, conversion_id),
    FOREIGN KEY (program_id, conversion_id) REFERENCES conversions
);
CREATE INDEX conversion_visitors_conversion ON conversion_visitors (program_id, conversion_id);
COMMENT ON TABLE conversion_visitors IS 'the visitors a conversion names: its own, and that of the click it names';

-- By the conversion, and by those of its customer that are not after it; their own visitors even before an
-- attributor has seen them. A plain SQL function, so it is inlined.
CREATE FUNCTION visitors_named(bigint, bigint, text, timestamptz) RETURNS TABLE (visitor_id text)
LANGUAGE sql STABLE AS
$$
    SELECT v.visitor_id
    FROM conversion_visitors v
    WHERE v.program_id = $1 AND v.conversion_id = $2
    UNION
    SELECT c.visitor_id
    FROM conversions c
    WHERE c.program_id = $1 AND c.conversion_id = $2 AND c.visitor_id IS NOT NULL
    UNION
    SELECT v.visitor_id
    FROM conversions o
    JOIN conversion_visitors v ON v.program_id = o.program_id AND v.conversion_id = o.conversion_id
    WHERE o.program_id = $1 AND o.customer_id = $3 AND o.occurred_at <= $4
    UNION
    SELECT o.visitor_id
    FROM conversions o
    WHERE o.program_id = $1 AND o.customer_id = $3 AND o.occurred_at <= $4 AND o.visitor_id IS NOT NULL
$$;

-- Work of the attributor: one conversion, or all of a customer from an instant on.
CREATE TABLE credit_queue (
    program_id    bigint NOT NULL,
    queue_id      bigint GENERATED ALWAYS AS IDENTITY,
    conversion_id bigint,
    customer_id   text,
    since         timestamptz,
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program_id, queue_id),
    CHECK ((conversion_id IS NULL) <> (customer_id IS NULL))
);
CREATE INDEX credit_queue_order ON credit_queue (queue_id);

CREATE TABLE attributions (
    program_id    bigint NOT NULL,
    conversion_id bigint NOT NULL,
    status        text NOT NULL CHECK (status IN ('attributed', 'pending', 'unattributed')),
    reason        text,
    model         text NOT NULL,
    rule_id       bigint,
    bound_at      timestamptz,
    attributed_at timestamptz NOT NULL,
    PRIMARY KEY (program_id, conversion_id),
    FOREIGN KEY (program_id, conversion_id) REFERENCES conversions
);
COMMENT ON COLUMN attributions.bound_at IS
    'when first credited: rules and campaign windows made later never judge this conversion';

CREATE TABLE credit_entries (
    program_id    bigint NOT NULL,
    entry_id      bigint GENERATED ALWAYS AS IDENTITY,
    conversion_id bigint NOT NULL,
    recorded_at   timestamptz NOT NULL,
    via           text NOT NULL CHECK (via IN ('click', 'code', 'none')),
    influencer_id bigint,
    campaign_id   bigint,
    channel       text,
    post_id       bigint,
    link_id       bigint,
    click_id      uuid,
    code          text,
    weight        numeric NOT NULL,
    gross_minor   bigint NOT NULL,
    net_minor     bigint NOT NULL,
    discount_minor bigint NOT NULL,
    PRIMARY KEY (program_id, entry_id),
    FOREIGN KEY (program_id, conversion_id) REFERENCES conversions
);
CREATE INDEX credit_entries_conversion ON credit_entries (program_id, conversion_id);
COMMENT ON TABLE credit_entries IS
    'append-only differences: a credit as of an instant is the sum of its entries recorded by then';
"""


def upgrade() -> None:
    for statements in (PROGRAMMES, CLICKS, CONVERSIONS):
        for statement in statements.split(";\n"):
            if statement.strip():
                op.execute(statement)


def downgrade() -> None:
    op.execute(
        "DROP TABLE credit_entries, attributions, credit_queue, conversion_visitors, awaited_clicks, conversions,"
        " conversion_events, click_watermarks, dead_letters, journal_progress, imported_clicks, clicks,"
        " rules, codes, links, posts,"
        " campaign_windows, campaigns, influencers, api_keys, programs"
    )
    op.execute("DROP FUNCTION visitors_named")
    op.execute("DROP TYPE text_range")

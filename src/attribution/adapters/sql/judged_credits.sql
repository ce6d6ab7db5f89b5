-- name: stage
CREATE TEMP TABLE IF NOT EXISTS judged_credits (
    program_id     bigint NOT NULL,
    conversion_id  bigint NOT NULL,
    influencer_id  bigint,
    campaign_id    bigint,
    channel        text,
    post_id        bigint,
    link_id        bigint,
    click_id       uuid,
    code           text,
    weight         numeric NOT NULL,
    gross_minor    bigint NOT NULL,
    net_minor      bigint NOT NULL,
    discount_minor bigint NOT NULL
) ON COMMIT DELETE ROWS;

-- name: analyze
ANALYZE judged_credits;

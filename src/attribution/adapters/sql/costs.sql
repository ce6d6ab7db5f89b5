-- name: insert
INSERT INTO costs
    (program_id, external_id, kind, amount_minor, currency, first_day, end_day, influencer_id, campaign_id, post_id,
     status)
SELECT
    $1, external_id, kind, amount_minor, currency, first_day, end_day, influencer_id, campaign_id, post_id, status
FROM jsonb_populate_record(NULL::costs, $2)
RETURNING cost_id

-- name: read
SELECT
    cost_id AS id, external_id, kind, amount_minor, currency, first_day, end_day, influencer_id, campaign_id, post_id,
    status, created_at
FROM costs
WHERE program_id = $1 AND cost_id = $2

-- name: list
SELECT
    cost_id AS id, external_id, kind, amount_minor, currency, first_day, end_day, influencer_id, campaign_id, post_id,
    status, created_at
FROM costs
WHERE program_id = $1 AND ($2::text IS NULL OR external_id = $2) AND cost_id > $3
ORDER BY cost_id
LIMIT $4

-- name: lock
SELECT FROM costs WHERE program_id = $1 AND cost_id = $2 FOR UPDATE

-- name: update
UPDATE costs
SET external_id = new.external_id,
    kind = new.kind,
    amount_minor = new.amount_minor,
    currency = new.currency,
    first_day = new.first_day,
    end_day = new.end_day,
    influencer_id = new.influencer_id,
    campaign_id = new.campaign_id,
    post_id = new.post_id,
    status = new.status
FROM jsonb_populate_record(NULL::costs, $3) new
WHERE costs.program_id = $1 AND costs.cost_id = $2

-- name: disable
UPDATE costs SET status = 'disabled' WHERE program_id = $1 AND cost_id = $2 RETURNING cost_id AS id

-- name: insert
INSERT INTO commission_plans
    (program_id, external_id, effective_from, conversion_type, influencer_id, campaign_id, new_customer, percent,
     flat_minor, currency)
SELECT
    $1, external_id, effective_from, conversion_type, influencer_id, campaign_id, new_customer, percent, flat_minor,
    currency
FROM jsonb_populate_record(NULL::commission_plans, $2)
RETURNING commission_plan_id

-- name: read
SELECT
    commission_plan_id AS id, external_id, effective_from, conversion_type, influencer_id, campaign_id, new_customer,
    percent, flat_minor, currency, created_at
FROM commission_plans
WHERE program_id = $1 AND commission_plan_id = $2

-- name: list
SELECT
    commission_plan_id AS id, external_id, effective_from, conversion_type, influencer_id, campaign_id, new_customer,
    percent, flat_minor, currency, created_at
FROM commission_plans
WHERE program_id = $1 AND ($2::text IS NULL OR external_id = $2) AND commission_plan_id > $3
ORDER BY commission_plan_id
LIMIT $4

-- name: book
SELECT
    program_id, commission_plan_id, effective_from, conversion_type, influencer_id, campaign_id, new_customer, percent,
    flat_minor, currency, created_at
FROM commission_plans
WHERE program_id = ANY($1::bigint[])
ORDER BY commission_plan_id

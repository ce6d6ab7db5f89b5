-- name: insert
INSERT INTO recomputations (
    program_id, external_id, start_at, end_at, rule_id, model, parameters, windows, min_click_to_conversion, dry_run
)
SELECT $1, external_id, start_at, end_at, rule_id, model,
    jsonb_strip_nulls(
        jsonb_build_object('half_life', $2 -> 'half_life', 'position_weights', $2 -> 'position_weights')
    ),
    windows, min_click_to_conversion, dry_run
FROM jsonb_populate_record(NULL::recomputations, $2)
RETURNING recomputation_id

-- name: read
SELECT recomputation_id AS id, external_id, start_at, end_at, rule_id, model, parameters, windows,
    min_click_to_conversion, dry_run, status, error, total, done, changed, created_at, started_at, finished_at
FROM recomputations
WHERE program_id = $1 AND recomputation_id = $2

-- name: list
SELECT recomputation_id AS id, external_id, start_at, end_at, rule_id, model, parameters, windows,
    min_click_to_conversion, dry_run, status, error, total, done, changed, created_at, started_at, finished_at
FROM recomputations
WHERE program_id = $1 AND ($2::text IS NULL OR external_id = $2) AND recomputation_id > $3
ORDER BY recomputation_id
LIMIT $4

-- name: cancel
UPDATE recomputations SET status = 'cancelled', finished_at = now()
WHERE program_id = $1 AND recomputation_id = $2 AND status IN ('queued', 'running')

-- name: lead
-- One recomputation goes on at a time.
SELECT pg_try_advisory_lock(hashtext('attribution.recomputations'));

-- name: await_turn
-- The one that recomputes alone waits for it; attributors only try.
SELECT pg_advisory_lock(hashtext('attribution.credits'));

-- name: waiting
SELECT EXISTS (SELECT FROM recomputations WHERE status IN ('queued', 'running'));

-- name: next
SELECT program_id, recomputation_id, start_at, end_at, dry_run, status, created_at, reached_at, reached_id
FROM recomputations
WHERE status IN ('queued', 'running')
ORDER BY recomputation_id
LIMIT 1;

-- name: hold
-- Until the batch is committed nobody cancels it.
SELECT status FROM recomputations
WHERE program_id = $1 AND recomputation_id = $2 AND status IN ('queued', 'running')
FOR UPDATE;

-- name: begin
UPDATE recomputations r
SET status = 'running', started_at = now(), total = (
    SELECT count(*) FROM conversions c
    WHERE c.program_id = r.program_id AND c.occurred_at >= r.start_at AND c.occurred_at < r.end_at
)
WHERE program_id = $1 AND recomputation_id = $2;

-- name: batch
-- The next $5 from moment $2 to before $3, after conversion $4 of that first moment. Where the shop does not say whether
-- the customer is new, whether nothing was bought before: as the statement `returning` of crediting.
SELECT c.program_id, c.conversion_id, c.source, c.type, c.external_id, c.status, c.currency, c.refunded_minor, c.customer_id,
       CASE WHEN c.new_customer IS NULL AND c.customer_id IS NOT NULL THEN NOT EXISTS (
           SELECT FROM conversions o
           WHERE o.program_id = c.program_id AND o.customer_id = c.customer_id
             AND o.type = 'purchase' AND o.status = 'confirmed' AND o.occurred_at <= c.occurred_at
             AND (o.occurred_at, o.source, o.external_id) < (c.occurred_at, c.source, c.external_id)
       ) ELSE c.new_customer END,
       c.click_id, c.click_link_id, c.occurred_at, c.gross_minor, c.discount_minor, c.click_state, c.discount_codes
FROM conversions c
WHERE c.program_id = $1 AND c.occurred_at < $3 AND (c.occurred_at, c.conversion_id) > ($2, $4)
ORDER BY c.occurred_at, c.conversion_id
LIMIT $5;

-- name: stage
CREATE TEMPORARY TABLE staged_differences ON COMMIT DROP AS
SELECT program_id, recomputation_id, conversion_id, via, influencer_id, currency,
       weight_units_before, net_minor_before, net_value_before, commission_before,
       weight_units_after, net_minor_after, net_value_after, commission_after
FROM recomputation_differences
LIMIT 0;

-- name: differ
-- A conversion whose moment was moved while this went on may come twice.
INSERT INTO recomputation_differences (
    program_id, recomputation_id, conversion_id, via, influencer_id, currency,
    weight_units_before, net_minor_before, net_value_before, commission_before,
    weight_units_after, net_minor_after, net_value_after, commission_after
)
SELECT program_id, recomputation_id, conversion_id, via, influencer_id, currency,
    weight_units_before, net_minor_before, net_value_before, commission_before,
    weight_units_after, net_minor_after, net_value_after, commission_after
FROM staged_differences
ON CONFLICT (program_id, recomputation_id, conversion_id, via, influencer_id)
DO UPDATE SET weight_units_after = excluded.weight_units_after, net_minor_after = excluded.net_minor_after,
    net_value_after = excluded.net_value_after, commission_after = excluded.commission_after;

-- name: reach
UPDATE recomputations
SET done = done + $3, changed = changed + $4, reached_at = $5, reached_id = $6
WHERE program_id = $1 AND recomputation_id = $2;

-- name: finish
-- Conversions may have come or gone meanwhile.
UPDATE recomputations SET status = 'done', total = done, started_at = coalesce(started_at, now()), finished_at = now()
WHERE program_id = $1 AND recomputation_id = $2 AND status IN ('queued', 'running');

-- name: fail
UPDATE recomputations SET status = 'failed', error = $3, finished_at = now()
WHERE program_id = $1 AND recomputation_id = $2 AND status IN ('queued', 'running');

-- name: differences_by_order
-- Of the next $4 conversions after $3.
WITH page AS (
    SELECT DISTINCT conversion_id
    FROM recomputation_differences
    WHERE program_id = $1 AND recomputation_id = $2 AND conversion_id > $3
    ORDER BY conversion_id
    LIMIT $4
)
SELECT d.*, c.source, c.type, c.external_id, c.occurred_at
FROM page
JOIN recomputation_differences d
  ON d.program_id = $1 AND d.recomputation_id = $2 AND d.conversion_id = page.conversion_id
JOIN conversions c ON c.program_id = $1 AND c.conversion_id = page.conversion_id
ORDER BY d.conversion_id, d.influencer_id NULLS LAST, d.via;

-- name: differences_by_influencer
-- Credit that moved between clicks of one influencer is none of it.
SELECT influencer_id, currency, count(DISTINCT conversion_id) AS conversions,
       sum(weight_units_before) AS weight_units_before, sum(net_minor_before)::bigint AS net_minor_before,
       sum(net_value_before)::bigint AS net_value_before, sum(commission_before)::bigint AS commission_before,
       sum(weight_units_after) AS weight_units_after, sum(net_minor_after)::bigint AS net_minor_after,
       sum(net_value_after)::bigint AS net_value_after, sum(commission_after)::bigint AS commission_after
FROM recomputation_differences
WHERE program_id = $1 AND recomputation_id = $2
  AND (weight_units_before, net_minor_before, net_value_before, commission_before)
      IS DISTINCT FROM (weight_units_after, net_minor_after, net_value_after, commission_after)
GROUP BY influencer_id, currency
ORDER BY influencer_id NULLS LAST, currency
OFFSET $3
LIMIT $4;

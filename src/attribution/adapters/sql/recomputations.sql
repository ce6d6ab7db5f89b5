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
-- One recomputation goes on at a time; it alone waits for its turn among the writers of credits.
SELECT pg_try_advisory_lock(hashtext('attribution.recomputations'));

-- name: await_turn
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
SELECT FROM recomputations
WHERE program_id = $1 AND recomputation_id = $2 AND status IN ('queued', 'running')
FOR UPDATE;

-- name: begin
-- Once.
UPDATE recomputations r
SET status = 'running', started_at = now(), total = (
    SELECT count(*) FROM conversions c
    WHERE c.program_id = r.program_id AND c.occurred_at >= r.start_at AND c.occurred_at < r.end_at
)
WHERE program_id = $1 AND recomputation_id = $2 AND status = 'queued';

-- name: batch
-- The next $5 from moment $2 to before $3, after conversion $4 of that first moment; bound to $6 at $7.
SELECT program_id, conversion_id, source, type, external_id, status, occurred_at, currency, gross_minor, discount_minor,
       refunded_minor, customer_id, new_customer, click_state, click_id, click_link_id, discount_codes,
       $6::bigint AS recomputation_id, $7::timestamptz AS bound_at,
       -- What it names is written by attributors.
       '' AS attribution_status, NULL AS visitor_id, NULL AS click_visitor_id, '{}'::text[] AS named,
       false AS click_stored, false AS awaits_click
FROM conversions
WHERE program_id = $1 AND occurred_at < $3 AND (occurred_at, conversion_id) > ($2, $4)
ORDER BY occurred_at, conversion_id
LIMIT $5;

-- name: touches
-- The clicks of the visitors of conversions $2, so long before each. Ids as text: a driver encodes them one by one.
SELECT c.conversion_id, k.click_id, k.clicked_at, k.link_id, k.influencer_id, k.campaign_id, k.post_id, k.channel,
       k.is_bot, true AS stored
FROM unnest($2::text::bigint[]) AS w (conversion_id)
JOIN conversions c ON c.program_id = $1 AND c.conversion_id = w.conversion_id
CROSS JOIN LATERAL visitors_named(c.program_id, c.conversion_id, c.customer_id, c.occurred_at) AS v (visitor_id)
CROSS JOIN LATERAL (
    SELECT *
    FROM clicks k
    WHERE k.program_id = c.program_id AND k.visitor_id = v.visitor_id
      AND k.clicked_at BETWEEN c.occurred_at - $3::interval AND c.occurred_at
    OFFSET 0
) k;

-- name: visitors
SELECT c.conversion_id, v.visitor_id
FROM unnest($2::bigint[]) AS w (conversion_id)
JOIN conversions c ON c.program_id = $1 AND c.conversion_id = w.conversion_id
CROSS JOIN LATERAL visitors_named(c.program_id, c.conversion_id, c.customer_id, c.occurred_at) AS v (visitor_id);

-- name: parts_recorded
SELECT e.conversion_id, via, influencer_id, (sum(weight) * 1e18)::bigint AS weight_units,
       sum(net_minor)::bigint AS net_minor, sum(commission)::bigint AS commission
FROM unnest($2::text::bigint[]) AS w (conversion_id)
JOIN credit_entries e ON e.program_id = $1 AND e.conversion_id = w.conversion_id
GROUP BY e.conversion_id, via, influencer_id;

-- name: stage
CREATE TEMPORARY TABLE staged_differences ON COMMIT DROP AS
SELECT conversion_id, via, influencer_id, currency, weight_units_before, net_minor_before, commission_before,
       weight_units_after, net_minor_after, commission_after
FROM recomputation_differences
LIMIT 0;

-- name: differ
-- A conversion whose moment was moved while this went on may come twice.
INSERT INTO recomputation_differences (
    program_id, recomputation_id, conversion_id, via, influencer_id, currency,
    weight_units_before, net_minor_before, commission_before, weight_units_after, net_minor_after, commission_after
)
SELECT $1, $2, conversion_id, via, influencer_id, currency,
    weight_units_before, net_minor_before, commission_before, weight_units_after, net_minor_after, commission_after
FROM staged_differences
ON CONFLICT (program_id, recomputation_id, conversion_id, via, influencer_id)
DO UPDATE SET weight_units_after = excluded.weight_units_after, net_minor_after = excluded.net_minor_after,
    commission_after = excluded.commission_after;

-- name: reach
UPDATE recomputations
SET done = done + $3, changed = changed + $4, reached_at = $5, reached_id = $6
WHERE program_id = $1 AND recomputation_id = $2;

-- name: finish
-- Conversions may have come or gone meanwhile.
UPDATE recomputations SET status = 'done', total = done, finished_at = now()
WHERE program_id = $1 AND recomputation_id = $2;

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
SELECT influencer_id, currency, count(DISTINCT conversion_id) AS conversions,
       sum(weight_units_before) AS weight_units_before, sum(net_minor_before)::bigint AS net_minor_before,
       sum(commission_before)::bigint AS commission_before,
       sum(weight_units_after) AS weight_units_after, sum(net_minor_after)::bigint AS net_minor_after,
       sum(commission_after)::bigint AS commission_after
FROM recomputation_differences
WHERE program_id = $1 AND recomputation_id = $2
GROUP BY influencer_id, currency
ORDER BY influencer_id NULLS LAST, currency
OFFSET $3
LIMIT $4;

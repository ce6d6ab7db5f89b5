-- Keys come as two arrays in text: a driver encodes the elements of an array one by one. Ids of clicks are given as
-- bytes: a driver makes an object of each UUID.

-- name: lead
-- One attributor works at a time; the others stand by.
SELECT pg_try_advisory_lock(hashtext('attribution.credits'));

-- name: begin_epoch
UPDATE credit_epoch SET epoch = epoch + 1 RETURNING epoch;

-- name: epoch
-- Until the transaction's end no later leader begins one.
SELECT epoch FROM credit_epoch FOR SHARE;

-- name: shut_out_versions
-- Before the transaction's first snapshot, which this does not take: versions are either seen by it or made after it.
LOCK TABLE rules, campaign_windows, code_versions, commission_plans, fx_rates IN SHARE MODE;

-- name: await_writers
-- As whoever makes a version: until all who have shut versions out are done.
LOCK TABLE code_versions IN ROW EXCLUSIVE MODE;

-- name: now
-- Not the transaction's beginning: it may have waited for others since.
SELECT clock_timestamp();

-- name: queued
-- `owner`: the customer of the conversion.
SELECT q.queue_id, q.program_id, q.conversion_id, q.customer_id, q.since,
       (SELECT c.customer_id FROM conversions c WHERE c.program_id = q.program_id AND c.conversion_id = q.conversion_id)
           AS owner
FROM (SELECT * FROM credit_queue ORDER BY queue_id LIMIT $1) q;

-- name: of_customers
SELECT DISTINCT c.program_id, c.conversion_id, c.customer_id
FROM conversions c
JOIN unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS q (program_id, customer_id, since)
  ON c.program_id = q.program_id AND c.customer_id = q.customer_id AND c.occurred_at >= q.since;

-- name: name_visitors
-- Adds ($1 to $3) and takes away ($4 to $6) who is named. A click that was found ($7 to $9) is awaited no longer: if
-- it is seen later than here, its re-opening still finds the conversion. A visitor named anew counts for the later
-- conversions of the customer too, however old its clicks; those not judged yet will see it.
WITH unnamed AS (
    DELETE FROM conversion_visitors v
    USING unnest($4::text::bigint[], $5::text::bigint[], $6::text[]) AS u (program_id, conversion_id, visitor_id)
    WHERE v.program_id = u.program_id AND v.conversion_id = u.conversion_id AND v.visitor_id = u.visitor_id
), arrived AS (
    DELETE FROM awaited_clicks a
    USING unnest($7::text::bigint[], $8::text::bigint[], $9::uuid[]) AS h (program_id, conversion_id, click_id)
    WHERE a.program_id = h.program_id AND a.conversion_id = h.conversion_id AND a.click_id = h.click_id
), added AS (
    INSERT INTO conversion_visitors (program_id, conversion_id, visitor_id)
    SELECT * FROM unnest($1::text::bigint[], $2::text::bigint[], $3::text[])
    ON CONFLICT DO NOTHING
    RETURNING program_id, conversion_id
)
INSERT INTO credit_queue (program_id, customer_id, since)
SELECT c.program_id, c.customer_id, min(c.occurred_at)
FROM added JOIN conversions c USING (program_id, conversion_id)
WHERE EXISTS (
    SELECT FROM conversions later JOIN attributions USING (program_id, conversion_id)
    WHERE later.program_id = c.program_id AND later.customer_id = c.customer_id
      AND later.conversion_id <> c.conversion_id AND later.occurred_at >= c.occurred_at
)
GROUP BY c.program_id, c.customer_id;

-- name: conversions
-- `valued_at`: those judged before it was kept were valued when bound, or last judged. `named`: as was last written;
-- `click_visitor_id`: of the click it names, if that is here.
SELECT c.program_id, c.conversion_id, c.source, c.type, c.external_id, c.status, c.currency, c.refunded_minor,
       c.customer_id, c.new_customer, c.click_id, c.click_link_id, c.occurred_at, c.gross_minor, c.discount_minor,
       c.click_state, c.discount_codes, c.visitor_id,
       a.bound_at, coalesce(a.valued_at, a.bound_at, a.attributed_at) AS valued_at, a.recomputation_id,
       a.status AS attribution_status,
       k.click_id IS NOT NULL AS click_stored, k.visitor_id AS click_visitor_id,
       ARRAY(
           SELECT v.visitor_id
           FROM conversion_visitors v
           WHERE v.program_id = c.program_id AND v.conversion_id = c.conversion_id
       ) AS named,
       EXISTS (
           SELECT FROM awaited_clicks w WHERE w.program_id = c.program_id AND w.conversion_id = c.conversion_id
       ) AS awaits_click
FROM unnest($1::text::bigint[], $2::text::bigint[]) AS w (program_id, conversion_id)
JOIN conversions c USING (program_id, conversion_id)
LEFT JOIN attributions a USING (program_id, conversion_id)
LEFT JOIN LATERAL (
    SELECT click_id, visitor_id
    FROM clicks
    WHERE program_id = c.program_id AND clicked_at = clicked_at(c.click_id) AND click_id = c.click_id
    OFFSET 0
) k ON true;

-- name: rules
SELECT program_id, rule_id, effective_from, model, windows, parameters, min_click_to_conversion, created_at
FROM rules WHERE program_id = ANY($1::bigint[]) ORDER BY rule_id;

-- name: campaign_windows
SELECT program_id, campaign_id, effective_from, windows, created_at
FROM campaign_windows WHERE program_id = ANY($1::bigint[]) ORDER BY campaign_window_id;

-- name: terms
-- Of the recomputations that bind conversions, or may yet be under way.
SELECT program_id, recomputation_id, rule_id, model, parameters, windows, min_click_to_conversion
FROM recomputations
WHERE program_id = ANY($1::bigint[]) AND (NOT dry_run OR status IN ('queued', 'running'));

-- name: codes
-- All versions of the codes that ever had one of these texts.
SELECT meant.code_key AS wanted_key, v.program_id, v.code_id, v.code, v.influencer_id, v.campaign_id, v.policy,
       v.starts_at, v.ends_at, v.status, v.created_at
FROM (
    SELECT DISTINCT program_id, code_id, code_key
    FROM code_versions
    JOIN unnest($1::bigint[], $2::text[]) AS w (program_id, code_key) USING (program_id, code_key)
) meant
JOIN code_versions v USING (program_id, code_id)
ORDER BY v.code_id, v.code_version_id;

-- name: named_clicks
-- The click that each of these conversions names: as its row says, or, while that is not here, as its link says.
SELECT conversion_id, uuid_send(c.click_id), l.link_id,
       CASE WHEN k.click_id IS NULL THEN l.influencer_id ELSE k.influencer_id END AS influencer_id,
       CASE WHEN k.click_id IS NULL THEN l.campaign_id ELSE k.campaign_id END AS campaign_id,
       CASE WHEN k.click_id IS NULL THEN l.post_id ELSE k.post_id END AS post_id,
       CASE WHEN k.click_id IS NULL THEN l.channel ELSE k.channel END AS channel,
       coalesce(k.is_bot, false) AS is_bot, k.country, k.device,
       k.click_id IS NOT NULL AS stored
FROM unnest($1::text::bigint[], $2::text::bigint[]) AS w (program_id, conversion_id)
JOIN conversions c USING (program_id, conversion_id)
JOIN links l ON l.program_id = c.program_id AND l.link_id = c.click_link_id
LEFT JOIN LATERAL (
    SELECT *
    FROM clicks
    WHERE program_id = c.program_id AND clicked_at = clicked_at(c.click_id) AND click_id = c.click_id
    OFFSET 0
) k ON true;

-- name: touches
-- The clicks of the visitors of these conversions, so long before each. Visitors as by `visitors_named`, of all
-- conversions at once; $4: also that of the click a conversion names, which no attributor may have seen yet. A click's
-- moment is in its id.
WITH wanted AS MATERIALIZED (
    SELECT program_id, conversion_id, c.customer_id, c.occurred_at, c.visitor_id, c.click_id,
           c.occurred_at - $3::interval AS since, clicked_at(c.click_id) AS named_at
    FROM unnest($1::text::bigint[], $2::text::bigint[]) AS w (program_id, conversion_id)
    JOIN conversions c USING (program_id, conversion_id)
), named AS (
    SELECT program_id, conversion_id, occurred_at, since, visitor_id FROM wanted WHERE visitor_id IS NOT NULL
    UNION
    SELECT program_id, conversion_id, w.occurred_at, w.since, v.visitor_id
    FROM wanted w JOIN conversion_visitors v USING (program_id, conversion_id)
    UNION
    SELECT w.program_id, w.conversion_id, w.occurred_at, w.since, v.visitor_id
    FROM wanted w
    JOIN conversions o ON o.program_id = w.program_id AND o.customer_id = w.customer_id
      AND o.occurred_at <= w.occurred_at AND o.conversion_id <> w.conversion_id
    CROSS JOIN LATERAL (
        SELECT o.visitor_id WHERE o.visitor_id IS NOT NULL
        UNION ALL
        SELECT v.visitor_id
        FROM conversion_visitors v
        WHERE v.program_id = o.program_id AND v.conversion_id = o.conversion_id
    ) v
    UNION
    SELECT w.program_id, w.conversion_id, w.occurred_at, w.since, k.visitor_id
    FROM wanted w
    CROSS JOIN LATERAL (
        SELECT visitor_id
        FROM clicks
        WHERE program_id = w.program_id AND clicked_at = w.named_at AND click_id = w.click_id
        OFFSET 0
    ) k
    WHERE $4 AND k.visitor_id IS NOT NULL
)
SELECT n.conversion_id, uuid_send(k.click_id), k.link_id, k.influencer_id, k.campaign_id, k.post_id, k.channel, k.is_bot,
       k.country, k.device
FROM named n
CROSS JOIN LATERAL (
    SELECT *
    FROM clicks k
    WHERE k.program_id = n.program_id AND k.visitor_id = n.visitor_id
      AND k.clicked_at BETWEEN n.since AND n.occurred_at
    OFFSET 0  -- Else the planner may look up the visitor alone, over all time, and filter afterwards.
) k;

-- name: older_clicks
-- What tells why there is no credit: of each visitor the newest touch, and the newest bot, before `since`. $4: as of
-- `touches`.
SELECT w.conversion_id, uuid_send(k.click_id), k.link_id, k.influencer_id, k.campaign_id, k.post_id, k.channel, k.is_bot,
       k.country, k.device
FROM unnest($1::text::bigint[], $2::text::bigint[], $3::timestamptz[]) AS w (program_id, conversion_id, since)
JOIN conversions c USING (program_id, conversion_id)
CROSS JOIN LATERAL (
    SELECT visitor_id FROM visitors_named(c.program_id, c.conversion_id, c.customer_id, c.occurred_at) AS v (visitor_id)
    UNION
    SELECT visitor_id
    FROM clicks
    WHERE $4 AND program_id = c.program_id AND clicked_at = clicked_at(c.click_id) AND click_id = c.click_id
) v
CROSS JOIN (VALUES (true), (false)) AS kind (is_bot)
CROSS JOIN LATERAL (
    SELECT *
    FROM clicks k
    WHERE k.program_id = w.program_id AND k.visitor_id = v.visitor_id
      AND k.clicked_at < w.since AND k.is_bot = kind.is_bot
    ORDER BY k.clicked_at DESC
    LIMIT 1
) k;

-- name: all_clicks
-- For an explanation: every click of the visitors, whatever its age, or those of one influencer ($6); the newest $5, and
-- how many there are. Also of the visitor of the click that the conversion names ($7), which no attributor may have seen.
SELECT uuid_send(k.click_id), k.link_id, k.influencer_id, k.campaign_id, k.post_id, k.channel, k.is_bot, k.country,
       k.device, count(*) OVER () AS candidates
FROM (SELECT $1::bigint AS program_id, $2::bigint AS conversion_id, $3::text AS customer_id, $4::timestamptz AS occurred_at) w
CROSS JOIN LATERAL (
    SELECT visitor_id FROM visitors_named(w.program_id, w.conversion_id, w.customer_id, w.occurred_at) AS v (visitor_id)
    UNION
    SELECT visitor_id FROM clicks WHERE program_id = w.program_id AND clicked_at = clicked_at($7) AND click_id = $7
) visitors
JOIN clicks k ON k.program_id = w.program_id AND k.visitor_id = visitors.visitor_id
WHERE $6::bigint IS NULL OR k.influencer_id = $6
ORDER BY k.clicked_at DESC, k.click_id DESC
LIMIT $5;

-- name: credits_recorded
-- By $3, or until now; what came to nothing is no credit.
SELECT *
FROM (
    SELECT conversion_id, via, influencer_id, campaign_id, channel, post_id, link_id, click_id, country, device, code,
           occurred_at, type, new_customer, sum(weight) AS weight, sum(gross_minor)::bigint AS gross_minor,
           sum(net_minor)::bigint AS net_minor, sum(discount_minor)::bigint AS discount_minor, sum(counted) AS counted,
           sum(gross_value)::bigint AS gross_value, sum(net_value)::bigint AS net_value,
           sum(discount_value)::bigint AS discount_value, sum(commission)::bigint AS commission
    FROM credit_entries
    JOIN unnest($1::text::bigint[], $2::text::bigint[]) AS w (program_id, conversion_id) USING (program_id, conversion_id)
    WHERE $3::timestamptz IS NULL OR recorded_at <= $3
    GROUP BY conversion_id, via, influencer_id, campaign_id, channel, post_id, link_id, click_id, country, device, code,
             occurred_at, type, new_customer
) credit
WHERE (weight, gross_minor, net_minor, discount_minor, counted, gross_value, net_value, discount_value, commission)
   <> (0, 0, 0, 0, 0, 0, 0, 0, 0);

-- name: entries
SELECT entry_id, recorded_at, via, influencer_id, campaign_id, channel, post_id, link_id, click_id, country, device, code,
       occurred_at, type, new_customer, weight, gross_minor, net_minor, discount_minor, counted, gross_value, net_value,
       discount_value, commission, recomputation_id
FROM credit_entries
WHERE program_id = $1 AND conversion_id = $2 AND entry_id > $3
ORDER BY entry_id
LIMIT $4;

-- name: judged
-- Conversions ($1, $2) and the number of each one's outcome ($3), of which there are few, judged at $15. By a
-- recomputation, $13 made at $14: bound to it, credited or not.
INSERT INTO attributions AS a (
    program_id, conversion_id, status, reason, model, rule_id, bound_at, valued_at, attributed_at, recomputation_id,
    rate_numerator, rate_denominator, missing_rate_day, missing_rate_base
)
SELECT program_id, conversion_id, status, reason, model, rule_id,
       coalesce($14::timestamptz, CASE WHEN credited THEN $15::timestamptz END),
       coalesce($14::timestamptz, $15::timestamptz), $15::timestamptz, $13::bigint,
       rate_numerator, rate_denominator, missing_rate_day, missing_rate_base
FROM unnest($1::text::bigint[], $2::text::bigint[], $3::text::bigint[]) AS j (program_id, conversion_id, outcome)
JOIN unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::boolean[], $9::numeric[], $10::numeric[],
            $11::date[], $12::text[]) WITH ORDINALITY
     AS o (status, reason, model, rule_id, credited, rate_numerator, rate_denominator, missing_rate_day,
           missing_rate_base, outcome) USING (outcome)
ON CONFLICT (program_id, conversion_id) DO UPDATE SET
    status = excluded.status, reason = excluded.reason, model = excluded.model, rule_id = excluded.rule_id,
    bound_at = coalesce($14, a.bound_at, excluded.bound_at),
    valued_at = coalesce($14, a.valued_at, a.bound_at, a.attributed_at), attributed_at = excluded.attributed_at,
    recomputation_id = coalesce($13, a.recomputation_id),
    rate_numerator = excluded.rate_numerator, rate_denominator = excluded.rate_denominator,
    missing_rate_day = excluded.missing_rate_day, missing_rate_base = excluded.missing_rate_base;

-- name: await_codes
INSERT INTO awaited_codes (program_id, code_key, conversion_id)
SELECT * FROM unnest($1::bigint[], $2::text[], $3::bigint[])
ON CONFLICT DO NOTHING;

-- name: done
DELETE FROM credit_queue
USING unnest($1::text::bigint[], $2::text::bigint[]) AS d (program_id, queue_id)
WHERE credit_queue.program_id = d.program_id AND credit_queue.queue_id = d.queue_id;

-- name: one
SELECT conversion_id FROM conversions WHERE program_id = $1 AND source = $2 AND type = $3 AND external_id = $4;

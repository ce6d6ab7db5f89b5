-- name: touch_details
-- What people call the link, and who tapped.
SELECT w.click_id, l.slug, k.agent_class, k.visitor_id
FROM unnest($2::uuid[], $3::timestamptz[], $4::bigint[]) AS w (click_id, clicked_at, link_id)
LEFT JOIN links l ON l.program_id = $1 AND l.link_id = w.link_id
LEFT JOIN clicks k ON k.program_id = $1 AND k.clicked_at = w.clicked_at AND k.click_id = w.click_id;

-- name: namings
-- Which conversion names a visitor: this one, or else the first of its customer's.
SELECT DISTINCT ON (named.visitor_id)
       named.visitor_id, o.conversion_id, o.source, o.type, o.external_id,
       o.visitor_id IS NOT DISTINCT FROM named.visitor_id AS is_own
FROM conversions o
CROSS JOIN LATERAL (
    SELECT v.visitor_id FROM conversion_visitors v
    WHERE v.program_id = o.program_id AND v.conversion_id = o.conversion_id
    UNION
    SELECT o.visitor_id WHERE o.visitor_id IS NOT NULL
) named
WHERE o.program_id = $1 AND (o.conversion_id = $2 OR (o.customer_id = $3 AND o.occurred_at <= $4))
ORDER BY named.visitor_id, o.conversion_id = $2 DESC, o.occurred_at, o.conversion_id;

-- name: influencer_names
SELECT influencer_id, name FROM influencers WHERE program_id = $1 AND influencer_id = ANY($2::bigint[]);

-- name: record
SELECT a.status, a.attributed_at, a.bound_at,
       EXISTS (SELECT FROM credit_queue q WHERE q.program_id = c.program_id AND q.conversion_id = c.conversion_id)
       OR EXISTS (
           SELECT FROM credit_queue q
           WHERE q.program_id = c.program_id AND q.customer_id = c.customer_id AND q.since <= c.occurred_at
       ) AS is_waiting
FROM conversions c
LEFT JOIN attributions a USING (program_id, conversion_id)
WHERE c.program_id = $1 AND c.conversion_id = $2;

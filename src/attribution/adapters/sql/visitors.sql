-- name: lead
SELECT pg_try_advisory_xact_lock(hashtext('attribution.rollups'));

-- name: take
-- Of one programme, the oldest that began before $1 and were last marked before $2: the others may still grow.
WITH oldest AS (
    SELECT program_id, at
    FROM unsketched_quarters
    WHERE at < $1 AND marked_at < $2 AND program_id = (
        SELECT min(program_id)
        FROM unsketched_quarters JOIN programs USING (program_id)
        WHERE at < $1 AND marked_at < $2 AND rolled_up_in = timezone
    )
    ORDER BY at
    LIMIT $3
)
DELETE FROM unsketched_quarters u
USING oldest o
WHERE u.program_id = o.program_id AND u.at = o.at
RETURNING u.program_id, u.at;

-- name: visitors
-- A click without a visitor is one of its own. A quarter of an hour lies in one bucket of each grain, in any zone.
SELECT {cell}, array_agg(visitor) AS visitors
FROM (
    SELECT q.day, q.week, q.month, q.quarter, q.year, coalesce(k.visitor_id, k.click_id::text) AS visitor{kept}
    FROM (
        SELECT at, date_trunc('day', at, zone) AS day, date_trunc('week', at, zone) AS week,
               date_trunc('month', at, zone) AS month, date_trunc('quarter', at, zone) AS quarter,
               date_trunc('year', at, zone) AS year
        FROM (SELECT rolled_up_in AS zone FROM programs WHERE program_id = $1 AND rolled_up_in IS NOT NULL) z
        CROSS JOIN unnest($2::timestamptz[]) AS u (at)
        OFFSET 0
    ) q
    CROSS JOIN LATERAL (
        SELECT *
        FROM clicks
        WHERE program_id = $1 AND clicked_at >= q.at AND clicked_at < q.at + interval '15 minutes' AND NOT is_bot
        OFFSET 0
    ) k
) f
GROUP BY {cell};

-- name: sketches
SELECT kind, grain, bucket, influencer_id, campaign_id, channel, link_id, post_id, country, device, sketch
FROM visitor_sketches
JOIN unnest(
         $2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[],
         $10::text[], $11::text[]
     ) AS w (kind, grain, bucket, influencer_id, campaign_id, channel, link_id, post_id, country, device)
     USING (kind, grain, bucket, influencer_id, campaign_id, channel, link_id, post_id, country, device)
WHERE program_id = $1;

-- name: write
INSERT INTO visitor_sketches (
    program_id, kind, grain, bucket, influencer_id, campaign_id, channel, link_id, post_id, country, device, sketch, visitors
)
SELECT $1, *
FROM unnest(
    $2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::text[], $8::bigint[], $9::bigint[],
    $10::text[], $11::text[], $12::bytea[], $13::bigint[]
)
ON CONFLICT (program_id, kind, grain, bucket, influencer_id, campaign_id, channel, link_id, post_id, country, device)
DO UPDATE SET sketch = excluded.sketch, visitors = excluded.visitors;

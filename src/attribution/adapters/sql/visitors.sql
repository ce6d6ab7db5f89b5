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
-- A click without a visitor is one of its own.
SELECT DISTINCT date_trunc('day', k.clicked_at, z.zone) AS day, date_trunc('week', k.clicked_at, z.zone) AS week,
       date_trunc('month', k.clicked_at, z.zone) AS month, date_trunc('year', k.clicked_at, z.zone) AS year,
       coalesce(k.influencer_id, 0) AS influencer_id,
       coalesce(k.campaign_id, 0) AS campaign_id, coalesce(k.channel, '') AS channel,
       coalesce(k.visitor_id, k.click_id::text) AS visitor
FROM (SELECT rolled_up_in AS zone FROM programs WHERE program_id = $1 AND rolled_up_in IS NOT NULL) z
CROSS JOIN unnest($2::timestamptz[]) AS q (at)
CROSS JOIN LATERAL (
    SELECT *
    FROM clicks
    WHERE program_id = $1 AND clicked_at >= q.at AND clicked_at < q.at + interval '15 minutes' AND NOT is_bot
    OFFSET 0
) k;

-- name: sketches
SELECT kind, grain, bucket, influencer_id, campaign_id, channel, sketch
FROM visitor_sketches
JOIN unnest($2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::text[])
     AS w (kind, grain, bucket, influencer_id, campaign_id, channel)
     USING (kind, grain, bucket, influencer_id, campaign_id, channel)
WHERE program_id = $1;

-- name: write
INSERT INTO visitor_sketches (
    program_id, kind, grain, bucket, influencer_id, campaign_id, channel, sketch, visitors
)
SELECT $1, *
FROM unnest($2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::text[], $8::bytea[], $9::bigint[])
ON CONFLICT (program_id, kind, grain, bucket, influencer_id, campaign_id, channel)
DO UPDATE SET sketch = excluded.sketch, visitors = excluded.visitors;

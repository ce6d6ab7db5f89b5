-- name: lead
-- One process rolls up at a time; the others stand by.
SELECT pg_try_advisory_xact_lock(hashtext('attribution.rollups'));

-- name: to_rebuild
SELECT program_id FROM programs WHERE rolled_up_in IS DISTINCT FROM timezone ORDER BY program_id;

-- name: stage
CREATE TEMP TABLE IF NOT EXISTS taken_deltas (LIKE click_deltas) ON COMMIT DELETE ROWS;

-- name: take
-- Deltas of a programme without rollups wait for them: its rebuilding counts them with their rows.
WITH taken AS (
    DELETE FROM click_deltas
    WHERE ctid = ANY(ARRAY(
        SELECT d.ctid
        FROM click_deltas d JOIN programs p USING (program_id)
        WHERE p.rolled_up_in = p.timezone
        LIMIT $1
    ))
    RETURNING *
)
INSERT INTO taken_deltas
SELECT program_id, at, link_id, influencer_id, campaign_id, channel, post_id, country, device,
       sum(clicks), sum(bot_clicks)
FROM taken
GROUP BY program_id, at, link_id, influencer_id, campaign_id, channel, post_id, country, device;

-- name: waiting
SELECT count(*) FROM (
    SELECT FROM click_deltas
    UNION ALL SELECT FROM credit_deltas
    UNION ALL SELECT FROM insight_deltas
    UNION ALL SELECT FROM changed_customers
    LIMIT $1
) f;

-- name: add
-- Summed by the finest grain first, of which all others are made. In the order of the index, whose pages are then visited
-- once each. Buckets are not joined to the sums by their moments: by the planner's guess that is done by the programme
-- alone, and a year of a programme then takes the square of its hours.
WITH moments AS (
    SELECT program_id, at, p.rolled_up_in AS zone, date_trunc($2, at, p.rolled_up_in) AS finest
    FROM (SELECT DISTINCT program_id, at FROM taken_deltas) d JOIN programs p USING (program_id)
), summed AS (
    SELECT program_id, zone, finest{dimensions}, sum(clicks) AS clicks, sum(bot_clicks) AS bot_clicks
    FROM taken_deltas JOIN moments USING (program_id, at)
    GROUP BY program_id, zone, finest{dimensions}
)
INSERT INTO {rollup} AS r (program_id, grain, bucket{dimensions}, clicks, bot_clicks)
SELECT program_id, grain, date_trunc(grain, finest, zone) AS bucket{dimensions}, sum(clicks), sum(bot_clicks)
FROM summed CROSS JOIN unnest($1::text[]) AS g (grain)
GROUP BY program_id, grain, bucket{dimensions}
ORDER BY program_id, grain, bucket{dimensions}
ON CONFLICT (program_id, grain, bucket{dimensions}) DO UPDATE SET
    clicks = r.clicks + excluded.clicks, bot_clicks = r.bot_clicks + excluded.bot_clicks;

-- name: fill
-- Of all rows of programme $1, in zone $4, where it has no sums: nothing can conflict.
WITH finest AS (
    SELECT date_trunc($3, clicked_at, $4) AS start{dimensions},
           count(*) FILTER (WHERE NOT is_bot) AS clicks, count(*) FILTER (WHERE is_bot) AS bot_clicks
    FROM clicks
    WHERE program_id = $1
    GROUP BY start{dimensions}
), summed AS MATERIALIZED (
    SELECT grain, date_trunc(grain, start, $4) AS bucket{dimensions}, sum(clicks), sum(bot_clicks)
    FROM finest CROSS JOIN unnest($2::text[]) AS g (grain)
    GROUP BY grain, bucket{dimensions}
)
INSERT INTO {rollup} (program_id, grain, bucket{dimensions}, clicks, bot_clicks)
SELECT $1, * FROM summed ORDER BY bucket;

-- name: mark_all_unsketched
INSERT INTO unsketched_quarters (program_id, at)
SELECT DISTINCT $1::bigint, date_bin('15 minutes', clicked_at, 'epoch') FROM clicks WHERE program_id = $1 AND NOT is_bot
ON CONFLICT (program_id, at) DO UPDATE SET marked_at = excluded.marked_at;

-- name: mark_unsketched
-- The visitors of what is rolled up are sketched later, and until then read from the rows.
INSERT INTO unsketched_quarters (program_id, at) SELECT DISTINCT program_id, at FROM taken_deltas WHERE clicks > 0
ON CONFLICT (program_id, at) DO UPDATE SET marked_at = excluded.marked_at;

-- name: drop_sketches
DELETE FROM visitor_sketches WHERE program_id = $1;

-- name: prepare_rebuild
-- Sorting millions of rows by all their dimensions takes longer than hashing them, but is what the planner prefers.
SELECT set_config('work_mem', '256MB', true), set_config('enable_sort', 'off', true);

-- name: begin_rebuild
UPDATE programs SET rolled_up_in = timezone WHERE program_id = $1 RETURNING timezone;

-- name: drop_deltas
DELETE FROM click_deltas WHERE program_id = $1;

-- name: drop
DELETE FROM {rollup} WHERE program_id = $1;

-- name: compare
-- What the rollup, with the deltas, has more than the rows, by bucket and dimensions; nothing when all is right. As there,
-- by the finest grain first, $4: an hour in which clocks change by half an hour is otherwise divided.
SELECT grain, bucket{dimensions}, sum(clicks)::bigint AS clicks, sum(bot_clicks)::bigint AS bot_clicks
FROM (
    SELECT grain, bucket{dimensions}, clicks, bot_clicks
    FROM {rollup}
    WHERE program_id = $1
    UNION ALL
    SELECT g.grain, date_trunc(g.grain, date_trunc($4, at, $2), $2){dimensions}, clicks, bot_clicks
    FROM click_deltas CROSS JOIN unnest($3::text[]) AS g (grain)
    WHERE program_id = $1
    UNION ALL
    SELECT g.grain, date_trunc(g.grain, date_trunc($4, clicked_at, $2), $2){dimensions},
           -count(*) FILTER (WHERE NOT is_bot), -count(*) FILTER (WHERE is_bot)
    FROM clicks CROSS JOIN unnest($3::text[]) AS g (grain)
    WHERE program_id = $1
    GROUP BY 1, 2{dimensions}
) f
GROUP BY grain, bucket{dimensions}
HAVING sum(clicks) <> 0 OR sum(bot_clicks) <> 0
ORDER BY grain, bucket
LIMIT $5;

-- name: zone
SELECT rolled_up_in FROM programs WHERE program_id = $1;

-- name: stage
CREATE TEMP TABLE IF NOT EXISTS staged_clicks (LIKE clicks) ON COMMIT DELETE ROWS;

-- name: merge
-- And what the new ones add to the rollups; says which they are.
WITH new AS (
    INSERT INTO clicks SELECT * FROM staged_clicks ON CONFLICT DO NOTHING RETURNING *
), added AS (
    INSERT INTO click_deltas
    SELECT program_id, date_bin('15 minutes', clicked_at, 'epoch'), link_id, influencer_id, campaign_id, channel,
           post_id, country, device, count(*) FILTER (WHERE NOT is_bot), count(*) FILTER (WHERE is_bot)
    FROM new
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
)
SELECT click_id FROM new;

-- name: add_dead_letters
-- Those that are new, and the ledger's count of them.
WITH added AS (
    INSERT INTO dead_letters (reason, detail, data, journal_id, segment, position, quarter, clicks)
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::bytea[], $4::uuid[], $5::bigint[], $6::bigint[], $7::timestamptz[], $8::int[]
    )
    ON CONFLICT DO NOTHING
    RETURNING quarter, journal_id, clicks
)
INSERT INTO journal_arrivals AS a (quarter, journal_id, stored, dead_lettered)
SELECT quarter, journal_id, 0, sum(clicks)
FROM added
WHERE quarter IS NOT NULL AND journal_id IS NOT NULL
GROUP BY quarter, journal_id
ORDER BY quarter, journal_id
ON CONFLICT (quarter, journal_id) DO UPDATE SET dead_lettered = a.dead_lettered + excluded.dead_lettered;

-- name: add_arrivals
-- Locked in one order, so consumers never wait in a circle.
INSERT INTO journal_arrivals AS a (quarter, journal_id, stored, dead_lettered)
SELECT quarter, journal_id, stored, 0
FROM unnest($1::timestamptz[], $2::uuid[], $3::bigint[]) AS n (quarter, journal_id, stored)
ORDER BY quarter, journal_id
ON CONFLICT (quarter, journal_id) DO UPDATE SET stored = a.stored + excluded.stored;

-- name: reach
-- Of these programmes, those where a click of `reopen` can find something: a conversion not before the batch's first
-- click, or one that waits for an id within the batch's ids, which are in the order of time.
SELECT program_id, coalesce(until, '-infinity') AS until, awaited
FROM unnest($1::bigint[]) AS p (program_id)
CROSS JOIN LATERAL (SELECT max(occurred_at) AS until FROM conversions c WHERE c.program_id = p.program_id) AS newest
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT FROM awaited_clicks a WHERE a.program_id = p.program_id AND a.click_id BETWEEN $2 AND $3
    ) AS awaited
) AS waiting
WHERE until >= $4 OR awaited;

-- name: reopen
-- What these clicks can change: conversions that wait for one of them, and conversions not before one of them that
-- name its visitor; then the later ones of the same customers. Conversions come first, for the attributor names the
-- visitors of what it takes before it reads for the others. The rows are as old as the clicks: `as_of` waits for them.
WITH landed AS (
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::timestamptz[], $4::text[])
        AS l (program_id, click_id, clicked_at, visitor_id)
), awaited AS (
    SELECT program_id, conversion_id, clicked_at
    FROM landed JOIN awaited_clicks USING (program_id, click_id)
), named AS (
    SELECT program_id, conversion_id, clicked_at FROM awaited
    UNION
    SELECT program_id, conversion_id, clicked_at
    FROM landed JOIN conversion_visitors USING (program_id, visitor_id)
), affected AS (
    SELECT n.program_id, n.conversion_id, c.customer_id, c.occurred_at, n.clicked_at
    FROM named n JOIN conversions c USING (program_id, conversion_id)
)
INSERT INTO credit_queue (program_id, conversion_id, customer_id, since, created_at)
SELECT program_id, conversion_id, NULL::text, NULL::timestamptz, least(min(clicked_at), now())
FROM affected a
WHERE occurred_at >= clicked_at OR EXISTS (
    SELECT FROM awaited w WHERE w.program_id = a.program_id AND w.conversion_id = a.conversion_id
)
GROUP BY program_id, conversion_id
UNION ALL
SELECT a.program_id, NULL, a.customer_id, min(greatest(a.occurred_at, a.clicked_at)), least(min(a.clicked_at), now())
FROM affected a
WHERE EXISTS (
    SELECT FROM conversions later
    WHERE later.program_id = a.program_id AND later.customer_id = a.customer_id
      AND later.conversion_id <> a.conversion_id
      AND later.occurred_at >= greatest(a.occurred_at, a.clicked_at)
)
GROUP BY a.program_id, a.customer_id;

-- name: partitions
SELECT c.relname
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'clicks'::regclass;

-- name: report_watermark
INSERT INTO click_watermarks AS w (partition, complete_before) VALUES ($1, $2)
ON CONFLICT (partition) DO UPDATE SET complete_before = greatest(w.complete_before, excluded.complete_before);

-- name: dead_letters
SELECT dead_letter_id, reason, detail, data, journal_id, created_at
FROM dead_letters ORDER BY dead_letter_id LIMIT $1;

-- name: dead_letters_by_id
SELECT dead_letter_id, reason, detail, data, journal_id, created_at
FROM dead_letters WHERE dead_letter_id = ANY($1::bigint[]) ORDER BY dead_letter_id;

-- name: drop_dead_letters
DELETE FROM dead_letters WHERE dead_letter_id = ANY($1::bigint[]);

-- name: drop_replayed
WITH gone AS (
    DELETE FROM dead_letters WHERE dead_letter_id = ANY($1::bigint[]) RETURNING quarter, journal_id, clicks
)
UPDATE journal_arrivals a
SET dead_lettered = a.dead_lettered - g.clicks
FROM (SELECT quarter, journal_id, sum(clicks) AS clicks FROM gone GROUP BY quarter, journal_id) g
WHERE a.quarter = g.quarter AND a.journal_id = g.journal_id;

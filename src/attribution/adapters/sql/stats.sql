-- name: as_of
-- All that was accepted before this instant is in the answer.
-- Null before the first consumer has said how far it is.
SELECT least(
    min(complete_before), (SELECT min(created_at) FROM credit_queue WHERE program_id = $1), now()
)
FROM click_watermarks
HAVING count(*) > 0;

-- name: zone
SELECT rolled_up_in FROM programs WHERE program_id = $1;

-- name: clicks_rolled_up
-- Whole buckets (grain, start, stop) of a table of rollups; what is not in it yet is in the deltas.
SELECT r.bucket AS at{columns}, r.clicks, r.bot_clicks
FROM {pieces} JOIN {rollup} r ON r.grain = piece.grain AND r.bucket >= piece.start AND r.bucket < piece.stop
WHERE r.program_id = {program}
UNION ALL
SELECT at{columns}, clicks, bot_clicks
FROM {pieces} JOIN click_deltas ON at >= piece.start AND at < piece.stop
WHERE program_id = {program}

-- name: click_rows
SELECT clicked_at AS at{columns}, (NOT is_bot)::int AS clicks, is_bot::int AS bot_clicks
FROM clicks
WHERE program_id = {program} AND clicked_at >= {start} AND clicked_at < {stop}

-- name: no_clicks
SELECT clicked_at AS at{columns}, 0 AS clicks, 0 AS bot_clicks FROM clicks WHERE false

-- name: clicks
SELECT {groups} sum(clicks) AS clicks, sum(bot_clicks) AS bot_clicks
FROM ({facts}) f {posts}
WHERE {filters}
{grouped};

-- name: visitors
-- Of the rows that are asked for; a click without a visitor is one of its own.
SELECT {groups}
       count(DISTINCT visitor_id) + count(*) FILTER (WHERE visitor_id IS NULL) AS unique_visitors
FROM (
    SELECT clicked_at AS at, visitor_id{columns}
    FROM clicks
    WHERE program_id = {program} AND clicked_at >= {start} AND clicked_at < {stop} AND NOT is_bot
) f {posts}
WHERE {filters}
{grouped};

-- name: sketched_visitors
SELECT {groups} array_agg(sketch) AS sketches
FROM (
    SELECT s.bucket AS at, nullif(s.influencer_id, 0) AS influencer_id, nullif(s.campaign_id, 0) AS campaign_id,
           nullif(s.channel, '') AS channel, s.sketch
    FROM {pieces}
    JOIN visitor_sketches s ON s.grain = piece.grain AND s.bucket >= piece.start AND s.bucket < piece.stop
    WHERE s.program_id = {program} AND s.kind = {kind}
) f
WHERE {filters}
{grouped};

-- name: other_visitors
-- At the edges of the period, and of quarters of an hour that may not be in the sketches.
SELECT {groups} array_agg(DISTINCT visitor) AS visitors
FROM (
    SELECT k.clicked_at AS at, coalesce(k.visitor_id, k.click_id::text) AS visitor{columns}
    FROM (
        SELECT start, stop FROM unnest({starts}, {stops}) AS edge (start, stop)
        UNION ALL
        SELECT q.at, q.at + interval '15 minutes'
        FROM {pieces}
        JOIN (
            SELECT at FROM unsketched_quarters WHERE program_id = {program}
            UNION
            SELECT at FROM click_deltas WHERE program_id = {program}
        ) q ON q.at >= piece.start AND q.at < piece.stop
    ) span
    CROSS JOIN LATERAL (
        SELECT *
        FROM clicks
        WHERE program_id = {program} AND clicked_at >= span.start AND clicked_at < span.stop AND NOT is_bot
        OFFSET 0
    ) k
) f
WHERE {filters}
{grouped};

-- name: credits
SELECT {groups}
       sum(weight) AS conversions,
       sum(weight) FILTER (WHERE kind = 'purchase') AS orders,
       sum(weight) FILTER (WHERE kind = 'lead') AS leads,
       sum(weight) FILTER (WHERE kind = 'purchase' AND new_or_returning = 'new') AS new_customers,
       sum(gross_minor) FILTER (WHERE kind = 'purchase' AND currency = {currency}) AS gross_minor,
       sum(net_minor) FILTER (WHERE kind = 'purchase' AND currency = {currency}) AS net_minor,
       sum(discount_minor) FILTER (WHERE kind = 'purchase' AND currency = {currency}) AS discount_minor,
       0 AS commission_minor
FROM (
    SELECT {at} AS at, c.type AS kind, c.currency, e.weight, e.gross_minor, e.net_minor, e.discount_minor{columns}
    FROM conversions c
    JOIN {entries} e USING (program_id, conversion_id) {touches} {customers}
    -- No touch is after its conversion.
    WHERE c.program_id = {program} AND c.occurred_at >= {start} AND c.status = 'confirmed'
      AND {at} >= {start} AND {at} < {stop}
) f {posts}
WHERE {filters}
{grouped};

-- name: at_conversion
c.occurred_at

-- name: at_touch
coalesce(clicked_at(e.click_id), c.occurred_at)

-- name: touches
LEFT JOIN clicks k ON k.program_id = e.program_id AND k.clicked_at = clicked_at(e.click_id) AND k.click_id = e.click_id

-- name: new_or_returning
-- What the shop says; unsaid, a customer is new who has no earlier purchase. Who is not known is neither.
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN c.new_customer THEN 'new'
        WHEN NOT c.new_customer THEN 'returning'
        WHEN c.customer_id IS NULL THEN NULL
        WHEN EXISTS (
            SELECT FROM conversions o
            WHERE o.program_id = c.program_id AND o.customer_id = c.customer_id
              AND o.type = 'purchase' AND o.status = 'confirmed' AND o.occurred_at <= c.occurred_at
              AND (o.occurred_at, o.source, o.external_id) < (c.occurred_at, c.source, c.external_id)
        ) THEN 'returning'
        ELSE 'new'
    END AS new_or_returning
) n

-- name: any_customer
CROSS JOIN (SELECT NULL::text AS new_or_returning) n

-- name: posts
LEFT JOIN posts p ON p.program_id = {program} AND p.post_id = f.post_id

-- name: insights
-- Growth counts at the moment of the total that shows it.
SELECT {groups}
       sum(growth) FILTER (WHERE metric = 'impressions') AS impressions,
       sum(growth) FILTER (WHERE metric = 'reach') AS reach,
       sum(growth) FILTER (WHERE metric = 'views') AS views,
       sum(growth) FILTER (WHERE metric = 'likes') AS likes,
       sum(growth) FILTER (WHERE metric = 'comments') AS comments,
       sum(growth) FILTER (WHERE metric = 'shares') AS shares,
       sum(growth) FILTER (WHERE metric = 'saves') AS saves,
       sum(growth) FILTER (WHERE metric = 'link_taps') AS link_taps,
       sum(growth) FILTER (WHERE metric = 'followers') AS followers
FROM (
    SELECT i.at, i.metric, i.growth{columns}
    FROM insight_steps i
    JOIN posts o ON o.program_id = i.program_id AND o.post_id = i.post_id
    WHERE i.program_id = {program} AND i.at >= {start} AND i.at < {stop} AND i.metric = ANY({metrics})
) f {posts}
WHERE {filters}
{grouped};

-- name: cost_days
-- Of the days that begin in the period, each whole.
SELECT d.day::timestamp AT TIME ZONE {zone} AS at, d.day, d.currency, d.amount_minor{columns}
FROM cost_days d
WHERE d.program_id = {program} AND d.first_day < {end_day} AND d.end_day > {first_day}
  AND d.day >= {first_day} AND d.day < {end_day}

-- name: costs
-- Half up to the minor unit, as domain/fx.py has it: `div` is exact.
SELECT {groups}
       sum(CASE WHEN f.currency = {currency} THEN f.amount_minor
           ELSE div(2 * f.amount_minor * r.numerator + r.denominator, 2 * r.denominator) END) AS costs_minor
FROM ({facts}) f
LEFT JOIN unnest({rates}) AS r (currency, day, numerator, denominator) ON r.currency = f.currency AND r.day = f.day {posts}
WHERE {filters}
{grouped};

-- name: foreign_costs
SELECT DISTINCT f.currency, f.day
FROM ({facts}) f {posts}
WHERE f.currency <> {currency} AND {filters};

-- name: summed
-- Each source of facts has its own sums, and 0 for those of the others.
WITH facts AS ({facts}), parts AS (SELECT * FROM facts {empty})
SELECT {labels} {sums}
FROM parts
{grouped}
{ordered}
LIMIT {limit} OFFSET {offset};

-- name: empty
UNION ALL SELECT {labels}{zeros} FROM ({groups}) g CROSS JOIN unnest({columns}) AS b ({times})

-- name: other_currencies
-- Conversions whose money is in no sum, as it is in another currency; whatever the filters.
SELECT currency, count(*) AS conversions
FROM conversions
WHERE program_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND status = 'confirmed' AND currency <> $4
GROUP BY currency
ORDER BY currency;

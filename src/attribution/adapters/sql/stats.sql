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

-- name: credits
SELECT {groups}
       sum(weight) AS conversions,
       sum(weight) FILTER (WHERE kind = 'purchase') AS orders,
       sum(gross_minor) FILTER (WHERE kind = 'purchase' AND currency = {currency}) AS gross_minor,
       sum(net_minor) FILTER (WHERE kind = 'purchase' AND currency = {currency}) AS net_minor,
       sum(discount_minor) FILTER (WHERE kind = 'purchase' AND currency = {currency}) AS discount_minor
FROM (
    SELECT c.occurred_at AS at, c.type AS kind, c.currency, e.weight, e.gross_minor, e.net_minor, e.discount_minor{columns}
    FROM conversions c
    JOIN credit_entries e USING (program_id, conversion_id) {touches}
    WHERE c.program_id = {program} AND c.occurred_at >= {start} AND c.occurred_at < {stop} AND c.status = 'confirmed'
) f {posts}
WHERE {filters}
{grouped};

-- name: summed
-- Each source of facts has its own sums, and 0 for those of the others.
WITH parts AS ({parts})
SELECT {labels} {sums}
FROM parts
{grouped}
{ordered}
LIMIT {limit} OFFSET {offset};

-- name: other_currencies
-- Conversions whose money is in no sum, as it is in another currency; whatever the filters.
SELECT currency, count(*) AS conversions
FROM conversions
WHERE program_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND status = 'confirmed' AND currency <> $4
GROUP BY currency
ORDER BY currency;

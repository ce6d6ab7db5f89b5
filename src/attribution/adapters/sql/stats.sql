-- name: begin
-- All that was accepted before `as_of` is in the answer; null before the first consumer has said how far it is.
-- Settings of the transaction: many short statements at once are better off without compiling, and without workers of
-- their own unless they read millions of rows; a plan made for the values knows how few groups they choose.
SELECT (
           SELECT least(
               min(complete_before), (SELECT min(created_at) FROM credit_queue WHERE program_id = $1), now()
           )
           FROM click_watermarks
           HAVING count(*) > 0
       ) AS as_of,
       (SELECT rolled_up_in FROM programs WHERE program_id = $1) AS zone,
       set_config('jit', 'off', true), set_config('parallel_setup_cost', '100000', true),
       set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: export
SELECT pg_export_snapshot();

-- name: adopt
-- With the settings of `begin`.
SET TRANSACTION SNAPSHOT '{snapshot}';
SET LOCAL jit = off;
SET LOCAL parallel_setup_cost = 100000;
SET LOCAL plan_cache_mode = force_custom_plan;

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
SELECT count(DISTINCT visitor_id) + count(*) FILTER (WHERE visitor_id IS NULL) AS unique_visitors
FROM {clicks};

-- name: visitors_by_group
-- To sort each group's visitors, as `count(DISTINCT)` does, takes up to twice as long.
SELECT {labels}
       count(visitor_id) + coalesce(sum(clicks) FILTER (WHERE visitor_id IS NULL), 0)::bigint AS unique_visitors
FROM (SELECT {groups} visitor_id, count(*) AS clicks FROM {clicks} {grouped}, visitor_id) v
{grouped};

-- name: visitors_clicks
(
    SELECT clicked_at AS at, visitor_id{columns}
    FROM clicks
    WHERE program_id = {program} AND clicked_at >= {start} AND clicked_at < {stop} AND NOT is_bot
) f {posts}
WHERE {filters}

-- name: sketched_visitors
-- Of one sketch what it counts; several are to be united, and one with visitors beside it too.
SELECT {labels} max(f.visitors) AS visitors, array_agg(f.sketch) FILTER (WHERE f.sketches > 1 OR {beside}) AS sketches
FROM (
    SELECT {groups} f.sketch, f.visitors, count(*) OVER ({parted}) AS sketches
    FROM (
        SELECT {kept} s.bucket AS at, s.sketch, s.visitors
        FROM {pieces}
        JOIN visitor_sketches s ON s.grain = piece.grain AND s.bucket >= piece.start AND s.bucket < piece.stop
        WHERE s.program_id = {program} AND s.kind = {kind}{which}
    ) f {posts}
    WHERE {filters}
) f
{grouped};

-- name: is_sketched
-- Whether no quarter of an hour of the period may be missing in the sketches.
SELECT NOT EXISTS (SELECT FROM unsketched_quarters WHERE program_id = {program} AND at >= {start} AND at < {stop})
   AND NOT EXISTS (SELECT FROM click_deltas WHERE program_id = {program} AND at >= {start} AND at < {stop}) AS whole;

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
) f {posts}
WHERE {filters}
{grouped};

-- name: credits
-- What came to nothing, as credit that moved on, leaves no row.
SELECT {groups}
       sum(counted) AS conversions,
       sum(counted) FILTER (WHERE type = 'purchase') AS orders,
       sum(counted) FILTER (WHERE type = 'lead') AS leads,
       sum(counted) FILTER (WHERE type = 'purchase' AND new_customer) AS new_customers,
       sum(gross_value) FILTER (WHERE type = 'purchase') AS gross_minor,
       sum(net_value) FILTER (WHERE type = 'purchase') AS net_minor,
       sum(discount_value) FILTER (WHERE type = 'purchase') AS discount_minor,
       sum(commission) AS commission_minor
FROM ({facts}) f {posts}
WHERE {filters}
{grouped}
HAVING sum(counted) <> 0;

-- name: credit_rows
SELECT {at} AS at, e.counted, e.gross_value, e.net_value, e.discount_value, e.commission{columns}
FROM {entries} e {touches}
WHERE e.program_id = {program} AND {at} >= {start} AND {at} < {stop}

-- name: credits_rolled_up
-- Whole buckets (grain, start, stop) of a table of rollups; what is not in it yet is in the deltas.
SELECT r.bucket AS at, r.counted, r.gross_value, r.net_value, r.discount_value, r.commission{columns}
FROM {pieces} JOIN {rollup} r ON r.grain = piece.grain AND r.bucket >= piece.start AND r.bucket < piece.stop
WHERE r.program_id = {program} AND r.basis = {basis}
UNION ALL
SELECT {moment} AS at, counted, gross_value, net_value, discount_value, commission{columns}
FROM {pieces} JOIN credit_deltas ON {moment} >= piece.start AND {moment} < piece.stop
WHERE program_id = {program}

-- name: at_conversion
e.occurred_at

-- name: at_touch
coalesce(e.clicked_at, e.occurred_at)

-- name: touches
LEFT JOIN clicks k ON k.program_id = e.program_id AND k.clicked_at = e.clicked_at AND k.click_id = e.click_id

-- name: new_or_returning
-- Who is not known is neither.
CASE WHEN f.new_customer THEN 'new' WHEN NOT f.new_customer THEN 'returning' END

-- name: missing_rates
-- Those without which credits that count have no value. Nearly always there are none in an index that is empty.
SELECT DISTINCT true AS is_missing, c.day, c.base
FROM (
    SELECT f.day, f.base
    FROM (
        SELECT {at} AS at, a.conversion_id, a.missing_rate_day AS day, a.missing_rate_base::text AS base, e.counted{columns}
        FROM {attributions} a
        JOIN {entries} e ON e.program_id = a.program_id AND e.conversion_id = a.conversion_id {touches}
        WHERE a.program_id = {program} AND a.missing_rate_day IS NOT NULL{worth} AND {at} >= {start} AND {at} < {stop}
    ) f {posts}
    WHERE {filters}
    GROUP BY f.conversion_id, f.day, f.base
    HAVING sum(f.counted) > 0
) c

-- name: missing_worth
-- Of purchases alone. With a rate beside it, the missing one is of a plan, and the commission alone is not known.
AND a.rate_numerator IS NULL AND e.type = 'purchase'

-- name: posts
LEFT JOIN posts p ON p.program_id = {program} AND p.post_id = f.post_id

-- name: insights
-- Growth counts at the moment of the total that shows it; null where no total is stated.
SELECT {groups} {grown}
FROM ({facts}) f {posts}
WHERE num_nonnulls({asked}) > 0 AND {filters}
{grouped};

-- name: owners
JOIN posts USING (program_id, post_id)

-- name: insight_rows
SELECT at{columns}
FROM insight_growth {owners}
WHERE program_id = {program} AND at >= {start} AND at < {stop}

-- name: insights_rolled_up
-- Whole buckets (grain, start, stop) of a table of rollups; what is not in it yet is in the deltas.
SELECT r.bucket AS at{columns}
FROM {pieces}
JOIN {rollup} r ON r.grain = piece.grain AND r.bucket >= piece.start AND r.bucket < piece.stop
WHERE r.program_id = {program}
UNION ALL
SELECT at{columns}
FROM {pieces} JOIN insight_deltas ON at >= piece.start AND at < piece.stop {owners}
WHERE program_id = {program}

-- name: cost_values
-- In the programme's currency, half up to the minor unit as domain/fx.py has it: `div` is exact.
sum(CASE WHEN d.currency = {currency} THEN d.amount_minor
    ELSE div(2 * d.amount_minor * r.numerator + r.denominator, 2 * r.denominator) END)

-- name: rates
LEFT JOIN unnest({rates}) AS r (currency, day, numerator, denominator) ON r.currency = d.currency AND r.day = d.day

-- name: cost_days
-- Of the days that begin in the period, each whole.
SELECT d.day::timestamp AT TIME ZONE {zone} AS at, d.costs_minor{columns}
FROM (
    SELECT d.day, {values} AS costs_minor{columns}
    FROM cost_days d {rates}
    WHERE d.program_id = {program} AND d.first_day < {end_day} AND d.end_day > {first_day}
      AND d.day >= {first_day} AND d.day < {end_day} {which}
    GROUP BY d.day{listed}
) d

-- name: cost_spans
-- Of the days from the first to before the last that lie in the period, if not all do: as many times the even part, and
-- a minor unit more for each of those that have one, which are the first of all its days.
SELECT NULL::timestamptz AS at,
       CASE WHEN d.past - d.before = d.days THEN d.amount_minor
       ELSE (d.past - d.before) * (d.amount_minor / d.days)
           + least(d.past, d.amount_minor % d.days) - least(d.before, d.amount_minor % d.days)
       END AS costs_minor{columns}
FROM (
    SELECT d.amount_minor, d.end_day - d.first_day AS days, greatest(d.first_day, {first_day}) - d.first_day AS before,
           least(d.end_day, {end_day}) - d.first_day AS past{columns}
    FROM owned_costs d
    WHERE d.program_id = {program} AND d.first_day < {end_day} AND d.end_day > {first_day}
      AND {first_day} < {end_day} AND d.currency = {currency}
) d

-- name: costs
SELECT {groups} sum(costs_minor) AS costs_minor
FROM ({facts}) f {posts}
WHERE {filters}
{grouped};

-- name: foreign_costs
-- Nearly all costs are in the programme's currency: what lies below and above it is looked up.
SELECT DISTINCT false AS is_missing, f.day, f.currency::text AS base
FROM (
    SELECT d.day::timestamp AT TIME ZONE {zone} AS at, d.day, d.currency{columns}
    FROM cost_days d
    WHERE (d.currency < {currency} OR d.currency > {currency}) AND d.program_id = {program} AND d.first_day < {end_day} AND d.end_day > {first_day}
      AND d.day >= {first_day} AND d.day < {end_day}
) f {posts}
WHERE {filters};

-- name: summed
-- Each source of facts has its own sums, and null for those of the others.
WITH facts AS ({facts}), parts AS (SELECT * FROM facts {empty})
SELECT {labels} {sums}
FROM parts
{grouped};

-- name: roster
-- The id where so many objects of a kind end.
SELECT {kind}_id FROM {kind}s WHERE program_id = {program} ORDER BY {kind}_id {direction} LIMIT 1 OFFSET {before};

-- name: paged
-- Numerics are shown as text, which is read in a fraction of the time.
SELECT {shown} FROM ({summed}) s
{ordered}
LIMIT {limit} OFFSET {offset};

-- name: paged_with_totals
-- Of one reading of the facts: each stands in one row, so the totals are sums over all rows, whatever the page.
WITH summed AS MATERIALIZED ({summed})
SELECT is_total, {shown}
FROM (
    SELECT * FROM (SELECT false AS is_total, * FROM summed {ordered} LIMIT {limit} OFFSET {offset}) p
    UNION ALL
    SELECT true, {nulls} {totals} FROM summed
) s;

-- name: empty
UNION ALL SELECT {labels}{zeros} FROM ({groups}) g CROSS JOIN unnest({columns}) AS b ({times})

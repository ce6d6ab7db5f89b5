-- name: customers
-- Of programme $1, the customers whose first purchase that is not cancelled lies from $2 to before $3: who had the most
-- credit of it (of equals the earliest click, then the lesser id), and all their purchases so far,
-- in the programme's currency.
WITH firsts AS (
    SELECT DISTINCT ON (customer_id) customer_id, conversion_id, occurred_at AS first_at, new_customer
    FROM conversions
    WHERE program_id = $1 AND customer_id IS NOT NULL AND type = 'purchase' AND status = 'confirmed'
    ORDER BY customer_id, occurred_at, source, external_id
), acquired AS (
    SELECT * FROM firsts WHERE first_at >= $2 AND first_at < $3 AND new_customer IS DISTINCT FROM false
), shares AS (
    SELECT e.conversion_id, e.influencer_id, e.{column} AS unit, e.click_id, sum(e.weight) AS weight
    FROM acquired a JOIN credit_entries e ON e.program_id = $1 AND e.conversion_id = a.conversion_id
    WHERE e.via <> 'none'
    GROUP BY e.conversion_id, e.via, e.influencer_id, e.{column}, e.click_id, e.link_id, e.campaign_id, e.code
    HAVING sum(e.weight) > 0
), brought AS (
    SELECT DISTINCT ON (conversion_id) conversion_id, unit
    FROM (
        SELECT conversion_id, unit, sum(weight) AS weight, min(click_id::text) AS earliest
        FROM shares
        WHERE unit IS NOT NULL
        GROUP BY conversion_id, unit
    ) u
    ORDER BY conversion_id, weight DESC, earliest, unit
), influenced AS (
    SELECT DISTINCT conversion_id FROM shares WHERE influencer_id IS NOT NULL
), customers AS (
    SELECT a.customer_id, a.first_at, l.unit::text AS unit, i.conversion_id IS NOT NULL AS influenced,
           date_trunc('month', a.first_at, {zone}) AS month, v.*
    FROM acquired a
    LEFT JOIN brought l USING (conversion_id)
    LEFT JOIN influenced i USING (conversion_id)
    CROSS JOIN LATERAL (
        SELECT count(*) AS orders, coalesce(sum(m.gross), 0) AS gross_minor, coalesce(sum(m.net), 0) AS net_minor{horizons}
        FROM conversions c
        CROSS JOIN LATERAL (
            SELECT sum(e.gross_value) AS gross, sum(e.net_value) AS net
            FROM credit_entries e
            WHERE e.program_id = c.program_id AND e.conversion_id = c.conversion_id
        ) m
        WHERE c.program_id = $1 AND c.customer_id = a.customer_id AND c.type = 'purchase' AND c.status = 'confirmed'
    ) v
)
{rows};

-- name: horizon
, coalesce(sum(m.net) FILTER (
    WHERE c.occurred_at < a.first_at + interval '{days} days'
), 0) AS net_{days}_minor

-- name: cohorts
SELECT {part} AS part, {unit} AS unit, {month} AS month, count(*) AS customers, max(first_at) AS youngest,
       count(*) FILTER (WHERE orders > 1) AS repeaters, coalesce(sum(orders), 0) AS orders,
       coalesce(sum(gross_minor), 0) AS gross_minor, coalesce(sum(net_minor), 0) AS net_minor{horizons}
FROM customers
WHERE {filter}
{grouped}

-- name: left_out
-- Purchases of the period whose customer nobody knows; customers whose shop says at their first that it is not.
SELECT count(*) FILTER (WHERE customer_id IS NULL) AS orders_without_customer,
       count(DISTINCT customer_id) FILTER (WHERE new_customer = false AND NOT EXISTS (
           SELECT FROM conversions o
           WHERE o.program_id = c.program_id AND o.customer_id = c.customer_id AND o.type = 'purchase'
             AND o.status = 'confirmed' AND o.occurred_at <= c.occurred_at
             AND (o.occurred_at, o.source, o.external_id) < (c.occurred_at, c.source, c.external_id)
       )) AS customers_before
FROM conversions c
WHERE program_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND type = 'purchase' AND status = 'confirmed';

-- name: missing_rate
-- The first of those without which purchases of known customers since $2 have no value.
SELECT a.missing_rate_day AS day, a.missing_rate_base AS base
FROM attributions a JOIN conversions c USING (program_id, conversion_id)
WHERE a.program_id = $1 AND a.missing_rate_day IS NOT NULL AND c.occurred_at >= $2
  AND c.type = 'purchase' AND c.status = 'confirmed' AND c.customer_id IS NOT NULL
ORDER BY 1, 2
LIMIT 1;

-- name: as_of
SELECT least(
    min(complete_before), (SELECT min(created_at) FROM credit_queue WHERE program_id = $1), now()
)
FROM click_watermarks
HAVING count(*) > 0;

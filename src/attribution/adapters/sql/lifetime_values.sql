-- name: settings
-- Months begin in the programme's zone; two arguments of date_trunc are faster than three.
SELECT set_config('timezone', $1, true), set_config('jit', 'off', true);

-- name: customers
-- Of programme $1, the customers whose first purchase that is not cancelled lies from $2 to before $3, summed by who
-- brought them and its month.
WITH sums AS MATERIALIZED (
    SELECT {column} AS unit, date_trunc('month', first_at) AS month, is_new, is_influenced, count(*) AS customers,
           max(first_at) AS youngest, count(*) FILTER (WHERE orders > 1) AS repeaters, sum(orders) AS orders,
           sum(gross_minor) AS gross_minor, sum(net_minor) AS net_minor{horizons}
    FROM ({values}) v
    WHERE first_at >= $2 AND first_at < $3
    GROUP BY 1, 2, 3, 4
)
{rows};

-- name: cohorts
SELECT {part} AS part, {unit} AS unit, {month} AS month, coalesce(sum(customers), 0)::bigint AS customers,
       max(youngest) AS youngest, coalesce(sum(repeaters), 0)::bigint AS repeaters, coalesce(sum(orders), 0) AS orders,
       coalesce(sum(gross_minor), 0) AS gross_minor, coalesce(sum(net_minor), 0) AS net_minor{horizons}
FROM sums
WHERE {filter}
{grouped}

-- name: orders_without_customer
SELECT count(*)
FROM conversions
WHERE program_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND type = 'purchase' AND status = 'confirmed'
  AND customer_id IS NULL;

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

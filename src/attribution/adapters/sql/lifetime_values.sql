-- name: settings
-- Months begin in the programme's zone; two arguments of date_trunc are faster than three.
SELECT set_config('timezone', $1, true), set_config('jit', 'off', true), set_config('work_mem', '64MB', true),
       set_config('parallel_setup_cost', '100000', true);

-- name: customers
-- Of programme $1, the customers whose first purchase that is not cancelled lies from $2 to before $3. A page's cohorts are
-- found by counting month after month, as far as the page goes; then only their months are summed.
WITH changed AS MATERIALIZED ({changed}), outermost AS MATERIALIZED (
    SELECT least(kept.first, now.first) AS first, greatest(kept.last, now.last) AS last
    FROM (
        SELECT min(first_at) AS first, max(first_at) AS last
        FROM customer_values
        WHERE program_id = $1 AND first_at >= $2 AND first_at < $3
    ) kept, (
        SELECT min(first_at) AS first, max(first_at) AS last FROM changed WHERE first_at >= $2 AND first_at < $3
    ) now
), picked AS MATERIALIZED (
    SELECT u.unit, m.month, u.customers
    FROM (
        SELECT local::timestamptz AS month, (local + interval '1 month')::timestamptz AS stop
        FROM outermost
        CROSS JOIN generate_series(date_trunc('month', first::timestamp), last::timestamp, interval '1 month') AS local
        ORDER BY month
    ) m
    CROSS JOIN LATERAL (
        SELECT {column} AS unit, count(*) AS customers
        FROM ({values}) v
        WHERE first_at >= greatest(m.month, $2) AND first_at < least(m.stop, $3) AND is_new
        GROUP BY 1
    ) u
    ORDER BY month, customers DESC, u.unit::text NULLS LAST
    LIMIT $4 OFFSET $5
)
{parts};

-- name: cohorts
SELECT 'cohort' AS part, p.unit::text AS unit, p.month AS month, {figures}
FROM picked p
JOIN ({values}) v
    ON date_trunc('month', v.first_at) = p.month AND coalesce(v.{column}::text, '') = coalesce(p.unit::text, '')
WHERE first_at >= $2 AND first_at < $3 AND is_new AND first_at >= (SELECT min(month) FROM picked)
  AND first_at < (SELECT max(month) + interval '1 month' FROM picked)
GROUP BY p.unit, p.month
ORDER BY month, customers DESC, unit NULLS LAST

-- name: part
SELECT '{part}' AS part, NULL::text AS unit, {month} AS month, {figures}
FROM ({values}) v
WHERE first_at >= $2 AND first_at < $3 AND {filter}

-- name: figures
count(*) AS customers, max(first_at) AS youngest, count(*) FILTER (WHERE orders > 1) AS repeaters,
       coalesce(sum(orders), 0) AS orders, coalesce(sum(gross_minor), 0) AS gross_minor,
       coalesce(sum(net_minor), 0) AS net_minor{horizons}

-- name: orders_without_customer
SELECT count(*)
FROM conversions
WHERE program_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND type = 'purchase' AND status = 'confirmed'
  AND customer_id IS NULL;

-- name: missing_rates
-- Those without which purchases of known customers since $2 have no value.
SELECT DISTINCT a.missing_rate_day AS day, a.missing_rate_base AS base
FROM attributions a JOIN conversions c USING (program_id, conversion_id)
WHERE a.program_id = $1 AND a.missing_rate_day IS NOT NULL AND a.rate_numerator IS NULL AND c.occurred_at >= $2
  AND c.type = 'purchase' AND c.status = 'confirmed' AND c.customer_id IS NOT NULL;

-- name: as_of
SELECT least(
    min(complete_before), (SELECT min(created_at) FROM credit_queue WHERE program_id = $1), now()
)
FROM click_watermarks
HAVING count(*) > 0;

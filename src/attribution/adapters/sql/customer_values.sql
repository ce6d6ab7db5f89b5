-- name: stage
CREATE TEMP TABLE IF NOT EXISTS taken_customers (LIKE changed_customers) ON COMMIT DELETE ROWS;

-- name: take
WITH taken AS (
    DELETE FROM changed_customers
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM changed_customers LIMIT $1))
    RETURNING *
), kept AS (INSERT INTO taken_customers SELECT DISTINCT * FROM taken)
SELECT count(*) FROM taken;

-- name: take_all
-- Of programme $1, whose marks of now are taken with them.
WITH taken AS (DELETE FROM changed_customers WHERE program_id = $1)
INSERT INTO taken_customers
SELECT DISTINCT program_id, customer_id FROM conversions WHERE program_id = $1 AND customer_id IS NOT NULL;

-- name: drop_taken
DELETE FROM customer_values v USING taken_customers t WHERE t.program_id = v.program_id AND t.customer_id = v.customer_id;

-- name: drop
DELETE FROM customer_values WHERE program_id = $1;

-- name: analyze
ANALYZE taken_customers;

-- name: add
INSERT INTO customer_values (program_id, customer_id, {columns}) {valued};

-- name: taken
SELECT program_id, customer_id FROM taken_customers

-- name: changed
SELECT DISTINCT program_id, customer_id FROM changed_customers WHERE program_id = $1

-- name: everybody
SELECT DISTINCT program_id, customer_id FROM conversions WHERE program_id = $1 AND customer_id IS NOT NULL

-- name: valued
-- Of the customers wanted (program_id, customer_id), those with a purchase that is not cancelled: their first one, who had
-- the most credit of it (of equals the earliest click, then the lesser id), and all their purchases so far, in the
-- programme's currency.
WITH wanted AS ({wanted}), purchases AS MATERIALIZED (
    SELECT c.program_id, c.customer_id, c.conversion_id, c.occurred_at, c.source, c.external_id, c.new_customer,
           m.gross, m.net
    FROM wanted w
    JOIN conversions c ON c.program_id = w.program_id AND c.customer_id = w.customer_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(e.gross_value), 0) AS gross, coalesce(sum(e.net_value), 0) AS net
        FROM credit_entries e
        WHERE e.program_id = c.program_id AND e.conversion_id = c.conversion_id
    ) m
    WHERE c.type = 'purchase' AND c.status = 'confirmed'
), firsts AS MATERIALIZED (
    SELECT DISTINCT ON (program_id, customer_id)
           program_id, customer_id, conversion_id, occurred_at AS first_at, new_customer IS DISTINCT FROM false AS is_new
    FROM purchases
    ORDER BY program_id, customer_id, occurred_at, source, external_id
), shares AS MATERIALIZED (
    SELECT f.program_id, f.customer_id, e.influencer_id, e.campaign_id, e.channel, e.code, e.click_id,
           sum(e.weight) AS weight
    FROM firsts f JOIN credit_entries e ON e.program_id = f.program_id AND e.conversion_id = f.conversion_id
    WHERE e.via <> 'none'
    GROUP BY f.program_id, f.customer_id, e.via, e.influencer_id, e.campaign_id, e.channel, e.code, e.click_id, e.link_id
    HAVING sum(e.weight) > 0
), influenced AS (
    SELECT DISTINCT program_id, customer_id, true AS is_influenced FROM shares WHERE influencer_id IS NOT NULL
)
SELECT program_id, customer_id, f.first_at, f.is_new, coalesce(i.is_influenced, false) AS is_influenced, {units}, w.orders,
       w.gross_minor, w.net_minor{listed}
FROM firsts f
JOIN (
    SELECT p.program_id, p.customer_id, count(*) AS orders, sum(p.gross)::bigint AS gross_minor,
           sum(p.net)::bigint AS net_minor{horizons}
    FROM purchases p JOIN firsts f ON f.program_id = p.program_id AND f.customer_id = p.customer_id
    GROUP BY p.program_id, p.customer_id
) w USING (program_id, customer_id)
LEFT JOIN influenced i USING (program_id, customer_id)
{brought}

-- name: horizon
, coalesce(sum(p.net) FILTER (WHERE p.occurred_at < f.first_at + interval '{hours} hours'), 0)::bigint AS {name}

-- name: brought
LEFT JOIN (
    SELECT DISTINCT ON (program_id, customer_id) program_id, customer_id, {column}
    FROM (
        SELECT program_id, customer_id, {column}, sum(weight) AS weight, min(click_id::text) AS earliest
        FROM shares
        WHERE {column} IS NOT NULL
        GROUP BY program_id, customer_id, {column}
    ) u
    ORDER BY program_id, customer_id, weight DESC, earliest, {column}
) by_{column} USING (program_id, customer_id)

-- name: now
-- Every customer of programme $1: the kept values, but for those that changed meanwhile.
SELECT customer_id, {columns}
FROM customer_values
WHERE program_id = $1 AND customer_id NOT IN (SELECT customer_id FROM changed_customers WHERE program_id = $1)
UNION ALL
SELECT customer_id, {columns} FROM changed

-- name: compare
-- The customers of programme $1 whose value is not that of their purchases.
WITH changed AS ({changed}), kept AS ({now}), made AS (SELECT customer_id, {columns} FROM ({everybody}) v)
SELECT DISTINCT customer_id
FROM ((TABLE kept EXCEPT TABLE made) UNION ALL (TABLE made EXCEPT TABLE kept)) d
ORDER BY customer_id
LIMIT $2;

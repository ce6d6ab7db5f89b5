-- name: stage
CREATE TEMP TABLE IF NOT EXISTS taken_credit_deltas (LIKE credit_deltas) ON COMMIT DELETE ROWS;

-- name: take
-- Deltas of a programme without rollups wait for them: its rebuilding counts them with their entries.
WITH taken AS (
    DELETE FROM credit_deltas
    WHERE ctid = ANY(ARRAY(
        SELECT d.ctid
        FROM credit_deltas d JOIN programs p USING (program_id)
        WHERE p.rolled_up_in = p.timezone
        LIMIT $1
    ))
    RETURNING *
)
INSERT INTO taken_credit_deltas SELECT * FROM taken;

-- name: add
-- By the conversion's moment and by the click's. In the order of the index.
INSERT INTO {rollup} AS r (
    program_id, basis, grain, bucket{dimensions}, counted, gross_value, net_value, discount_value, commission
)
SELECT t.program_id, moment.basis, g.grain, date_trunc(g.grain, moment.at, p.rolled_up_in) AS bucket{dimensions},
       sum(counted), sum(gross_value), sum(net_value), sum(discount_value), sum(commission)
FROM taken_credit_deltas t
JOIN programs p USING (program_id)
CROSS JOIN LATERAL (VALUES ('conversion', t.occurred_at), ('click', t.touched_at)) AS moment (basis, at)
CROSS JOIN unnest($1::text[]) AS g (grain)
GROUP BY t.program_id, moment.basis, g.grain, bucket{dimensions}
ORDER BY t.program_id, moment.basis, g.grain, bucket{dimensions}
ON CONFLICT (program_id, basis, grain, bucket{dimensions}) DO UPDATE SET
    counted = r.counted + excluded.counted, gross_value = r.gross_value + excluded.gross_value,
    net_value = r.net_value + excluded.net_value, discount_value = r.discount_value + excluded.discount_value,
    commission = r.commission + excluded.commission;

-- name: drop_deltas
DELETE FROM credit_deltas WHERE program_id = $1;

-- name: drop
DELETE FROM {rollup} WHERE program_id = $1;

-- name: fill
-- Of all entries of programme $1, in zone $3, where it has no sums: nothing can conflict.
WITH summed AS MATERIALIZED (
    SELECT basis, grain, date_trunc(grain, at, $3) AS bucket{dimensions},
           sum(counted), sum(gross_value), sum(net_value), sum(discount_value), sum(commission)
    FROM credit_entries e
    CROSS JOIN LATERAL (
        VALUES ('conversion', e.occurred_at), ('click', coalesce(e.clicked_at, e.occurred_at))
    ) AS moment (basis, at)
    CROSS JOIN unnest($2::text[]) AS g (grain)
    WHERE program_id = $1
    GROUP BY basis, grain, bucket{dimensions}
)
INSERT INTO {rollup} (
    program_id, basis, grain, bucket{dimensions}, counted, gross_value, net_value, discount_value, commission
)
SELECT $1, * FROM summed ORDER BY bucket;

-- name: compare
-- What the rollup, with the deltas, has more than the entries, by bucket and dimensions; nothing when all is right.
WITH moments AS (
    SELECT 'conversion' AS basis, occurred_at AS at{dimensions}, counted, gross_value, net_value, discount_value,
           commission, program_id, 1 AS sign
    FROM credit_deltas
    UNION ALL
    SELECT 'click', touched_at{dimensions}, counted, gross_value, net_value, discount_value, commission, program_id, 1
    FROM credit_deltas
    UNION ALL
    SELECT 'conversion', occurred_at{dimensions}, counted, gross_value, net_value, discount_value, commission,
           program_id, -1
    FROM credit_entries
    UNION ALL
    SELECT 'click', coalesce(clicked_at, occurred_at){dimensions}, counted, gross_value, net_value, discount_value,
           commission, program_id, -1
    FROM credit_entries
)
SELECT basis, grain, bucket{dimensions}, sum(counted) AS counted, sum(gross_value)::bigint AS gross_value,
       sum(net_value)::bigint AS net_value, sum(discount_value)::bigint AS discount_value,
       sum(commission)::bigint AS commission
FROM (
    SELECT basis, grain, bucket{dimensions}, counted, gross_value, net_value, discount_value, commission
    FROM {rollup}
    WHERE program_id = $1
    UNION ALL
    SELECT basis, g.grain, date_trunc(g.grain, at, $2){dimensions}, sign * counted, sign * gross_value,
           sign * net_value, sign * discount_value, sign * commission
    FROM moments CROSS JOIN unnest($3::text[]) AS g (grain)
    WHERE program_id = $1
) f
GROUP BY basis, grain, bucket{dimensions}
HAVING (sum(counted), sum(gross_value), sum(net_value), sum(discount_value), sum(commission)) <> (0, 0, 0, 0, 0)
ORDER BY basis, grain, bucket
LIMIT $4;

-- name: stage
CREATE TEMP TABLE IF NOT EXISTS taken_insight_deltas (LIKE insight_deltas) ON COMMIT DELETE ROWS;

-- name: take
-- Deltas of a programme without rollups wait for them: its rebuilding counts them with the growth.
WITH taken AS (
    DELETE FROM insight_deltas
    WHERE ctid = ANY(ARRAY(
        SELECT d.ctid
        FROM insight_deltas d JOIN programs p USING (program_id)
        WHERE p.rolled_up_in = p.timezone
        LIMIT $1
    ))
    RETURNING *
)
INSERT INTO taken_insight_deltas SELECT * FROM taken;

-- name: add
INSERT INTO insights_by_post AS r (program_id, grain, bucket, post_id, {metrics})
SELECT program_id, g.grain, date_trunc(g.grain, t.at, p.rolled_up_in) AS bucket, post_id, {sums}
FROM taken_insight_deltas t
JOIN programs p USING (program_id)
CROSS JOIN unnest($1::text[]) AS g (grain)
GROUP BY program_id, g.grain, bucket, post_id
ORDER BY program_id, g.grain, bucket, post_id
ON CONFLICT (program_id, grain, bucket, post_id) DO UPDATE SET {added};

-- name: drop_deltas
DELETE FROM insight_deltas WHERE program_id = $1;

-- name: drop
DELETE FROM insights_by_post WHERE program_id = $1;

-- name: take_rows
INSERT INTO taken_insight_deltas SELECT * FROM insight_growth WHERE program_id = $1;

-- name: compare
-- What the rollup, with the deltas, has more than the insights, by bucket and post; nothing when all is right.
SELECT grain, bucket, post_id, {excess}
FROM (
    SELECT grain, bucket, post_id, {metrics} FROM insights_by_post WHERE program_id = $1
    UNION ALL
    SELECT g.grain, date_trunc(g.grain, at, $2), post_id, {metrics}
    FROM insight_deltas CROSS JOIN unnest($3::text[]) AS g (grain)
    WHERE program_id = $1
    UNION ALL
    SELECT g.grain, date_trunc(g.grain, at, $2), post_id, {negated}
    FROM (
        SELECT post_id, at, {grown} FROM insight_steps WHERE program_id = $1 GROUP BY post_id, at
    ) s
    CROSS JOIN unnest($3::text[]) AS g (grain)
) f
GROUP BY grain, bucket, post_id
HAVING ({excess}) <> ({noughts})
ORDER BY grain, bucket
LIMIT $4;

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

-- name: hold_posts
-- Who owns them stays so until what is rolled up can be seen by who changes it: see `move_insights`.
SELECT FROM posts
WHERE (program_id, post_id) IN (SELECT program_id, post_id FROM taken_insight_deltas)
ORDER BY program_id, post_id
FOR SHARE;

-- name: hold_all_posts
SELECT FROM posts WHERE program_id = $1 ORDER BY post_id FOR SHARE;

-- name: add
INSERT INTO {rollup} AS r (program_id, grain, bucket{dimensions}{owners}, {metrics})
SELECT program_id, g.grain, date_trunc(g.grain, t.at, p.rolled_up_in) AS bucket{dimensions}{owners}, {sums}
FROM taken_insight_deltas t
JOIN programs p USING (program_id)
{posts}
CROSS JOIN unnest($1::text[]) AS g (grain)
GROUP BY program_id, g.grain, bucket{dimensions}{owners}
ORDER BY program_id, g.grain, bucket{dimensions}
ON CONFLICT (program_id, grain, bucket{dimensions}) DO UPDATE SET {added};

-- name: drop_deltas
DELETE FROM insight_deltas WHERE program_id = $1;

-- name: drop
DELETE FROM {rollup} WHERE program_id = $1;

-- name: fill
-- Of all growth of programme $1, in zone $3, where it has no sums: nothing can conflict.
WITH summed AS MATERIALIZED (
    SELECT grain, date_trunc(grain, at, $3) AS bucket{dimensions}{owners}, {sums}
    FROM insight_growth {posts} CROSS JOIN unnest($2::text[]) AS g (grain)
    WHERE program_id = $1
    GROUP BY grain, bucket{dimensions}{owners}
)
INSERT INTO {rollup} (program_id, grain, bucket{dimensions}{owners}, {metrics})
SELECT $1, * FROM summed ORDER BY bucket;

-- name: compare
-- What the rollup, with the deltas, has more than the insights, by bucket and dimensions; nothing when all is right.
SELECT grain, bucket{dimensions}, {excess}
FROM (
    SELECT grain, bucket{dimensions}{owners}, {metrics} FROM {rollup} WHERE program_id = $1
    UNION ALL
    SELECT g.grain, date_trunc(g.grain, at, $2){dimensions}{owners}, {metrics}
    FROM insight_deltas {posts} CROSS JOIN unnest($3::text[]) AS g (grain)
    WHERE program_id = $1
    UNION ALL
    SELECT g.grain, date_trunc(g.grain, at, $2){dimensions}{owners}, {negated}
    FROM (
        SELECT program_id, post_id, at, {grown}
        FROM insight_steps
        WHERE program_id = $1
        GROUP BY program_id, post_id, at
    ) s {posts}
    CROSS JOIN unnest($3::text[]) AS g (grain)
) f
GROUP BY grain, bucket{dimensions}{owners}
HAVING {differing}
ORDER BY grain, bucket
LIMIT $4;

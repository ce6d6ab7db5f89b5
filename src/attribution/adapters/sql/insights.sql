-- name: record
-- What the post's totals of that moment are already, is not stored again.
WITH said AS (
    SELECT
        ordinality, post_id, at, impressions, reach, views, likes, comments, shares, saves, link_taps, followers
    FROM ROWS FROM (jsonb_populate_recordset(NULL::insights, $2)) WITH ORDINALITY AS said
), standing AS (
    SELECT
        post_id, at, max(i.insight_id) AS insight_id,
        (array_agg(i.impressions ORDER BY insight_id DESC) FILTER (WHERE i.impressions IS NOT NULL))[1] AS impressions,
        (array_agg(i.reach ORDER BY insight_id DESC) FILTER (WHERE i.reach IS NOT NULL))[1] AS reach,
        (array_agg(i.views ORDER BY insight_id DESC) FILTER (WHERE i.views IS NOT NULL))[1] AS views,
        (array_agg(i.likes ORDER BY insight_id DESC) FILTER (WHERE i.likes IS NOT NULL))[1] AS likes,
        (array_agg(i.comments ORDER BY insight_id DESC) FILTER (WHERE i.comments IS NOT NULL))[1] AS comments,
        (array_agg(i.shares ORDER BY insight_id DESC) FILTER (WHERE i.shares IS NOT NULL))[1] AS shares,
        (array_agg(i.saves ORDER BY insight_id DESC) FILTER (WHERE i.saves IS NOT NULL))[1] AS saves,
        (array_agg(i.link_taps ORDER BY insight_id DESC) FILTER (WHERE i.link_taps IS NOT NULL))[1] AS link_taps,
        (array_agg(i.followers ORDER BY insight_id DESC) FILTER (WHERE i.followers IS NOT NULL))[1] AS followers
    FROM said
    JOIN insights i USING (post_id, at)
    WHERE i.program_id = $1
    GROUP BY post_id, at
), stored AS (
    INSERT INTO insights
        (program_id, post_id, at, impressions, reach, views, likes, comments, shares, saves, link_taps, followers)
    SELECT
        $1, post_id, at, n.impressions, n.reach, n.views, n.likes, n.comments, n.shares, n.saves, n.link_taps,
        n.followers
    FROM said n
    LEFT JOIN standing s USING (post_id, at)
    WHERE n.impressions <> s.impressions IS NOT FALSE AND n.impressions IS NOT NULL
        OR n.reach <> s.reach IS NOT FALSE AND n.reach IS NOT NULL
        OR n.views <> s.views IS NOT FALSE AND n.views IS NOT NULL
        OR n.likes <> s.likes IS NOT FALSE AND n.likes IS NOT NULL
        OR n.comments <> s.comments IS NOT FALSE AND n.comments IS NOT NULL
        OR n.shares <> s.shares IS NOT FALSE AND n.shares IS NOT NULL
        OR n.saves <> s.saves IS NOT FALSE AND n.saves IS NOT NULL
        OR n.link_taps <> s.link_taps IS NOT FALSE AND n.link_taps IS NOT NULL
        OR n.followers <> s.followers IS NOT FALSE AND n.followers IS NOT NULL
    ORDER BY n.ordinality
    RETURNING insight_id, post_id, at
)
SELECT coalesce(stored.insight_id, standing.insight_id) AS id, stored.insight_id IS NOT NULL AS stored
FROM said
LEFT JOIN stored USING (post_id, at)
LEFT JOIN standing USING (post_id, at)
ORDER BY said.ordinality

-- name: list
SELECT
    insight_id AS id, post_id, at, impressions, reach, views, likes, comments, shares, saves, link_taps, followers,
    created_at
FROM insights
WHERE program_id = $1 AND post_id = $2 AND insight_id > $3
ORDER BY insight_id
LIMIT $4

-- name: post
SELECT post_id FROM posts WHERE program_id = $1 AND post_id = $2

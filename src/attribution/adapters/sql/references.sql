-- name: influencers
SELECT external_id AS reference, ARRAY[influencer_id] AS ids FROM influencers WHERE program_id = $1 AND external_id = ANY ($2::text[])

-- name: campaigns
SELECT external_id AS reference, ARRAY[campaign_id] AS ids FROM campaigns WHERE program_id = $1 AND external_id = ANY ($2::text[])

-- name: posts
-- Of each reference the post whose external id it is, else the oldest of that address, else all of the page that its
-- first form with any has.
WITH wanted AS (
    SELECT * FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS w (reference, form, place)
), found AS (
    SELECT reference, post_id, -2 AS choice
    FROM wanted JOIN posts ON posts.program_id = $1 AND posts.external_id = form
    UNION ALL
    SELECT reference, post_id, -1
    FROM wanted JOIN posts ON posts.program_id = $1 AND posts.url = form
    UNION ALL
    SELECT reference, post_id, place
    FROM wanted JOIN posts ON posts.program_id = $1 AND post_page(posts.url) = post_page(form)
    WHERE form LIKE '%://%'
)
SELECT DISTINCT ON (reference)
    reference, CASE WHEN choice < 0 THEN ARRAY[min(post_id)] ELSE array_agg(post_id ORDER BY post_id) END AS ids
FROM found
GROUP BY reference, choice
ORDER BY reference, choice

-- name: known_posts
SELECT post_id::text AS reference, ARRAY[post_id] AS ids FROM posts WHERE program_id = $1 AND post_id = ANY ($2::bigint[])

-- name: known
SELECT external_id FROM {table} WHERE program_id = $1 AND external_id = ANY ($2::text[])

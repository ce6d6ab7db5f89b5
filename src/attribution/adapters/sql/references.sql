-- name: influencers
SELECT external_id, influencer_id AS id FROM influencers WHERE program_id = $1 AND external_id = ANY ($2::text[])

-- name: campaigns
SELECT external_id, campaign_id AS id FROM campaigns WHERE program_id = $1 AND external_id = ANY ($2::text[])

-- name: posts
-- Of each reference the post whose external id it is, else the oldest of that address.
SELECT DISTINCT ON (reference) reference AS external_id, post_id AS id
FROM (
    SELECT reference, post_id, 1 AS choice
    FROM unnest($2::text[], $3::text[]) AS wanted (reference, form)
    JOIN posts ON posts.program_id = $1 AND posts.external_id = form
    UNION ALL
    SELECT reference, post_id, 2
    FROM unnest($2::text[], $3::text[]) AS wanted (reference, form)
    JOIN posts ON posts.program_id = $1 AND posts.url = form
) found
ORDER BY reference, choice, post_id

-- name: known_posts
SELECT post_id::text AS external_id, post_id AS id FROM posts WHERE program_id = $1 AND post_id = ANY ($2::bigint[])

-- name: insert
INSERT INTO posts
    (program_id, external_id, influencer_id, campaign_id, channel, url, content_type, published_at, status)
SELECT $1, external_id, influencer_id, campaign_id, channel, url, content_type, published_at, status
FROM jsonb_populate_record(NULL::posts, $2)
RETURNING post_id

-- name: read
SELECT
    post_id AS id, external_id, influencer_id, campaign_id, channel, url, content_type, published_at, status,
    created_at
FROM posts
WHERE program_id = $1 AND post_id = $2

-- name: list
SELECT
    post_id AS id, external_id, influencer_id, campaign_id, channel, url, content_type, published_at, status,
    created_at
FROM posts
WHERE program_id = $1 AND ($2::text IS NULL OR external_id = $2) AND post_id > $3
ORDER BY post_id
LIMIT $4

-- name: lock
SELECT FROM posts WHERE program_id = $1 AND post_id = $2 FOR UPDATE

-- name: update
UPDATE posts
SET external_id = new.external_id,
    influencer_id = new.influencer_id,
    campaign_id = new.campaign_id,
    channel = new.channel,
    url = new.url,
    content_type = new.content_type,
    published_at = new.published_at,
    status = new.status
FROM jsonb_populate_record(NULL::posts, $3) new
WHERE posts.program_id = $1 AND posts.post_id = $2

-- name: disable
UPDATE posts SET status = 'disabled' WHERE program_id = $1 AND post_id = $2 RETURNING post_id AS id

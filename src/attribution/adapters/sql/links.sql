-- name: insert
-- Whose it is, where the link does not say, its post does.
INSERT INTO links
    (program_id, external_id, slug, destination, influencer_id, campaign_id, channel, post_id, forward_query,
     starts_at, expires_at, fallback_url, status)
SELECT
    $1, new.external_id,
    coalesce(slug, (
        SELECT candidate
        FROM jsonb_array_elements_text($2 -> 'slug_candidates') candidate
        WHERE NOT EXISTS (SELECT FROM links WHERE links.slug = candidate)
        LIMIT 1
    )),
    destination, coalesce(new.influencer_id, posts.influencer_id), coalesce(new.campaign_id, posts.campaign_id),
    coalesce(new.channel, posts.channel), new.post_id, forward_query, starts_at, expires_at, fallback_url, new.status
FROM jsonb_populate_record(NULL::links, $2) new
LEFT JOIN posts ON posts.program_id = $1 AND posts.post_id = new.post_id
RETURNING link_id

-- name: read
SELECT
    link_id AS id, external_id, slug, destination, influencer_id, campaign_id, channel, post_id, forward_query,
    starts_at, expires_at, fallback_url, status, created_at
FROM links
WHERE program_id = $1 AND link_id = $2

-- name: list
SELECT
    link_id AS id, external_id, slug, destination, influencer_id, campaign_id, channel, post_id, forward_query,
    starts_at, expires_at, fallback_url, status, created_at
FROM links
WHERE program_id = $1 AND ($2::text IS NULL OR external_id = $2) AND link_id > $3
ORDER BY link_id
LIMIT $4

-- name: lock
SELECT FROM links WHERE program_id = $1 AND link_id = $2 FOR UPDATE

-- name: update
UPDATE links
SET external_id = new.external_id,
    destination = new.destination,
    influencer_id = new.influencer_id,
    campaign_id = new.campaign_id,
    channel = new.channel,
    post_id = new.post_id,
    forward_query = new.forward_query,
    starts_at = new.starts_at,
    expires_at = new.expires_at,
    fallback_url = new.fallback_url,
    status = new.status,
    version = links.version + 1
FROM jsonb_populate_record(NULL::links, $3) new
WHERE links.program_id = $1 AND links.link_id = $2

-- name: disable
UPDATE links SET status = 'disabled', version = version + 1
WHERE program_id = $1 AND link_id = $2
RETURNING link_id AS id, slug

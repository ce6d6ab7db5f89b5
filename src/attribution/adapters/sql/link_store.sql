-- name: find
SELECT l.program_id, l.link_id, l.slug, l.destination, l.influencer_id, l.campaign_id, l.channel, l.post_id,
       l.forward_query, l.starts_at, l.expires_at, l.fallback_url, l.status,
       p.click_id_param, p.visitor_id_param, l.version + p.version AS version
FROM links l JOIN programs p USING (program_id)
WHERE l.slug = ANY($1::text[]);

-- name: by_slug
SELECT l.program_id, l.link_id, l.slug, l.destination, l.influencer_id, l.campaign_id, l.channel, l.post_id,
       l.forward_query, l.starts_at, l.expires_at, l.fallback_url, l.status,
       p.click_id_param, p.visitor_id_param, l.version + p.version AS version
FROM links l JOIN programs p USING (program_id)
WHERE l.program_id = $1 AND l.slug = ANY($2::text[]);

-- name: page
SELECT l.program_id, l.link_id, l.slug, l.destination, l.influencer_id, l.campaign_id, l.channel, l.post_id,
       l.forward_query, l.starts_at, l.expires_at, l.fallback_url, l.status,
       p.click_id_param, p.visitor_id_param, l.version + p.version AS version
FROM links l JOIN programs p USING (program_id)
WHERE l.program_id = $1 AND l.link_id > $2
ORDER BY l.link_id
LIMIT $3;

-- name: newest
SELECT l.program_id, l.link_id, l.slug, l.destination, l.influencer_id, l.campaign_id, l.channel, l.post_id,
       l.forward_query, l.starts_at, l.expires_at, l.fallback_url, l.status,
       p.click_id_param, p.visitor_id_param, l.version + p.version AS version
FROM links l JOIN programs p USING (program_id)
WHERE l.link_id < $1
ORDER BY l.link_id DESC
LIMIT $2;

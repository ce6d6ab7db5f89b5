-- name: links
SELECT link_id, slug, influencer_id, campaign_id, post_id, channel
FROM links WHERE program_id = $1 AND slug = ANY($2::text[]);

-- name: reserve
-- The first click that came under an external id keeps it.
INSERT INTO imported_clicks (program_id, external_id, click_id, link_id)
SELECT $1, external_id, click_id, link_id
FROM unnest($2::text[], $3::uuid[], $4::bigint[]) AS r (external_id, click_id, link_id)
ORDER BY external_id
ON CONFLICT DO NOTHING;

-- name: reserved
SELECT external_id, click_id, link_id FROM imported_clicks WHERE program_id = $1 AND external_id = ANY($2::text[]);

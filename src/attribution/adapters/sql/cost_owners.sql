-- name: compare
-- The costs of programme $1 that keep other owners than they and their posts say.
SELECT c.cost_id, c.owner_influencer_id, c.owner_campaign_id, c.owner_channel,
       said.influencer_id, said.campaign_id, said.channel
FROM costs c
LEFT JOIN posts p ON p.program_id = c.program_id AND p.post_id = c.post_id
CROSS JOIN LATERAL (
    SELECT coalesce(c.influencer_id, p.influencer_id) AS influencer_id, coalesce(c.campaign_id, p.campaign_id) AS campaign_id,
           p.channel
) said
WHERE c.program_id = $1
  AND (c.owner_influencer_id, c.owner_campaign_id, c.owner_channel)
      IS DISTINCT FROM (said.influencer_id, said.campaign_id, said.channel)
ORDER BY c.cost_id
LIMIT $2;

-- name: mend
-- By `own_cost`, which writes the owners of what is updated.
UPDATE costs SET post_id = post_id WHERE program_id = $1 AND cost_id = ANY($2::bigint[]);

-- name: campaigns
-- Programme $1's campaigns that have a goal, after $2; only $3 where that is said, goal or not.
SELECT campaign_id, name, goal, targets, starts_at, ends_at
FROM campaigns
WHERE program_id = $1 AND campaign_id > $2
  AND CASE WHEN $3::bigint IS NULL THEN goal IS NOT NULL ELSE campaign_id = $3 END
ORDER BY campaign_id
LIMIT $4;

-- name: posts
-- A post without a date of publication counts when it was made here.
SELECT count(*)
FROM posts
WHERE program_id = $1 AND campaign_id = $2 AND status = 'active'
  AND coalesce(published_at, created_at) >= $3 AND coalesce(published_at, created_at) < $4;

-- name: post
SELECT published_at FROM posts WHERE program_id = $1 AND post_id = $2;

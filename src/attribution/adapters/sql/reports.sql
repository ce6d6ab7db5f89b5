-- name: conversions_of_period
-- The next of programme $1's confirmed conversions from $2 to before $3, after the one at $4 with id $5.
SELECT conversion_id, occurred_at
FROM conversions
WHERE program_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND status = 'confirmed'
  AND (occurred_at, conversion_id) > ($4, $5)
ORDER BY occurred_at, conversion_id
LIMIT $6;

-- name: null_paths
-- Touches of programme $1 from $2 to before $3 that no confirmed conversion follows, whenever it is: as paths of
-- visitors, a click without a visitor being one of its own, by unit $4; and how many visitors walked each.
WITH naming AS (
    SELECT v.visitor_id, c.conversion_id, c.customer_id, c.occurred_at, c.status
    FROM conversion_visitors v JOIN conversions c USING (program_id, conversion_id)
    WHERE v.program_id = $1
), followed AS (
    SELECT visitor_id, max(occurred_at) AS last_at
    FROM (
        SELECT visitor_id, occurred_at FROM naming WHERE status = 'confirmed'
        UNION ALL
        SELECT n.visitor_id, later.occurred_at
        FROM naming n
        JOIN conversions later ON later.program_id = $1 AND later.customer_id = n.customer_id
            AND later.occurred_at >= n.occurred_at AND later.status = 'confirmed'
    ) f
    WHERE occurred_at >= $2
    GROUP BY visitor_id
), walks AS (
    SELECT array_agg(
        coalesce(
            CASE $4::text
                WHEN 'influencer' THEN k.influencer_id::text
                WHEN 'campaign' THEN k.campaign_id::text
                WHEN 'channel' THEN k.channel
            END,
            'none'
        ) ORDER BY k.clicked_at, k.click_id
    ) AS touches
    FROM clicks k
    LEFT JOIN followed f ON f.visitor_id = k.visitor_id
    WHERE k.program_id = $1 AND k.clicked_at >= $2 AND k.clicked_at < $3 AND NOT k.is_bot
      AND (f.last_at IS NULL OR f.last_at < k.clicked_at)
      AND NOT EXISTS (
          SELECT FROM conversions c
          WHERE c.program_id = $1 AND c.click_id = k.click_id AND c.status = 'confirmed'
            AND c.occurred_at >= k.clicked_at
      )
    GROUP BY coalesce(k.visitor_id, k.click_id::text)
)
SELECT touches, count(*) AS walks FROM walks GROUP BY touches;

-- name: as_of
SELECT least(
    min(complete_before), (SELECT min(created_at) FROM credit_queue WHERE program_id = $1), now()
)
FROM click_watermarks
HAVING count(*) > 0;

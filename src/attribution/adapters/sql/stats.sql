-- name: as_of
-- All that was accepted before this instant is in the answer.
-- Null before the first consumer has said how far it is.
SELECT least(
    min(complete_before), (SELECT min(created_at) FROM credit_queue WHERE program_id = $1), now()
)
FROM click_watermarks
HAVING count(*) > 0;

-- name: rows
-- $1 programme, $2 from, $3 to, $4 currency, $5 zone, $6 dimensions to group by, $7 filters {dimension: [values]}.
WITH facts AS (
    SELECT
        influencer_id::text AS influencer, campaign_id::text AS campaign, channel, post_id::text AS post,
        link_id::text AS link, NULL::text AS code, NULL::text AS conversion_type, clicked_at AS happened_at,
        visitor_id, is_bot, NULL::numeric AS weight, 0::bigint AS gross_minor, 0::bigint AS net_minor,
        0::bigint AS discount_minor
    FROM clicks
    WHERE program_id = $1 AND clicked_at >= $2 AND clicked_at < $3
    UNION ALL
    SELECT
        e.influencer_id::text, e.campaign_id::text, e.channel, e.post_id::text,
        e.link_id::text, e.code, c.type, c.occurred_at,
        NULL, NULL, e.weight,
        CASE WHEN c.currency = $4 AND c.type = 'purchase' THEN e.gross_minor ELSE 0 END,
        CASE WHEN c.currency = $4 AND c.type = 'purchase' THEN e.net_minor ELSE 0 END,
        CASE WHEN c.currency = $4 AND c.type = 'purchase' THEN e.discount_minor ELSE 0 END
    FROM conversions c
    JOIN credit_entries e USING (program_id, conversion_id)
    WHERE c.program_id = $1 AND c.occurred_at >= $2 AND c.occurred_at < $3 AND c.status = 'confirmed'
), labelled AS (
    SELECT
        f.*,
        to_char(happened_at AT TIME ZONE $5, 'YYYY-MM') AS month,
        to_char(date_trunc('week', happened_at AT TIME ZONE $5), 'YYYY-MM-DD') AS week,
        to_char(happened_at AT TIME ZONE $5, 'YYYY-MM-DD') AS day,
        date_trunc('hour', happened_at, $5) AS hour
    FROM facts f
), wanted AS (
    SELECT *
    FROM labelled
    WHERE ($7::jsonb -> 'influencer' IS NULL OR $7 -> 'influencer' ? coalesce(influencer, 'none'))
      AND ($7 -> 'campaign' IS NULL OR $7 -> 'campaign' ? coalesce(campaign, 'none'))
      AND ($7 -> 'channel' IS NULL OR $7 -> 'channel' ? coalesce(channel, 'none'))
      AND ($7 -> 'post' IS NULL OR $7 -> 'post' ? coalesce(post, 'none'))
      AND ($7 -> 'link' IS NULL OR $7 -> 'link' ? coalesce(link, 'none'))
      AND ($7 -> 'code' IS NULL OR lower($7 ->> 'code')::jsonb ? coalesce(lower(code), 'none'))
      AND ($7 -> 'conversion_type' IS NULL OR $7 -> 'conversion_type' ? coalesce(conversion_type, 'none'))
      AND ($7 -> 'month' IS NULL OR $7 -> 'month' ? month)
      AND ($7 -> 'week' IS NULL OR $7 -> 'week' ? week)
      AND ($7 -> 'day' IS NULL OR $7 -> 'day' ? day)
      AND ($7 -> 'hour' IS NULL
           OR hour = ANY(ARRAY(SELECT value::timestamptz FROM jsonb_array_elements_text($7 -> 'hour') AS value)))
)
SELECT
    CASE WHEN 'influencer' = ANY($6::text[]) THEN influencer END AS influencer,
    CASE WHEN 'campaign' = ANY($6) THEN campaign END AS campaign,
    CASE WHEN 'channel' = ANY($6) THEN channel END AS channel,
    CASE WHEN 'post' = ANY($6) THEN post END AS post,
    CASE WHEN 'link' = ANY($6) THEN link END AS link,
    CASE WHEN 'code' = ANY($6) THEN code END AS code,
    CASE WHEN 'conversion_type' = ANY($6) THEN conversion_type END AS conversion_type,
    CASE WHEN 'month' = ANY($6) THEN month END AS month,
    CASE WHEN 'week' = ANY($6) THEN week END AS week,
    CASE WHEN 'day' = ANY($6) THEN day END AS day,
    CASE WHEN 'hour' = ANY($6) THEN hour END AS hour,
    count(*) FILTER (WHERE NOT is_bot) AS clicks,
    count(*) FILTER (WHERE is_bot) AS bot_clicks,
    count(DISTINCT visitor_id) FILTER (WHERE NOT is_bot)
        + count(*) FILTER (WHERE NOT is_bot AND visitor_id IS NULL) AS unique_visitors,
    coalesce(sum(weight), 0) AS conversions,
    coalesce(sum(weight) FILTER (WHERE conversion_type = 'purchase'), 0) AS orders,
    coalesce(sum(gross_minor), 0)::bigint AS gross_minor,
    coalesce(sum(net_minor), 0)::bigint AS net_minor,
    coalesce(sum(discount_minor), 0)::bigint AS discount_minor
FROM wanted
GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11;

-- name: other_currencies
-- Conversions whose money is in no sum, as it is in another currency; whatever the filters.
SELECT currency, count(*) AS conversions
FROM conversions
WHERE program_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND status = 'confirmed' AND currency <> $4
GROUP BY currency
ORDER BY currency;

-- name: programs
SELECT program_id, key, timezone FROM programs WHERE $1::text IS NULL OR key = $1 ORDER BY program_id;

-- name: credits
-- Of the conversions of programme $1 from $2 to before $3 (null: no bound): how many, how many wait to be judged, and
-- what is wrong with the others; of these the first $5 after conversion $4. Entries are summed by part: two writers
-- that both move a credit leave sums that are whole, and a part below nothing.
WITH waiting AS (
    SELECT conversion_id FROM credit_queue WHERE program_id = $1 AND conversion_id IS NOT NULL GROUP BY conversion_id
), customers_waiting AS (
    SELECT customer_id, min(since) AS since FROM credit_queue
    WHERE program_id = $1 AND customer_id IS NOT NULL
    GROUP BY customer_id
), looked_at AS MATERIALIZED (
    SELECT c.conversion_id, c.source, c.type, c.external_id, c.currency, c.gross_minor,
           CASE WHEN c.status = 'confirmed' THEN greatest(0, c.gross_minor - c.refunded_minor) ELSE 0 END AS net_minor,
           c.discount_minor, a.status, a.bound_at, home.currency AS value_currency, e.*, worth.*, paid.*,
           CASE WHEN c.status = 'confirmed' THEN 1 ELSE 0 END AS counted,
           w.conversion_id IS NOT NULL OR cw.customer_id IS NOT NULL AS is_waiting
    FROM conversions c
    JOIN programs home ON home.program_id = c.program_id
    LEFT JOIN waiting w ON w.conversion_id = c.conversion_id
    LEFT JOIN customers_waiting cw ON cw.customer_id = c.customer_id AND cw.since <= c.occurred_at
    LEFT JOIN attributions a ON a.program_id = c.program_id AND a.conversion_id = c.conversion_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS parts,
               coalesce(sum(weight), 0) AS weight_found,
               coalesce(sum(gross), 0)::bigint AS gross_found,
               coalesce(sum(net), 0)::bigint AS net_found,
               coalesce(sum(discount), 0)::bigint AS discount_found,
               coalesce(sum(counted), 0) AS counted_found,
               coalesce(sum(gross_value), 0)::bigint AS gross_value_found,
               coalesce(sum(net_value), 0)::bigint AS net_value_found,
               coalesce(sum(discount_value), 0)::bigint AS discount_value_found,
               coalesce(bool_or(least(weight, gross, net, discount, commission) < 0), false) AS below_nothing,
               coalesce(bool_or(via <> 'none' AND weight <> 0), false) AS is_credited
        FROM (
            SELECT via, sum(weight) AS weight, sum(gross_minor) AS gross, sum(net_minor) AS net,
                   sum(discount_minor) AS discount, sum(counted) AS counted, sum(gross_value) AS gross_value,
                   sum(net_value) AS net_value, sum(discount_value) AS discount_value, sum(commission) AS commission
            FROM credit_entries
            WHERE program_id = c.program_id AND conversion_id = c.conversion_id
            GROUP BY via, influencer_id, campaign_id, channel, post_id, link_id, click_id, code
        ) part
    ) e
    -- Half up to the minor unit, as domain/fx.py has it: `div` is exact. A zero needs no rate.
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN c.status <> 'confirmed' OR a.missing_rate_day IS NOT NULL AND a.rate_numerator IS NULL THEN 0
            WHEN a.rate_numerator IS NULL THEN 1
            ELSE a.rate_numerator
        END AS numerator, coalesce(a.rate_denominator, 1) AS denominator
    ) rate
    CROSS JOIN LATERAL (
        SELECT div(2 * c.gross_minor * numerator + denominator, 2 * denominator) AS gross_value,
               div(2 * greatest(0, c.gross_minor - c.refunded_minor) * numerator + denominator, 2 * denominator)
               AS net_value,
               div(2 * c.discount_minor * numerator + denominator, 2 * denominator) AS discount_value
    ) worth
    -- As domain/commission.py has it, from the net and the weights that are recorded: `at_least` to `at_most`. Percent
    -- is exact. Of a flat amount each credit has its share, rounded up or down by what the others have: exact in sum.
    CROSS JOIN LATERAL (
        SELECT coalesce(bool_or(is_wrong), false) OR coalesce(
                   bool_and(is_whole) AND min(flat_minor) = max(flat_minor) AND sum(found) <> min(flat_minor), false
               ) AS is_misplanned,
               coalesce(jsonb_agg(jsonb_build_object(
                   'influencer_id', influencer_id, 'plan_id', commission_plan_id,
                   'at_least', at_least, 'at_most', at_most, 'found', found
               ) ORDER BY influencer_id, commission_plan_id) FILTER (WHERE is_wrong OR at_least < at_most), '[]')
               AS commissions
        FROM (
            SELECT influencer_id, commission_plan_id, flat_minor, sum(commission)::bigint AS found,
                   CASE
                       WHEN NOT is_due OR commission_plan_id IS NULL THEN 0
                       WHEN percent IS NOT NULL THEN floor(sum(net_value) * percent * 0.01 + 0.5)
                       WHEN NOT is_home OR NOT is_flat_due THEN 0
                       WHEN sum(weight) = 1 THEN flat_minor
                       ELSE greatest(0, floor(flat_minor * sum(weight) - 0.001) - count(*) + 1)
                   END AS at_least,
                   CASE
                       WHEN NOT is_due OR commission_plan_id IS NULL THEN 0
                       WHEN percent IS NOT NULL THEN floor(sum(net_value) * percent * 0.01 + 0.5)
                       WHEN NOT is_flat_due THEN 0
                       WHEN NOT is_home THEN NULL
                       WHEN sum(weight) = 1 THEN flat_minor
                       ELSE ceil(flat_minor * sum(weight) + 0.001) + count(*) - 1
                   END AS at_most,
                   is_due AND is_flat_due AND is_home AND flat_minor IS NOT NULL AS is_whole
            FROM (
                SELECT influencer_id, campaign_id, type, new_customer, sum(weight) AS weight,
                       sum(net_value) AS net_value, sum(commission) AS commission,
                       c.status = 'confirmed' AND a.missing_rate_day IS NULL AS is_due,
                       c.refunded_minor < c.gross_minor OR c.gross_minor = 0 AS is_flat_due
                FROM credit_entries
                WHERE program_id = c.program_id AND conversion_id = c.conversion_id
                GROUP BY via, influencer_id, campaign_id, channel, post_id, link_id, click_id, code, type, new_customer
                HAVING sum(weight) <> 0 OR sum(commission) <> 0
            ) part
            LEFT JOIN LATERAL (
                SELECT commission_plan_id, percent, flat_minor, flat_minor = 0 OR p.currency = home.currency AS is_home
                FROM commission_plans p
                WHERE p.program_id = c.program_id AND part.influencer_id IS NOT NULL
                  AND coalesce(p.influencer_id = part.influencer_id, p.influencer_id IS NULL)
                  AND coalesce(p.campaign_id = part.campaign_id, p.campaign_id IS NULL)
                  AND coalesce(p.conversion_type = part.type, p.conversion_type IS NULL)
                  AND coalesce(p.new_customer = part.new_customer, p.new_customer IS NULL)
                  AND p.effective_from <= c.occurred_at AND (a.bound_at IS NULL OR p.created_at <= a.bound_at)
                ORDER BY p.influencer_id IS NULL, p.campaign_id IS NULL, p.conversion_type IS NULL,
                         p.new_customer IS NULL, p.effective_from DESC, p.created_at DESC, p.commission_plan_id DESC
                LIMIT 1
            ) plan ON true
            GROUP BY influencer_id, commission_plan_id, percent, flat_minor, is_home, is_due, is_flat_due
        ) bounded
        CROSS JOIN LATERAL (SELECT found NOT BETWEEN at_least AND coalesce(at_most, found) AS is_wrong) compared
    ) paid
    WHERE c.program_id = $1
      AND c.occurred_at >= coalesce($2::timestamptz, '-infinity')
      AND c.occurred_at < coalesce($3::timestamptz, 'infinity')
), judged AS (
    SELECT *, array_remove(ARRAY[
        CASE WHEN parts = 0 THEN 'no_entries' END,
        CASE WHEN parts > 0 AND weight_found <> 1 THEN 'weight' END,
        CASE WHEN parts > 0 AND gross_found <> gross_minor THEN 'gross' END,
        CASE WHEN parts > 0 AND net_found <> net_minor THEN 'net' END,
        CASE WHEN parts > 0 AND discount_found <> discount_minor THEN 'discount' END,
        CASE WHEN parts > 0 AND (counted_found, gross_value_found, net_value_found, discount_value_found)
                  <> (counted, gross_value, net_value, discount_value) THEN 'value' END,
        CASE WHEN below_nothing THEN 'negative_part' END,
        CASE WHEN parts > 0 AND status IS NOT NULL AND is_misplanned THEN 'commission' END,
        CASE WHEN parts > 0 AND status IS NULL THEN 'no_attribution' END,
        CASE WHEN status = 'attributed' AND NOT is_credited OR status = 'unattributed' AND is_credited THEN 'status' END,
        CASE WHEN is_credited AND status IS NOT NULL AND bound_at IS NULL THEN 'unbound' END
    ], NULL) AS problems
    FROM looked_at
    WHERE NOT is_waiting
), offenders AS MATERIALIZED (
    SELECT * FROM judged WHERE problems <> '{}'
)
SELECT (SELECT count(*) FROM looked_at) AS conversions,
       (SELECT count(*) FROM looked_at WHERE is_waiting) AS waiting,
       (SELECT count(*) FROM offenders) AS offending,
       (
           SELECT coalesce(jsonb_object_agg(problem, number), '{}')
           FROM (SELECT unnest(problems) AS problem, count(*) AS number FROM offenders GROUP BY 1) counted
       ) AS problems,
       (
           SELECT coalesce(jsonb_agg(to_jsonb(page) ORDER BY conversion_id), '[]')
           FROM (SELECT *, weight_found::text AS weight_text, counted_found::text AS counted_text
            FROM offenders WHERE conversion_id > $4 ORDER BY conversion_id LIMIT $5) page
       ) AS page;

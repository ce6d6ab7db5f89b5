-- name: leaderboard
-- Of the rows that are somebody's, those with enough data, by a bound of their interval. `worth` is an event's mean.
WITH summed AS ({summed}), figures AS (
    SELECT *, {numerator} AS numerator, {denominator} AS denominator, {evidence} AS evidence, {moving} AS moving
    FROM summed
    WHERE {dimension} IS NOT NULL
), enough AS (
    SELECT *, coalesce(moving / nullif(evidence, 0), worth) AS own_worth,
           CASE WHEN evidence > 0
               THEN greatest(0, evidence * (1 - 1 / (9 * evidence) - {z} / (3 * sqrt(evidence))) ^ 3)
               ELSE 0 END AS least_count,
           (evidence + 1) * (1 - 1 / (9 * (evidence + 1)) + {z} / (3 * sqrt(evidence + 1))) ^ 3 AS greatest_count
    FROM figures CROSS JOIN (SELECT sum(moving) / nullif(sum(evidence), 0) AS worth FROM figures) mean
    WHERE denominator <> 0 AND ({enough})
), bounded AS (
    SELECT *, {lower} AS lower, {upper} AS upper FROM enough
)
SELECT counts.*, best.*
FROM (
    SELECT (SELECT count(*) FROM figures) AS found, (SELECT count(*) FROM enough) AS ranked
) counts
LEFT JOIN (SELECT * FROM bounded ORDER BY {bound} {direction} NULLS LAST, {dimension} LIMIT {limit}) best ON true;

-- name: wilson_lower
CASE WHEN numerator <= denominator THEN
    (numerator + {z} ^ 2 / 2 - {z} * sqrt(greatest(0, numerator * (denominator - numerator) / denominator) + {z} ^ 2 / 4))
        / (denominator + {z} ^ 2)
ELSE greatest(0, numerator * (1 - 1 / (9 * numerator) - {z} / (3 * sqrt(numerator))) ^ 3) / denominator END

-- name: wilson_upper
CASE WHEN numerator <= denominator THEN
    (numerator + {z} ^ 2 / 2 + {z} * sqrt(greatest(0, numerator * (denominator - numerator) / denominator) + {z} ^ 2 / 4))
        / (denominator + {z} ^ 2)
ELSE (numerator + 1) * (1 - 1 / (9 * (numerator + 1)) + {z} / (3 * sqrt(numerator + 1))) ^ 3 / denominator END

-- name: changes
-- Each one's last bucket beside its earlier ones; where there is no row, nothing happened. Most have too little data, and
-- need no medians.
WITH summed AS ({summed}), known AS (
    SELECT {dimension}, count(*) FILTER (WHERE {grain} < {last} AND {count} > 0) AS active,
           coalesce(sum({count}) FILTER (WHERE {grain} < {last}), 0)::float8 AS evidence,
           sum({value}) FILTER (WHERE {grain} < {last})::float8 AS total
    FROM summed
    WHERE {dimension} IS NOT NULL
    GROUP BY {dimension}
), enough AS (
    SELECT * FROM known WHERE active >= {active} AND evidence >= {minimum}
), figures AS (
    SELECT e.{dimension}, b.bucket, coalesce(s.{value}, 0)::float8 AS value
    FROM enough e
    CROSS JOIN unnest({buckets}) AS b (bucket)
    LEFT JOIN summed s ON s.{dimension} = e.{dimension} AND s.{grain} = b.bucket
), centres AS (
    SELECT {dimension}, percentile_cont(0.5) WITHIN GROUP (ORDER BY value) AS centre
    FROM figures
    WHERE bucket < {last}
    GROUP BY {dimension}
), deviations AS (
    SELECT {dimension}, percentile_cont(0.5) WITHIN GROUP (ORDER BY abs(value - centre)) AS deviation
    FROM centres JOIN figures USING ({dimension})
    WHERE bucket < {last}
    GROUP BY {dimension}
), judged AS (
    SELECT {dimension}, value, centre, evidence, 1.4826 * deviation AS spread,
           greatest({least_worth}, total / evidence) AS worth
    FROM enough
    JOIN centres USING ({dimension})
    JOIN deviations USING ({dimension})
    JOIN figures USING ({dimension})
    WHERE bucket = {last}
), {outside}

-- name: rate_changes
-- The last bucket's orders among its clicks, beside the rate of all earlier buckets together.
WITH summed AS ({summed}), known AS (
    SELECT {dimension},
           coalesce(sum(orders) FILTER (WHERE {grain} = {last}), 0)::float8 AS orders,
           coalesce(sum(clicks) FILTER (WHERE {grain} = {last}), 0)::float8 AS clicks,
           coalesce(sum(orders) FILTER (WHERE {grain} < {last}), 0)::float8 AS earlier_orders,
           coalesce(sum(clicks) FILTER (WHERE {grain} < {last}), 0)::float8 AS earlier_clicks,
           count(*) FILTER (WHERE {grain} < {last} AND clicks > 0) AS active
    FROM summed
    WHERE {dimension} IS NOT NULL
    GROUP BY {dimension}
), judged AS (
    SELECT *, orders / clicks AS value, earlier_orders / earlier_clicks AS centre, earlier_clicks AS evidence,
           0::float8 AS spread, 1 / clicks AS worth
    FROM known
    WHERE active >= {active} AND earlier_clicks >= {minimum} AND clicks > 0
      AND earlier_orders / greatest(earlier_clicks, 1) * clicks >= {expected}
), {outside}

-- name: outside
-- `spread` is robust; `worth` is an event's, and the root of a Poisson count + 3/8 has a standard deviation of 1/2.
ranges AS (
    SELECT *, greatest(spread, sqrt(centre * worth)) AS sigma,
           2 * (sqrt(value / worth + 0.375) - sqrt(centre / worth + 0.375)) AS roots,
           greatest(0, least(
               centre - {limit_sigmas} * spread,
               worth * (greatest(0, sqrt(centre / worth + 0.375) - {limit_sigmas} / 2.0) ^ 2 - 0.375)
           )) AS lower,
           greatest(
               centre + {limit_sigmas} * spread,
               worth * ((sqrt(centre / worth + 0.375) + {limit_sigmas} / 2.0) ^ 2 - 0.375)
           ) AS upper
    FROM judged
)
SELECT counts.*, changed.*
FROM (SELECT (SELECT count(*) FROM known) AS found, (SELECT count(*) FROM judged) AS compared) counts
LEFT JOIN (
    SELECT *, sign(roots) * least(abs(roots), abs(value - centre) / nullif(spread, 0)) AS score
    FROM ranges
    WHERE value < lower OR value > upper
    ORDER BY least(abs(roots), abs(value - centre) / nullif(spread, 0)) DESC, {dimension}
    LIMIT {limit}
) changed ON true;

-- name: record
-- What stands already, is not stored again.
WITH said AS (
    SELECT ordinality, date, base, quote, rate
    FROM ROWS FROM (jsonb_populate_recordset(NULL::fx_rates, $2)) WITH ORDINALITY AS said
), standing AS (
    SELECT DISTINCT ON (date, base, quote) date, base, quote, known.rate, known.fx_rate_id
    FROM said
    JOIN fx_rates known USING (date, base, quote)
    WHERE known.program_id = $1
    ORDER BY date, base, quote, known.fx_rate_id DESC
), stored AS (
    INSERT INTO fx_rates (program_id, date, base, quote, rate)
    SELECT $1, date, base, quote, said.rate
    FROM said
    LEFT JOIN standing USING (date, base, quote)
    WHERE said.rate IS DISTINCT FROM standing.rate
    ORDER BY said.ordinality
    RETURNING fx_rate_id, date, base, quote
)
SELECT coalesce(stored.fx_rate_id, standing.fx_rate_id) AS id, stored.fx_rate_id IS NOT NULL AS stored
FROM said
LEFT JOIN stored USING (date, base, quote)
LEFT JOIN standing USING (date, base, quote)
ORDER BY said.ordinality

-- name: read
SELECT fx_rate_id AS id, date, base, quote, rate, created_at
FROM fx_rates
WHERE program_id = $1 AND fx_rate_id = $2

-- name: list
SELECT fx_rate_id AS id, date, base, quote, rate, created_at
FROM fx_rates
WHERE program_id = $1 AND fx_rate_id > $2
ORDER BY fx_rate_id
LIMIT $3

-- name: book
SELECT date, base, quote, rate, created_at
FROM fx_rates
WHERE program_id = $1 AND date = ANY ($2::date[])
ORDER BY fx_rate_id

-- name: reopen
-- Conversions without a value for want of such a rate; others keep theirs.
INSERT INTO credit_queue (program_id, conversion_id)
SELECT a.program_id, a.conversion_id
FROM attributions a
JOIN unnest($2::date[], $3::text[], $4::text[]) AS r (day, base, quote)
  ON a.missing_rate_day = r.day AND a.missing_rate_base IN (r.base, r.quote)
WHERE a.program_id = $1

-- name: stage
CREATE TEMP TABLE IF NOT EXISTS judged_credits ON COMMIT DELETE ROWS AS TABLE credit_entries WITH NO DATA;

-- name: stage_attributions
CREATE TEMP TABLE IF NOT EXISTS judged_attributions ON COMMIT DELETE ROWS AS
SELECT program_id, conversion_id, rate_numerator, missing_rate_day, missing_rate_base FROM attributions WITH NO DATA;

-- name: analyze
ANALYZE judged_credits;

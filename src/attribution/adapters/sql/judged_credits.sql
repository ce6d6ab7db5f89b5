-- name: stage
CREATE TEMP TABLE IF NOT EXISTS judged_credits ON COMMIT DELETE ROWS AS TABLE credit_entries WITH NO DATA;

-- name: analyze
ANALYZE judged_credits;

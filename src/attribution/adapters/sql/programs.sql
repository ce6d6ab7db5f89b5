-- name: ensure
INSERT INTO programs (key, name, currency, timezone, click_id_param, gross_margin)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (key) DO NOTHING

-- name: by_key
SELECT program_id, key, currency, timezone, click_id_param, gross_margin, deduct_included_tax, webhook_secrets
FROM programs
WHERE key = $1

-- name: by_api_key
SELECT program_id, key, currency, timezone, click_id_param, gross_margin, deduct_included_tax, webhook_secrets
FROM programs JOIN api_keys USING (program_id)
WHERE key_hash = $1

-- name: insert_api_key
INSERT INTO api_keys (program_id, key_hash) VALUES ($1, $2)

-- name: insert
WITH program AS (
    INSERT INTO programs
        (key, external_id, name, currency, timezone, click_id_param, visitor_id_param, gross_margin,
         deduct_included_tax, webhook_secrets)
    SELECT
        key, external_id, name, currency, timezone, click_id_param, visitor_id_param, gross_margin,
        deduct_included_tax, webhook_secrets
    FROM jsonb_populate_record(NULL::programs, $2)
    WHERE $1::bigint IS NULL
    RETURNING program_id
), api_key AS (
    INSERT INTO api_keys (program_id, key_hash) SELECT program_id, decode($2 ->> 'key_hash', 'hex') FROM program
)
SELECT program_id FROM program

-- name: read
SELECT
    program_id AS id, external_id, key, name, currency, timezone, click_id_param, visitor_id_param, gross_margin,
    deduct_included_tax, webhook_secrets, created_at
FROM programs
WHERE ($1::bigint IS NULL OR program_id = $1) AND program_id = $2

-- name: list
SELECT
    program_id AS id, external_id, key, name, currency, timezone, click_id_param, visitor_id_param, gross_margin,
    deduct_included_tax, webhook_secrets, created_at
FROM programs
WHERE ($1::bigint IS NULL OR program_id = $1) AND ($2::text IS NULL OR external_id = $2) AND program_id > $3
ORDER BY program_id
LIMIT $4

-- name: lock
SELECT FROM programs WHERE ($1::bigint IS NULL OR program_id = $1) AND program_id = $2 FOR UPDATE

-- name: update
UPDATE programs
SET external_id = new.external_id,
    name = new.name,
    timezone = new.timezone,
    click_id_param = new.click_id_param,
    visitor_id_param = new.visitor_id_param,
    gross_margin = new.gross_margin,
    deduct_included_tax = new.deduct_included_tax,
    webhook_secrets = new.webhook_secrets,
    version = programs.version + 1
FROM jsonb_populate_record(NULL::programs, $3) new
WHERE ($1::bigint IS NULL OR programs.program_id = $1) AND programs.program_id = $2

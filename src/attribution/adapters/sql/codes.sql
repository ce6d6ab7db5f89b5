-- name: insert
INSERT INTO codes
    (program_id, external_id, code, code_key, influencer_id, campaign_id, policy, starts_at, ends_at, status)
SELECT $1, external_id, code, code_key, influencer_id, campaign_id, policy, starts_at, ends_at, status
FROM jsonb_populate_record(NULL::codes, $2)
RETURNING code_id

-- name: read
SELECT
    code_id AS id, external_id, code, influencer_id, campaign_id, policy, starts_at, ends_at, status, created_at
FROM codes
WHERE program_id = $1 AND code_id = $2

-- name: list
SELECT
    code_id AS id, external_id, code, influencer_id, campaign_id, policy, starts_at, ends_at, status, created_at
FROM codes
WHERE program_id = $1 AND ($2::text IS NULL OR external_id = $2) AND code_id > $3
ORDER BY code_id
LIMIT $4

-- name: lock
SELECT FROM codes WHERE program_id = $1 AND code_id = $2 FOR UPDATE

-- name: update
UPDATE codes
SET external_id = new.external_id,
    code = new.code,
    code_key = new.code_key,
    influencer_id = new.influencer_id,
    campaign_id = new.campaign_id,
    policy = new.policy,
    starts_at = new.starts_at,
    ends_at = new.ends_at,
    status = new.status
FROM jsonb_populate_record(NULL::codes, $3) new
WHERE codes.program_id = $1 AND codes.code_id = $2

-- name: disable
UPDATE codes SET status = 'disabled' WHERE program_id = $1 AND code_id = $2 RETURNING code_id AS id

-- name: history
SELECT
    code_version_id AS id, code, influencer_id, campaign_id, policy, starts_at, ends_at, status, created_at
FROM code_versions
WHERE program_id = $1 AND code_id = $2 AND code_version_id > $3
ORDER BY code_version_id
LIMIT $4

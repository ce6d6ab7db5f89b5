-- name: insert
INSERT INTO influencers (program_id, external_id, name, email, status)
SELECT $1, external_id, name, email, status
FROM jsonb_populate_record(NULL::influencers, $2)
RETURNING influencer_id

-- name: read
SELECT influencer_id AS id, external_id, name, email, status, created_at
FROM influencers
WHERE program_id = $1 AND influencer_id = $2

-- name: list
SELECT influencer_id AS id, external_id, name, email, status, created_at
FROM influencers
WHERE program_id = $1 AND ($2::text IS NULL OR external_id = $2) AND influencer_id > $3
ORDER BY influencer_id
LIMIT $4

-- name: lock
SELECT FROM influencers WHERE program_id = $1 AND influencer_id = $2 FOR UPDATE

-- name: update
UPDATE influencers
SET external_id = new.external_id, name = new.name, email = new.email, status = new.status
FROM jsonb_populate_record(NULL::influencers, $3) new
WHERE influencers.program_id = $1 AND influencers.influencer_id = $2

-- name: disable
UPDATE influencers SET status = 'disabled' WHERE program_id = $1 AND influencer_id = $2 RETURNING influencer_id AS id

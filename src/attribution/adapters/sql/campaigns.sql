-- name: insert
WITH campaign AS (
    INSERT INTO campaigns (program_id, external_id, name, status, starts_at, ends_at, budget, goal, targets)
    SELECT $1, external_id, name, status, starts_at, ends_at, budget, goal, targets
    FROM jsonb_populate_record(NULL::campaigns, $2)
    RETURNING program_id, campaign_id
), version AS (
    INSERT INTO campaign_windows (program_id, campaign_id, effective_from, windows)
    SELECT campaign.program_id, campaign.campaign_id, coalesce(new.effective_from, 'epoch'), new.windows
    FROM campaign, jsonb_populate_record(NULL::campaign_windows, $2) new
    WHERE new.windows IS NOT NULL
)
SELECT campaign_id FROM campaign

-- name: read
SELECT
    campaign_id AS id, external_id, name, status, starts_at, ends_at, budget, goal, targets,
    in_force.windows, created_at
FROM campaigns
LEFT JOIN LATERAL (
    SELECT windows
    FROM campaign_windows
    WHERE campaign_windows.program_id = campaigns.program_id
        AND campaign_windows.campaign_id = campaigns.campaign_id
        AND effective_from <= now()
    ORDER BY effective_from DESC, campaign_window_id DESC
    LIMIT 1
) in_force ON true
WHERE program_id = $1 AND campaign_id = $2

-- name: list
SELECT
    campaign_id AS id, external_id, name, status, starts_at, ends_at, budget, goal, targets,
    in_force.windows, created_at
FROM campaigns
LEFT JOIN LATERAL (
    SELECT windows
    FROM campaign_windows
    WHERE campaign_windows.program_id = campaigns.program_id
        AND campaign_windows.campaign_id = campaigns.campaign_id
        AND effective_from <= now()
    ORDER BY effective_from DESC, campaign_window_id DESC
    LIMIT 1
) in_force ON true
WHERE program_id = $1 AND ($2::text IS NULL OR external_id = $2) AND campaign_id > $3
ORDER BY campaign_id
LIMIT $4

-- name: lock
SELECT FROM campaigns WHERE program_id = $1 AND campaign_id = $2 FOR UPDATE

-- name: update
WITH version AS (
    INSERT INTO campaign_windows (program_id, campaign_id, effective_from, windows)
    SELECT $1, $2, coalesce(new.effective_from, now()), new.windows
    FROM jsonb_populate_record(NULL::campaign_windows, $3) new
    WHERE new.windows IS NOT NULL
)
UPDATE campaigns
SET external_id = new.external_id,
    name = new.name,
    status = new.status,
    starts_at = new.starts_at,
    ends_at = new.ends_at,
    budget = new.budget,
    goal = new.goal,
    targets = new.targets
FROM jsonb_populate_record(NULL::campaigns, $3) new
WHERE campaigns.program_id = $1 AND campaigns.campaign_id = $2

-- name: disable
UPDATE campaigns SET status = 'disabled' WHERE program_id = $1 AND campaign_id = $2 RETURNING campaign_id AS id

-- name: history
SELECT campaign_window_id AS id, effective_from, windows, created_at
FROM campaign_windows
WHERE program_id = $1 AND campaign_id = $2 AND campaign_window_id > $3
ORDER BY campaign_window_id
LIMIT $4

-- name: insert
INSERT INTO rules (program_id, external_id, effective_from, model, windows, parameters, min_click_to_conversion)
SELECT $1, external_id, effective_from, model, windows,
    jsonb_strip_nulls(
        jsonb_build_object('half_life', $2 -> 'half_life', 'position_weights', $2 -> 'position_weights')
    ),
    min_click_to_conversion
FROM jsonb_populate_record(NULL::rules, $2)
RETURNING rule_id

-- name: read
SELECT rule_id AS id, external_id, effective_from, model, windows, parameters ->> 'half_life' AS half_life,
    parameters -> 'position_weights' AS position_weights, min_click_to_conversion, created_at
FROM rules
WHERE program_id = $1 AND rule_id = $2

-- name: list
SELECT rule_id AS id, external_id, effective_from, model, windows, parameters ->> 'half_life' AS half_life,
    parameters -> 'position_weights' AS position_weights, min_click_to_conversion, created_at
FROM rules
WHERE program_id = $1 AND ($2::text IS NULL OR external_id = $2) AND rule_id > $3
ORDER BY rule_id
LIMIT $4

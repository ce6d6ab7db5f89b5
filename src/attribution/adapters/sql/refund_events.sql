-- name: current
-- Of each refund id the content that counts: the one of the greatest hash.
SELECT DISTINCT ON (source, type, external_id, refund_id) source, type, external_id, refund_id, content_hash, message
FROM refund_events
JOIN unnest($2::text[], $3::text[], $4::text[]) AS wanted (source, type, external_id) USING (source, type, external_id)
WHERE program_id = $1
ORDER BY source, type, external_id, refund_id, content_hash DESC;

-- name: add
INSERT INTO refund_events (program_id, source, type, external_id, refund_id, content_hash, message)
SELECT $1, source, type, external_id, refund_id, content_hash, message::jsonb
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[])
    AS e (source, type, external_id, refund_id, content_hash, message)
ON CONFLICT DO NOTHING
RETURNING source, type, external_id, refund_id, content_hash;

-- name: refunded
SELECT source, type, external_id, currency, refunded_minor, e.message ? 'tax_deducted' AS tax_deducted
FROM conversions
JOIN unnest($2::text[], $3::text[], $4::text[]) AS wanted (source, type, external_id) USING (source, type, external_id)
JOIN conversion_events e USING (program_id, source, type, external_id, updated_at, content_hash)
WHERE program_id = $1;

-- name: fold
WITH folded AS (
    UPDATE conversions c
    SET refunded_minor = n.refunded_minor
    FROM unnest($2::text[], $3::text[], $4::text[], $5::bigint[]) AS n (source, type, external_id, refunded_minor)
    WHERE c.program_id = $1 AND c.source = n.source AND c.type = n.type AND c.external_id = n.external_id
    RETURNING c.conversion_id
)
INSERT INTO credit_queue (program_id, conversion_id)
SELECT $1, conversion_id FROM folded;

-- name: order
-- As the state of the conversion has it.
SELECT e.message -> 'items' AS items, e.message ? 'tax_deducted' AS tax_deducted
FROM conversions c
JOIN conversion_events e USING (program_id, source, type, external_id, updated_at, content_hash)
WHERE c.program_id = $1 AND c.conversion_id = $2;

-- name: list
-- $2 whether the order is here, null for either; $3 source, $4 order, null for all; after event $5, $6 of them.
SELECT r.event_id, r.message, r.received_at, c.conversion_id IS NOT NULL AS applied,
       coalesce(e.message ? 'tax_deducted', false) AS tax_deducted
FROM refund_events r
LEFT JOIN conversions c USING (program_id, source, type, external_id)
LEFT JOIN conversion_events e
    ON e.program_id = c.program_id AND e.source = c.source AND e.type = c.type AND e.external_id = c.external_id
    AND e.updated_at = c.updated_at AND e.content_hash = c.content_hash
WHERE r.program_id = $1
  AND ($2::boolean IS NULL OR (c.conversion_id IS NOT NULL) = $2)
  AND ($3::text IS NULL OR r.source = $3)
  AND ($4::text IS NULL OR r.external_id = $4)
  AND r.event_id > $5
  AND NOT EXISTS (
      SELECT FROM refund_events greater
      WHERE greater.program_id = r.program_id AND greater.source = r.source AND greater.type = r.type
        AND greater.external_id = r.external_id AND greater.refund_id = r.refund_id
        AND greater.content_hash > r.content_hash
  )
ORDER BY r.event_id
LIMIT $6;

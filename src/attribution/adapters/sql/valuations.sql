-- name: programs
SELECT program_id, currency, timezone FROM programs WHERE program_id = ANY($1::bigint[]);

-- name: returning
-- Whose customer had bought before: by the moments of the orders, so that the order of arrival never matters.
SELECT conversion_id
FROM unnest($1::text::bigint[], $2::text::bigint[]) AS keys (program_id, conversion_id)
JOIN conversions w USING (program_id, conversion_id)
WHERE EXISTS (
    SELECT FROM conversions o
    WHERE o.program_id = w.program_id AND o.customer_id = w.customer_id
      AND o.type = 'purchase' AND o.status = 'confirmed' AND o.occurred_at <= w.occurred_at
      AND (o.occurred_at, o.source, o.external_id) < (w.occurred_at, w.source, w.external_id)
);

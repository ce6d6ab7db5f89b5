-- name: programs
SELECT program_id, currency, timezone FROM programs WHERE program_id = ANY($1::bigint[]);

-- name: returning
-- Whose customer had bought before: by the moments of the orders, so that the order of arrival never matters.
SELECT w.conversion_id
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::text[])
     AS w (program_id, conversion_id, customer_id, occurred_at, source, external_id)
WHERE EXISTS (
    SELECT FROM conversions o
    WHERE o.program_id = w.program_id AND o.customer_id = w.customer_id
      AND o.type = 'purchase' AND o.status = 'confirmed' AND o.occurred_at <= w.occurred_at
      AND (o.occurred_at, o.source, o.external_id) < (w.occurred_at, w.source, w.external_id)
);

-- name: lock
-- Messages of one conversion come one transaction after the other, so that each knows the state it replaces.
SELECT pg_advisory_xact_lock(hashtext('attribution.conversions'), slot)
FROM (
    SELECT DISTINCT hashtext(concat_ws(chr(31), $1::bigint, source, type, external_id)) & 255 AS slot
    FROM unnest($2::text[], $3::text[], $4::text[]) AS wanted (source, type, external_id)
    ORDER BY slot
) slots;

-- name: current
SELECT source, type, external_id, updated_at, content_hash, currency
FROM conversions
JOIN unnest($2::text[], $3::text[], $4::text[]) AS wanted (source, type, external_id) USING (source, type, external_id)
WHERE program_id = $1;

-- name: add_events
INSERT INTO conversion_events (program_id, source, type, external_id, updated_at, content_hash, message)
SELECT $1, source, type, external_id, updated_at, content_hash, message::jsonb
FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[], $7::text[])
    AS e (source, type, external_id, updated_at, content_hash, message)
ON CONFLICT DO NOTHING
RETURNING source, type, external_id, updated_at, content_hash;

-- name: own_links
SELECT link_id FROM links WHERE program_id = $1 AND link_id = ANY($2::bigint[]);

-- name: fold
-- The newest wins with all it says and leaves out; of equally new ones the greater hash. Rows are locked in one order.
WITH newest AS (
    SELECT *
    FROM unnest(
        $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[], $7::text[], $8::timestamptz[], $9::text[],
        $10::bigint[], $11::bigint[], $12::text[], $13::text[], $14::boolean[], $15::text[], $16::uuid[], $17::bigint[],
        $18::text[]
    ) AS n (
        source, type, external_id, updated_at, content_hash, status, occurred_at, currency,
        gross_minor, discount_minor, visitor_id, customer_id, new_customer, click_state, click_id, click_link_id,
        discount_codes
    )
    ORDER BY source, type, external_id
), before AS (
    SELECT c.conversion_id, c.customer_id, c.occurred_at
    FROM conversions c JOIN newest n USING (source, type, external_id)
    WHERE c.program_id = $1
), folded AS (
    INSERT INTO conversions AS c (
        program_id, source, type, external_id, updated_at, content_hash, status, occurred_at, currency,
        gross_minor, discount_minor, visitor_id, customer_id, new_customer, click_state, click_id, click_link_id,
        discount_codes
    )
    SELECT
        $1, source, type, external_id, updated_at, content_hash, status, occurred_at, currency,
        gross_minor, discount_minor, visitor_id, customer_id, new_customer, click_state, click_id, click_link_id,
        ARRAY(SELECT jsonb_array_elements_text(discount_codes::jsonb))
    FROM newest
    ON CONFLICT (program_id, source, type, external_id) DO UPDATE SET
        (updated_at, content_hash, status, occurred_at, currency, gross_minor, discount_minor, visitor_id,
         customer_id, new_customer, click_state, click_id, click_link_id, discount_codes)
        = ROW (excluded.updated_at, excluded.content_hash, excluded.status, excluded.occurred_at, excluded.currency,
               excluded.gross_minor, excluded.discount_minor, excluded.visitor_id, excluded.customer_id,
               excluded.new_customer, excluded.click_state, excluded.click_id, excluded.click_link_id,
               excluded.discount_codes)
    WHERE (excluded.updated_at, excluded.content_hash) > (c.updated_at, c.content_hash)
    RETURNING c.conversion_id, c.customer_id, c.occurred_at, c.click_id, c.click_state
), disowned AS (
    DELETE FROM awaited_clicks a USING folded f
    WHERE a.program_id = $1 AND a.conversion_id = f.conversion_id AND a.click_id IS DISTINCT FROM f.click_id
), awaited AS (
    INSERT INTO awaited_clicks (program_id, click_id, conversion_id)
    SELECT $1, click_id, conversion_id FROM folded WHERE click_state = 'valid'
    ON CONFLICT DO NOTHING
)
-- A conversion names visitors for the later ones of its customer; so did the state it had before.
INSERT INTO credit_queue (program_id, conversion_id, customer_id, since)
SELECT $1, conversion_id, NULL, NULL FROM folded
UNION ALL
SELECT $1, NULL, customer_id, min(occurred_at)
FROM (
    SELECT customer_id, occurred_at FROM folded
    UNION ALL
    SELECT b.customer_id, b.occurred_at FROM before b JOIN folded USING (conversion_id)
) named
WHERE customer_id IS NOT NULL
GROUP BY customer_id;

-- name: add_committed
-- Ranges that touch merge by themselves; rows are locked in one order, so consumers never wait in a circle.
INSERT INTO journal_progress AS progress (journal_id, segment, committed)
SELECT journal_id, segment, range_agg(int8range(start, stop))
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[]) AS done (journal_id, segment, start, stop)
GROUP BY journal_id, segment
ORDER BY journal_id, segment
ON CONFLICT (journal_id, segment) DO UPDATE SET committed = progress.committed + excluded.committed;

-- name: committed
SELECT segment, upper(part) AS stop
FROM journal_progress, LATERAL (SELECT range FROM unnest(committed) AS range WHERE lower(range) = 0) AS first (part)
WHERE journal_id = $1;

-- name: forget
DELETE FROM journal_progress WHERE journal_id = $1 AND segment = ANY($2::bigint[]);

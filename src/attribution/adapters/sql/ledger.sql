-- name: report_journal
INSERT INTO click_journals AS j
    (journal_id, worker, partition, unshipped_bytes, uncommitted_bytes, ended, reported_at)
VALUES ($1, $2, $3, $4, $5, $6, now())
ON CONFLICT (journal_id) DO UPDATE SET
    worker = excluded.worker, partition = excluded.partition, unshipped_bytes = excluded.unshipped_bytes,
    uncommitted_bytes = excluded.uncommitted_bytes, ended = excluded.ended, reported_at = now(), retired_at = NULL;

-- name: report_tallies
-- Totals so far, so a repeat changes nothing.
INSERT INTO journal_tallies AS t (quarter, journal_id, tally_id, accepted, journalled, lost)
SELECT quarter, $1, tally_id, accepted, journalled, lost
FROM unnest($2::timestamptz[], $3::uuid[], $4::bigint[], $5::bigint[], $6::bigint[])
    AS n (quarter, tally_id, accepted, journalled, lost)
ON CONFLICT (quarter, journal_id, tally_id) DO UPDATE SET
    accepted = greatest(t.accepted, excluded.accepted), journalled = greatest(t.journalled, excluded.journalled),
    lost = greatest(t.lost, excluded.lost);

-- name: tallies
SELECT journal_id, sum(accepted)::bigint AS accepted, sum(journalled)::bigint AS journalled, sum(lost)::bigint AS lost
FROM journal_tallies WHERE quarter >= $1 AND quarter < $2 GROUP BY journal_id;

-- name: arrivals
SELECT journal_id, sum(stored)::bigint AS stored, sum(dead_lettered)::bigint AS dead_lettered
FROM journal_arrivals WHERE quarter >= $1 AND quarter < $2 GROUP BY journal_id;

-- name: journals
SELECT journal_id, worker, partition, unshipped_bytes, uncommitted_bytes, ended, reported_at, retired_at
FROM click_journals ORDER BY worker, reported_at, journal_id;

-- name: rows
SELECT count(*) FROM clicks WHERE clicked_at >= $1 AND clicked_at < $2;

-- name: retire_journal
UPDATE click_journals SET retired_at = now() WHERE journal_id = $1;

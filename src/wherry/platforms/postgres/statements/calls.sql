-- name: commit
SELECT * FROM commit_run($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
    $17)
-- name: commit_plain
SELECT * FROM commit_plain($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
-- name: take_locks
SELECT take_locks($1, '{}')
-- name: lock_catalog
SELECT pg_advisory_xact_lock(-9223372036854775808)
-- name: claim
SELECT * FROM claim_messages($1, $2, $3, $4, $5, $6, $7)
-- name: poll
SELECT * FROM poll_queues($1, $2)
-- name: release
SELECT * FROM release_message($1, $2, $3, $4, $5)
-- name: bury
SELECT * FROM bury_message($1, $2, $3, $4, $5, $6)
-- name: recover
SELECT recover_messages($1, $2)
-- name: renew
UPDATE messages SET leased_until = now_ms() + $3
WHERE id = ANY ($2::text[]) AND owner = $1 AND leased_until > now_ms()
-- name: note
SELECT add_record(r) FROM unnest($1::run[]) r
-- name: free_others
UPDATE messages SET leased_until = 1 WHERE token > 0 AND leased_until > now_ms() AND owner <> $1
-- name: tell
SELECT pg_notify($1, $2)

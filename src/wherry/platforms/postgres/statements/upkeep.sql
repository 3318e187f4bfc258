-- name: record_get
SELECT body, sent FROM records WHERE number = $1
-- name: records_correlated
SELECT body, sent FROM records WHERE correlation = $1 ORDER BY number DESC LIMIT $2
-- name: records_newest
SELECT body FROM records ORDER BY number DESC LIMIT $1
-- name: records_newest_of
SELECT body FROM records WHERE function = $1 ORDER BY number DESC LIMIT $2
-- name: records_old
DELETE FROM records WHERE number IN (
    SELECT number FROM (SELECT number, at_ms FROM records ORDER BY number LIMIT $2) r
    WHERE at_ms <= now_ms() - $1::bigint)
RETURNING number
-- name: replies_old
DELETE FROM replies WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM replies WHERE expires_ms <= now_ms() ORDER BY expires_ms LIMIT $1))
RETURNING 1 AS one
-- name: items_expired
SELECT tbl, coalesce(pk_whole, pk), sk, version, body FROM items
WHERE expires_ms > 0 AND expires_ms <= now_ms() ORDER BY expires_ms LIMIT $1
-- name: items_gone
DELETE FROM items WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM items WHERE expires_ms = 0 AND version < $1 LIMIT $2 FOR UPDATE SKIP LOCKED))
-- name: state_get
SELECT value FROM state WHERE key = $1 AND (expires_ms IS NULL OR expires_ms > now_ms())
-- name: state_put
INSERT INTO state (key, value, expires_ms) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET
    value = excluded.value, expires_ms = excluded.expires_ms
-- name: state_add
INSERT INTO state (key, value, expires_ms) VALUES ($1, $2, $3) ON CONFLICT (key) DO UPDATE SET
    value = excluded.value, expires_ms = excluded.expires_ms WHERE state.expires_ms <= now_ms()
RETURNING key
-- name: state_old
DELETE FROM state WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM state WHERE expires_ms <= now_ms() ORDER BY expires_ms LIMIT $1))
RETURNING key
-- name: garbage_forget
DELETE FROM garbage WHERE id = ANY ($1::bigint[]) RETURNING id
-- name: garbage_old
SELECT id, bucket, blob FROM garbage WHERE since_ms <= now_ms() - $1::bigint ORDER BY id LIMIT $2
-- name: orphans
SELECT u.blob FROM unnest($3::text[]) WITH ORDINALITY AS u (blob, nth)
WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.blob = u.blob AND o.bucket = $1 OFFSET 0)
    AND NOT EXISTS (SELECT 1 FROM garbage g WHERE g.blob = u.blob AND g.bucket = $2 OFFSET 0)
ORDER BY u.nth

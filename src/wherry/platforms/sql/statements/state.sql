-- name: state_get
SELECT value FROM state WHERE key = ? AND (expires_ms IS NULL OR expires_ms > ?)
-- name: state_put
INSERT INTO state (key, value, expires_ms) VALUES (?, ?, ?)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms
-- name: state_expired
SELECT key FROM state WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?
-- name: state_delete
DELETE FROM state WHERE key = ?
-- name: reply_get
SELECT id, fingerprint, body, expires_ms FROM replies WHERE key = ?
-- name: reply_insert
INSERT INTO replies (key, expires_ms, fingerprint, body) VALUES (?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET expires_ms = excluded.expires_ms,
    fingerprint = excluded.fingerprint, body = excluded.body
-- name: replies_expired
SELECT id FROM replies WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?
-- name: reply_delete
DELETE FROM replies WHERE id = ?

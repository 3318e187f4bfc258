-- name: grouped_insert
INSERT INTO messages (seq, id, slot, due_ms, queue, token, attempts, redrives, sent_ms, started_ms,
    expires_ms, correlation, traceparent, error, body, grp, place)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
-- name: group_live
SELECT 1 FROM messages WHERE queue = ? AND grp = ? LIMIT 1
-- name: group_active
SELECT 1 FROM messages WHERE queue = ? AND grp = ? AND slot < 4294967296 LIMIT 1
-- name: group_first
SELECT seq, place, due_ms FROM messages WHERE queue = ? AND grp = ? AND slot = ?
ORDER BY place LIMIT 1
-- name: group_blocked
SELECT 1 FROM failures WHERE queue = ? AND grp = ? AND place < ? LIMIT 1
-- name: park
UPDATE messages SET slot = queue + 4294967296 WHERE seq = ?
-- name: unpark
UPDATE messages SET slot = queue, seq = ?, due_ms = ? WHERE seq = ?
-- name: give_back_parked
UPDATE messages SET slot = queue + 4294967296, token = 0, due_ms = ?1, place = ?1, attempts = ?2,
    error = ?3
WHERE seq = ?4
-- name: give_back_behind
UPDATE messages SET slot = queue + 4294967296, token = 0, due_ms = ?, attempts = ?, error = ?
WHERE seq = ?
-- name: group_next
SELECT seq, id, due_ms, attempts, sent_ms, started_ms, correlation, traceparent, body, grp, place
FROM messages WHERE queue = ? AND grp = ? AND slot = ? ORDER BY place LIMIT ?
-- name: oldest_sent
SELECT sent_ms FROM messages WHERE seq > 0 AND slot = ? ORDER BY due_ms LIMIT 1
-- name: parked
SELECT 1 FROM messages WHERE seq > 0 AND slot = ? LIMIT ?
-- name: parked_of
SELECT 1 FROM messages WHERE queue = ? AND grp = ? AND slot = ? AND place > ? LIMIT ?
-- name: failure_at
SELECT id, failed_ms, place FROM failures WHERE seq = ?
-- name: failures_blocking
SELECT seq, grp FROM failures WHERE queue = ? AND place IS NOT NULL ORDER BY grp, place LIMIT ?
-- name: failure_unblock
UPDATE failures SET place = NULL WHERE seq = ?
-- name: dedup_take
INSERT INTO dedups (queue, dedup, expires_ms) VALUES (?1, ?2, ?3) ON CONFLICT (queue, dedup)
DO UPDATE SET expires_ms = excluded.expires_ms WHERE expires_ms <= ?4
-- name: dedups_expired
SELECT queue, dedup FROM dedups WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?
-- name: dedups_set_back
UPDATE dedups SET expires_ms = ?1 WHERE expires_ms > ?1
-- name: dedup_delete
DELETE FROM dedups WHERE queue = ? AND dedup = ?

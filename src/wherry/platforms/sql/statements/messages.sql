-- name: owners_all
SELECT name, id FROM owners
-- name: owner_add
INSERT INTO owners (name) VALUES (?) RETURNING id
-- name: owner_forget
DELETE FROM owners WHERE id = ?
-- name: leases_all
SELECT id, -slot, seq, token, queue, grp, due_ms FROM messages WHERE seq > 0 AND slot < 0
UNION ALL SELECT id, -slot, seq, token, queue, grp, due_ms FROM messages WHERE seq < 0
ORDER BY 2 DESC, 7, 4
-- name: message_insert
INSERT INTO messages (seq, id, slot, due_ms, queue, token, attempts, redrives, sent_ms, started_ms,
    expires_ms, correlation, traceparent, error, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING
-- name: message_row
SELECT seq, id, slot, due_ms, queue, token, attempts, redrives, sent_ms, started_ms, expires_ms,
    correlation, traceparent, error, body, grp, place
FROM messages WHERE id = ?
-- name: message_delete
DELETE FROM messages WHERE seq = ?
-- name: message_cancel
DELETE FROM messages WHERE id = ? AND slot IN (?, ?) RETURNING grp, body
-- name: claim
SELECT seq, id, due_ms, attempts, sent_ms, started_ms, correlation, traceparent, body, grp
FROM messages WHERE seq > 0 AND slot = ? AND due_ms <= ? ORDER BY due_ms, seq LIMIT ?
-- name: outlived
SELECT seq, id, slot, due_ms, queue, token, attempts, redrives, sent_ms, started_ms, expires_ms,
    correlation, traceparent, error, body, grp, place
FROM messages WHERE seq > 0 AND slot = ? AND due_ms <= ? ORDER BY due_ms, seq LIMIT ?
-- name: claimed
UPDATE messages SET slot = ?, token = ?, attempts = ?, started_ms = ? WHERE seq = ?
-- name: next_due
SELECT due_ms FROM messages WHERE seq > 0 AND slot = ? ORDER BY due_ms LIMIT 1
-- name: messages_set_back
UPDATE messages SET due_ms = due_ms - ?2, expires_ms = expires_ms - ?2,
    sent_ms = CASE WHEN sent_ms > ?1 THEN sent_ms - ?2 ELSE sent_ms END,
    place = CASE WHEN place = due_ms THEN place - ?2 ELSE place END
WHERE due_ms > ?1 AND (due_ms <= ?1 + ?2 OR sent_ms > ?1 OR started_ms > 0 OR redrives > 0)
-- name: give_back
UPDATE messages SET seq = abs(seq), slot = queue, token = 0, due_ms = ?, attempts = ?, error = ?
WHERE seq = ?
-- name: count_slots
SELECT slot, count(*) FROM messages WHERE seq > 0 GROUP BY slot
-- name: count_leased
SELECT queue, count(*) FROM messages WHERE seq > 0 AND slot < 0 GROUP BY queue
UNION ALL SELECT queue, count(*) FROM messages WHERE seq < 0 GROUP BY queue

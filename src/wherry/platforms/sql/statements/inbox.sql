-- name: failure_insert
INSERT INTO failures (seq, id, queue, function, code, error, attempts, redrives, sent_ms,
    started_ms, failed_ms, correlation, traceparent, note, body, grp, place)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
-- name: failure_there
SELECT 1 FROM failures WHERE id = ?
-- name: failure_row
SELECT seq, id, queue, function, code, error, attempts, redrives, sent_ms, started_ms, failed_ms,
    correlation, traceparent, note, body, grp, place
FROM failures WHERE id = ?
-- name: failures_page
SELECT seq, id, queue, function, code, error, attempts, redrives, sent_ms, started_ms, failed_ms,
    correlation, traceparent, note, body, grp, place
FROM failures WHERE seq < ? ORDER BY seq DESC LIMIT ?
-- name: failures_page_of
SELECT seq, id, queue, function, code, error, attempts, redrives, sent_ms, started_ms, failed_ms,
    correlation, traceparent, note, body, grp, place
FROM failures WHERE queue = ? AND seq < ? ORDER BY seq DESC LIMIT ?
-- name: failures_oldest_of
SELECT seq, id, queue, function, code, error, attempts, redrives, sent_ms, started_ms, failed_ms,
    correlation, traceparent, note, body, grp, place
FROM failures WHERE queue = ? ORDER BY seq LIMIT ?
-- name: failures_oldest
SELECT seq, id, queue, function, code, error, attempts, redrives, sent_ms, started_ms, failed_ms,
    correlation, traceparent, note, body, grp, place
FROM failures ORDER BY seq LIMIT ?
-- name: failures_aged
SELECT seq, id, queue, failed_ms, grp FROM failures ORDER BY seq LIMIT ?
-- name: failure_delete
DELETE FROM failures WHERE seq = ?
-- name: count_failures
SELECT queue, count(*) FROM failures GROUP BY queue
-- name: audit_add
INSERT INTO audit (at_ms, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)
-- name: audit_edited
SELECT detail FROM audit WHERE subject = ? AND action = 'edit'
-- name: audit_oldest
SELECT id, at_ms FROM audit ORDER BY id LIMIT ?
-- name: audit_delete
DELETE FROM audit WHERE id = ?

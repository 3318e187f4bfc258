-- name: redrives_all
SELECT queue, through, per_s, next_ms, done, begun_ms, actor FROM redrives ORDER BY next_ms
-- name: redrive_get
SELECT queue, through, per_s, next_ms, done, begun_ms, actor FROM redrives WHERE queue = ?
-- name: redrive_put
INSERT INTO redrives (queue, through, per_s, next_ms, done, begun_ms, actor)
VALUES (?, ?, ?, ?, 0, ?, ?) ON CONFLICT (queue) DO UPDATE SET through = excluded.through,
    per_s = excluded.per_s, next_ms = excluded.next_ms, actor = excluded.actor
-- name: redrive_moved
UPDATE redrives SET next_ms = ?, done = done + ? WHERE queue = ?
-- name: redrive_delete
DELETE FROM redrives WHERE queue = ?
-- name: failure_newest_of
SELECT seq FROM failures WHERE queue = ? ORDER BY seq DESC LIMIT 1
-- name: failures_through
SELECT seq, id, queue, function, code, error, attempts, redrives, sent_ms, started_ms, failed_ms,
    correlation, traceparent, note, body, grp, place
FROM failures WHERE queue = ? AND seq <= ? ORDER BY seq LIMIT ?
-- name: count_through
SELECT count(*) FROM failures WHERE queue = ? AND seq <= ?

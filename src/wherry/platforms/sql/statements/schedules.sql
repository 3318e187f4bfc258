-- name: schedules_all
SELECT name, id, queue, expression, timezone, window_s, overlap, missed, missed_max, start_ms,
    handled_ms, next_ms
FROM schedules
-- name: schedules_due
SELECT name, id, queue, expression, timezone, window_s, overlap, missed, missed_max, start_ms,
    handled_ms, next_ms
FROM schedules WHERE next_ms <= ? ORDER BY next_ms LIMIT ?
-- name: schedules_next
SELECT next_ms FROM schedules WHERE next_ms > -1 ORDER BY next_ms LIMIT 1
-- name: schedules_page
SELECT name, queue, expression, timezone, next_ms, fired_ms, fired, skipped
FROM schedules WHERE name > ? ORDER BY name LIMIT ?
-- name: schedule_add
INSERT INTO schedules (name, queue, expression, timezone, window_s, overlap, missed, missed_max,
    start_ms, handled_ms, next_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?) ON CONFLICT (name) DO UPDATE SET
    queue = excluded.queue, expression = excluded.expression, timezone = excluded.timezone,
    window_s = excluded.window_s, overlap = excluded.overlap, missed = excluded.missed,
    missed_max = excluded.missed_max, start_ms = excluded.start_ms,
    handled_ms = excluded.handled_ms, next_ms = excluded.next_ms, fired_ms = NULL, fired = 0,
    skipped = 0
-- name: schedule_keep
UPDATE schedules SET queue = ?, window_s = ?, overlap = ?, missed = ?, missed_max = ?, next_ms = ?
WHERE id = ?
-- name: schedule_fired
UPDATE schedules SET handled_ms = ?, next_ms = ?, fired_ms = coalesce(?, fired_ms),
    fired = fired + ?, skipped = skipped + ?
WHERE id = ?
-- name: schedule_later
UPDATE schedules SET next_ms = ? WHERE id = ?
-- name: rates_set_back
UPDATE schedules SET start_ms = start_ms - ?2, handled_ms = handled_ms - ?2, next_ms = next_ms - ?2
WHERE expression LIKE 'rate(%' AND max(start_ms, coalesce(handled_ms, start_ms)) > ?1
-- name: schedules_not_begun
UPDATE schedules SET start_ms = ?1, next_ms = ?1 WHERE handled_ms IS NULL AND start_ms > ?1
-- name: schedules_set_back
UPDATE schedules SET start_ms = min(start_ms, ?1), handled_ms = ?1, next_ms = ?1
WHERE handled_ms > ?1 AND next_ms IS NOT NULL
-- name: schedule_delete
DELETE FROM schedules WHERE id = ?
-- name: schedule_alive
SELECT 1 FROM messages WHERE id > ? AND id < ? LIMIT 1
-- name: pauses_all
SELECT function, since_ms, actor, resumed_ms FROM pauses ORDER BY function
-- name: pause_put
INSERT INTO pauses (function, since_ms, actor, resumed_ms) VALUES (?, ?, ?, ?)
ON CONFLICT (function) DO UPDATE SET since_ms = excluded.since_ms, actor = excluded.actor,
    resumed_ms = excluded.resumed_ms
-- name: pause_delete
DELETE FROM pauses WHERE function = ?

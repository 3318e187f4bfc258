-- name: message_row
SELECT id, queue, parked, due_ms, attempts, sent_ms, error, body,
    leased_until > now_ms() AS leased
FROM messages WHERE id = $1
-- name: message_there
SELECT 1 FROM messages WHERE id = $1
-- name: counts
SELECT queue, count(*) FILTER (WHERE leased_until <= n) AS waiting,
    count(*) FILTER (WHERE leased_until > n) AS leased
FROM messages, now_ms() n GROUP BY queue
-- name: first_due
SELECT due_ms FROM messages WHERE queue = $1 AND NOT parked AND leased_until <= now_ms()
ORDER BY due_ms LIMIT 1
-- name: oldest_sent
SELECT min(sent_ms) FROM (
    (SELECT sent_ms FROM messages WHERE queue = $1 AND NOT parked AND leased_until <= now_ms()
     ORDER BY due_ms LIMIT 1)
    UNION ALL
    (SELECT sent_ms FROM messages WHERE queue = $1 AND parked ORDER BY due_ms LIMIT 1)) s
-- name: parked
SELECT count(*) FROM (SELECT 1 FROM messages WHERE queue = $1 AND parked LIMIT $2) s
-- name: waiting_some
SELECT count(*) FROM (
    SELECT 1 FROM messages WHERE queue = $1 AND leased_until <= now_ms() LIMIT $2) s
-- name: parked_of
SELECT count(*) FROM (
    SELECT 1 FROM messages WHERE queue = $1 AND grp = $2 AND parked AND place > $3 LIMIT $4) s
-- name: send_one
SELECT due, woken FROM send_apart($1, $2, $3, '', 0, 0, now_ms())
-- name: recover_lost
SELECT recover_messages($1, coalesce(array_agg(id), '{}')) FROM messages
WHERE owner = $1 AND leased_until > now_ms()
    AND NOT (queue = $2 AND token > $3 AND token <> ALL ($4::bigint[]))
-- name: expire_messages
SELECT * FROM expire_messages($1)
-- name: dedups_old
DELETE FROM dedups WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM dedups WHERE expires_ms <= now_ms() ORDER BY expires_ms LIMIT $1))
RETURNING queue
-- name: floors_old
DELETE FROM group_floors WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM group_floors WHERE made_ms <= now_ms() - $1::bigint
    ORDER BY made_ms LIMIT $2 FOR UPDATE SKIP LOCKED))
RETURNING queue
-- name: schedules_all
SELECT name, id, queue, expression, timezone, window_s, overlap, missed, missed_max, start_ms,
    handled_ms, next_ms
FROM schedules
-- name: schedules_due
SELECT name, id, queue, expression, timezone, window_s, overlap, missed, missed_max, start_ms,
    handled_ms, next_ms
FROM schedules WHERE next_ms <= $1 ORDER BY next_ms LIMIT $2 FOR UPDATE SKIP LOCKED
-- name: schedules_next
SELECT next_ms FROM schedules WHERE next_ms > -1 ORDER BY next_ms LIMIT 1
-- name: schedules_page
SELECT name, queue, expression, timezone, next_ms, fired_ms, fired, skipped
FROM schedules WHERE name > $1 ORDER BY name LIMIT $2
-- name: schedule_add
INSERT INTO schedules (name, queue, expression, timezone, window_s, overlap, missed, missed_max,
    start_ms, handled_ms, next_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, $10) ON CONFLICT (name) DO UPDATE SET
    queue = excluded.queue, expression = excluded.expression, timezone = excluded.timezone,
    window_s = excluded.window_s, overlap = excluded.overlap, missed = excluded.missed,
    missed_max = excluded.missed_max, start_ms = excluded.start_ms,
    handled_ms = excluded.handled_ms, next_ms = excluded.next_ms, fired_ms = NULL, fired = 0,
    skipped = 0
-- name: schedule_keep
UPDATE schedules SET queue = $1, window_s = $2, overlap = $3, missed = $4, missed_max = $5,
    next_ms = $6
WHERE id = $7
-- name: schedule_fired
UPDATE schedules SET handled_ms = $1, next_ms = $2, fired_ms = coalesce($3, fired_ms),
    fired = fired + $4, skipped = skipped + $5
WHERE id = $6
-- name: schedule_later
UPDATE schedules SET next_ms = $1 WHERE id = $2
-- name: schedule_delete
DELETE FROM schedules WHERE id = $1
-- name: schedule_alive
SELECT 1 FROM messages WHERE id > $1 AND id < $2 LIMIT 1

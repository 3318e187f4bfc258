-- name: failure_row
SELECT * FROM failures WHERE id = $1
-- name: failures_rows
SELECT * FROM failures WHERE id = ANY ($1::text[])
-- name: failures_page
SELECT * FROM failures WHERE seq < $1 ORDER BY seq DESC LIMIT $2
-- name: failures_page_of
SELECT * FROM failures WHERE queue = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3
-- name: failures_chosen
SELECT * FROM failures WHERE id = ANY ($1::text[]) ORDER BY array_position($1::text[], id)
FOR UPDATE
-- name: failures_page_up_of
SELECT id, queue, grp FROM failures WHERE queue = $1 ORDER BY seq LIMIT $2
-- name: failures_page_up
SELECT id, queue, grp FROM failures ORDER BY seq LIMIT $1
-- name: failures_through
SELECT id, queue, grp FROM failures WHERE queue = $1 AND seq <= $2 ORDER BY seq LIMIT $3
-- name: failures_old
SELECT id, queue, grp FROM (SELECT * FROM failures ORDER BY seq LIMIT $2) f
WHERE failed_ms <= now_ms() - $1::bigint ORDER BY seq
-- name: failure_delete
DELETE FROM failures WHERE seq = $1
-- name: count_failures
SELECT queue, count(*) AS count FROM failures GROUP BY queue
-- name: failure_newest_of
SELECT seq FROM failures WHERE queue = $1 ORDER BY seq DESC LIMIT 1
-- name: count_through
SELECT count(*) FROM failures WHERE queue = $1 AND seq <= $2
-- name: failures_blocking
SELECT seq, grp FROM failures WHERE queue = $1 AND place IS NOT NULL ORDER BY grp, place LIMIT $2
-- name: failure_at
SELECT id, failed_ms, place FROM failures WHERE seq = $1
-- name: failures_freed
SELECT f.seq, f.queue, f.grp FROM failures f JOIN queues q ON q.id = f.queue
WHERE f.place IS NOT NULL AND q.active AND NOT q.blocks ORDER BY f.queue, f.grp, f.place LIMIT $1
-- name: failures_unblock
UPDATE failures SET place = NULL WHERE seq = ANY ($1::bigint[])
-- name: put_back
SELECT put_back(f, $2, $3, $4, $5, $6, $7, $8, $9) FROM failures f WHERE f.seq = $1
-- name: next_number
SELECT nextval('numbers')
-- name: now
SELECT now_ms()
-- name: lock_groups
SELECT lock_groups(coalesce(array_agg(group_key(queue, grp)), '{}'))
FROM unnest($1::integer[], $2::text[]) AS u (queue, grp)
-- name: settle
SELECT settle($1, $2, now_ms())
-- name: drop_payload
SELECT drop_payload($1, $2, now_ms())
-- name: audit_add
INSERT INTO audit (at_ms, actor, action, subject, detail) VALUES (now_ms(), $1, $2, $3, $4)
-- name: audit_edited
SELECT detail FROM audit WHERE subject = $1 AND action = 'edit' ORDER BY id
-- name: audit_old
DELETE FROM audit WHERE id IN (
    SELECT id FROM (SELECT id, at_ms FROM audit ORDER BY id LIMIT $2) a
    WHERE at_ms <= now_ms() - $1::bigint)
RETURNING id
-- name: redrives_all
SELECT queue, through, per_s, next_ms, done, begun_ms, actor FROM redrives ORDER BY next_ms
-- name: redrives_locked
SELECT queue, through, per_s, next_ms, done, begun_ms, actor FROM redrives ORDER BY next_ms
FOR UPDATE SKIP LOCKED
-- name: redrive_get
SELECT queue, through, per_s, next_ms, done, begun_ms, actor FROM redrives WHERE queue = $1
FOR UPDATE
-- name: redrive_put
INSERT INTO redrives (queue, through, per_s, next_ms, done, begun_ms, actor)
SELECT $1, $2, $3, n, 0, n, $4 FROM now_ms() n ON CONFLICT (queue) DO UPDATE SET
    through = excluded.through, per_s = excluded.per_s, next_ms = excluded.next_ms,
    actor = excluded.actor
-- name: redrive_moved
UPDATE redrives SET next_ms = $1, done = done + $2 WHERE queue = $3
-- name: redrive_delete
DELETE FROM redrives WHERE queue = $1

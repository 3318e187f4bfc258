-- name: definition_find
SELECT id FROM definitions WHERE digest = $1
-- name: definition_get
SELECT body FROM definitions WHERE digest = $1
-- name: definition_add
INSERT INTO definitions (digest, body) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING
-- name: definitions_unused
DELETE FROM definitions WHERE id IN (
    SELECT d.id FROM definitions d WHERE d.digest <> ALL ($1::text[])
        AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.definition = d.id) LIMIT $2)
RETURNING digest
-- name: executions_locked
SELECT e.id, workflow, name, version, definition, status, wake_ms, started_ms, ended_ms, parent,
    parent_call, events, redrives, correlation, traceparent, d.digest
FROM executions e JOIN definitions d ON d.id = e.definition
WHERE e.id = ANY ($1::bigint[]) ORDER BY e.id FOR UPDATE OF e
-- name: executions_rows
SELECT e.id, workflow, name, version, definition, status, wake_ms, started_ms, ended_ms, parent,
    parent_call, events, redrives, correlation, traceparent, d.digest
FROM executions e JOIN definitions d ON d.id = e.definition
WHERE e.id = ANY ($1::bigint[])
-- name: executions_shown
SELECT id, states, error, cause, output FROM executions WHERE id = ANY ($1::bigint[])
-- name: executions_named
SELECT k.nth, e.id FROM unnest($1::integer[], $2::text[]) WITH ORDINALITY AS k (workflow, name, nth)
CROSS JOIN LATERAL (
    SELECT id FROM executions
    WHERE workflow = k.workflow AND name = k.name AND listed = 1 OFFSET 0) e
-- name: execution_head
SELECT head FROM executions WHERE id = $1
-- name: execution_add
INSERT INTO executions (id, workflow, name, listed, version, definition, status, wake_ms,
    started_ms, ended_ms, parent, parent_call, events, redrives, correlation, traceparent, states,
    error, cause, output, head)
VALUES ($1, $2, $3, $4, 0, $5, 0, NULL, $6, NULL, $7, $8, 0, 0, $9, $10, '', NULL, NULL, NULL, $11)
-- name: execution_unlist
UPDATE executions SET listed = 0 WHERE id = $1 AND listed = 1
-- name: execution_moved
UPDATE executions SET version = $1, events = $2, states = $3, head = $4 WHERE id = $5
-- name: execution_waking
UPDATE executions SET version = $1, events = $2, states = $3, head = $4, wake_ms = $5 WHERE id = $6
-- name: execution_turned
UPDATE executions SET version = $1, events = $2, states = $3, head = $4, wake_ms = $5, status = $6,
    ended_ms = $7, redrives = $8, error = $9, cause = $10, output = $11
WHERE id = $12
-- name: execution_delete
DELETE FROM executions WHERE id = $1
-- name: input_add
INSERT INTO execution_inputs (execution, body) VALUES ($1, $2)
-- name: inputs_of
SELECT execution, body FROM execution_inputs WHERE execution = ANY ($1::bigint[])
-- name: input_delete
DELETE FROM execution_inputs WHERE execution = $1
-- name: part_put
INSERT INTO execution_parts (execution, kind, key, body) VALUES ($1, $2, $3, $4)
ON CONFLICT (execution, kind, key) DO UPDATE SET body = excluded.body
-- name: part_delete
DELETE FROM execution_parts WHERE execution = $1 AND kind = $2 AND key = $3
-- name: parts_of
SELECT kind, key, body FROM execution_parts WHERE execution = $1 ORDER BY kind, key
-- name: parts_delete
DELETE FROM execution_parts WHERE execution = $1
-- name: parts_remove
DELETE FROM execution_parts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM execution_parts WHERE execution = $1 LIMIT $2))
-- name: events_add
INSERT INTO execution_events (execution, first, body) VALUES ($1, $2, $3)
-- name: events_from
SELECT first, body FROM execution_events WHERE execution = $1 AND first <= $2
ORDER BY first DESC LIMIT 1
-- name: events_remove
DELETE FROM execution_events WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM execution_events WHERE execution = $1 ORDER BY first LIMIT $2))
-- name: token_put
INSERT INTO tokens (token, execution) VALUES ($1, $2)
ON CONFLICT (token) DO UPDATE SET execution = excluded.execution
-- name: tokens_locked
SELECT token, execution FROM tokens WHERE token = ANY ($1::bytea[]) ORDER BY token FOR UPDATE
-- name: tokens_of_locked
SELECT token FROM tokens WHERE execution = ANY ($1::bigint[]) ORDER BY token FOR UPDATE
-- name: token_delete
DELETE FROM tokens WHERE token = $1
-- name: tokens_delete
DELETE FROM tokens WHERE execution = $1
-- name: executions_due
SELECT id, workflow, version, correlation, traceparent FROM executions
WHERE wake_ms <= $1 ORDER BY wake_ms LIMIT $2 FOR UPDATE SKIP LOCKED
-- name: execution_woken
UPDATE executions SET wake_ms = NULL WHERE id = $1
-- name: executions_next
SELECT wake_ms FROM executions WHERE wake_ms IS NOT NULL ORDER BY wake_ms LIMIT 1
-- name: children_running
SELECT id, workflow, correlation, traceparent FROM executions
WHERE parent = $1 AND status = 0 AND id > $2 AND id <= $3 ORDER BY id LIMIT $4
-- name: children_of_call
SELECT id, workflow, correlation, traceparent FROM executions
WHERE parent = $1 AND parent_call = $2 AND status = 0 ORDER BY id
-- name: stop_put
INSERT INTO stops (parent, at, through) VALUES ($1, $2, $3) ON CONFLICT (parent) DO UPDATE SET
    at = excluded.at, through = excluded.through
-- name: stops_first
SELECT parent, at, through FROM stops ORDER BY parent LIMIT 1 FOR UPDATE SKIP LOCKED
-- name: stops_left
SELECT 1 FROM stops LIMIT 1
-- name: stop_delete
DELETE FROM stops WHERE parent = $1
-- name: executions_page
SELECT id FROM executions WHERE workflow = $1 AND status = $2 AND listed = 1 AND id < $3
ORDER BY id DESC LIMIT $4
-- name: children_page
SELECT id FROM executions WHERE parent = $1 AND status = $2 AND id < $3 ORDER BY id DESC LIMIT $4
-- name: executions_aged
SELECT id, listed FROM executions WHERE ended_ms <= now_ms() - $1::bigint
ORDER BY ended_ms LIMIT $2 FOR UPDATE SKIP LOCKED
-- name: numbers
SELECT nextval('numbers') FROM generate_series(1, $1::integer)
-- name: withdraw
SELECT withdraw_message($1, $2)
-- name: tell_messages
SELECT * FROM tell_messages($1, $2, $3, $4, $5)
-- name: tell_execution
SELECT tell_execution($1, $2, $3, $4, $5, now_ms())
-- name: failure_add
INSERT INTO failures (seq, id, queue, function, code, error, attempts, redrives, sent_ms,
    started_ms, failed_ms, correlation, traceparent, note, body)
VALUES (nextval('numbers'), $1, $2, $3, $4, $5, 1, $6, $7, $7, now_ms(), $8, $9, '', $10)
ON CONFLICT (id) DO NOTHING
-- name: failure_withdraw
DELETE FROM failures WHERE id = $1
-- name: record_sent
UPDATE records SET sent = coalesce(sent, '{}') || $2::text[] WHERE number = $1

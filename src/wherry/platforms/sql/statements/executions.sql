-- name: definition_find
SELECT id FROM definitions WHERE digest = ?
-- name: definition_get
SELECT body FROM definitions WHERE digest = ?
-- name: definition_digest
SELECT digest FROM definitions WHERE id = ?
-- name: definition_add
INSERT INTO definitions (id, digest, body) VALUES (?, ?, ?)
-- name: definitions_all
SELECT id, digest FROM definitions
-- name: definition_used
SELECT 1 FROM executions WHERE definition = ? LIMIT 1
-- name: definition_delete
DELETE FROM definitions WHERE id = ?
-- name: execution_add
INSERT INTO executions (id, workflow, name, listed, version, definition, status, wake_ms,
    started_ms, ended_ms, parent, parent_call, events, redrives, correlation, traceparent, states,
    error, cause, output, head)
VALUES (?, ?, ?, ?, 0, ?, 0, NULL, ?, NULL, ?, ?, 0, 0, ?, ?, '', NULL, NULL, NULL, ?)
-- name: execution_row
SELECT id, workflow, name, version, definition, status, wake_ms, started_ms, ended_ms, parent,
    parent_call, events, redrives, correlation, traceparent
FROM executions WHERE id = ?
-- name: execution_named
SELECT id FROM executions WHERE workflow = ? AND name = ? AND listed = 1
-- name: execution_head
SELECT head FROM executions WHERE id = ?
-- name: execution_shown
SELECT states, error, cause, output FROM executions WHERE id = ?
-- name: execution_unlist
UPDATE executions SET listed = 0 WHERE id = ? AND listed = 1
-- name: execution_moved
UPDATE executions SET version = ?, events = ?, states = ?, head = ? WHERE id = ?
-- name: execution_waking
UPDATE executions SET version = ?, events = ?, states = ?, head = ?, wake_ms = ? WHERE id = ?
-- name: execution_turned
UPDATE executions SET version = ?, events = ?, states = ?, head = ?, wake_ms = ?, status = ?,
    ended_ms = ?, redrives = ?, error = ?, cause = ?, output = ?
WHERE id = ?
-- name: execution_delete
DELETE FROM executions WHERE id = ?
-- name: input_add
INSERT INTO execution_inputs (execution, body) VALUES (?, ?)
-- name: input_get
SELECT body FROM execution_inputs WHERE execution = ?
-- name: input_delete
DELETE FROM execution_inputs WHERE execution = ?
-- name: part_put
INSERT INTO execution_parts (execution, kind, key, body) VALUES (?, ?, ?, ?)
ON CONFLICT (execution, kind, key) DO UPDATE SET body = excluded.body
-- name: part_delete
DELETE FROM execution_parts WHERE execution = ? AND kind = ? AND key = ?
-- name: parts_of
SELECT kind, key, body FROM execution_parts WHERE execution = ?
-- name: parts_keys
SELECT kind, key FROM execution_parts WHERE execution = ? LIMIT ?
-- name: parts_delete
DELETE FROM execution_parts WHERE execution = ?
-- name: events_add
INSERT INTO execution_events (execution, first, body) VALUES (?, ?, ?)
-- name: events_from
SELECT first, body FROM execution_events WHERE execution = ? AND first <= ?
ORDER BY first DESC LIMIT 1
-- name: events_ids
SELECT id FROM execution_events WHERE execution = ? ORDER BY first LIMIT ?
-- name: events_delete
DELETE FROM execution_events WHERE id = ?
-- name: token_put
INSERT OR REPLACE INTO tokens (token, execution) VALUES (?, ?)
-- name: token_get
SELECT execution FROM tokens WHERE token = ?
-- name: token_delete
DELETE FROM tokens WHERE token = ?
-- name: tokens_delete
DELETE FROM tokens WHERE execution = ?
-- name: executions_due
SELECT id, workflow, version, correlation, traceparent, wake_ms FROM executions
WHERE wake_ms <= ? ORDER BY wake_ms LIMIT ?
-- name: execution_woken
UPDATE executions SET wake_ms = NULL WHERE id = ?
-- name: executions_next
SELECT wake_ms FROM executions WHERE wake_ms IS NOT NULL ORDER BY wake_ms LIMIT 1
-- name: children_running
SELECT id, workflow, correlation, traceparent FROM executions
WHERE parent = ? AND status = 0 AND id > ? AND id <= ? ORDER BY id LIMIT ?
-- name: children_of_call
SELECT id, workflow, correlation, traceparent FROM executions
WHERE parent = ? AND parent_call = ? AND status = 0
-- name: stop_put
INSERT INTO stops (parent, at, through) VALUES (?, ?, ?) ON CONFLICT (parent) DO UPDATE SET
    at = excluded.at, through = excluded.through
-- name: stops_all
SELECT parent, at, through FROM stops ORDER BY parent LIMIT ?
-- name: stop_delete
DELETE FROM stops WHERE parent = ?
-- name: executions_page
SELECT id FROM executions WHERE workflow = ? AND status = ? AND listed = 1 AND id < ?
ORDER BY id DESC LIMIT ?
-- name: children_page
SELECT id FROM executions WHERE parent = ? AND status = ? AND id < ? ORDER BY id DESC LIMIT ?
-- name: executions_aged
SELECT id, listed FROM executions WHERE ended_ms <= ? ORDER BY ended_ms LIMIT ?

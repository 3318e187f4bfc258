-- name: record_there
SELECT 1 FROM records WHERE number = ?
-- name: record_get
SELECT body, sent FROM records WHERE number = ?
-- name: record_insert
INSERT OR IGNORE INTO records (number, at_ms, body, sent) VALUES (?, ?, ?, ?)
-- name: record_highest
SELECT number FROM records ORDER BY number DESC LIMIT 1
-- name: records_above
SELECT body FROM records WHERE number > ? ORDER BY number
-- name: records_newest
SELECT body FROM records ORDER BY number DESC LIMIT ?
-- name: records_oldest
SELECT number, at_ms FROM records ORDER BY number LIMIT ?
-- name: records_delete
DELETE FROM records WHERE number <= ?
-- name: finder_add
INSERT OR IGNORE INTO finder (run, term, number, more) VALUES (?, ?, ?, ?)
-- name: finder_find
SELECT number, more FROM finder WHERE run = ? AND term = ? ORDER BY number DESC LIMIT ?
-- name: runs_all
SELECT run, rows, newest_ms FROM runs ORDER BY run
-- name: run_put
INSERT INTO runs (run, rows, newest_ms) VALUES (?, ?, ?)
ON CONFLICT (run) DO UPDATE SET rows = excluded.rows, newest_ms = excluded.newest_ms
-- name: run_rows
SELECT term, number FROM finder WHERE run = ? ORDER BY term, number LIMIT ?
-- name: finder_delete
DELETE FROM finder WHERE run = ? AND (term, number) <= (?, ?)
-- name: run_delete
DELETE FROM runs WHERE run = ?
-- name: unfound_all
SELECT id, terms FROM unfound ORDER BY id
-- name: unfound_add
INSERT INTO unfound (terms) VALUES (?)
-- name: unfound_clear
DELETE FROM unfound

-- name: node_take
INSERT INTO state (key, value, expires_ms)
SELECT $3 || n, $1, now_ms() + $2 FROM generate_series(0, $4 - 1) n
WHERE NOT EXISTS (SELECT 1 FROM state WHERE key = $3 || n AND expires_ms > now_ms())
ORDER BY n LIMIT 1
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms
WHERE state.expires_ms <= now_ms()
RETURNING key
-- name: node_renew
WITH was AS (
    SELECT expires_ms > now_ms() + $3 / 2 AS alive FROM state WHERE key = $1 AND value = $2
), kept AS (
    UPDATE state SET expires_ms = now_ms() + $3 WHERE key = $1 AND value = $2 RETURNING key
), serves AS (
    INSERT INTO state (key, value, expires_ms)
    SELECT $4, $5::bytea, now_ms() + $3 FROM kept WHERE length($5::bytea) > 0
    ON CONFLICT (key) DO UPDATE SET expires_ms = excluded.expires_ms
)
SELECT was.alive FROM was, kept
-- name: node_serves
INSERT INTO state (key, value, expires_ms) VALUES ($1, $2, now_ms() + $3)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires_ms = excluded.expires_ms
-- name: node_give
DELETE FROM state WHERE key = $1 AND value = $2
-- name: nodes_held
SELECT count(*) FROM state WHERE starts_with(key, $1) AND expires_ms > now_ms()
-- name: alive
SELECT 1
-- name: wait_for_standby
SELECT CASE WHEN current_setting('synchronous_standby_names') <> ''
    THEN pg_logical_emit_message(true, 'wherry', '') END
-- name: apply_settings
SELECT pg_postmaster_start_time() AS began, set_config(key, value, false)
FROM json_each_text($1::text::json)

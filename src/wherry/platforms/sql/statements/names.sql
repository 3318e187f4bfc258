-- name: names_all
SELECT kind, name, id, keyed FROM names
-- name: names_add
INSERT INTO names (kind, name) VALUES (?, ?) RETURNING id
-- name: table_keyed
UPDATE names SET keyed = ? WHERE id = ?
-- name: counter_get
SELECT value FROM counters WHERE name = ?
-- name: counter_put
INSERT INTO counters (name, value) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
-- name: release_put
INSERT INTO releases (digest, configured, activated_ms, activation, blueprint)
VALUES (?, ?, 0, 0, ?) ON CONFLICT (digest) DO UPDATE SET configured = excluded.configured
-- name: release_activate
UPDATE releases SET activated_ms = ?, activation = ? WHERE digest = ?
-- name: release_get
SELECT blueprint FROM releases WHERE digest = ?
-- name: release_active
SELECT digest, blueprint FROM releases WHERE activation > 0 ORDER BY activation DESC LIMIT 1
-- name: release_newest
SELECT digest, blueprint FROM releases ORDER BY configured DESC LIMIT 1
-- name: releases_lately
SELECT blueprint FROM releases WHERE activation > 0 ORDER BY activation DESC LIMIT ?
-- name: releases_list
SELECT digest, activated_ms, blueprint FROM releases ORDER BY activation DESC, configured DESC
-- name: release_delete
DELETE FROM releases WHERE digest = ?
-- name: indexes_all
SELECT id, tbl, name, definition, ready, dropped FROM indexes ORDER BY id
-- name: index_add
INSERT INTO indexes (tbl, name, definition, ready) VALUES (?, ?, ?, ?) RETURNING id
-- name: index_drop
UPDATE indexes SET dropped = 1, ready = 0 WHERE id = ?
-- name: index_forget
DELETE FROM indexes WHERE id = ?
-- name: index_position
SELECT at_pk, at_sk FROM indexes WHERE id = ?
-- name: index_moved
UPDATE indexes SET at_pk = ?, at_sk = ?, ready = ? WHERE id = ?
-- name: items_some
SELECT 1 FROM items WHERE tbl = ? LIMIT ?
-- name: table_left
SELECT count(*) FROM items WHERE tbl = ?1 AND (pk, sk) > (?2, ?3)

-- name: item_get
SELECT body, version, expires_ms FROM items WHERE tbl = ? AND pk = ? AND sk = ?
-- name: item_row
SELECT id, version, writer, expires_ms, body FROM items WHERE tbl = ? AND pk = ? AND sk = ?
-- name: item_head
SELECT id, version, writer, expires_ms, x'' FROM items WHERE tbl = ? AND pk = ? AND sk = ?
-- name: item_put
INSERT INTO items (id, tbl, pk, sk, version, writer, expires_ms, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (tbl, pk, sk) DO UPDATE SET version = excluded.version,
    writer = excluded.writer, expires_ms = excluded.expires_ms, body = excluded.body
-- name: item_update
UPDATE items SET version = ?, writer = ?, expires_ms = ?, body = ? WHERE id = ?
-- name: item_delete
DELETE FROM items WHERE id = ?
-- name: entry_add
INSERT OR REPLACE INTO entries (idx, key, sort, pk, sk, item) VALUES (?, ?, ?, ?, ?, ?)
-- name: entry_delete
DELETE FROM entries WHERE idx = ? AND key = ? AND sort = ? AND pk = ? AND sk = ?
-- name: items_page
SELECT pk, sk, body, version FROM items
WHERE tbl = ? AND pk = ? AND sk >= ? AND sk < ? AND (expires_ms IS NULL OR expires_ms > ?)
ORDER BY sk LIMIT ?
-- name: items_page_descending
SELECT pk, sk, body, version FROM items
WHERE tbl = ? AND pk = ? AND sk >= ? AND sk < ? AND (expires_ms IS NULL OR expires_ms > ?)
ORDER BY sk DESC LIMIT ?
-- name: entries_page
SELECT i.pk, i.sk, i.body, i.version, e.sort FROM entries e CROSS JOIN items i ON i.id = e.item
WHERE e.idx = ? AND e.key = ? AND (e.sort, e.pk, e.sk) > (?, ?, ?) AND e.sort < ?
AND (i.expires_ms IS NULL OR i.expires_ms > ?)
ORDER BY e.sort, e.pk, e.sk LIMIT ?
-- name: entries_page_descending
SELECT i.pk, i.sk, i.body, i.version, e.sort FROM entries e CROSS JOIN items i ON i.id = e.item
WHERE e.idx = ? AND e.key = ? AND e.sort >= ? AND (e.sort, e.pk, e.sk) < (?, ?, ?)
AND (i.expires_ms IS NULL OR i.expires_ms > ?)
ORDER BY e.sort DESC, e.pk DESC, e.sk DESC LIMIT ?
-- name: items_walk
SELECT id, pk, sk, body FROM items WHERE tbl = ? AND (pk, sk) > (?, ?) ORDER BY pk, sk LIMIT ?
-- name: items_expired
SELECT id, tbl, pk, sk, body FROM items WHERE expires_ms <= ? ORDER BY expires_ms LIMIT ?
-- name: entries_of
SELECT key, sort, pk, sk FROM entries WHERE idx = ? LIMIT ?

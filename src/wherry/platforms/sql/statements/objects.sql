-- name: object_get
SELECT key, blob, size_bytes, sha256, media_type, metadata, created_ms FROM objects
WHERE bucket = ? AND key = ?
-- name: object_put
INSERT INTO objects (bucket, key, blob, size_bytes, sha256, media_type, metadata, created_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bucket, key) DO UPDATE SET
    blob = excluded.blob, size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
    media_type = excluded.media_type, metadata = excluded.metadata,
    created_ms = excluded.created_ms
-- name: object_delete
DELETE FROM objects WHERE bucket = ? AND key = ?
-- name: objects_page
SELECT key, blob, size_bytes, sha256, media_type, metadata, created_ms FROM objects
WHERE bucket = ? AND key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?
-- name: garbage_add
INSERT INTO garbage (bucket, blob, since_ms) VALUES (?, ?, ?)
-- name: garbage_old
SELECT id, bucket, blob, since_ms FROM garbage ORDER BY id LIMIT ?
-- name: garbage_delete
DELETE FROM garbage WHERE id = ?
-- name: garbage_used
DELETE FROM garbage WHERE blob = ? AND bucket = ?
-- name: blob_object
SELECT 1 FROM objects WHERE blob = ? AND bucket = ?
-- name: blob_garbage
SELECT 1 FROM garbage WHERE blob = ? AND bucket = ?

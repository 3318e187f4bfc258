-- name: item_get
SELECT c.version AS catalog, i.body, i.version FROM catalog c LEFT JOIN items i
ON i.tbl = $1 AND i.pk = $2 AND i.sk = $3 AND (i.expires_ms IS NULL OR i.expires_ms > now_ms())
-- name: items_page
SELECT * FROM (
    SELECT p.*, count(*) OVER () AS total, row_number() OVER w AS nth,
        sum(octet_length(pk) + octet_length(sk) + octet_length(body)) OVER w AS size
    FROM (SELECT pk_whole, pk, sk, body, version FROM items
          WHERE tbl = $1 AND pk = $2 AND sk >= $3 AND sk < $4
              AND (expires_ms IS NULL OR expires_ms > now_ms())
          ORDER BY sk LIMIT $5) p
    WINDOW w AS (ORDER BY sk ROWS UNBOUNDED PRECEDING)) t
WHERE size <= $6 OR nth = 1 ORDER BY nth
-- name: items_page_descending
SELECT * FROM (
    SELECT p.*, count(*) OVER () AS total, row_number() OVER w AS nth,
        sum(octet_length(pk) + octet_length(sk) + octet_length(body)) OVER w AS size
    FROM (SELECT pk_whole, pk, sk, body, version FROM items
          WHERE tbl = $1 AND pk = $2 AND sk >= $3 AND sk < $4
              AND (expires_ms IS NULL OR expires_ms > now_ms())
          ORDER BY sk DESC LIMIT $5) p
    WINDOW w AS (ORDER BY sk DESC ROWS UNBOUNDED PRECEDING)) t
WHERE size <= $6 OR nth = 1 ORDER BY nth
-- name: entries_page
SELECT * FROM (
    SELECT p.*, count(*) OVER () AS total, row_number() OVER w AS nth,
        sum(octet_length(pk) + octet_length(sk) + octet_length(body)) OVER w AS size
    FROM (SELECT i.pk_whole, i.pk, i.sk, i.body, i.version, e.sort FROM entries e
          CROSS JOIN LATERAL (
              SELECT * FROM items WHERE tbl = $9 AND pk = e.pk AND sk = e.sk OFFSET 0) i
          WHERE e.idx = $1 AND e.key = $2 AND (e.sort, e.pk, e.sk) > ($3, $4, $5) AND e.sort < $6
              AND (i.expires_ms IS NULL OR i.expires_ms > now_ms())
          ORDER BY e.sort, e.pk, e.sk LIMIT $7) p
    WINDOW w AS (ORDER BY sort, pk, sk ROWS UNBOUNDED PRECEDING)) t
WHERE size <= $8 OR nth = 1 ORDER BY nth
-- name: entries_page_descending
SELECT * FROM (
    SELECT p.*, count(*) OVER () AS total, row_number() OVER w AS nth,
        sum(octet_length(pk) + octet_length(sk) + octet_length(body)) OVER w AS size
    FROM (SELECT i.pk_whole, i.pk, i.sk, i.body, i.version, e.sort FROM entries e
          CROSS JOIN LATERAL (
              SELECT * FROM items WHERE tbl = $9 AND pk = e.pk AND sk = e.sk OFFSET 0) i
          WHERE e.idx = $1 AND e.key = $2 AND e.sort >= $6 AND (e.sort, e.pk, e.sk) < ($3, $4, $5)
              AND (i.expires_ms IS NULL OR i.expires_ms > now_ms())
          ORDER BY e.sort DESC, e.pk DESC, e.sk DESC LIMIT $7) p
    WINDOW w AS (ORDER BY sort DESC, pk DESC, sk DESC ROWS UNBOUNDED PRECEDING)) t
WHERE size <= $8 OR nth = 1 ORDER BY nth
-- name: reply_get
-- What is told to a caller by reading it is what a synchronous standby has: `wait_for_standby`.
SELECT fingerprint, body, CASE WHEN current_setting('synchronous_standby_names') <> ''
    THEN pg_logical_emit_message(true, 'wherry', '') END
FROM replies WHERE key = $1 AND expires_ms > now_ms()
-- name: object_get
SELECT key, blob, size_bytes, sha256, media_type, metadata, created_ms FROM objects
WHERE bucket = $1 AND key = $2
-- name: objects_page
SELECT key, blob, size_bytes, sha256, media_type, metadata, created_ms FROM objects
WHERE bucket = $1 AND key > $2 AND key >= $3 AND key < $4 ORDER BY key LIMIT $5
-- name: items_stored
SELECT now_ms() AS a_now, array(
    SELECT ROW(k.nth, i.version, i.expires_ms, i.body)
    FROM unnest($1::integer[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS k (tbl, pk, sk, nth)
    CROSS JOIN LATERAL (SELECT version, expires_ms, body FROM items
        WHERE tbl = k.tbl AND pk = k.pk AND sk = k.sk OFFSET 0) i) AS rows
-- name: objects_stored
SELECT o.bucket, o.key, blob, size_bytes, sha256, media_type, metadata, created_ms
FROM unnest($1::integer[], $2::bytea[]) AS k (bucket, key)
CROSS JOIN LATERAL (
    SELECT * FROM objects WHERE bucket = k.bucket AND key = k.key OFFSET 0) o
-- name: one_snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY

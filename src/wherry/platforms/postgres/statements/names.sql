-- name: catalog_version
SELECT version FROM catalog
-- name: catalog_changed
UPDATE catalog SET version = version + 1 RETURNING version
-- name: names_all
SELECT kind, name, id, keyed FROM names
-- name: names_add
INSERT INTO names (kind, name) SELECT * FROM unnest($1::text[], $2::text[])
ON CONFLICT (kind, name) DO NOTHING
-- name: tables_keyed
UPDATE names n SET keyed = u.keyed FROM unnest($1::text[], $2::text[]) u (name, keyed)
WHERE n.kind = 'table' AND n.name = u.name AND n.keyed IS DISTINCT FROM u.keyed
-- name: release_put
INSERT INTO releases (digest, configured, blueprint) VALUES ($1, nextval('numbers'), $2)
-- name: release_again
UPDATE releases SET configured = nextval('numbers') WHERE digest = $1
-- name: release_activate
UPDATE releases SET activated_ms = now_ms(), activation = nextval('numbers'),
    chosen = CASE WHEN $2 OR greatest(chosen, activation) = 0 THEN nextval('numbers')
        ELSE coalesce(nullif(chosen, 0), activation) END
WHERE digest = $1
-- name: release_stays
SELECT EXISTS (
    SELECT 1 FROM releases asked, releases newer
    WHERE asked.digest = $2 AND asked.activation > 0
    AND coalesce(nullif(asked.chosen, 0), asked.activation)
        < coalesce(nullif(newer.chosen, 0), newer.activation)
    AND EXISTS (
        SELECT 1 FROM state WHERE expires_ms > now_ms() AND (
            starts_with(key, $3) AND value = convert_to(newer.digest, 'UTF8')
            OR newer.digest = $1 AND starts_with(key, $4)
                AND substring(value FROM 1 FOR length($5::bytea)) <> $5::bytea))
)
-- name: release_due
WITH active AS (
    SELECT digest, coalesce(nullif(chosen, 0), activation) AS chosen
    FROM releases ORDER BY activation DESC LIMIT 1
), mine AS (
    SELECT coalesce(nullif(chosen, 0), activation) AS chosen FROM releases WHERE digest = $1
), alive AS (
    SELECT key, value FROM state WHERE expires_ms > now_ms()
)
SELECT $1 <> '' AND $1 <> active.digest AND (
    NOT EXISTS (SELECT 1 FROM mine)  -- a standby that took over never had it
    OR EXISTS (
        SELECT 1 FROM mine
        WHERE (mine.chosen > active.chosen OR $5 AND NOT EXISTS (
            SELECT 1 FROM alive WHERE starts_with(key, $2)
                AND value = convert_to(active.digest, 'UTF8')
                OR starts_with(key, $3)
                    AND substring(value FROM 1 FOR length($4::bytea)) <> $4::bytea))
        AND NOT EXISTS (
            SELECT 1 FROM releases newer JOIN alive
                ON starts_with(alive.key, $2) AND alive.value = convert_to(newer.digest, 'UTF8')
            WHERE coalesce(nullif(newer.chosen, 0), newer.activation) > mine.chosen))
) AS due, active.digest AS active
FROM active
-- name: releases_digests
SELECT digest, activation FROM releases ORDER BY configured
-- name: releases_read
SELECT digest, blueprint FROM releases WHERE digest = ANY ($1::text[])
-- name: releases_lately
SELECT digest FROM releases WHERE activation > 0 ORDER BY activation DESC LIMIT $1
-- name: releases_list
SELECT digest, activated_ms, blueprint FROM releases ORDER BY activation DESC, configured DESC
-- name: releases_served
SELECT convert_from(value, 'UTF8') FROM state WHERE starts_with(key, $1) AND expires_ms > now_ms()
-- name: release_delete
DELETE FROM releases WHERE digest = $1
-- name: indexes_all
SELECT id, tbl, name, definition, ready, dropped FROM indexes ORDER BY id
-- name: index_add
INSERT INTO indexes (tbl, name, definition, ready)
VALUES ($1, $2, $3, NOT EXISTS (
    SELECT 1 FROM items WHERE tbl = $1 AND expires_ms IS DISTINCT FROM 0))
-- name: index_drop
UPDATE indexes SET dropped = true, ready = false WHERE id = $1
-- name: index_forget
DELETE FROM indexes WHERE id = $1
-- name: index_position
SELECT at_pk, at_sk FROM indexes WHERE id = $1 FOR UPDATE
-- name: index_moved
UPDATE indexes SET at_pk = $1, at_sk = $2 WHERE id = $3
-- name: index_ready
UPDATE indexes SET ready = true WHERE id = $1 AND NOT dropped
-- name: items_some
SELECT count(*) FROM (
    SELECT 1 FROM items WHERE tbl = $1 AND expires_ms IS DISTINCT FROM 0 LIMIT $2) s
-- name: table_left
SELECT count(*) FROM items i JOIN indexes x ON x.id = $1
WHERE i.tbl = x.tbl AND (i.pk, i.sk) > (x.at_pk, x.at_sk) AND i.expires_ms IS DISTINCT FROM 0
-- name: items_walk
SELECT pk, sk, coalesce(pk_whole, pk) AS whole, version, body FROM items
WHERE tbl = $1 AND (pk, sk) > ($2, $3) AND expires_ms IS DISTINCT FROM 0 ORDER BY pk, sk LIMIT $4
-- name: items_between
SELECT pk, sk, version, body FROM items
WHERE tbl = $1 AND (pk, sk) > ($2, $3) AND (pk, sk) <= ($4, $5) AND expires_ms IS DISTINCT FROM 0
-- name: index_fill
WITH found AS (
    SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bytea[], $5::bytea[])
        AS u (pk, sk, version, key, sort)
), marked AS (
    UPDATE items i SET entries = i.entries || ROW($6::integer, f.key, f.sort)::entry FROM found f
    WHERE i.tbl = $7 AND i.pk = f.pk AND i.sk = f.sk AND i.version = f.version
        AND ROW($6::integer, f.key, f.sort)::entry <> ALL (i.entries)
    RETURNING f.key, f.sort, i.pk, i.sk
)
INSERT INTO entries (idx, key, sort, pk, sk) SELECT $6::integer, key, sort, pk, sk FROM marked
ON CONFLICT DO NOTHING
-- name: entries_delete
DELETE FROM entries WHERE ctid = ANY (ARRAY(SELECT ctid FROM entries WHERE idx = $1 LIMIT $2))
-- name: queues_forget
DELETE FROM queues WHERE id <> ALL ($1::integer[])
-- name: queue_put
INSERT INTO queues (id, consumer, active, fifo, fair, blocks, max_attempts, retention_ms, paused,
    kept_ms, payloads, payloads_name, kept, tasks)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (id) DO UPDATE SET consumer = excluded.consumer, active = excluded.active,
    fifo = excluded.fifo, fair = excluded.fair, blocks = excluded.blocks,
    max_attempts = excluded.max_attempts, retention_ms = excluded.retention_ms,
    paused = excluded.paused, kept_ms = excluded.kept_ms, payloads = excluded.payloads,
    payloads_name = excluded.payloads_name, kept = excluded.kept, tasks = excluded.tasks
-- name: pauses_all
SELECT function, since_ms, actor, resumed_ms FROM pauses ORDER BY function
-- name: pause_put
INSERT INTO pauses (function, since_ms, actor, resumed_ms)
SELECT $1, n, $2, CASE WHEN $3::boolean THEN NULL ELSE n END FROM now_ms() n
ON CONFLICT (function) DO UPDATE SET since_ms = excluded.since_ms, actor = excluded.actor,
    resumed_ms = excluded.resumed_ms
-- name: pauses_over
DELETE FROM pauses WHERE resumed_ms <= now_ms() - $1::bigint RETURNING function

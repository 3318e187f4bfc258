-- A commit: one call, one transaction, one round trip. All locks are taken first, in the order of
-- their keys, so that two commits never wait for each other; then everything is checked, and
-- nothing is written before the last check has passed.
--
-- Keys are locked by advisory locks, and not by locking rows: they hold for keys that are absent
-- too, write nothing to the log, and leave nothing to be vacuumed.

CREATE TYPE lock_key AS (key bigint, alone boolean);
CREATE TYPE guard AS (tbl integer, pk bytea, sk bytea, version bigint);
-- `kind` 0: write; 1: if absent; 2: if present; 3: if its row is still `seen` (0: there was none);
-- 4, 5: if it is still `seen` (null: whatever it is), the verdict is "unmet", "rejected": that was
-- worked out from it.
-- `body` null: it goes. `pk_whole` null: that is `pk`. `entries` null: its table has no index.
CREATE TYPE change AS (
    tbl integer, pk bytea, sk bytea, pk_whole bytea, kind integer, seen bigint, body bytea,
    expires_ms bigint, entries entry[]
);
-- `blob` null: it goes. `seen`: the blob that was read ('' none; null: it was not read).
CREATE TYPE object_change AS (
    bucket integer, name text, key bytea, blob text, size_bytes bigint, sha256 text,
    media_type text, metadata bytea, if_absent boolean, seen text
);
CREATE TYPE cancel AS (queue integer, id text);
-- `tail` 0: the body is whole; 1: the time is to follow; 2: the time, and the version of the
-- change with number `change` (0: a new one). `grp` null: its queue has no groups. `wanted`: the
-- engine has a place for it.
CREATE TYPE send AS (
    queue integer, id text, body bytea, delay_ms bigint, retention_ms bigint, grp text, dedup text,
    tail integer, change integer, wanted boolean
);
CREATE TYPE ack AS (id text, token bigint);
CREATE TYPE reply AS (key text, fingerprint text, body bytea, keep_ms bigint);
CREATE TYPE run AS (
    number bigint, at_ms bigint, correlation text, traceparent text, function text,
    request_id text, body bytea, sent text[]
);
-- Places that an engine has for messages of a queue. Before `since` it has seen that none waits.
CREATE TYPE room AS (queue integer, places integer, since bigint);
CREATE TYPE born AS (id text, token bigint, body bytea);

-- Take locks, which are in the order of their keys; those of groups among them. The catalog's
-- comes first: it keeps still meanwhile.
CREATE FUNCTION take_locks(locks lock_key[], groups bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF cardinality(groups) > 0 THEN
        SELECT array_agg(ROW(l.key, l.alone)::lock_key ORDER BY l.key) INTO locks
        FROM (SELECT u.key, bool_or(u.alone) AS alone
              FROM (SELECT key, alone FROM unnest(locks)
                    UNION ALL SELECT key, true FROM unnest(groups) g (key)) u
              GROUP BY u.key) l;
    END IF;
    PERFORM CASE WHEN u.alone THEN pg_advisory_xact_lock(u.key)
                 ELSE pg_advisory_xact_lock_shared(u.key) END
    FROM unnest(locks) u;
END $$;

-- The end of a body that only the store knows: when it was sent, and the version of the item.
CREATE FUNCTION closed(s send, versions bigint[], a_now bigint) RETURNS bytea LANGUAGE plpgsql AS $$
BEGIN
    RETURN s.body || convert_to(',"at_ms":' || a_now || CASE
        WHEN s.tail = 1 THEN '}'
        WHEN s.change = 0 THEN ',"version":' || nextval('numbers') || '}'
        ELSE ',"version":' || versions[s.change] || '}' END, 'UTF8');
END $$;

CREATE FUNCTION add_record(r run) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO records (number, at_ms, correlation, function, request_id, body, sent)
    VALUES (r.number, r.at_ms, r.correlation, r.function, r.request_id, r.body, r.sent)
    ON CONFLICT (number) DO NOTHING;
END $$;

-- Write or delete one item, and its rows in `entries`; return its new version. Its lock is held.
-- `is_new`: it is known that nothing stands there.
CREATE FUNCTION put_item(c change, a_writer bigint, is_new boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    old entry[] := '{}';
    new entry[] := coalesce(c.entries, '{}');
    e entry;
    new_version bigint := nextval('numbers');
BEGIN
    IF c.entries IS NOT NULL AND NOT is_new THEN
        SELECT entries INTO old FROM items WHERE tbl = c.tbl AND pk = c.pk AND sk = c.sk;
    END IF;
    IF c.body IS NULL THEN
        UPDATE items SET version = new_version, writer = a_writer, expires_ms = 0, body = '',
            entries = '{}'
        WHERE tbl = c.tbl AND pk = c.pk AND sk = c.sk AND expires_ms IS DISTINCT FROM 0;
    ELSE
        INSERT INTO items (tbl, pk, sk, pk_whole, version, writer, expires_ms, body, entries)
        VALUES (c.tbl, c.pk, c.sk, c.pk_whole, new_version, a_writer, c.expires_ms, c.body, new)
        ON CONFLICT (tbl, pk, sk) DO UPDATE SET version = excluded.version,
            writer = excluded.writer, expires_ms = excluded.expires_ms, body = excluded.body,
            entries = excluded.entries;
    END IF;
    IF cardinality(old) > 0 THEN
        FOREACH e IN ARRAY old LOOP
            IF e <> ALL (new) THEN
                DELETE FROM entries WHERE idx = e.idx AND key = e.key AND sort = e.sort
                    AND pk = c.pk AND sk = c.sk;
            END IF;
        END LOOP;
    END IF;
    FOREACH e IN ARRAY new LOOP
        INSERT INTO entries (idx, key, sort, pk, sk) VALUES (e.idx, e.key, e.sort, c.pk, c.sk)
        ON CONFLICT DO NOTHING;
    END LOOP;
    RETURN new_version;
END $$;

CREATE FUNCTION put_object(o object_change, a_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old_blob text;
BEGIN
    IF o.blob IS NULL THEN
        PERFORM remove_object(o.bucket, o.name, o.key, a_now);
        RETURN;
    END IF;
    SELECT blob INTO old_blob FROM objects WHERE bucket = o.bucket AND key = o.key;
    IF old_blob <> o.blob THEN
        INSERT INTO garbage (bucket, blob, since_ms) VALUES (o.name, old_blob, a_now);
    END IF;
    DELETE FROM garbage WHERE blob = o.blob AND bucket = o.name;
    INSERT INTO objects (bucket, key, blob, size_bytes, sha256, media_type, metadata, created_ms)
    VALUES (o.bucket, o.key, o.blob, o.size_bytes, o.sha256, o.media_type, o.metadata, a_now)
    ON CONFLICT (bucket, key) DO UPDATE SET blob = excluded.blob,
        size_bytes = excluded.size_bytes, sha256 = excluded.sha256,
        media_type = excluded.media_type, metadata = excluded.metadata,
        created_ms = excluded.created_ms;
END $$;

-- Whether a message that is due waits in a queue, as far as one can be there since `a_since`.
CREATE FUNCTION is_waited_for(a_queue integer, a_since bigint, a_now bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (
        SELECT 1 FROM messages WHERE queue = a_queue AND NOT parked AND due_ms >= a_since
            AND due_ms <= a_now AND leased_until <= a_now);
END $$;

-- Add messages of queues without groups, all at once. One that waits, runs or has failed is not
-- added. Who wants one may have it at once if nothing of its queue is due before it.
CREATE FUNCTION send_plain(
    sends send[], rooms room[], who text, lease_ms bigint, a_correlation text, a_traceparent text,
    versions bigint[], a_now bigint,
    OUT leased born[], OUT queues_ integer[], OUT dues bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    r room;
    free integer[] := '{}';
BEGIN
    FOREACH r IN ARRAY rooms LOOP
        IF NOT is_waited_for(r.queue, r.since, a_now) THEN
            free := free || r.queue;
        END IF;
    END LOOP;
    WITH added AS (
        INSERT INTO messages (id, queue, parked, due_ms, seq, token, leased_until, owner, attempts,
            redrives, sent_ms, started_ms, expires_ms, correlation, traceparent, error, body)
        SELECT s.id, s.queue, false, a_now + s.delay_ms, s.seq,
            CASE WHEN s.leased THEN s.seq ELSE 0 END,
            CASE WHEN s.leased THEN a_now + lease_ms ELSE 0 END,
            CASE WHEN s.leased THEN who ELSE '' END, s.leased::integer, 0, a_now,
            CASE WHEN s.leased THEN a_now ELSE 0 END, a_now + s.delay_ms + s.retention_ms,
            a_correlation, a_traceparent, '',
            CASE WHEN s.tail = 0 THEN s.body ELSE closed(s.whole, versions, a_now) END
        FROM (SELECT u.*, u AS whole, nextval('numbers') AS seq,
                  u.wanted AND u.queue = ANY (free) AS leased
              FROM unnest(sends) u) s
        WHERE NOT EXISTS (SELECT 1 FROM failures f WHERE f.id = s.id)
        ON CONFLICT (id) DO NOTHING
        RETURNING id, queue, token, due_ms, body
    )
    SELECT array_agg(ROW(id, token, body)::born) FILTER (WHERE token > 0),
        array_agg(queue) FILTER (WHERE token = 0), array_agg(due_ms) FILTER (WHERE token = 0)
    INTO leased, queues_, dues FROM added;
END $$;

-- Add a message of a queue with groups, or of a paused one. The group's lock is held.
-- `token`: it was born leased to `lessee`. `due`: it waits, and may be claimed then.
-- `woken`: another one of its key comes, due then.
CREATE FUNCTION send_apart(
    s send, a_correlation text, a_traceparent text, lessee text, a_since bigint, lease_ms bigint,
    a_now bigint, OUT born_token bigint, OUT due bigint, OUT woken bigint
) LANGUAGE plpgsql AS $$
DECLARE
    q queues;
    is_parked boolean := false;
    a_due bigint := a_now + s.delay_ms;
    a_place bigint;
    a_seq bigint;
    head record;
    leased boolean;
BEGIN
    IF EXISTS (SELECT 1 FROM failures WHERE id = s.id)
        OR EXISTS (SELECT 1 FROM messages WHERE id = s.id) THEN
        RETURN;
    END IF;
    SELECT * INTO q FROM queues WHERE id = s.queue;
    IF q.fifo AND s.dedup <> '' THEN
        INSERT INTO dedups (queue, dedup, expires_ms) VALUES (s.queue, s.dedup, a_now + 300000)
        ON CONFLICT (queue, dedup) DO UPDATE SET expires_ms = excluded.expires_ms
        WHERE dedups.expires_ms <= a_now;
        IF NOT FOUND THEN
            PERFORM drop_payload(s.queue, s.body, a_now);
            RETURN;
        END IF;
    END IF;
    a_seq := nextval('numbers');
    IF s.grp IS NOT NULL AND q.fifo THEN
        a_place := a_seq;
        is_parked := EXISTS (SELECT 1 FROM messages WHERE queue = s.queue AND grp = s.grp)
            OR is_blocked(s.queue, s.grp, a_seq);
    ELSIF s.grp IS NOT NULL THEN
        a_place := a_due;
        SELECT id, place INTO head FROM messages
        WHERE queue = s.queue AND grp = s.grp AND NOT parked AND token = 0
        ORDER BY place LIMIT 1 FOR UPDATE;
        IF FOUND AND head.place <= a_due THEN
            is_parked := true;
        ELSIF FOUND THEN
            UPDATE messages SET parked = true WHERE id = head.id;
        END IF;
    END IF;
    leased := s.wanted AND NOT is_parked AND NOT coalesce(q.paused, false)
        AND NOT is_waited_for(s.queue, a_since, a_now);
    INSERT INTO messages (id, queue, parked, due_ms, seq, token, leased_until, owner, attempts,
        redrives, sent_ms, started_ms, expires_ms, place, grp, correlation, traceparent, error,
        body)
    VALUES (s.id, s.queue, is_parked, a_due, a_seq, CASE WHEN leased THEN a_seq ELSE 0 END,
        CASE WHEN leased THEN a_now + lease_ms ELSE 0 END, CASE WHEN leased THEN lessee ELSE '' END,
        leased::integer, 0, a_now, CASE WHEN leased THEN a_now ELSE 0 END,
        a_due + s.retention_ms, a_place, s.grp, a_correlation, a_traceparent, '', s.body)
    ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF leased THEN
        born_token := a_seq;
        IF s.grp IS NOT NULL AND NOT q.fifo THEN  -- it has had its turn: the next one comes
            woken := settle(s.queue, s.grp, a_now);
        END IF;
    ELSIF NOT is_parked AND NOT coalesce(q.paused, false) THEN
        due := a_due;
    END IF;
END $$;

CREATE FUNCTION commit_run(
    known_catalog bigint, locks lock_key[], guards guard[], changes change[],
    objects_ object_change[], cancels cancel[], plain send[], apart send[], acks ack[],
    replies_ reply[], r run, others run[], duplicate bytea, rooms room[], who text,
    lease_ms bigint, in_groups boolean,
    OUT verdict text, OUT at_number integer, OUT texts text[], OUT stored bytea, OUT a_now bigint,
    OUT leased born[], OUT woken_queues integer[], OUT woken_dues bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    row_ record;
    g guard;
    c change;
    o object_change;
    x cancel;
    s send;
    a ack;
    p reply;
    sent record;
    groups bigint[] := '{}';
    number_ integer;
    versions bigint[] := '{}';
    unused boolean[] := '{}';
    taken integer[] := '{}';
    free room;
    still boolean;
BEGIN
    IF in_groups THEN
        SELECT coalesce(array_agg(group_key(u.queue, u.grp)), '{}') INTO groups FROM (
            SELECT queue, grp FROM messages
            WHERE id = ANY (ARRAY(
                    SELECT id FROM unnest(acks) UNION ALL SELECT id FROM unnest(cancels)))
                AND grp IS NOT NULL
            UNION ALL SELECT queue, grp FROM unnest(apart) WHERE grp IS NOT NULL) u;
    END IF;
    PERFORM take_locks(locks, groups);
    -- Was it applied before?
    SELECT now_ms() AS now_, version, d.request_id INTO row_
    FROM catalog LEFT JOIN records d ON d.number = r.number;
    a_now := row_.now_;
    IF row_.request_id IS NOT NULL THEN
        verdict := CASE WHEN row_.request_id = r.request_id THEN 'known' ELSE 'other' END;
        IF cardinality(replies_) > 0 THEN
            SELECT ARRAY[fingerprint], body INTO texts, stored FROM replies
            WHERE key = (replies_[1]).key AND expires_ms > a_now;
        END IF;
        RETURN;
    END IF;
    IF row_.version <> known_catalog THEN
        verdict := 'catalog';
        RETURN;
    END IF;
    -- Is the work still ours?
    FOREACH a IN ARRAY acks LOOP
        PERFORM 1 FROM messages WHERE id = a.id AND token = a.token AND leased_until > a_now
        FOR UPDATE;
        IF NOT FOUND THEN
            verdict := 'lost';
            texts := texts || a.id;
        END IF;
    END LOOP;
    IF verdict IS NOT NULL THEN
        RETURN;
    END IF;
    FOREACH p IN ARRAY replies_ LOOP
        SELECT fingerprint, body INTO row_ FROM replies WHERE key = p.key AND expires_ms > a_now;
        IF FOUND THEN
            verdict := 'already';
            texts := ARRAY[row_.fingerprint, p.key];
            stored := row_.body;
            IF cardinality(acks) = 1 THEN
                SELECT array_agg(f.of_queue), array_agg(f.woken) INTO woken_queues, woken_dues
                FROM finish(acks[1].id, a_now) f WHERE f.woken IS NOT NULL;
                r.body := duplicate;
                r.sent := NULL;
                PERFORM add_record(r);
            END IF;
            RETURN;
        END IF;
    END LOOP;
    -- Does what it saw still hold, and its conditions?
    number_ := 0;
    FOREACH g IN ARRAY guards LOOP
        number_ := number_ + 1;
        SELECT version, writer, coalesce(expires_ms > a_now, true) AS live INTO row_ FROM items
        WHERE tbl = g.tbl AND pk = g.pk AND sk = g.sk;
        still := CASE WHEN FOUND AND row_.live THEN row_.version = g.version ELSE g.version = 0 END;
        IF NOT still THEN
            verdict := 'conflict';
            at_number := number_;
            SELECT ARRAY[function, request_id] INTO texts FROM records WHERE number = row_.writer;
            RETURN;
        END IF;
    END LOOP;
    number_ := 0;
    FOREACH c IN ARRAY changes LOOP
        number_ := number_ + 1;
        still := false;
        IF c.kind > 0 THEN
            SELECT version, coalesce(expires_ms > a_now, true) AS live INTO row_ FROM items
            WHERE tbl = c.tbl AND pk = c.pk AND sk = c.sk;
            IF c.kind >= 3 AND coalesce(row_.version, 0) <> c.seen THEN
                verdict := 'stale';
            ELSIF c.kind >= 4 THEN
                verdict := CASE WHEN c.kind = 4 THEN 'unmet' ELSE 'rejected' END;
            ELSIF c.kind < 3 AND coalesce(row_.live, false) <> (c.kind = 2) THEN
                verdict := 'unmet';
            END IF;
            IF verdict IS NOT NULL THEN
                at_number := number_;
                RETURN;
            END IF;
            still := row_.version IS NULL;
        END IF;
        unused := unused || still;
    END LOOP;
    number_ := 0;
    FOREACH o IN ARRAY objects_ LOOP
        number_ := number_ + 1;
        IF o.if_absent OR o.seen IS NOT NULL THEN
            SELECT blob INTO row_ FROM objects WHERE bucket = o.bucket AND key = o.key;
            IF o.if_absent AND FOUND THEN
                verdict := 'object';
            ELSIF o.seen IS NOT NULL AND coalesce(row_.blob, '') <> o.seen THEN
                verdict := 'stale';
            END IF;
            IF verdict IS NOT NULL THEN
                at_number := number_;
                RETURN;
            END IF;
        END IF;
    END LOOP;

    -- Everything is applied.
    verdict := 'done';
    FOREACH a IN ARRAY acks LOOP
        SELECT * INTO row_ FROM finish(a.id, a_now);
        IF row_.woken IS NOT NULL THEN
            woken_queues := woken_queues || row_.of_queue;
            woken_dues := woken_dues || row_.woken;
        END IF;
    END LOOP;
    FOREACH p IN ARRAY replies_ LOOP
        INSERT INTO replies (key, expires_ms, fingerprint, body)
        VALUES (p.key, a_now + p.keep_ms, p.fingerprint, p.body)
        ON CONFLICT (key) DO UPDATE SET expires_ms = excluded.expires_ms,
            fingerprint = excluded.fingerprint, body = excluded.body;
    END LOOP;
    number_ := 0;
    FOREACH c IN ARRAY changes LOOP
        number_ := number_ + 1;
        versions := versions || put_item(c, coalesce(r.number, 0), unused[number_]);
    END LOOP;
    FOREACH x IN ARRAY cancels LOOP
        DELETE FROM messages
        WHERE id = x.id AND queue = x.queue AND leased_until <= a_now
        RETURNING queue, grp, body INTO row_;
        IF FOUND THEN
            PERFORM drop_payload(row_.queue, row_.body, a_now);
            IF row_.grp IS NOT NULL THEN
                woken_dues := woken_dues || settle(row_.queue, row_.grp, a_now);
                woken_queues := woken_queues || row_.queue;
            END IF;
        END IF;
    END LOOP;
    FOREACH o IN ARRAY objects_ LOOP
        PERFORM put_object(o, a_now);
    END LOOP;
    IF r.number IS NOT NULL THEN
        INSERT INTO records (number, at_ms, correlation, function, request_id, body, sent)
        VALUES (r.number, r.at_ms, r.correlation, r.function, r.request_id, r.body, r.sent);
    END IF;
    IF cardinality(others) > 0 THEN
        PERFORM add_record(u) FROM unnest(others) u;
    END IF;
    IF cardinality(plain) > 0 THEN
        SELECT * INTO sent FROM send_plain(plain, rooms, who, lease_ms, r.correlation,
            r.traceparent, versions, a_now);
        leased := sent.leased;
        woken_queues := woken_queues || sent.queues_;
        woken_dues := woken_dues || sent.dues;
    END IF;
    FOREACH s IN ARRAY apart LOOP
        IF s.tail > 0 THEN
            s.body := closed(s, versions, a_now);
        END IF;
        free := NULL;
        IF s.wanted THEN
            SELECT * INTO free FROM unnest(rooms) u
            WHERE u.queue = s.queue AND u.places > cardinality(array_positions(taken, s.queue));
            s.wanted := FOUND;
        END IF;
        SELECT * INTO sent FROM send_apart(
            s, r.correlation, r.traceparent, who, free.since, lease_ms, a_now);
        IF sent.born_token IS NOT NULL THEN
            taken := taken || s.queue;
            leased := leased || ROW(s.id, sent.born_token, s.body)::born;
        END IF;
        IF sent.due IS NOT NULL THEN
            woken_queues := woken_queues || s.queue;
            woken_dues := woken_dues || sent.due;
        END IF;
        IF sent.woken IS NOT NULL THEN
            woken_queues := woken_queues || s.queue;
            woken_dues := woken_dues || sent.woken;
        END IF;
    END LOOP;
END $$;

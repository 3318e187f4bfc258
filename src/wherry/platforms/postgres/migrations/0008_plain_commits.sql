-- The commit of most runs, in few statements.
--
-- `commit_run` can do everything, and what it does not do it has to ask for: a function sets up
-- each of its expressions anew in every transaction, which is most of what a commit costs. This one
-- knows items without indexes, messages that are whole and of no group, one message or reply that
-- is acknowledged. Where anything is not as it is mostly (a condition that does not hold, a lease
-- that was lost, a commit that was applied before) it changes nothing and says nothing: `commit_run`
-- is asked then, and tells what it is.

-- `a_now` null: nothing was done.
-- `tokens`: of each message the token that it is leased under; 0: it waits; null: it was there.
CREATE FUNCTION commit_plain(
    known_catalog bigint, locks lock_key[], guards guard[], changes change[], sends send[],
    rooms room[], ack_id text, ack_token bigint, replies_ reply[], r run, who text, lease_ms bigint,
    OUT a_now bigint, OUT tokens bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    holds boolean;
    free integer[];
    s send;
    a_seq bigint;
    a_token bigint;
BEGIN
    PERFORM CASE WHEN u.alone THEN pg_advisory_xact_lock(u.key)
                 ELSE pg_advisory_xact_lock_shared(u.key) END
    FROM unnest(locks) u;
    -- From here on each statement sees all that was committed under these locks.
    SELECT t.now_, c.version = known_catalog AND d.number IS NULL INTO a_now, holds
    FROM (SELECT now_ms() AS now_) t, catalog c LEFT JOIN records d ON d.number = r.number;
    IF holds AND replies_ <> '{}' THEN
        PERFORM 1 FROM replies WHERE key = (replies_[1]).key AND expires_ms > a_now;
        holds := NOT FOUND;
    END IF;
    IF holds AND guards <> '{}' THEN
        PERFORM 1 FROM unnest(guards) g WHERE g.version <> coalesce((
            SELECT i.version FROM items i WHERE i.tbl = g.tbl AND i.pk = g.pk AND i.sk = g.sk
                AND coalesce(i.expires_ms > a_now, true)), 0);
        holds := NOT FOUND;
    END IF;
    IF holds AND changes <> '{}' THEN
        PERFORM 1 FROM unnest(changes) c WHERE c.kind > 0 AND (c.kind = 2) <> coalesce((
            SELECT coalesce(i.expires_ms > a_now, true) FROM items i
            WHERE i.tbl = c.tbl AND i.pk = c.pk AND i.sk = c.sk), false);
        holds := NOT FOUND;
    END IF;
    IF holds AND ack_id IS NOT NULL THEN  -- the last check, and the first change
        DELETE FROM messages
        WHERE id = ack_id AND token = ack_token AND leased_until > a_now AND grp IS NULL
            AND substring(body, 1, 16) <> '{"wherry_claim":'::bytea;
        holds := FOUND;
    END IF;
    IF holds IS NOT TRUE THEN
        a_now := NULL;
        RETURN;
    END IF;
    IF changes <> '{}' THEN
        INSERT INTO items (tbl, pk, sk, pk_whole, version, writer, expires_ms, body)
        SELECT c.tbl, c.pk, c.sk, c.pk_whole, nextval('numbers'), r.number, c.expires_ms, c.body
        FROM unnest(changes) c
        ON CONFLICT (tbl, pk, sk) DO UPDATE SET version = excluded.version,
            writer = excluded.writer, expires_ms = excluded.expires_ms, body = excluded.body,
            entries = excluded.entries;
    END IF;
    INSERT INTO records (number, at_ms, correlation, function, request_id, body, sent)
    VALUES (r.number, r.at_ms, r.correlation, r.function, r.request_id, r.body, r.sent);
    IF replies_ <> '{}' THEN
        INSERT INTO replies (key, expires_ms, fingerprint, body)
        SELECT p.key, a_now + p.keep_ms, p.fingerprint, p.body FROM unnest(replies_) p
        ON CONFLICT (key) DO UPDATE SET expires_ms = excluded.expires_ms,
            fingerprint = excluded.fingerprint, body = excluded.body;
    END IF;
    IF sends = '{}' THEN
        RETURN;
    END IF;
    -- Who wants one has it at once if nothing of its queue is due before it.
    IF rooms <> '{}' THEN
        free := ARRAY(SELECT u.queue FROM unnest(rooms) u WHERE NOT EXISTS (
            SELECT 1 FROM messages m WHERE m.queue = u.queue AND NOT m.parked
                AND m.due_ms >= u.since AND m.due_ms <= a_now AND m.leased_until <= a_now OFFSET 0));
    END IF;
    FOREACH s IN ARRAY sends LOOP
        a_seq := nextval('numbers');
        a_token := CASE WHEN s.wanted AND s.queue = ANY (free) THEN a_seq ELSE 0 END;
        INSERT INTO messages (id, queue, parked, due_ms, seq, token, leased_until, owner, attempts,
            redrives, sent_ms, started_ms, expires_ms, correlation, traceparent, error, body)
        SELECT s.id, s.queue, false, a_now + s.delay_ms, a_seq, a_token,
            CASE WHEN a_token > 0 THEN a_now + lease_ms ELSE 0 END,
            CASE WHEN a_token > 0 THEN who ELSE '' END, (a_token > 0)::integer, 0, a_now,
            CASE WHEN a_token > 0 THEN a_now ELSE 0 END, a_now + s.delay_ms + s.retention_ms,
            r.correlation, r.traceparent, '', s.body
        WHERE NOT EXISTS (SELECT 1 FROM failures f WHERE f.id = s.id)
        ON CONFLICT (id) DO NOTHING;
        tokens := array_append(tokens, CASE WHEN FOUND THEN a_token END);
    END LOOP;
END $$;

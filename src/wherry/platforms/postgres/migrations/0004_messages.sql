-- Messages under lease: claimed in batches, given back, buried. A claim takes what nobody else has
-- under its hands (SKIP LOCKED) and never waits for a lock.

CREATE TYPE claimed AS (
    id text, token bigint, attempt integer, body bytea, sent_ms bigint, due_ms bigint,
    started_ms bigint, correlation text, traceparent text, grp text
);

-- Lease these messages, which this transaction has locked; in the order of the IDs.
CREATE FUNCTION lease(ids text[], who text, lease_ms bigint, a_now bigint) RETURNS claimed[]
LANGUAGE plpgsql AS $$
DECLARE
    found_ claimed[];
BEGIN
    WITH taken AS (
        UPDATE messages m SET token = nextval('numbers'), attempts = attempts + 1, owner = who,
            leased_until = a_now + lease_ms,
            started_ms = CASE WHEN started_ms = 0 THEN a_now ELSE started_ms END,
            error = CASE WHEN token > 0 THEN 'The lease ended without an answer.' ELSE error END
        FROM unnest(ids) WITH ORDINALITY AS u (id, nth)
        WHERE m.id = u.id
        RETURNING u.nth, m.*
    )
    SELECT array_agg(ROW(id, token, attempts, body, sent_ms, due_ms, started_ms, correlation,
        traceparent, grp)::claimed ORDER BY nth) INTO found_ FROM taken;
    RETURN coalesce(found_, '{}');
END $$;

-- Claim up to `most` messages that are due, in the order in which they fell due; of FIFO groups
-- with a `prefix` also what follows the first one. `a_since`: nothing due before it is looked for.
-- `next_due` (-1: none): when the next one falls due, as far as is known.
-- `looked_us`: how long it took to look, in microseconds.
CREATE FUNCTION claim_messages(
    a_queue integer, most integer, who text, prefix integer, a_since bigint, lease_ms bigint,
    max_bytes bigint,
    OUT a_now bigint, OUT messages_ claimed[], OUT next_due bigint, OUT looked_us bigint,
    OUT turns turn[]
) LANGUAGE plpgsql AS $$
DECLARE
    q queues;
    m messages;
    ids text[];
    busy text[] := '{}';
    room integer := most;
    size bigint := 0;
    again boolean := true;
    special boolean;
    batch claimed[];
    one claimed;
    began timestamptz := clock_timestamp();
BEGIN
    a_now := now_ms();
    messages_ := '{}';
    turns := '{}';
    next_due := -1;
    SELECT * INTO q FROM queues WHERE id = a_queue;
    IF q.paused THEN
        RETURN;
    END IF;
    -- As mostly: none of them is of a group, or has been leased before. All are taken at once.
    SELECT array_agg(f.id ORDER BY f.due_ms, f.seq), bool_or(f.grp IS NOT NULL OR f.token > 0),
        sum(f.bytes)
    INTO ids, special, size
    FROM (SELECT id, due_ms, seq, grp, token, octet_length(body) AS bytes FROM messages
          WHERE queue = a_queue AND NOT parked AND due_ms >= a_since AND due_ms <= a_now
              AND leased_until <= a_now
          ORDER BY due_ms, seq LIMIT room FOR UPDATE SKIP LOCKED) f;
    IF ids IS NULL OR NOT special AND size <= max_bytes THEN
        again := false;
        IF ids IS NOT NULL THEN
            messages_ := lease(ids, who, lease_ms, a_now);
            room := room - cardinality(messages_);
        END IF;
    END IF;
    size := 0;
    WHILE again AND room > 0 LOOP
        again := false;
        ids := '{}';
        FOR m IN
            SELECT * FROM messages
            WHERE queue = a_queue AND NOT parked AND due_ms >= a_since AND due_ms <= a_now
                AND leased_until <= a_now AND id <> ALL (busy)
            ORDER BY due_ms, seq LIMIT room FOR UPDATE SKIP LOCKED
        LOOP
            IF m.grp IS NOT NULL AND (m.token > 0 OR NOT coalesce(q.fifo, true)) THEN
                IF NOT pg_try_advisory_xact_lock(group_key(a_queue, m.grp)) THEN
                    busy := busy || m.id;
                    CONTINUE;
                END IF;
            END IF;
            IF m.token > 0 AND (m.grp IS NOT NULL OR m.attempts >= q.max_attempts) THEN
                turns := turns || end_lease(m, a_now);
                again := true;
                CONTINUE;
            END IF;
            size := size + octet_length(m.body);
            IF size > max_bytes AND cardinality(ids) + cardinality(messages_) > 0 THEN
                room := 0;
                again := false;
                EXIT;
            END IF;
            ids := ids || m.id;
            room := room - 1;
        END LOOP;
        batch := lease(ids, who, lease_ms, a_now);
        FOREACH one IN ARRAY batch LOOP
            messages_ := messages_ || one;
            IF one.grp IS NOT NULL AND NOT coalesce(q.fifo, true) THEN
                -- The next one of its key comes.
                again := settle(a_queue, one.grp, a_now) IS NOT NULL OR again;
            END IF;
        END LOOP;
    END LOOP;
    IF prefix > 1 AND q.fifo AND cardinality(messages_) > 0 THEN
        messages_ := with_followers(a_queue, messages_, most - cardinality(messages_), who, prefix,
            lease_ms, max_bytes - size, a_now);
    END IF;
    looked_us := extract(epoch FROM clock_timestamp() - began) * 1000000;
    SELECT due_ms INTO next_due FROM messages
    WHERE queue = a_queue AND NOT parked AND due_ms > a_now AND leased_until <= a_now
    ORDER BY due_ms LIMIT 1;
    IF room <= 0 AND cardinality(messages_) > 0 AND is_waited_for(a_queue, a_since, a_now) THEN
        next_due := (messages_[cardinality(messages_)]).due_ms;
    END IF;
    next_due := coalesce(next_due, -1);
END $$;

-- Say when the first message of each of these queues that nobody holds falls due (null: there is
-- none). `since` and `looked_us` are as in a claim, for each queue.
CREATE FUNCTION poll_queues(
    queue_ids integer[], since bigint[], OUT a_now bigint, OUT dues bigint[], OUT looked_us bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    began timestamptz;
    due bigint;
BEGIN
    a_now := now_ms();
    dues := '{}';
    looked_us := '{}';
    FOR i IN 1 .. cardinality(queue_ids) LOOP
        began := clock_timestamp();
        SELECT due_ms INTO due FROM messages
        WHERE queue = queue_ids[i] AND NOT parked AND due_ms >= since[i] AND leased_until <= a_now
        ORDER BY due_ms LIMIT 1;
        dues := dues || due;
        looked_us := looked_us || (extract(epoch FROM clock_timestamp() - began) * 1000000)::bigint;
    END LOOP;
END $$;

-- Put behind the first message of each group what follows it, as far as there is room.
CREATE FUNCTION with_followers(
    a_queue integer, heads claimed[], room integer, who text, prefix integer, lease_ms bigint,
    max_bytes bigint, a_now bigint
) RETURNS claimed[] LANGUAGE plpgsql AS $$
DECLARE
    found_ claimed[] := '{}';
    head claimed;
    m record;
    ids text[];
    size bigint := max_bytes;
BEGIN
    FOREACH head IN ARRAY heads LOOP
        found_ := found_ || head;
        IF head.grp IS NULL OR room <= 0
            OR NOT pg_try_advisory_xact_lock(group_key(a_queue, head.grp)) THEN
            CONTINUE;
        END IF;
        ids := '{}';
        FOR m IN
            SELECT id, due_ms, place, octet_length(body) AS bytes FROM messages
            WHERE queue = a_queue AND grp = head.grp AND parked
            ORDER BY place, seq LIMIT least(room, prefix - 1) FOR UPDATE
        LOOP
            size := size - m.bytes;
            EXIT WHEN m.due_ms > a_now OR size < 0 OR is_blocked(a_queue, head.grp, m.place);
            ids := ids || m.id;
        END LOOP;
        UPDATE messages SET parked = false WHERE id = ANY (ids);
        room := room - cardinality(ids);
        found_ := found_ || lease(ids, who, lease_ms, a_now);
    END LOOP;
    RETURN found_;
END $$;

-- Return a message that is leased under this token, with its group locked; null: it is not ours.
CREATE FUNCTION take_leased(an_id text, a_token bigint) RETURNS messages LANGUAGE plpgsql AS $$
DECLARE
    m messages;
BEGIN
    PERFORM pg_advisory_xact_lock(group_key(queue, grp)) FROM messages
    WHERE id = an_id AND token = a_token AND grp IS NOT NULL;
    SELECT * INTO m FROM messages WHERE id = an_id AND token = a_token AND leased_until > now_ms()
    FOR UPDATE;
    RETURN m;
END $$;

-- `of_queue` null: it was not ours. `woken`: when the queue's next message is due.
CREATE FUNCTION release_message(
    an_id text, a_token bigint, delay_ms bigint, counted boolean, an_error text,
    OUT of_queue integer, OUT woken bigint, OUT turns turn[]
) LANGUAGE plpgsql AS $$
DECLARE
    m messages := take_leased(an_id, a_token);
    a_now bigint := now_ms();
    q queues;
BEGIN
    IF m.id IS NULL THEN
        RETURN;
    END IF;
    of_queue := m.queue;
    SELECT * INTO q FROM queues WHERE id = m.queue;
    IF q.active AND NOT q.paused AND NOT q.kept
        AND greatest(m.expires_ms, q.kept_ms) <= a_now THEN
        turns := expire(m, a_now);
    ELSE
        woken := give_back(m, a_now + greatest(delay_ms, 0), an_error, counted, a_now);
    END IF;
END $$;

CREATE FUNCTION bury_message(
    an_id text, a_token bigint, a_function text, a_code text, an_error text, r run,
    OUT of_queue integer, OUT woken bigint, OUT turns turn[]
) LANGUAGE plpgsql AS $$
DECLARE
    m messages := take_leased(an_id, a_token);
BEGIN
    IF m.id IS NULL THEN
        RETURN;
    END IF;
    of_queue := m.queue;
    turns := bury(m, a_function, a_code, an_error, now_ms());
    IF r.number IS NOT NULL THEN
        PERFORM add_record(r);
    END IF;
END $$;

-- Give back what an owner holds without knowing it: no attempt has begun.
CREATE FUNCTION recover_messages(who text, known text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    a_now bigint := now_ms();
    m messages;
BEGIN
    PERFORM lock_groups(coalesce(array_agg(group_key(queue, grp)), '{}')) FROM messages
    WHERE owner = who AND leased_until > a_now AND id <> ALL (known) AND grp IS NOT NULL;
    FOR m IN
        SELECT * FROM messages WHERE owner = who AND leased_until > a_now AND id <> ALL (known)
        FOR UPDATE
    LOOP
        PERFORM give_back(m, m.due_ms, '', false, a_now);
    END LOOP;
END $$;

-- Put a message that has failed back into its queue; return when it may be claimed.
-- The group's lock is held.
CREATE FUNCTION put_back(
    f failures, new_id text, new_body bytea, a_due bigint, retention bigint, in_group boolean,
    a_place bigint, a_seq bigint, a_now bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    edited boolean := new_id <> f.id;
BEGIN
    DELETE FROM failures WHERE seq = f.seq;
    INSERT INTO messages (id, queue, parked, due_ms, seq, token, leased_until, owner, attempts,
        redrives, sent_ms, started_ms, expires_ms, place, grp, correlation, traceparent, error,
        body)
    VALUES (new_id, f.queue, in_group, a_due, a_seq, 0, 0, '', 0, f.redrives + 1, f.sent_ms,
        CASE WHEN edited THEN 0 ELSE f.started_ms END, a_due + retention,
        CASE WHEN in_group THEN coalesce(a_place, a_seq) END, CASE WHEN in_group THEN f.grp END,
        f.correlation, f.traceparent, f.error, new_body);
    IF in_group THEN
        PERFORM settle(f.queue, f.grp, a_now);
    END IF;
END $$;

-- Bury what has waited longer than its queue's retention; return how many.
CREATE FUNCTION expire_messages(most integer, OUT count_ integer, OUT turns turn[])
LANGUAGE plpgsql AS $$
DECLARE
    a_now bigint := now_ms();
    q queues;
    m messages;
    is_parked boolean;
BEGIN
    count_ := 0;
    turns := '{}';
    FOR q IN
        SELECT * FROM queues WHERE active AND NOT paused AND NOT kept AND kept_ms <= a_now
        ORDER BY id
    LOOP
        FOREACH is_parked IN ARRAY ARRAY[true, false] LOOP
            FOR m IN
                SELECT * FROM messages
                WHERE queue = q.id AND parked = is_parked AND due_ms <= a_now - q.retention_ms
                    AND leased_until <= a_now
                ORDER BY due_ms, seq LIMIT most - count_ FOR UPDATE SKIP LOCKED
            LOOP
                IF m.grp IS NOT NULL
                    AND NOT pg_try_advisory_xact_lock(group_key(m.queue, m.grp)) THEN
                    CONTINUE;
                END IF;
                count_ := count_ + 1;
                IF m.token > 0 THEN
                    turns := turns || end_lease(m, a_now);
                    CONTINUE WHEN m.grp IS NOT NULL;
                END IF;
                -- As it is now: the end of one may have let another one of its group come.
                SELECT * INTO m FROM messages WHERE id = m.id;
                CONTINUE WHEN NOT FOUND;
                turns := turns || expire(m, a_now);
            END LOOP;
            IF count_ >= most THEN
                RETURN;
            END IF;
        END LOOP;
    END LOOP;
END $$;

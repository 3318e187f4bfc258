-- What a statement touches no longer depends on what the planner takes a table for.
--
-- While a transaction is held open elsewhere, the dead rows of `messages` stay and its statistics
-- say that hardly a row is there. So a lease walked all of the dead ones, instead of looking its
-- messages up by their keys, until the next ANALYZE. There is no join to choose a plan for now: a
-- list of keys is an array, and OFFSET 0 keeps a subquery one lookup a row.
--
-- Whether more waits than was claimed is looked for behind that, and not by a second walk.

-- Lease these messages, which this transaction has locked; in the order of the IDs. One that has
-- been parked since it was found is taken all the same: it was its turn. For all others `parked`
-- is set to what it is, and the update stays HOT.
CREATE OR REPLACE FUNCTION lease(ids text[], who text, lease_ms bigint, a_now bigint)
RETURNS claimed[] LANGUAGE plpgsql AS $$
DECLARE
    found_ claimed[];
BEGIN
    WITH taken AS (
        UPDATE messages m SET token = nextval('numbers'), attempts = attempts + 1, owner = who,
            leased_until = a_now + lease_ms, parked = false,
            started_ms = CASE WHEN started_ms = 0 THEN a_now ELSE started_ms END,
            error = CASE WHEN token > 0 THEN 'The lease ended without an answer.' ELSE error END
        WHERE m.id = ANY (ids)
        RETURNING array_position(ids, m.id) AS nth, m.*
    )
    SELECT array_agg(ROW(id, token, attempts, body, sent_ms, due_ms, started_ms, correlation,
        traceparent, grp)::claimed ORDER BY nth) INTO found_ FROM taken;
    RETURN coalesce(found_, '{}');
END $$;

-- Claim up to `most` messages that are due, in the order in which they fell due; of FIFO groups
-- with a `prefix` also what follows the first one. `a_since`: nothing due before it is looked for.
-- `next_due` (-1: none): when the next one falls due, as far as is known.
-- `looked_us`: how long it took to look, in microseconds.
CREATE OR REPLACE FUNCTION claim_messages(
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
    last_due bigint;
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
    -- All that was due before the last one is somebody's now. The last one of a FIFO queue may be a
    -- follower.
    IF room <= 0 AND cardinality(messages_) > 0 THEN
        last_due := (messages_[cardinality(messages_)]).due_ms;
        IF is_waited_for(a_queue, CASE WHEN coalesce(q.fifo, true) THEN a_since ELSE last_due END,
            a_now) THEN
            next_due := last_due;
        END IF;
    END IF;
    next_due := coalesce(next_due, -1);
END $$;

-- Add messages of queues without groups, all at once. One that waits, runs or has failed is not
-- added. Who wants one may have it at once if nothing of its queue is due before it.
CREATE OR REPLACE FUNCTION send_plain(
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
        WHERE NOT EXISTS (SELECT 1 FROM failures f WHERE f.id = s.id OFFSET 0)
        ON CONFLICT (id) DO NOTHING
        RETURNING id, queue, token, due_ms, body
    )
    SELECT array_agg(ROW(id, token, body)::born) FILTER (WHERE token > 0),
        array_agg(queue) FILTER (WHERE token = 0), array_agg(due_ms) FILTER (WHERE token = 0)
    INTO leased, queues_, dues FROM added;
END $$;

-- Add messages of queues without groups that are sent besides those of effects. One that waits,
-- runs or has failed is not added.
CREATE OR REPLACE FUNCTION tell_messages(
    sends told[], rooms room[], who text, lease_ms bigint, a_now bigint,
    OUT ids text[], OUT tokens_ bigint[], OUT turns turn[]
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
            s.correlation, s.traceparent, '', s.body
        FROM (SELECT u.*, nextval('numbers') AS seq, u.wanted AND u.queue = ANY (free) AS leased
              FROM unnest(sends) u) s
        WHERE NOT EXISTS (SELECT 1 FROM failures f WHERE f.id = s.id OFFSET 0)
        ON CONFLICT (id) DO NOTHING
        RETURNING id, queue, token, due_ms
    )
    SELECT array_agg(id ORDER BY token) FILTER (WHERE token > 0),
        array_agg(token ORDER BY token) FILTER (WHERE token > 0),
        array_agg(ROW(queue, due_ms)::turn) FILTER (WHERE token = 0
            AND NOT coalesce((SELECT paused FROM queues q WHERE q.id = queue), false))
    INTO ids, tokens_, turns FROM added;
END $$;

-- A claim of a queue whose keys take turns says where a commit was in its way.
--
-- A commit that lets the next message of its key come holds the key's lock, and that row. A claim
-- goes without what it cannot have, and said that nothing was due: its engine slept until the next
-- poll. With the backlog of one key, whose commits follow one another, that was its pace.

-- Claim up to `most` messages that are due, in the order in which they fell due; of FIFO groups
-- with a `prefix` also what follows the first one. `a_since`: nothing due before it is looked for.
-- `next_due` (-1: none): when the next one falls due, as far as is known; in the past where one
-- is due whose group somebody changes just now.
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
    busy_due bigint;
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
    IF room > 0 AND NOT coalesce(q.fifo, true) THEN
        SELECT due_ms INTO busy_due FROM messages
        WHERE queue = a_queue AND NOT parked AND due_ms >= a_since AND due_ms <= a_now
            AND leased_until <= a_now
        ORDER BY due_ms LIMIT 1;
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
    next_due := coalesce(busy_due, next_due, -1);
END $$;

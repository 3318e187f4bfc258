-- What a group costs no longer grows with what it has done.
--
-- While a transaction is held open elsewhere, the dead rows of a group's messages stay, and their
-- index entries. Whoever looked for its next message walked all of them: a FIFO group that had done
-- 5,000 messages was at a fifth of its pace. So the store remembers from which place on a group has
-- messages, written down where a walk was long. And a message of a FIFO group is due from when its
-- turn comes, as one of a key that takes turns, so that claims need not search from the beginning.

-- No message of the group lies before this place, whether it waits or is leased. Where there is no
-- row, nothing is known. The group's lock is held by who writes one, and by who goes by it.
CREATE TABLE group_floors (
    queue integer NOT NULL,
    grp text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    written_ms bigint NOT NULL,
    made_ms bigint NOT NULL,
    PRIMARY KEY (queue, grp)
) WITH (fillfactor = 50);
CREATE INDEX group_floors_made ON group_floors (made_ms);  -- it never changes: updates stay HOT

CREATE FUNCTION floor_of(a_queue integer, a_group text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce((SELECT place FROM group_floors WHERE queue = a_queue AND grp = a_group),
        -9223372036854775808);
END $$;

-- Whether a walk was long that began then. (Where chance is to play no part, a test says always.)
CREATE FUNCTION was_long(began timestamptz) RETURNS boolean LANGUAGE sql VOLATILE AS
$$ SELECT clock_timestamp() - began > interval '200 microseconds' $$;

-- How seldom one is written: what is overwritten leaves dead rows too.
CREATE FUNCTION floors_apart_ms() RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT 1000::bigint $$;

-- Write down where the group's messages begin.
CREATE FUNCTION raise_floor(a_queue integer, a_group text, a_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    lowest bigint;
    known group_floors;
BEGIN
    SELECT * INTO known FROM group_floors WHERE queue = a_queue AND grp = a_group;
    IF known.written_ms > a_now - floors_apart_ms() AND known.written_ms <= a_now THEN
        RETURN;
    END IF;
    lowest := floor_of(a_queue, a_group);
    SELECT least(
        (SELECT place FROM messages
         WHERE queue = a_queue AND grp = a_group AND NOT parked AND place >= lowest
         ORDER BY place LIMIT 1),
        (SELECT place FROM messages
         WHERE queue = a_queue AND grp = a_group AND parked AND place >= lowest
         ORDER BY place LIMIT 1),
        CASE WHEN (SELECT fifo FROM queues WHERE id = a_queue) THEN nextval('numbers')
             ELSE a_now END)
    INTO lowest;
    INSERT INTO group_floors (queue, grp, place, written_ms, made_ms)
    VALUES (a_queue, a_group, lowest, a_now, a_now)
    ON CONFLICT (queue, grp) DO UPDATE SET place = excluded.place,
        written_ms = excluded.written_ms;
END $$;

-- A message of the group comes to lie at this place.
CREATE FUNCTION lower_floor(a_queue integer, a_group text, a_place bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE group_floors SET place = a_place
    WHERE queue = a_queue AND grp = a_group AND place > a_place;
END $$;

-- Let the next message of a group come, if it may; return when it is due. The lock is held.
CREATE OR REPLACE FUNCTION settle(a_queue integer, a_group text, a_now bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    turns boolean;
    lowest bigint := floor_of(a_queue, a_group);
    began timestamptz := clock_timestamp();
    first record;
    head record;
    new_due bigint;
BEGIN
    turns := coalesce((SELECT NOT fifo FROM queues WHERE id = a_queue), false);
    IF NOT turns AND EXISTS (
        SELECT 1 FROM messages
        WHERE queue = a_queue AND grp = a_group AND NOT parked AND place >= lowest
    ) THEN
        RETURN NULL;
    END IF;
    SELECT id, place, due_ms INTO first FROM messages
    WHERE queue = a_queue AND grp = a_group AND parked AND place >= lowest
    ORDER BY place, seq LIMIT 1;
    IF was_long(began) THEN
        PERFORM raise_floor(a_queue, a_group, a_now);
    END IF;
    IF first.id IS NULL THEN
        RETURN NULL;
    END IF;
    new_due := greatest(first.due_ms, a_now);
    IF NOT turns THEN
        IF is_blocked(a_queue, a_group, first.place) THEN
            RETURN NULL;
        END IF;
        UPDATE messages SET parked = false, due_ms = new_due WHERE id = first.id;
        RETURN new_due;
    END IF;
    -- Only one that waits is the head: of the leased ones there may be many.
    began := clock_timestamp();
    SELECT id, place INTO head FROM messages
    WHERE queue = a_queue AND grp = a_group AND NOT parked AND token = 0 AND place >= lowest
    ORDER BY place LIMIT 1 FOR UPDATE;
    IF was_long(began) THEN
        PERFORM raise_floor(a_queue, a_group, a_now);
    END IF;
    IF head.id IS NOT NULL THEN
        IF head.place <= first.place THEN
            RETURN NULL;
        END IF;
        UPDATE messages SET parked = true WHERE id = head.id;
    END IF;
    -- With a number of its own, so that it comes behind what is due at the same moment.
    UPDATE messages SET parked = false, seq = nextval('numbers'), due_ms = new_due
    WHERE id = first.id;
    RETURN new_due;
END $$;

-- Give a message back: it waits again. The group's lock is held.
CREATE OR REPLACE FUNCTION give_back(
    m messages, a_due bigint, an_error text, counted boolean, a_now bigint, OUT woken bigint
) LANGUAGE plpgsql AS $$
DECLARE
    tries integer := CASE WHEN counted THEN m.attempts ELSE greatest(0, m.attempts - 1) END;
    said text := CASE WHEN an_error = '' THEN m.error ELSE an_error END;
    turns boolean;
BEGIN
    IF m.grp IS NULL THEN
        UPDATE messages SET token = 0, leased_until = 0, owner = '', due_ms = a_due,
            attempts = tries, error = said
        WHERE id = m.id;
        woken := a_due;
        RETURN;
    END IF;
    -- Others of its group may be active: who is next, is settled.
    turns := coalesce((SELECT NOT fifo FROM queues WHERE id = m.queue), false);
    UPDATE messages SET token = 0, leased_until = 0, owner = '', parked = true, due_ms = a_due,
        attempts = tries, error = said, place = CASE WHEN turns THEN a_due ELSE m.place END
    WHERE id = m.id;
    IF turns THEN
        PERFORM lower_floor(m.queue, m.grp, a_due);
    END IF;
    woken := settle(m.queue, m.grp, a_now);
END $$;

-- Put a message that has failed back into its queue; return when it may be claimed.
-- The group's lock is held.
CREATE OR REPLACE FUNCTION put_back(
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
        PERFORM lower_floor(f.queue, f.grp, coalesce(a_place, a_seq));
        PERFORM settle(f.queue, f.grp, a_now);
    END IF;
END $$;

-- Add a message of a queue with groups, or of a paused one. The group's lock is held.
-- `token`: it was born leased to `lessee`. `due`: it waits, and may be claimed then.
-- `woken`: another one of its key comes, due then.
CREATE OR REPLACE FUNCTION send_apart(
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
    lowest bigint;
    began timestamptz;
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
    IF s.grp IS NOT NULL THEN
        a_place := CASE WHEN q.fifo THEN a_seq ELSE a_due END;
        lowest := floor_of(s.queue, s.grp);
        began := clock_timestamp();
        IF q.fifo THEN
            -- Each half is a range of the index. What waits is mostly behind something.
            is_parked := EXISTS (
                    SELECT 1 FROM messages
                    WHERE queue = s.queue AND grp = s.grp AND NOT parked AND place >= lowest)
                OR EXISTS (
                    SELECT 1 FROM messages
                    WHERE queue = s.queue AND grp = s.grp AND parked AND place >= lowest)
                OR is_blocked(s.queue, s.grp, a_seq);
        ELSE
            SELECT id, place INTO head FROM messages
            WHERE queue = s.queue AND grp = s.grp AND NOT parked AND token = 0
                AND place >= lowest
            ORDER BY place LIMIT 1 FOR UPDATE;
            IF FOUND AND head.place <= a_due THEN
                is_parked := true;
            ELSIF FOUND THEN
                UPDATE messages SET parked = true WHERE id = head.id;
            END IF;
        END IF;
        IF was_long(began) THEN
            PERFORM raise_floor(s.queue, s.grp, a_now);
            lowest := floor_of(s.queue, s.grp);
        END IF;
        IF a_place < lowest THEN
            PERFORM lower_floor(s.queue, s.grp, a_place);
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

-- Put behind the first message of each group what follows it, as far as there is room.
CREATE OR REPLACE FUNCTION with_followers(
    a_queue integer, heads claimed[], room integer, who text, prefix integer, lease_ms bigint,
    max_bytes bigint, a_now bigint
) RETURNS claimed[] LANGUAGE plpgsql AS $$
DECLARE
    found_ claimed[] := '{}';
    head claimed;
    lowest bigint;
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
        lowest := floor_of(a_queue, head.grp);
        FOR m IN
            SELECT id, due_ms, place, octet_length(body) AS bytes FROM messages
            WHERE queue = a_queue AND grp = head.grp AND parked AND place >= lowest
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

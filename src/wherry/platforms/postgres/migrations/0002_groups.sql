-- Groups: which message of a group may be claimed; the others are parked until it is their turn.
--
-- FIFO: the first of a group is active (it waits, or is leased) until it is done; then the next one
-- comes. One that has died in a queue with on_failure="block" keeps what is behind it parked.
-- Keys that take turns: of each key only the first waits, and when it is claimed the next one
-- comes, due from that moment. A queue may be of another kind in the next release: what is parked
-- then comes as its new kind says, and where it is of neither kind, or gone, one after the other.
--
-- Whoever changes a group holds its advisory lock: so messages of a group are in the order of their
-- commits. Who holds rows and wants such a lock as well only tries (a claim); who waits for locks
-- takes them first of all, in the order of their keys.

CREATE FUNCTION group_key(queue integer, grp text) RETURNS bigint LANGUAGE sql IMMUTABLE AS
$$ SELECT hashtextextended(grp, queue) $$;

-- All of these are in PL/pgSQL, which keeps the plans of its statements from call to call.
CREATE FUNCTION lock_groups(keys bigint[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(k.key)
    FROM (SELECT DISTINCT key FROM unnest(keys) AS u (key) ORDER BY key) k;
END $$;

CREATE FUNCTION is_blocked(a_queue integer, a_group text, a_place bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (
        SELECT 1 FROM failures
        WHERE queue = a_queue AND grp = a_group AND place IS NOT NULL AND place < a_place);
END $$;

-- Let the next message of a group come, if it may; return when it is due. The lock is held.
CREATE FUNCTION settle(a_queue integer, a_group text, a_now bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    turns boolean;
    first record;
    head record;
    new_due bigint;
BEGIN
    turns := coalesce((SELECT NOT fifo FROM queues WHERE id = a_queue), false);
    IF NOT turns AND EXISTS (
        SELECT 1 FROM messages WHERE queue = a_queue AND grp = a_group AND NOT parked
    ) THEN
        RETURN NULL;
    END IF;
    SELECT id, place, due_ms INTO first FROM messages
    WHERE queue = a_queue AND grp = a_group AND parked ORDER BY place, seq LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF NOT turns THEN
        IF is_blocked(a_queue, a_group, first.place) THEN
            RETURN NULL;
        END IF;
        UPDATE messages SET parked = false WHERE id = first.id;
        RETURN first.due_ms;
    END IF;
    -- Only one that waits is the head: of the leased ones there may be many.
    SELECT id, place INTO head FROM messages
    WHERE queue = a_queue AND grp = a_group AND NOT parked AND token = 0
    ORDER BY place LIMIT 1 FOR UPDATE;
    IF FOUND THEN
        IF head.place <= first.place THEN
            RETURN NULL;
        END IF;
        UPDATE messages SET parked = true WHERE id = head.id;
    END IF;
    -- With a number of its own, so that it comes behind what is due at the same moment.
    new_due := greatest(first.due_ms, a_now);
    UPDATE messages SET parked = false, seq = nextval('numbers'), due_ms = new_due
    WHERE id = first.id;
    RETURN new_due;
END $$;

-- A blob is garbage in the transaction in which its object goes.
CREATE FUNCTION remove_object(a_bucket integer, a_name text, a_key bytea, a_now bigint)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old_blob text;
BEGIN
    DELETE FROM objects WHERE bucket = a_bucket AND key = a_key RETURNING blob INTO old_blob;
    IF FOUND THEN
        INSERT INTO garbage (bucket, blob, since_ms) VALUES (a_name, old_blob, a_now);
    END IF;
END $$;

-- Remove the object that a message stands for (claim check); it leaves for ever.
CREATE FUNCTION drop_payload(a_queue integer, a_body bytea, a_now bigint) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    q queues;
    ticket jsonb;
BEGIN
    IF octet_length(a_body) > 4096 OR substring(a_body, 1, 16) <> '{"wherry_claim":'::bytea THEN
        RETURN;
    END IF;
    SELECT * INTO q FROM queues WHERE id = a_queue;
    IF q.payloads IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        ticket := convert_from(a_body, 'UTF8')::jsonb -> 'wherry_claim';
    EXCEPTION WHEN data_exception THEN  -- edited by hand
        RETURN;
    END;
    IF jsonb_typeof(ticket) = 'string' THEN
        PERFORM remove_object(
            q.payloads, q.payloads_name, convert_to(ticket #>> '{}', 'UTF8'), a_now);
    END IF;
END $$;

-- Delete a message that is done; return when the next one of its group is due. Locks are held.
CREATE FUNCTION finish(an_id text, a_now bigint, OUT of_queue integer, OUT woken bigint)
LANGUAGE plpgsql AS $$
DECLARE
    row_ record;
BEGIN
    DELETE FROM messages WHERE id = an_id RETURNING queue, grp, body INTO row_;
    of_queue := row_.queue;
    PERFORM drop_payload(row_.queue, row_.body, a_now);
    IF row_.grp IS NOT NULL THEN
        woken := settle(row_.queue, row_.grp, a_now);
    END IF;
END $$;

-- Give a message back: it waits again. The group's lock is held.
CREATE FUNCTION give_back(
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
    woken := settle(m.queue, m.grp, a_now);
END $$;

-- A queue where a message's turn has come, and when it is due.
CREATE TYPE turn AS (queue integer, due bigint);

-- Tell an execution of something that no commit tells it of.
CREATE FUNCTION tell_execution(
    a_workflow text, an_id text, a_body text, a_correlation text, a_traceparent text, a_now bigint
) RETURNS turn[] LANGUAGE plpgsql AS $$
DECLARE
    number_ integer := (SELECT id FROM names WHERE kind = 'queue' AND name = a_workflow);
    q queues;
BEGIN
    IF number_ IS NULL OR EXISTS (SELECT 1 FROM failures WHERE id = an_id) THEN
        RETURN '{}';
    END IF;
    SELECT * INTO q FROM queues WHERE id = number_;
    INSERT INTO messages (id, queue, parked, due_ms, seq, token, leased_until, owner, attempts,
        redrives, sent_ms, started_ms, expires_ms, correlation, traceparent, error, body)
    VALUES (an_id, number_, false, a_now, nextval('numbers'), 0, 0, '', 0, 0, a_now, 0,
        a_now + coalesce(q.retention_ms, 345600000), a_correlation, a_traceparent, '',
        convert_to(a_body, 'UTF8'))
    ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND OR q.paused THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY[ROW(number_, a_now)::turn];
END $$;

-- What tells an execution that its task cannot be done; null: it is no task.
CREATE FUNCTION task_given_up(a_body bytea, a_code text, an_error text) RETURNS json
LANGUAGE plpgsql AS $$
DECLARE
    task json;
BEGIN
    task := convert_from(a_body, 'UTF8')::json;
    IF task ->> 'execution' IS NULL OR task ->> 'call' IS NULL OR task ->> 'workflow' IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN json_build_object('workflow', task ->> 'workflow', 'happened', json_build_object(
        'execution', (task ->> 'execution')::bigint, 'event', 'failed',
        'call', (task ->> 'call')::bigint, 'error', 'Lambda.Unknown',
        'cause', left(a_code || ': ' || an_error, 32768)));
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

-- Move a message to the failure inbox; a task's failure is its execution's to deal with.
-- The group's lock is held.
CREATE FUNCTION bury(
    m messages, a_function text, a_code text, an_error text, a_now bigint, OUT turns turn[]
) LANGUAGE plpgsql AS $$
DECLARE
    told json;
    woken bigint;
BEGIN
    turns := '{}';
    DELETE FROM messages WHERE id = m.id;
    IF (SELECT tasks FROM queues WHERE id = m.queue) THEN
        told := task_given_up(m.body, a_code, an_error);
        IF told IS NOT NULL THEN
            turns := tell_execution(told ->> 'workflow', left(m.id, 248) || '.failed',
                (told -> 'happened')::text, m.correlation, m.traceparent, a_now);
        END IF;
    END IF;
    INSERT INTO failures (seq, id, queue, function, code, error, attempts, redrives, sent_ms,
        started_ms, failed_ms, correlation, traceparent, note, body, grp, place)
    SELECT nextval('numbers'), m.id, m.queue, a_function, a_code, an_error, m.attempts,
        m.redrives, m.sent_ms, m.started_ms, a_now, m.correlation, m.traceparent, '', m.body,
        m.grp,
        CASE WHEN (SELECT blocks FROM queues WHERE id = m.queue) THEN m.place END
    WHERE told IS NULL;
    IF m.grp IS NOT NULL THEN
        woken := settle(m.queue, m.grp, a_now);
        IF woken IS NOT NULL THEN
            turns := turns || ROW(m.queue, woken)::turn;
        END IF;
    END IF;
END $$;

-- Bury a message that has outlived its queue's retention. The group's lock is held.
CREATE FUNCTION expire(m messages, a_now bigint) RETURNS turn[] LANGUAGE plpgsql AS $$
BEGIN
    RETURN bury(m, coalesce((SELECT consumer FROM queues WHERE id = m.queue), ''), 'expired',
        CASE WHEN m.error = '' THEN 'The message was not done within its queue''s retention.'
             ELSE m.error END, a_now);
END $$;

-- What a lease that has ended means: the next attempt, or, after the last one, the inbox.
CREATE FUNCTION end_lease(m messages, a_now bigint) RETURNS turn[] LANGUAGE plpgsql AS $$
DECLARE
    q queues;
    woken bigint;
BEGIN
    SELECT * INTO q FROM queues WHERE id = m.queue;
    IF q.id IS NOT NULL AND m.attempts >= q.max_attempts THEN
        RETURN bury(m, q.consumer, 'lease_expired',
            'The lease of the last attempt ended without an answer.', a_now);
    END IF;
    woken := give_back(m, m.due_ms, 'The lease ended without an answer.', true, a_now);
    RETURN CASE WHEN woken IS NULL THEN '{}' ELSE ARRAY[ROW(m.queue, woken)::turn] END;
END $$;

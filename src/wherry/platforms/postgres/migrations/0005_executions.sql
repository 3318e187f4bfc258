-- Executions of workflows. Who moves one holds its row: versions are compared under that lock, and
-- of several the rows are locked in the order of their numbers, before anything else is.

-- Workflows as releases declared them, by a digest: an execution keeps the one it began with.
CREATE TABLE definitions (
    id bigint PRIMARY KEY DEFAULT nextval('numbers'),
    digest text COLLATE "C" NOT NULL UNIQUE,
    body bytea NOT NULL
);

-- `status`: 0 RUNNING, 1 SUCCEEDED, 2 FAILED, 3 TIMED_OUT, 4 ABORTED. `listed` 0: a child of a map,
-- or one that is being swept; only the others have a name of their own. A step rewrites this row,
-- so what is large and stays is kept apart.
CREATE TABLE executions (
    id bigint PRIMARY KEY,
    workflow integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    listed smallint NOT NULL,
    version integer NOT NULL,
    definition bigint NOT NULL,
    status smallint NOT NULL,
    wake_ms bigint,
    started_ms bigint NOT NULL,
    ended_ms bigint,
    parent bigint,
    parent_call integer NOT NULL,
    events integer NOT NULL,
    redrives integer NOT NULL,
    correlation text COLLATE "C" NOT NULL,
    traceparent text COLLATE "C" NOT NULL,
    states text COLLATE "C" NOT NULL,
    error text COLLATE "C",
    cause text COLLATE "C",
    output bytea,
    head bytea NOT NULL
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX executions_name ON executions (workflow, name) WHERE listed = 1;
CREATE INDEX executions_status ON executions (workflow, status, id) WHERE listed = 1;
CREATE INDEX executions_parent ON executions (parent, status, id) WHERE parent IS NOT NULL;
CREATE INDEX executions_call ON executions (parent, parent_call) WHERE parent IS NOT NULL;
CREATE INDEX executions_wake ON executions (wake_ms) WHERE wake_ms IS NOT NULL;
CREATE INDEX executions_ended ON executions (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX executions_definition ON executions (definition);

CREATE TABLE execution_inputs (execution bigint PRIMARY KEY, body bytea NOT NULL);

CREATE TABLE execution_parts (
    execution bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (execution, kind, key)
) WITH (fillfactor = 80);

-- `body` holds the events of one step, of which `first` is the first one's number.
CREATE TABLE execution_events (
    execution bigint NOT NULL,
    first integer NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (execution, first)
);

-- Tokens are shortened as keys of items are.
CREATE TABLE tokens (token bytea PRIMARY KEY, execution bigint NOT NULL);
CREATE INDEX tokens_execution ON tokens (execution);

-- Executions that have ended with more running children than one step stops: those behind the
-- number `at` are left, but none behind `through`, which began after a redrive.
CREATE TABLE stops (parent bigint PRIMARY KEY, at bigint NOT NULL, through bigint NOT NULL);

-- Remove a message that nobody waits for any more, of this queue ('': of any), leased or not.
CREATE FUNCTION withdraw_message(a_queue text, an_id text) RETURNS turn[] LANGUAGE plpgsql AS $$
DECLARE
    row_ record;
    a_now bigint := now_ms();
    woken bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(group_key(queue, grp)) FROM messages
    WHERE id = an_id AND grp IS NOT NULL;
    DELETE FROM messages m WHERE id = an_id AND (a_queue = '' OR EXISTS (
        SELECT 1 FROM names n WHERE n.kind = 'queue' AND n.name = a_queue AND n.id = m.queue))
    RETURNING queue, grp, body INTO row_;
    IF row_.queue IS NULL THEN
        RETURN '{}';
    END IF;
    PERFORM drop_payload(row_.queue, row_.body, a_now);
    IF row_.grp IS NOT NULL THEN
        woken := settle(row_.queue, row_.grp, a_now);
    END IF;
    RETURN CASE WHEN woken IS NULL THEN '{}' ELSE ARRAY[ROW(row_.queue, woken)::turn] END;
END $$;

-- A message of a queue without groups that is sent besides those of effects. `wanted`: the engine
-- has a place for it.
CREATE TYPE told AS (
    queue integer, id text, body bytea, delay_ms bigint, retention_ms bigint, correlation text,
    traceparent text, wanted boolean
);

-- Add such messages. One that waits, runs or has failed is not added.
CREATE FUNCTION tell_messages(
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
        WHERE NOT EXISTS (SELECT 1 FROM failures f WHERE f.id = s.id)
        ON CONFLICT (id) DO NOTHING
        RETURNING id, queue, token, due_ms
    )
    SELECT array_agg(id ORDER BY token) FILTER (WHERE token > 0),
        array_agg(token ORDER BY token) FILTER (WHERE token > 0),
        array_agg(ROW(queue, due_ms)::turn) FILTER (WHERE token = 0
            AND NOT coalesce((SELECT paused FROM queues q WHERE q.id = queue), false))
    INTO ids, tokens_, turns FROM added;
END $$;

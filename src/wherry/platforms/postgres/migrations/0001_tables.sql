-- The tables. Times are milliseconds since the epoch by the database's clock, which alone counts:
-- the clocks of the machines may be minutes apart.
--
-- Rows that change often are laid out so that a change is a HOT update, which leaves no dead entry
-- in an index: no index has a column that a claim or a renewal sets, and pages keep room for the
-- next version of a row.

-- Versions, lease tokens, the order of messages: one counter, in the order of the locks under which
-- it is asked.
CREATE SEQUENCE numbers;

-- All that the store knows of time. (A test puts a clock of its own in its place.)
CREATE FUNCTION now_ms() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- Goes up with everything that an engine keeps in memory: releases, indexes, pauses.
CREATE TABLE catalog (version bigint NOT NULL);
INSERT INTO catalog (version) VALUES (1);

CREATE TABLE names (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    UNIQUE (kind, name)
);

CREATE TABLE releases (
    digest text COLLATE "C" NOT NULL,
    configured bigint NOT NULL,
    activated_ms bigint NOT NULL DEFAULT 0,
    activation bigint NOT NULL DEFAULT 0,
    blueprint bytea NOT NULL
);

CREATE TABLE indexes (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tbl integer NOT NULL,
    name text COLLATE "C" NOT NULL,
    definition text COLLATE "C" NOT NULL,
    ready boolean NOT NULL,
    dropped boolean NOT NULL DEFAULT false,
    at_pk bytea NOT NULL DEFAULT '',
    at_sk bytea NOT NULL DEFAULT ''
);

-- What the functions below must know of queues that a release declares. `payloads` is the bucket
-- of large payloads where they travel as objects. `kept`: what waits there is never too old, for it
-- is an execution's; `tasks`: an execution is told of what fails there.
CREATE TABLE queues (
    id integer PRIMARY KEY,
    consumer text COLLATE "C" NOT NULL,
    active boolean NOT NULL,
    fifo boolean NOT NULL,
    fair boolean NOT NULL,
    blocks boolean NOT NULL,
    max_attempts integer NOT NULL,
    retention_ms bigint NOT NULL,
    paused boolean NOT NULL,
    kept_ms bigint NOT NULL,
    payloads integer,
    payloads_name text COLLATE "C",
    kept boolean NOT NULL,
    tasks boolean NOT NULL
);

-- Keys in indexes are short enough for a page: a long partition key, or key of an index, is its
-- beginning and a digest, which is all that equality needs; `pk_whole` is then the whole one.
CREATE TYPE entry AS (idx integer, key bytea, sort bytea);

-- `writer` is the number of the record whose commit wrote the item; `entries` are its rows in
-- `entries`. A deleted item stays for a moment, as one that expired at 0: a conflict names who
-- deleted it.
CREATE TABLE items (
    tbl integer NOT NULL,
    pk bytea NOT NULL,
    sk bytea NOT NULL,
    pk_whole bytea,
    version bigint NOT NULL,
    writer bigint NOT NULL,
    expires_ms bigint,
    body bytea NOT NULL,
    entries entry[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tbl, pk, sk)
) WITH (fillfactor = 80);
CREATE INDEX items_expiry ON items (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE entries (
    idx integer NOT NULL,
    key bytea NOT NULL,
    sort bytea NOT NULL,
    pk bytea NOT NULL,
    sk bytea NOT NULL,
    PRIMARY KEY (idx, key, sort, pk, sk)
);

-- A message waits (`token` 0), or is leased under a token until `leased_until`. A lease that has
-- ended is free to be claimed: no node is needed to end it. Of a group only those that may be
-- claimed are not parked; `place` is their order in it.
CREATE TABLE messages (
    id text COLLATE "C" PRIMARY KEY,
    queue integer NOT NULL,
    parked boolean NOT NULL,
    due_ms bigint NOT NULL,
    seq bigint NOT NULL,
    token bigint NOT NULL,
    leased_until bigint NOT NULL,
    owner text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    redrives integer NOT NULL,
    sent_ms bigint NOT NULL,
    started_ms bigint NOT NULL,
    expires_ms bigint NOT NULL,
    place bigint,
    grp text COLLATE "C",
    correlation text COLLATE "C" NOT NULL,
    traceparent text COLLATE "C" NOT NULL,
    error text COLLATE "C" NOT NULL,
    body bytea NOT NULL
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_cost_delay = 0
);
CREATE INDEX messages_due ON messages (queue, parked, due_ms, seq);
CREATE INDEX messages_group ON messages (queue, grp, parked, place) WHERE grp IS NOT NULL;

CREATE TABLE failures (
    seq bigint PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    queue integer NOT NULL,
    function text COLLATE "C" NOT NULL,
    code text COLLATE "C" NOT NULL,
    error text COLLATE "C" NOT NULL,
    attempts integer NOT NULL,
    redrives integer NOT NULL,
    sent_ms bigint NOT NULL,
    started_ms bigint NOT NULL,
    failed_ms bigint NOT NULL,
    correlation text COLLATE "C" NOT NULL,
    traceparent text COLLATE "C" NOT NULL,
    note text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    grp text COLLATE "C",
    place bigint
);
CREATE INDEX failures_queue ON failures (queue, seq);
CREATE INDEX failures_blocking ON failures (queue, grp, place) WHERE place IS NOT NULL;

CREATE TABLE dedups (
    queue integer NOT NULL,
    dedup text COLLATE "C" NOT NULL,
    expires_ms bigint NOT NULL,
    PRIMARY KEY (queue, dedup)
);
CREATE INDEX dedups_expiry ON dedups (expires_ms);

CREATE TABLE replies (
    key text COLLATE "C" PRIMARY KEY,
    expires_ms bigint NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX replies_expiry ON replies (expires_ms);

CREATE TABLE records (
    number bigint PRIMARY KEY,
    at_ms bigint NOT NULL,
    correlation text COLLATE "C" NOT NULL,
    function text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    sent text[]
);
CREATE INDEX records_correlation ON records (correlation);
CREATE INDEX records_function ON records (function, number);

CREATE TABLE objects (
    bucket integer NOT NULL,
    key bytea NOT NULL,
    blob text COLLATE "C" NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 text COLLATE "C" NOT NULL,
    media_type text COLLATE "C" NOT NULL,
    metadata bytea NOT NULL,
    created_ms bigint NOT NULL,
    PRIMARY KEY (bucket, key)
);
CREATE INDEX objects_blob ON objects (blob);

-- Blobs that no object names any more.
CREATE TABLE garbage (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket text COLLATE "C" NOT NULL,
    blob text COLLATE "C" NOT NULL,
    since_ms bigint NOT NULL
);
CREATE INDEX garbage_blob ON garbage (blob);

CREATE TABLE state (
    key text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL,
    expires_ms bigint
);
CREATE INDEX state_expiry ON state (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    action text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    detail text COLLATE "C" NOT NULL
);
CREATE INDEX audit_subject ON audit (subject);

CREATE TABLE schedules (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text COLLATE "C" NOT NULL UNIQUE,
    queue integer NOT NULL,
    expression text COLLATE "C" NOT NULL,
    timezone text COLLATE "C" NOT NULL,
    window_s integer NOT NULL,
    overlap text COLLATE "C" NOT NULL,
    missed text COLLATE "C" NOT NULL,
    missed_max integer NOT NULL,
    start_ms bigint NOT NULL,
    handled_ms bigint,
    next_ms bigint,
    fired_ms bigint,
    fired bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0
);
CREATE INDEX schedules_next ON schedules (next_ms);

CREATE TABLE pauses (
    function text COLLATE "C" PRIMARY KEY,
    since_ms bigint NOT NULL,
    actor text COLLATE "C" NOT NULL,
    resumed_ms bigint
);

CREATE TABLE redrives (
    queue integer PRIMARY KEY,
    through bigint NOT NULL,
    per_s double precision NOT NULL,
    next_ms double precision NOT NULL,
    done bigint NOT NULL,
    begun_ms bigint NOT NULL,
    actor text COLLATE "C" NOT NULL
);

-- Small numbers stand for names in the large tables.
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT;

-- One counter for versions, lease tokens and the order of messages: never used twice.
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;

CREATE TABLE releases (
    digest TEXT PRIMARY KEY,
    configured INTEGER NOT NULL,
    activated_ms INTEGER NOT NULL,
    activation INTEGER NOT NULL,
    blueprint BLOB NOT NULL
) STRICT;

-- `definition` tells an index from another one of the same name. A dropped one stays here
-- until its entries are swept, so that its number is not used again.
CREATE TABLE indexes (
    id INTEGER PRIMARY KEY,
    tbl INTEGER NOT NULL,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    ready INTEGER NOT NULL,
    dropped INTEGER NOT NULL DEFAULT 0,
    at_pk BLOB NOT NULL DEFAULT x'',
    at_sk BLOB NOT NULL DEFAULT x''
) STRICT;

-- `writer` is the number of the record whose commit wrote the item.
CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    tbl INTEGER NOT NULL,
    pk BLOB NOT NULL,
    sk BLOB NOT NULL,
    version INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    expires_ms INTEGER,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX items_key ON items (tbl, pk, sk);
CREATE INDEX items_expiry ON items (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE entries (
    idx INTEGER NOT NULL,
    key BLOB NOT NULL,
    sort BLOB NOT NULL,
    pk BLOB NOT NULL,
    sk BLOB NOT NULL,
    item INTEGER NOT NULL,
    PRIMARY KEY (idx, key, sort, pk, sk)
) STRICT, WITHOUT ROWID;

-- Who leases messages. When a lease ends is known to the store's process alone: a renewal writes
-- nothing, and a store that starts again gives every lease its full time once more.
CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;

-- `slot` is the queue of a waiting message and minus the owner of a leased one, so that one index
-- finds what is due and what a dead owner held. `token` 0: not leased.
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    slot INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    queue INTEGER NOT NULL,
    token INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    redrives INTEGER NOT NULL,
    sent_ms INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    correlation TEXT NOT NULL,
    traceparent TEXT NOT NULL,
    error TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX messages_slot ON messages (slot, due_ms);

CREATE TABLE failures (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    queue INTEGER NOT NULL,
    function TEXT NOT NULL,
    code TEXT NOT NULL,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    redrives INTEGER NOT NULL,
    sent_ms INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    failed_ms INTEGER NOT NULL,
    correlation TEXT NOT NULL,
    traceparent TEXT NOT NULL,
    note TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX failures_queue ON failures (queue, seq);

-- What was committed under a key: the reply of an Idempotency-Key, the value of a named step.
CREATE TABLE replies (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    expires_ms INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX replies_expiry ON replies (expires_ms);

-- `sent` are the IDs of the messages that the commit sent: the timeline finds them there.
CREATE TABLE records (
    number INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    sent BLOB
) STRICT;

-- Finds records by a hash of their correlation ID and by function. A random key in one large
-- index would touch a page of its own per record; here rows are written sorted, some hundred at
-- a time, into runs of bounded size, and a search asks every run. `more` are further numbers.
CREATE TABLE finder (
    run INTEGER NOT NULL,
    term INTEGER NOT NULL,
    number INTEGER NOT NULL,
    more BLOB,
    PRIMARY KEY (run, term, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (run INTEGER PRIMARY KEY, rows INTEGER NOT NULL, newest_ms INTEGER NOT NULL)
STRICT;
-- Rows for the finder that are not in it yet, one line per transaction.
CREATE TABLE unfound (id INTEGER PRIMARY KEY, terms BLOB NOT NULL) STRICT;

CREATE TABLE objects (
    bucket INTEGER NOT NULL,
    key BLOB NOT NULL,
    blob TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL,
    metadata BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;

-- Blobs that no object names any more; readers may still hold them for a while.
CREATE TABLE garbage (
    id INTEGER PRIMARY KEY,
    bucket TEXT NOT NULL,
    blob TEXT NOT NULL,
    since_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX garbage_blob ON garbage (blob);

CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL, expires_ms INTEGER) STRICT;
CREATE INDEX state_expiry ON state (expires_ms) WHERE expires_ms IS NOT NULL;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject);

-- A message of a FIFO queue's group, or of a key that takes turns, has it in `grp`. Of those only
-- one waits in its queue's slot; the others are parked: `slot` is then 4294967296 more. `place` is
-- their order: that of the commits for FIFO, of falling due for keys that take turns.
ALTER TABLE messages ADD COLUMN grp TEXT;
ALTER TABLE messages ADD COLUMN place INTEGER;
CREATE INDEX messages_group ON messages (queue, grp, slot, place) WHERE grp IS NOT NULL;

-- A failure with a `place` keeps what is behind it in its group waiting.
ALTER TABLE failures ADD COLUMN grp TEXT;
ALTER TABLE failures ADD COLUMN place INTEGER;
CREATE INDEX failures_blocking ON failures (queue, grp, place) WHERE place IS NOT NULL;

CREATE TABLE dedups (
    queue INTEGER NOT NULL,
    dedup TEXT NOT NULL,
    expires_ms INTEGER NOT NULL,
    PRIMARY KEY (queue, dedup)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedups_expiry ON dedups (expires_ms);

-- The schedules of the activated release. `handled_ms` is the last firing that needs no more
-- thought (NULL: none yet), `next_ms` when to look again (NULL: it fires no more).
CREATE TABLE schedules (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    queue INTEGER NOT NULL,
    expression TEXT NOT NULL,
    timezone TEXT NOT NULL,
    window_s INTEGER NOT NULL,
    overlap TEXT NOT NULL,
    missed TEXT NOT NULL,
    missed_max INTEGER NOT NULL,
    start_ms INTEGER NOT NULL,
    handled_ms INTEGER,
    next_ms INTEGER,
    fired_ms INTEGER,
    fired INTEGER NOT NULL DEFAULT 0,
    skipped INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX schedules_next ON schedules (next_ms);

-- Functions that a person has paused ("": all). One that goes on stays here for a while with
-- `resumed_ms`: what waited during the pause is kept for its whole retention again.
CREATE TABLE pauses (
    function TEXT PRIMARY KEY,
    since_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    resumed_ms INTEGER
) STRICT;

-- Queues whose failures go back a few at a time: those up to the failure `through`, the next one
-- at `next_ms`.
CREATE TABLE redrives (
    queue INTEGER PRIMARY KEY,
    through INTEGER NOT NULL,
    per_s REAL NOT NULL,
    next_ms REAL NOT NULL,
    done INTEGER NOT NULL,
    begun_ms INTEGER NOT NULL,
    actor TEXT NOT NULL
) STRICT;

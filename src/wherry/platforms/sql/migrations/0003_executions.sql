-- Workflows as releases declared them, by a digest: an execution keeps the one it began with.
CREATE TABLE definitions (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL
) STRICT;

-- `status`: 0 RUNNING, 1 SUCCEEDED, 2 FAILED, 3 TIMED_OUT, 4 ABORTED. `listed` 0: a child of a map,
-- or one that is being swept; only the others have a name of their own. A step rewrites this row,
-- so what is large and stays is kept apart.
CREATE TABLE executions (
    id INTEGER PRIMARY KEY,
    workflow INTEGER NOT NULL,
    name TEXT NOT NULL,
    listed INTEGER NOT NULL,
    version INTEGER NOT NULL,
    definition INTEGER NOT NULL,
    status INTEGER NOT NULL,
    wake_ms INTEGER,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    parent INTEGER,
    parent_call INTEGER NOT NULL,
    events INTEGER NOT NULL,
    redrives INTEGER NOT NULL,
    correlation TEXT NOT NULL,
    traceparent TEXT NOT NULL,
    states TEXT NOT NULL,
    error TEXT,
    cause TEXT,
    output BLOB,
    head BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX executions_name ON executions (workflow, name) WHERE listed = 1;
CREATE INDEX executions_status ON executions (workflow, status) WHERE listed = 1;
CREATE INDEX executions_parent ON executions (parent, status) WHERE parent IS NOT NULL;
CREATE INDEX executions_call ON executions (parent, parent_call) WHERE parent IS NOT NULL;
CREATE INDEX executions_wake ON executions (wake_ms) WHERE wake_ms IS NOT NULL;
CREATE INDEX executions_ended ON executions (ended_ms) WHERE ended_ms IS NOT NULL;
CREATE INDEX executions_definition ON executions (definition);

CREATE TABLE execution_inputs (execution INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;

CREATE TABLE execution_parts (
    execution INTEGER NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (execution, kind, key)
) STRICT, WITHOUT ROWID;

-- `body` holds the events of one step, of which `first` is the first one's number. Rows are added
-- at the end, whichever execution moves, so that steps of many share pages.
CREATE TABLE execution_events (
    id INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL,
    first INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX execution_events_first ON execution_events (execution, first);

CREATE TABLE tokens (token TEXT PRIMARY KEY, execution INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX tokens_execution ON tokens (execution);

-- Executions that have ended with more running children than one step stops: those behind the
-- number `at` are left, but none behind `through`, which began after a redrive.
CREATE TABLE stops (
    parent INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    through INTEGER NOT NULL
) STRICT;

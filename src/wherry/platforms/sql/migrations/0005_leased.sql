-- A message that is born leased has a negative `seq`: it stands before all others, so that it is
-- found there after a crash, and is in no index of what waits. Most are done and gone like this.
-- One that is given back gets its `seq` without the sign.
DROP INDEX messages_slot;
CREATE INDEX messages_slot ON messages (slot, due_ms) WHERE seq > 0;

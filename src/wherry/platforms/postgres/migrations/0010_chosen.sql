-- In which order releases were chosen: seen for the first time, or asked for by somebody. Code from
-- before this sets none: what it has stored counts by its activation.
ALTER TABLE releases ADD COLUMN chosen bigint NOT NULL DEFAULT 0;
UPDATE releases SET chosen = activation;

-- Whether a blob is an orphan is asked by its name.
CREATE INDEX objects_blob ON objects (blob);

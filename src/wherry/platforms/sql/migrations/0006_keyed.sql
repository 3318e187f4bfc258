-- By which key and sort the items of a table are stored; NULL: as the activated release declares it,
-- for it was stored before this was recorded.
ALTER TABLE names ADD COLUMN keyed TEXT;

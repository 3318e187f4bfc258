-- What is leased is not parked.
--
-- Where leases of a key that takes turns had ended, a claim gave such a message back, which came
-- before the head of its key and parked it, and then leased that head, which it had looked up
-- before: leased and parked. When the key's turn came, that one was taken for the next, and what
-- really was next waited until it was done.

-- Lease these messages, which this transaction has locked; in the order of the IDs. One that has
-- been parked since it was found is taken all the same: it was its turn. For all others `parked`
-- is set to what it is, and the update stays HOT.
CREATE OR REPLACE FUNCTION lease(ids text[], who text, lease_ms bigint, a_now bigint)
RETURNS claimed[] LANGUAGE plpgsql AS $$
DECLARE
    found_ claimed[];
BEGIN
    WITH taken AS (
        UPDATE messages m SET token = nextval('numbers'), attempts = attempts + 1, owner = who,
            leased_until = a_now + lease_ms, parked = false,
            started_ms = CASE WHEN started_ms = 0 THEN a_now ELSE started_ms END,
            error = CASE WHEN token > 0 THEN 'The lease ended without an answer.' ELSE error END
        FROM unnest(ids) WITH ORDINALITY AS u (id, nth)
        WHERE m.id = u.id
        RETURNING u.nth, m.*
    )
    SELECT array_agg(ROW(id, token, attempts, body, sent_ms, due_ms, started_ms, correlation,
        traceparent, grp)::claimed ORDER BY nth) INTO found_ FROM taken;
    RETURN coalesce(found_, '{}');
END $$;

-- bad input: a clear error with SQLSTATE and hint, and nothing lost

CREATE FUNCTION error_of(statement text, OUT code text, OUT message text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	message := 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS code = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
		hint = PG_EXCEPTION_HINT;
END $$;

CREATE TABLE bad (id int, v vector(3), w vector, n int[]);
INSERT INTO bad SELECT i, ARRAY[i % 3, i % 5, i % 7]::vector FROM generate_series(1, 50) i;
CREATE INDEX bad_v ON bad USING annivf (v) WITH (num_leaves = 4);

-- dimensions
SELECT * FROM error_of($$INSERT INTO bad (v) VALUES ('[1,2]')$$);
SELECT * FROM error_of($$SELECT id FROM bad ORDER BY v <-> '[1,2]'::vector LIMIT 1$$);
SET enable_seqscan = off;
SELECT * FROM error_of($$SELECT id FROM bad ORDER BY v <-> '[1,2]'::vector LIMIT 1$$);

-- an untyped column takes the dimensions of its first row
CREATE INDEX bad_w ON bad USING annivf (w);
INSERT INTO bad (id, w) VALUES (100, '[1,2]');
SELECT * FROM error_of($$INSERT INTO bad (id, w) VALUES (101, '[1,2,3]')$$);
SELECT * FROM error_of($$UPDATE bad SET w = '[1]' WHERE id = 1$$);
SELECT id FROM bad ORDER BY w <-> '[1,2]' LIMIT 1;
DROP INDEX bad_w;
INSERT INTO bad (id, w) VALUES (101, '[1,2,3]');
SELECT * FROM error_of($$CREATE INDEX bad_w ON bad USING annivf (w)$$);
SELECT * FROM error_of($$CREATE INDEX bad_w ON bad USING annivf (w) WITH (num_leaves = 2)$$);
DELETE FROM bad WHERE id >= 100;

-- values
SELECT * FROM error_of($$INSERT INTO bad (v) VALUES ('[1,2,NaN]')$$);
SELECT * FROM error_of($$INSERT INTO bad (v) VALUES ('[1,2,Infinity]')$$);
SELECT * FROM error_of($$INSERT INTO bad (v) VALUES ('[1,2,1e39]')$$);

-- classes and operators that do not fit
SELECT * FROM error_of('CREATE INDEX ON bad USING annivf (id)');
SELECT * FROM error_of('CREATE INDEX ON bad USING annivf (id vector_l2_ops)');
SELECT * FROM error_of('CREATE INDEX ON bad USING annivf (n vector_ip_ops)');
SELECT * FROM error_of('CREATE INDEX ON bad USING annivf (v no_such_ops)');
SELECT * FROM error_of('CREATE INDEX ON bad USING annivf (v, id)');
SELECT * FROM error_of('CREATE INDEX ON bad USING annivf (v) INCLUDE (id)');
SELECT * FROM error_of('CREATE UNIQUE INDEX ON bad USING annivf (v)');
SELECT * FROM error_of('CREATE INDEX ON bad USING annivf (v DESC)');

-- the index serves its own operator only
EXPLAIN (COSTS OFF) SELECT id FROM bad ORDER BY v <-> '[1,2,3]' LIMIT 1;
EXPLAIN (COSTS OFF) SELECT id FROM bad ORDER BY v <=> '[1,2,3]' LIMIT 1;
EXPLAIN (COSTS OFF) SELECT id FROM bad ORDER BY v <-> '[1,2,3]' DESC LIMIT 1;

-- a second ordering operator sorts above the index, never by it
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM bad ORDER BY v <-> '[1,2,3]', v <-> '[0,0,0]' LIMIT 5) s;
RESET enable_sort;

-- snapshots that are not MVCC: exclusion constraints
CREATE TABLE excluded (v vector(3));
SELECT * FROM error_of('ALTER TABLE excluded ADD EXCLUDE USING annivf (v WITH <->)');
DROP TABLE excluded;

-- index-only scans of no column
SELECT count(*) FROM bad;

-- functions on relations that are no annivf index
SELECT * FROM error_of($$SELECT ann_train('bad')$$);
CREATE INDEX bad_id ON bad (id);
SELECT * FROM error_of($$SELECT ann_train('bad_id')$$);
CREATE ROLE regress_ann_other;
SET ROLE regress_ann_other;
SELECT * FROM error_of($$SELECT ann_train('bad_v')$$);
RESET ROLE;
DROP ROLE regress_ann_other;

-- the classes are valid
SELECT opcname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE amname = 'annivf' ORDER BY opcname;
SELECT pg_index_column_has_property('bad_v', 1, 'distance_orderable'),
	pg_indexam_has_property(oid, 'can_order'), pg_indexam_has_property(oid, 'can_unique')
FROM pg_am WHERE amname = 'annivf';

-- after all of it the table and the index are as they were
SELECT count(*), count(v) FROM bad;
SELECT count(*) FROM (SELECT id FROM bad ORDER BY v <-> '[1,2,3]' OFFSET 0) s;
DROP TABLE bad;
DROP FUNCTION error_of;

-- Bad input: a clear error each, with its SQLSTATE; nothing is lost

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- SQLSTATE and what the error says, without the schema that newer servers name where they restrict the
-- search path
CREATE FUNCTION error_of(command text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE command;
	RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN format('%s %s%s', SQLSTATE, replace(SQLERRM, 'public.', ''), E'\n' || NULLIF(hint, ''));
END $$;

-- wrong dimensions
CREATE TABLE errors (id int, v vector(3));
CREATE INDEX errors_v ON errors USING annivf (v);
INSERT INTO errors VALUES (1, '[1,2,3]'), (2, '[4,5,6]'), (3, NULL);
SELECT error_of('INSERT INTO errors VALUES (4, ''[1,2]'')');
SELECT error_of('UPDATE errors SET v = ''[1,2,3,4]'' WHERE id = 1');
SET enable_seqscan = off;
SET enable_sort = off;
SELECT error_of('SELECT id FROM errors ORDER BY v <-> ''[1,2]''');
SELECT error_of('SELECT id FROM errors ORDER BY v <-> ''[1,2,3,4]'' LIMIT 1');
SELECT id FROM errors ORDER BY v <-> '[4,5,6]';
SELECT id FROM errors ORDER BY v <-> (SELECT NULL::vector);

-- a column of any dimensions: the first value decides for the index
CREATE TABLE errors_any (id int, v vector);
CREATE INDEX errors_any_v ON errors_any USING annivf (v);
SELECT id FROM errors_any ORDER BY v <-> '[1,2]';
INSERT INTO errors_any VALUES (1, NULL);
SELECT id FROM errors_any ORDER BY v <-> '[1,2]';
INSERT INTO errors_any VALUES (2, '[1,2]');
INSERT INTO errors_any VALUES (3, '[1,2,3]');
SELECT error_of('INSERT INTO errors_any VALUES (3, ''[1,2,3]'')');
SELECT error_of('SELECT id FROM errors_any ORDER BY v <-> ''[1,2,3]''');
INSERT INTO errors_any VALUES (4, '[3,4]');
SELECT id FROM errors_any ORDER BY v <-> '[3,4]';
DROP INDEX errors_any_v;
INSERT INTO errors_any VALUES (5, '[1,2,3]');
CREATE INDEX errors_any_v ON errors_any USING annivf (v);
SELECT error_of('CREATE INDEX ON errors_any USING annivf (v)');
SELECT error_of('CREATE INDEX ON errors_any USING annivf (v) WITH (num_leaves = 2)');
-- of one number of dimensions at a time
CREATE INDEX errors_any_2 ON errors_any USING annivf ((v::vector(2))) WHERE vector_dims(v) = 2;
CREATE INDEX errors_any_3 ON errors_any USING annivf ((v::vector(3))) WHERE vector_dims(v) = 3;
SELECT id FROM errors_any WHERE vector_dims(v) = 2 ORDER BY v::vector(2) <-> '[3,4]';
SELECT id FROM errors_any WHERE vector_dims(v) = 3 ORDER BY v::vector(3) <-> '[3,4,5]';
DROP TABLE errors_any;

-- the type's own limits
SELECT error_of('INSERT INTO errors VALUES (4, ''[1,2,NaN]'')');
SELECT error_of('INSERT INTO errors VALUES (4, ''[1,2,Infinity]'')');
SELECT error_of('INSERT INTO errors VALUES (4, ''[1,2,1e40]'')');
SELECT error_of('INSERT INTO errors VALUES (4, ARRAY[1, 2, ''NaN'']::real[])');
SELECT error_of('INSERT INTO errors VALUES (4, ARRAY[1, 2, ''-Infinity'']::float8[])');
SELECT error_of('INSERT INTO errors VALUES (4, ''[]'')');
SELECT error_of('SELECT id FROM errors ORDER BY v <-> ''[NaN,1,1]''');
SELECT error_of('CREATE TABLE errors_wide (v vector(16001))');

-- columns and operator classes that do not go together
SELECT error_of('CREATE INDEX ON errors USING annivf (id)');
SELECT error_of('CREATE INDEX ON errors USING annivf (id vector_l2_ops)');
SELECT error_of('CREATE INDEX ON errors USING annivf (v int4_ops)');
SELECT error_of('CREATE INDEX ON errors USING btree (v vector_l2_ops)');
SELECT error_of('CREATE INDEX ON errors USING annivf (v text_ops)');
SELECT error_of('CREATE INDEX ON errors USING annivf (v, v)');
SELECT error_of('CREATE INDEX ON errors USING annivf (v) INCLUDE (id)');
SELECT error_of('CREATE UNIQUE INDEX ON errors USING annivf (v)');
SELECT error_of('CREATE INDEX ON errors USING annivf (v DESC)');
SELECT error_of('CREATE INDEX ON errors USING annivf (v NULLS FIRST)');
SELECT error_of('CREATE INDEX ON errors USING annivf (v vector_l2_ops (lists = 5))');
SELECT error_of('CLUSTER errors USING errors_v');
SELECT error_of('ALTER TABLE errors ADD EXCLUDE USING annivf (v WITH <->)');
SELECT error_of('ALTER TABLE errors ADD EXCLUDE USING annivf (v WITH =)');

-- two distances, another metric's distance, the other direction: not by the index, yet right
CREATE FUNCTION by_index(query text) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan LIKE '%"Index Name": "errors_v"%';
END $$;
SELECT by_index('SELECT id FROM errors ORDER BY v <-> ''[4,5,6]''');
SELECT by_index('SELECT id FROM errors ORDER BY v <-> ''[4,5,6]'', v <-> ''[1,2,3]''');
SELECT id FROM errors ORDER BY v <-> '[4,5,6]', v <-> '[1,2,3]';
SELECT by_index('SELECT id FROM errors ORDER BY v <#> ''[4,5,6]''');
SELECT id FROM errors ORDER BY v <#> '[4,5,6]';
SELECT by_index('SELECT id FROM errors ORDER BY v <-> ''[4,5,6]'' DESC');
SELECT id FROM errors ORDER BY v <-> '[4,5,6]' DESC;
SELECT by_index('SELECT id FROM errors ORDER BY ''[4,5,6]'' <-> v');
SELECT id FROM errors ORDER BY '[4,5,6]' <-> v;
RESET enable_seqscan;
RESET enable_sort;

-- an operator class that asks for what the method has not: scans that are not ordered, and so snapshots
-- that are not MVCC
CREATE FUNCTION same(vector, vector) RETURNS bool LANGUAGE sql IMMUTABLE
	AS 'SELECT $1::real[] = $2::real[]';
CREATE OPERATOR === (LEFTARG = vector, RIGHTARG = vector, FUNCTION = same, COMMUTATOR = ===);
CREATE OPERATOR CLASS same_ops FOR TYPE vector USING annivf AS
	OPERATOR 1 ===, FUNCTION 1 annivf_vector_l2_support(internal);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'same_ops';
CREATE TABLE errors_same (id int, v vector(2), EXCLUDE USING annivf (v same_ops WITH ===));
INSERT INTO errors_same VALUES (1, '[1,2]');
SELECT error_of('INSERT INTO errors_same VALUES (1, ''[1,2]'')');
DROP TABLE errors_same;
DROP OPERATOR FAMILY same_ops USING annivf;
DROP OPERATOR === (vector, vector);
DROP FUNCTION same;

-- no support function, too many, wrong ones
SELECT error_of('CREATE OPERATOR CLASS bad_ops FOR TYPE vector USING annivf AS OPERATOR 3 <-> (vector, vector) FOR ORDER BY float_ops');
SELECT error_of('CREATE OPERATOR CLASS bad_ops FOR TYPE vector USING annivf AS FUNCTION 2 annivf_vector_l2_support(internal)');
CREATE OPERATOR CLASS bad_ops FOR TYPE vector USING annivf AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops;
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'bad_ops';
SELECT error_of('CREATE INDEX ON errors USING annivf (v bad_ops)');
DROP OPERATOR FAMILY bad_ops USING annivf;
-- a support function that is none, of another metric, of another type
CREATE OPERATOR CLASS bad_ops FOR TYPE vector USING annivf AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 annivf_handler(internal);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'bad_ops';
SELECT error_of('CREATE INDEX ON errors USING annivf (v bad_ops)');
DROP OPERATOR FAMILY bad_ops USING annivf;
CREATE FUNCTION not_ours(internal) RETURNS internal LANGUAGE internal AS 'internal_in';
CREATE OPERATOR CLASS bad_ops FOR TYPE vector USING annivf AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 not_ours(internal);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'bad_ops';
SELECT error_of('CREATE INDEX ON errors USING annivf (v bad_ops)');
DROP OPERATOR FAMILY bad_ops USING annivf;
DROP FUNCTION not_ours;
CREATE OPERATOR CLASS bad_ops FOR TYPE vector USING annivf AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops, FUNCTION 1 annivf_vector_ip_support(internal);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'bad_ops';
DROP OPERATOR FAMILY bad_ops USING annivf;
CREATE OPERATOR CLASS bad_ops FOR TYPE bit USING annivf AS
	OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops, FUNCTION 1 annivf_vector_l1_support(internal);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'bad_ops';
DROP OPERATOR FAMILY bad_ops USING annivf;
CREATE OPERATOR CLASS bad_ops FOR TYPE vector USING annivf AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY integer_ops, FUNCTION 1 annivf_vector_l2_support(internal);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'bad_ops';
DROP OPERATOR FAMILY bad_ops USING annivf;
-- ours are fine
SELECT opcname, amvalidate(c.oid) FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
	WHERE amname = 'annivf' ORDER BY opcname;
SELECT p, pg_indexam_has_property(oid, p) FROM pg_am,
	unnest(ARRAY['can_order', 'can_unique', 'can_multi_col', 'can_exclude', 'can_include']) p
	WHERE amname = 'annivf';
SELECT p, pg_index_has_property('errors_v'::regclass, p)
	FROM unnest(ARRAY['clusterable', 'index_scan', 'bitmap_scan', 'backward_scan']) p;
SELECT p, pg_index_column_has_property('errors_v'::regclass, 1, p)
	FROM unnest(ARRAY['orderable', 'distance_orderable', 'returnable', 'search_array', 'search_nulls']) p;

-- training what cannot be trained
CREATE TABLE errors_parted (id int, v vector(3)) PARTITION BY RANGE (id);
CREATE TABLE errors_part PARTITION OF errors_parted FOR VALUES FROM (0) TO (10);
CREATE INDEX errors_parted_v ON errors_parted USING annivf (v);
CREATE INDEX errors_id ON errors (id);
SELECT error_of('SELECT ann_train(''errors'')');
SELECT error_of('SELECT ann_train(''errors_id'')');
SELECT error_of('SELECT ann_train(''errors_parted_v'')');
SELECT error_of('SELECT ann_train(4000000000::regclass)');
SELECT error_of('SELECT ann_train(''nothing'')');
SELECT ann_train(NULL);
CREATE ROLE regress_ann_errors;
GRANT SELECT ON errors TO regress_ann_errors;
SET ROLE regress_ann_errors;
SELECT error_of('SELECT ann_train(''errors_v'')');
SELECT id FROM errors ORDER BY v <-> '[4,5,6]';
RESET ROLE;
DROP OWNED BY regress_ann_errors;
DROP ROLE regress_ann_errors;
BEGIN READ ONLY;
SELECT error_of('SELECT ann_train(''errors_v'')');
ROLLBACK;
DROP TABLE errors_parted;

-- the support functions and the handler are not for SQL (what the server says depends on its version)
SELECT left(error_of('SELECT annivf_handler(NULL)'), 5) IN ('42883', '0A000') AS refused;
SELECT left(error_of('SELECT annivf_vector_l2_support(NULL)'), 5) IN ('42883', '0A000') AS refused;

-- a column that changes its type under an index
ALTER TABLE errors ALTER v TYPE vector;
SELECT error_of('INSERT INTO errors VALUES (4, ''[1,2]'')');
SELECT error_of('ALTER TABLE errors ALTER v TYPE vector(2)');
ALTER TABLE errors ALTER v TYPE vector(2) USING ((v::real[])[1:2])::vector;
INSERT INTO errors VALUES (4, '[1,2]');
SELECT error_of('ALTER TABLE errors ALTER v TYPE real[]');

-- nothing was lost
SELECT * FROM index_faults('errors', '<->');
SELECT * FROM errors ORDER BY id;

DROP TABLE errors;
DROP FUNCTION error_of, by_index;

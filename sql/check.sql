-- ann_check finds nothing wrong with any index, whatever has been done to it
SET client_min_messages = warning;

SELECT setseed(0.25);

CREATE FUNCTION some_vectors(n int, dim int, scale float8 DEFAULT 1) RETURNS SETOF vector
LANGUAGE sql VOLATILE AS $$
	SELECT array_agg((random() - 0.5) * scale)::real[]::vector
	FROM generate_series(1, n) i, generate_series(1, dim) j GROUP BY i
$$;

CREATE TABLE kinds (name text, dim int, n int, options text);
INSERT INTO kinds VALUES
	('narrow', 1, 1200, ''),
	('plain', 8, 2500, ''),
	('leaves', 3, 1500, 'WITH (num_leaves = 600)'),         -- codes of the centroids
	('long', 1536, 70, 'WITH (num_leaves = 2, dimensions_per_block = 1)'), -- blocks wider than a page
	('wide', 16000, 40, 'WITH (num_leaves = 2)'),           -- centroids wider than a page
	('few', 4, 300, ''),                                    -- untrained
	('empty', 4, 0, '');

CREATE PROCEDURE fill(times float8) LANGUAGE plpgsql AS $$
DECLARE
	kind record;
BEGIN
	FOR kind IN SELECT * FROM kinds LOOP
		EXECUTE format('INSERT INTO %s (v) SELECT some_vectors(%s, %s)', kind.name,
			(kind.n * times)::int, kind.dim);
		EXECUTE format('INSERT INTO %s (v) SELECT NULL FROM generate_series(1, 30)', kind.name);
		EXECUTE format('INSERT INTO %s (v) SELECT array_fill(x::real, ARRAY[%s])::vector
			FROM unnest(ARRAY[0, 1e-30, 1e20, 1e20]) x', kind.name, kind.dim);
	END LOOP;
END $$;

-- every index of these tables; those of which something is wrong, and what
CREATE FUNCTION faults() RETURNS TABLE (index regclass, block bigint, invariant text, problem text)
LANGUAGE sql AS $$
	SELECT c.oid::regclass, f.* FROM pg_class c JOIN pg_am a ON a.oid = relam,
		ann_check(c.oid, true) f WHERE amname = 'annivf' AND relkind = 'i' ORDER BY 1, 2, 3, 4
$$;

-- those whose summary differs from what is counted otherwise; the rows of their tables are all in them
CREATE FUNCTION wrong_summaries() RETURNS TABLE (index regclass, summary text) LANGUAGE sql AS $$
	SELECT c.oid::regclass, s::text FROM pg_class c JOIN pg_am a ON a.oid = relam,
		ann_check_summary(c.oid, true) s, ann_index_info(c.oid) i
	WHERE amname = 'annivf' AND relkind = 'i' AND (
		(s.num_pages, s.num_leaves, s.num_entries, s.exact_rows, s.null_rows) IS DISTINCT FROM
			(pg_relation_size(c.oid) / current_setting('block_size')::int, i.num_leaves, i.num_entries, i.exact_rows, i.null_rows)
		OR s.num_entries - s.secondary_entries + s.exact_rows + s.null_rows <> i.num_tuples
		OR i.num_tuples <> s.table_rows OR s.leaked_pages > 0 OR s.num_problems > 0 OR NOT s.is_whole)
$$;

DO $$
DECLARE
	kind record;
	metric text;
BEGIN
	FOR kind IN SELECT * FROM kinds LOOP
		EXECUTE format('CREATE TABLE %s (id serial, touched int DEFAULT 0, v vector(%s))', kind.name,
			kind.dim);
	END LOOP;
	CALL fill(1);
	FOR kind IN SELECT * FROM kinds LOOP
		FOREACH metric IN ARRAY ARRAY['l2', 'ip', 'cosine'] LOOP
			EXECUTE format('CREATE INDEX %1$s_%2$s ON %1$s USING annivf (v vector_%2$s_ops) %3$s',
				kind.name, metric, kind.options);
		END LOOP;
	END LOOP;
END $$;
SELECT count(*) FROM pg_class c JOIN kinds k ON c.relname ~ ('^' || k.name || '_(l2|ip|cosine)$');
SELECT * FROM faults();
SELECT * FROM wrong_summaries();
CREATE INDEX plain_soar ON plain USING annivf (v) WITH (num_leaves = 9, soar_lambda = 1);
SELECT num_leaves, num_entries, secondary_entries, exact_rows, null_rows, table_rows, num_problems
	FROM ann_check_summary('plain_soar');
DROP INDEX plain_soar;

-- rows that come after the build; some of them never committed
CALL fill(0.3);
BEGIN;
CALL fill(0.2);
ROLLBACK;
SELECT * FROM faults();

-- HOT updates, updates of the vector, deletes
UPDATE plain SET touched = 1 WHERE id % 3 = 0;
UPDATE plain SET v = (SELECT * FROM some_vectors(1, 8) WHERE id > 0) WHERE id % 7 = 0;
UPDATE few SET v = NULL WHERE id % 5 = 0;
UPDATE few SET v = '[1,2,3,4]' WHERE v IS NULL AND id % 2 = 0;
DELETE FROM long WHERE id % 2 = 0;
DELETE FROM leaves WHERE id % 2 = 0;
SELECT * FROM faults();

VACUUM (PARALLEL 0) plain, few, long, leaves;
SELECT * FROM faults();
CALL fill(0.5);
SELECT * FROM faults();

-- training of an index that grew
SELECT ann_train('few_l2'), ann_train('few_ip'), ann_train('empty_cosine');
SELECT * FROM faults();
CALL fill(0.5);
VACUUM (PARALLEL 0) few, empty;
SELECT * FROM faults();

-- all rows gone, and others in their place
DELETE FROM plain;
DELETE FROM long;
DELETE FROM few;
VACUUM (PARALLEL 0) plain, few, long;
SELECT * FROM faults();
CALL fill(0.5);
SELECT * FROM faults();
SELECT free_pages > 0 AS has_free_pages, leaked_pages, num_problems FROM ann_check_summary('few_l2');
TRUNCATE few, wide;
REINDEX TABLE plain;
SELECT * FROM faults();

-- partial, over an expression, built concurrently, unlogged, temporary, over an untyped column
CREATE INDEX plain_partial ON plain USING annivf (v) WHERE id % 2 = 0;
CREATE FUNCTION halved(v vector) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg(x / 2)::real[]::public.vector FROM unnest(v::real[]) x
$$;
CREATE INDEX plain_halved ON plain USING annivf (halved(v));
CREATE INDEX CONCURRENTLY plain_concurrent ON plain USING annivf (v);
REINDEX INDEX CONCURRENTLY plain_l2;
CREATE UNLOGGED TABLE unlogged (id serial, v vector(4));
CREATE INDEX unlogged_v ON unlogged USING annivf (v);
INSERT INTO unlogged (v) SELECT some_vectors(200, 4);
CREATE TEMP TABLE temporary (id serial, v vector(4));
CREATE INDEX temporary_v ON temporary USING annivf (v);
INSERT INTO temporary (v) SELECT some_vectors(200, 4);
SELECT ann_train('temporary_v');
CREATE TABLE untyped (id serial, v vector);
CREATE INDEX untyped_v ON untyped USING annivf (v);
SELECT * FROM faults();
INSERT INTO untyped (v) SELECT some_vectors(50, 6);
UPDATE plain SET touched = 2 WHERE id % 4 = 1;
SELECT * FROM faults();

-- with little memory for its sort, and within a transaction that has made the index itself
SET maintenance_work_mem = '1MB';
SELECT * FROM faults();
RESET maintenance_work_mem;
BEGIN ISOLATION LEVEL REPEATABLE READ;
UPDATE plain SET touched = 3 WHERE id % 4 = 2;
CREATE INDEX plain_own ON plain USING annivf (v);
INSERT INTO plain (v) SELECT some_vectors(10, 8);
SELECT * FROM faults();
ROLLBACK;

-- a row that the index should not have missed
CREATE INDEX plain_few ON plain USING annivf (v) WHERE id < 0;
UPDATE pg_index SET indpred = NULL WHERE indexrelid = 'plain_few'::regclass;
\c -
SELECT block, invariant, regexp_replace(problem, '\d+', 'N', 'g') AS problem, count(*)
	FROM ann_check('plain_few', true) WHERE problem LIKE 'row%' GROUP BY 1, 2, 3;
SELECT block, invariant, regexp_replace(problem, '\d+', 'N', 'g') AS problem
	FROM ann_check('plain_few', true) WHERE problem NOT LIKE 'row%';
SELECT * FROM ann_check('plain_few');
SELECT num_problems = table_rows AS all_rows, num_problems > 1001 AS more_than_listed, leaked_pages
	FROM ann_check_summary('plain_few', true);
DROP INDEX plain_few;

-- what it refuses
CREATE INDEX plain_id ON plain (id);
CREATE TABLE parts (id int, v vector(4)) PARTITION BY RANGE (id);
CREATE INDEX parts_v ON parts USING annivf (v);
SELECT * FROM ann_check('plain');
SELECT * FROM ann_check('plain_id');
SELECT * FROM ann_check('parts_v');
SELECT * FROM ann_check(0);
SELECT * FROM ann_check(NULL);
SELECT ann_check_summary('plain_id');
SELECT ann_check_summary(NULL);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'plain_halved'::regclass;
\c -
SELECT * FROM ann_check('plain_halved');
SELECT * FROM ann_check('plain_halved', true);
SELECT num_problems FROM ann_check_summary('plain_halved');
SELECT num_problems FROM ann_check_summary('plain_halved', true);

-- privileges
CREATE ROLE ann_check_user;
SET ROLE ann_check_user;
SELECT * FROM ann_check('plain_l2');
SELECT * FROM ann_check_summary('plain_l2');
RESET ROLE;
GRANT SELECT ON plain TO ann_check_user;
SET ROLE ann_check_user;
SELECT * FROM ann_check('plain_l2', true);
RESET ROLE;

-- no lock is left behind
BEGIN;
SELECT * FROM ann_check('plain_l2', true);
SELECT num_problems FROM ann_check_summary('plain_l2', true);
SELECT mode FROM pg_locks WHERE relation IN ('plain'::regclass, 'plain_l2'::regclass)
	AND pid = pg_backend_pid();
COMMIT;

DROP TABLE kinds, narrow, plain, leaves, long, wide, few, empty, unlogged, untyped, parts;
DROP FUNCTION faults, wrong_summaries, halved, some_vectors;
DROP PROCEDURE fill;
DROP ROLE ann_check_user;

-- CREATE INDEX by several processes: the same index, whoever coded its rows

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;
SET min_parallel_table_scan_size = 0;
SET enable_seqscan = off;
SET enable_sort = off;

CREATE TABLE parallels (id int, v vector(8), kind int);
INSERT INTO parallels SELECT row_number() OVER (), x, row_number() OVER () % 3 FROM clustered(6000, 8) x;
INSERT INTO parallels SELECT 6000 + i, CASE i % 4 WHEN 0 THEN '[0,0,0,0,0,0,0,0]'::vector
	WHEN 1 THEN '[1e20,0,0,0,0,0,0,1]' END, 0 FROM generate_series(1, 600) i;
INSERT INTO parallels SELECT 7000 + row_number() OVER (), x, 0 FROM clustered(1000, 8, 0.3) x;
DELETE FROM parallels WHERE id % 11 = 0;
ALTER TABLE parallels SET (parallel_workers = 4);

-- what an index is, as far as SQL can see: its model, its leaves, the order of all rows by their codes
CREATE FUNCTION parallel_print(index regclass, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	q vector;
	ids int[];
	print text;
BEGIN
	SELECT i::text INTO print FROM ann_index_info(index) i;
	print := print || coalesce((SELECT string_agg(l::text, ';' ORDER BY l.leaf) FROM ann_leaves(index) l), '');
	PERFORM set_config('ann.num_reordering_candidates', '0', true);
	FOR q IN SELECT v FROM parallels WHERE id % 2500 = 1 LOOP
		EXECUTE format('SELECT array_agg(id) FROM (%s) s', query) INTO ids USING q;
		print := print || ids::text;
	END LOOP;
	PERFORM set_config('ann.num_reordering_candidates', '-1', true);
	IF EXISTS (SELECT FROM ann_check(index, true)) THEN
		RAISE EXCEPTION 'the index is damaged';
	END IF;
	RETURN md5(print);
END $$;

CREATE FUNCTION parallel_half(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
	RETURN (v::real[])[1:4];
END $$;

-- builds an index with 0, 1 and 2 workers: how many different ones are made, and what is in the last
CREATE FUNCTION parallel_builds(definition text, query text, OUT different bigint, OUT leaves int, OUT tuples bigint,
	OUT exact bigint, OUT nulls bigint) LANGUAGE plpgsql AS $$
DECLARE
	prints text[];
BEGIN
	FOR workers IN 0 .. 2 LOOP
		PERFORM set_config('max_parallel_maintenance_workers', workers::text, true);
		DROP INDEX IF EXISTS parallels_v;
		EXECUTE 'CREATE INDEX parallels_v ON parallels USING annivf ' || definition;
		prints := prints || parallel_print('parallels_v', query);
	END LOOP;
	SELECT count(DISTINCT p) INTO different FROM unnest(prints) p;
	SELECT num_leaves, num_tuples, exact_rows, null_rows INTO leaves, tuples, exact, nulls
		FROM ann_index_info('parallels_v');
END $$;

SET client_min_messages = warning;
SELECT * FROM parallel_builds('(v)', 'SELECT id FROM parallels ORDER BY v <-> $1');
SELECT index_faults('parallels', '<->', 50);
SELECT * FROM parallel_builds('(v vector_cosine_ops)', 'SELECT id FROM parallels ORDER BY v <=> $1');
SELECT index_faults('parallels', '<=>', 50);
SELECT * FROM parallel_builds('(v vector_ip_ops)', 'SELECT id FROM parallels ORDER BY v <#> $1');
SELECT index_faults('parallels', '<#>', 50);
-- more leaves, of which each has few rows, and codes of centroids
SELECT * FROM parallel_builds('(v) WITH (num_leaves = 700)', 'SELECT id FROM parallels ORDER BY v <-> $1');
-- rotated, each row in two leaves
SELECT * FROM parallel_builds('(v) WITH (dimensions_per_block = 2, rotation = on, soar_lambda = 1.5)',
	'SELECT id FROM parallels ORDER BY v <-> $1');
-- a part of the rows; an expression; both
SELECT * FROM parallel_builds('(v) WHERE kind = 1', 'SELECT id FROM parallels WHERE kind = 1 ORDER BY v <-> $1');
SELECT * FROM parallel_builds('((parallel_half(v)))', 'SELECT id FROM parallels
	ORDER BY parallel_half(v) <-> parallel_half($1)');
SELECT * FROM parallel_builds('((parallel_half(v))) WHERE v IS NOT NULL AND id < 6000',
	'SELECT id FROM parallels WHERE v IS NOT NULL AND id < 6000 ORDER BY parallel_half(v) <-> parallel_half($1)');
-- a worker has its leader's kernels
SET ann.simd = 'scalar';
SELECT * FROM parallel_builds('(v)', 'SELECT id FROM parallels ORDER BY v <-> $1');
RESET ann.simd;
-- too few rows to train on
SELECT * FROM parallel_builds('(v) WHERE id < 500', 'SELECT id FROM parallels WHERE id < 500 ORDER BY v <-> $1');
RESET client_min_messages;

-- REINDEX, and CONCURRENTLY
SET max_parallel_maintenance_workers = 0;
DROP INDEX parallels_v;
CREATE INDEX parallels_v ON parallels USING annivf (v);
SELECT parallel_print('parallels_v', 'SELECT id FROM parallels ORDER BY v <-> $1') AS print \gset
SET max_parallel_maintenance_workers = 2;
REINDEX INDEX parallels_v;
SELECT parallel_print('parallels_v', 'SELECT id FROM parallels ORDER BY v <-> $1') = :'print' AS same;
REINDEX INDEX CONCURRENTLY parallels_v;
SELECT parallel_print('parallels_v', 'SELECT id FROM parallels ORDER BY v <-> $1') = :'print' AS same;
DROP INDEX parallels_v;
CREATE INDEX CONCURRENTLY parallels_v ON parallels USING annivf (v);
SELECT parallel_print('parallels_v', 'SELECT id FROM parallels ORDER BY v <-> $1') = :'print' AS same;
INSERT INTO parallels SELECT 9000 + row_number() OVER (), x, 0 FROM clustered(100, 8, 0.7) x;
VACUUM parallels;
SELECT index_faults('parallels', '<->', 50);
DROP INDEX parallels_v;

-- within a transaction that changed the table: workers see its rows, and chains of versions that keep
-- older snapshots from using the index
BEGIN;
UPDATE parallels SET v = (SELECT array_agg(x + 1) FROM unnest(v::real[]) x)::vector WHERE id % 5 = 0;
DELETE FROM parallels WHERE id % 5 = 1;
CREATE INDEX parallels_v ON parallels USING annivf (v);
SELECT * FROM ann_check('parallels_v', true);
SELECT indcheckxmin FROM pg_index WHERE indexrelid = 'parallels_v'::regclass;
ROLLBACK;

-- Workers do take part: this one complains. The leader takes its time, to leave rows to them.
CREATE FUNCTION parallel_no_worker(v vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
	IF (SELECT backend_type FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid()) =
		'parallel worker' THEN
		RAISE EXCEPTION 'a worker has a row' USING ERRCODE = 'data_exception', HINT = 'Let it go.';
	END IF;
	IF pg_catalog.current_setting('parallels.wait') THEN
		PERFORM pg_catalog.pg_sleep(0.0002);
	END IF;
	RETURN v;
END $$;
SET parallels.wait = on;
DO $$
DECLARE
	hint text;
BEGIN
	CREATE INDEX parallels_v ON parallels USING annivf ((parallel_no_worker(v)::vector(8))) WHERE id < 1200;
EXCEPTION WHEN data_exception THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RAISE NOTICE '% % %', SQLSTATE, SQLERRM, hint;
END $$;
SET parallels.wait = off;
-- none where there are none to be had, without permission, for want of safety, and in temporary tables
SET max_parallel_workers = 0;
CREATE INDEX parallels_v ON parallels USING annivf ((parallel_no_worker(v)::vector(8))) WHERE id < 1200;
RESET max_parallel_workers;
DROP INDEX parallels_v;
SET max_parallel_maintenance_workers = 0;
CREATE INDEX parallels_v ON parallels USING annivf ((parallel_no_worker(v)::vector(8))) WHERE id < 1200;
SET max_parallel_maintenance_workers = 2;
DROP INDEX parallels_v;
ALTER FUNCTION parallel_no_worker PARALLEL RESTRICTED;
CREATE INDEX parallels_v ON parallels USING annivf ((parallel_no_worker(v)::vector(8))) WHERE id < 1200;
DROP INDEX parallels_v;
ALTER FUNCTION parallel_no_worker PARALLEL SAFE;
CREATE TEMP TABLE parallels_temp AS SELECT * FROM parallels WHERE id < 1200;
ALTER TABLE parallels_temp SET (parallel_workers = 2);
CREATE INDEX ON parallels_temp USING annivf ((parallel_no_worker(v)::vector(8)));
DROP TABLE parallels_temp;

-- rows of other dimensions, more than a small sample meets
CREATE TABLE parallels_mixed (id int, v vector);
INSERT INTO parallels_mixed SELECT row_number() OVER (), x FROM clustered(30000, 8) x;
INSERT INTO parallels_mixed VALUES (0, '[1,2,3]');
ALTER TABLE parallels_mixed SET (parallel_workers = 2);
DO $$
DECLARE
	hint text;
BEGIN
	CREATE INDEX ON parallels_mixed USING annivf (v) WITH (num_leaves = 10, training_sample_size = 200);
EXCEPTION WHEN data_exception THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RAISE NOTICE '% % %', SQLSTATE, SQLERRM, hint;
END $$;
DELETE FROM parallels_mixed WHERE id = 0;
VACUUM parallels_mixed;
CREATE INDEX ON parallels_mixed USING annivf (v) WITH (num_leaves = 10, training_sample_size = 200);
SELECT index_faults('parallels_mixed', '<->', 50);

-- within little memory; the sort of each spills
SET maintenance_work_mem = '1MB';
SET client_min_messages = warning;
REINDEX TABLE parallels_mixed;
SELECT index_faults('parallels_mixed', '<->', 50);
RESET client_min_messages;
RESET maintenance_work_mem;

DROP TABLE parallels_mixed;
DROP TABLE parallels;
DROP FUNCTION parallel_print, parallel_builds, parallel_no_worker, parallel_half;

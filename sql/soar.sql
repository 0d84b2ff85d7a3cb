-- Rows with an entry in a second leaf: each comes once, whatever the scan, the memory and the index's history

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE soar (id int, v vector(8)) WITH (autovacuum_enabled = off);
INSERT INTO soar SELECT row_number() OVER (), x FROM clustered(3000, 8) x;
-- and some that are not coded
INSERT INTO soar SELECT 4000 + i, NULL FROM generate_series(1, 10) i;
INSERT INTO soar VALUES (4021, '[0,0,0,0,0,0,0,0]'), (4022, '[1e25,0,0,0,0,0,0,0]');

-- rows and entries, as a share of the rows that have a code
CREATE FUNCTION counted(index regclass, OUT has_second bool, OUT rows bigint, OUT most_have_two bool) LANGUAGE sql AS $$
	SELECT soar_lambda > 0, num_tuples,
		num_entries BETWEEN 1.9 * (num_tuples - exact_rows - null_rows) AND 2 * (num_tuples - exact_rows - null_rows)
	FROM ann_index_info(index)
$$;

-- What a scan to the end returns: rows, different ones, places where the distance falls (in strict order
-- one at most, where the rows held back begin).
CREATE FUNCTION read_all(q vector, settings text DEFAULT '', OUT rows int, OUT ids int, OUT falls int)
LANGUAGE plpgsql AS $$
DECLARE
	setting text;
BEGIN
	FOREACH setting IN ARRAY string_to_array(settings, ' ') LOOP
		PERFORM set_config(split_part(setting, '=', 1), split_part(setting, '=', 2), true);
	END LOOP;
	PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
	SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE d < before) INTO rows, ids, falls
	FROM (SELECT id, d, lag(d) OVER (ORDER BY n) AS before
		FROM (SELECT id, d, row_number() OVER () AS n
			FROM (SELECT id, v <-> q AS d FROM soar ORDER BY v <-> q OFFSET 0) a) b) c;
	FOREACH setting IN ARRAY string_to_array(settings, ' ') LOOP
		EXECUTE 'RESET ' || split_part(setting, '=', 1);
	END LOOP;
END $$;

-- FULL = EXACT for the three metrics; as many rows as without
CREATE INDEX soar_v ON soar USING annivf (v) WITH (num_leaves = 40, soar_lambda = 1.5);
SELECT * FROM counted('soar_v');
SELECT index_faults('soar', '<->', 300);
SELECT * FROM ann_check('soar_v', true);
SELECT sum(num_tuples) FROM ann_leaves('soar_v');
DROP INDEX soar_v;
CREATE INDEX soar_v ON soar USING annivf (v vector_ip_ops) WITH (num_leaves = 40, soar_lambda = 1.5);
SELECT * FROM counted('soar_v');
SELECT index_faults('soar', '<#>', 300);
SELECT * FROM ann_check('soar_v', true);
DROP INDEX soar_v;
CREATE INDEX soar_v ON soar USING annivf (v vector_cosine_ops) WITH (num_leaves = 40, soar_lambda = 1.5);
SELECT * FROM counted('soar_v');
SELECT index_faults('soar', '<=>', 300);
SELECT * FROM ann_check('soar_v', true);
DROP INDEX soar_v;

-- a second leaf needs another leaf, and a residual
CREATE INDEX soar_v ON soar USING annivf (v) WITH (num_leaves = 1, soar_lambda = 1.5);
SELECT soar_lambda, num_entries FROM ann_index_info('soar_v');
DROP INDEX soar_v;
CREATE TABLE equals (id int, v vector(2));
INSERT INTO equals SELECT i, ARRAY[i % 4, i % 3]::vector FROM generate_series(1, 1200) i;
CREATE INDEX equals_v ON equals USING annivf (v) WITH (num_leaves = 12, soar_lambda = 1.5);
SELECT num_tuples, num_entries <= num_tuples * 2 AS fine FROM ann_index_info('equals_v');
SELECT index_faults('equals', '<->', 100);
SELECT * FROM ann_check('equals_v', true);
DROP TABLE equals;

-- every way of scanning, with much memory and little
CREATE INDEX soar_v ON soar USING annivf (v) WITH (num_leaves = 40, soar_lambda = 1.5);
SELECT s, rows, ids, CASE WHEN s NOT LIKE '%relaxed%' AND s NOT LIKE '%candidates=0%' THEN falls <= 1 END AS ordered
FROM unnest(ARRAY['', 'work_mem=64kB', 'ann.num_leaves_to_search=1', 'ann.num_leaves_to_search=1 work_mem=64kB',
	'ann.num_leaves_to_search=40', 'ann.num_leaves_to_search=40 work_mem=64kB',
	'ann.num_reordering_candidates=3', 'ann.num_reordering_candidates=3 work_mem=64kB',
	'ann.num_reordering_candidates=100000', 'ann.num_reordering_candidates=100000 work_mem=64kB',
	'ann.num_reordering_candidates=0', 'ann.num_reordering_candidates=0 work_mem=64kB',
	'ann.num_reordering_candidates=0 ann.num_leaves_to_search=1 work_mem=64kB',
	'ann.iterative_scan=relaxed_order', 'ann.iterative_scan=relaxed_order work_mem=64kB',
	'ann.iterative_scan=relaxed_order ann.num_leaves_to_search=1 work_mem=64kB']) s,
	read_all('[1,-1,1,-1,0,0,1,2]', s);
-- off ends with the first leaves: no row twice
SELECT s, rows BETWEEN 1 AND 3000 AS some, rows = ids AS once FROM unnest(ARRAY['ann.iterative_scan=off',
	'ann.iterative_scan=off work_mem=64kB', 'ann.iterative_scan=off ann.num_reordering_candidates=0',
	'ann.iterative_scan=off ann.num_leaves_to_search=20']) s, read_all('[1,-1,1,-1,0,0,1,2]', s);
-- a query that orders nothing
SELECT rows, ids FROM read_all(NULL);

-- inserted rows get theirs too; deletes, vacuum and rows in the room of the old ones
INSERT INTO soar SELECT 5000 + row_number() OVER (), x FROM clustered(2000, 8, 0.3) x;
SELECT * FROM counted('soar_v');
SELECT index_faults('soar', '<->', 300);
SELECT * FROM ann_check('soar_v', true);
DELETE FROM soar WHERE id % 3 = 0;
SELECT rows, ids FROM read_all('[1,-1,1,-1,0,0,1,2]', 'work_mem=64kB');
VACUUM soar;
SELECT * FROM counted('soar_v');
SELECT reltuples, (SELECT count(*) FROM soar) FROM pg_class WHERE oid = 'soar_v'::regclass;
SELECT * FROM ann_check('soar_v', true);
INSERT INTO soar SELECT 8000 + row_number() OVER (), x FROM clustered(1500, 8, 0.7) x;
UPDATE soar SET v = v WHERE id BETWEEN 5000 AND 5500;
SELECT index_faults('soar', '<->', 300);
SELECT rows, ids FROM read_all('[1,-1,1,-1,0,0,1,2]', 'work_mem=64kB');
SELECT * FROM ann_check('soar_v', true);
-- what an aborted transaction leaves
BEGIN;
INSERT INTO soar SELECT 10000 + row_number() OVER (), x FROM clustered(300, 8, 0.8) x;
ROLLBACK;
SELECT rows, ids FROM read_all('[1,-1,1,-1,0,0,1,2]');
SELECT * FROM ann_check('soar_v', true);
VACUUM soar;
SELECT * FROM counted('soar_v');

-- a cursor over which rows come and go
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_sort = off;
DECLARE c CURSOR FOR SELECT id FROM soar ORDER BY v <-> '[1,-1,1,-1,0,0,1,2]';
CREATE TEMP TABLE fetched (id int);
CREATE FUNCTION fetch_into(num int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	c refcursor := 'c';
	r record;
BEGIN
	FOR i IN 1..num LOOP
		FETCH c INTO r;
		EXIT WHEN NOT FOUND;
		INSERT INTO fetched VALUES (r.id);
	END LOOP;
END $$;
SELECT fetch_into(700);
DELETE FROM soar WHERE id % 5 = 0;
INSERT INTO soar SELECT 11000 + row_number() OVER (), x FROM clustered(500, 8, 0.1) x;
SELECT fetch_into(100000);
SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE id > 11000) FROM fetched;
ROLLBACK;

-- an index that grew from empty: trained by vacuum, rows absorbed by the next one
CREATE TABLE grows (id int, v vector(8)) WITH (autovacuum_enabled = off);
CREATE INDEX grows_v ON grows USING annivf (v) WITH (soar_lambda = 1.5, num_leaves = 60);
INSERT INTO grows SELECT row_number() OVER (), x FROM clustered(10500, 8) x;
VACUUM grows;
SELECT is_trained('grows');
SELECT * FROM counted('grows_v');
SELECT * FROM ann_check('grows_v', true);
SELECT index_faults('grows', '<->', 200);
TRUNCATE grows;
INSERT INTO grows SELECT row_number() OVER (), x FROM clustered(600, 8) x;
-- rows that the training sees as deleted, and does not code, come back
BEGIN;
DELETE FROM grows WHERE id <= 100;
SELECT ann_train('grows_v');
ROLLBACK;
SELECT exact_rows FROM ann_index_info('grows_v');
SELECT index_faults('grows', '<->', 200);
VACUUM grows;
SELECT exact_rows FROM ann_index_info('grows_v');
SELECT * FROM counted('grows_v');
SELECT * FROM ann_check('grows_v', true);
SELECT index_faults('grows', '<->', 200);
DROP TABLE grows;

-- automatic: off for data that have no use of it, and small; off when it says so
CREATE INDEX soar_auto ON soar USING annivf (v) WITH (num_leaves = 10);
SELECT soar_lambda FROM ann_index_info('soar_auto');
DROP INDEX soar_auto;
CREATE INDEX soar_auto ON soar USING annivf (v) WITH (num_leaves = 40, soar_lambda = 0);
SELECT soar_lambda, num_tuples - exact_rows - null_rows = num_entries AS one_each FROM ann_index_info('soar_auto');
DROP INDEX soar_auto;
DROP TABLE soar;

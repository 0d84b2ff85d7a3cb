-- Vacuum: dead rows go, their places are used again, counts are kept

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE vacuums (id int, v vector(8), note int);
INSERT INTO vacuums SELECT row_number() OVER (), x, 0 FROM clustered(3000, 8) x;
INSERT INTO vacuums SELECT 3000 + i, CASE WHEN i % 2 = 0 THEN '[0,0,0,0,0,0,0,0]'::vector END, 0
	FROM generate_series(1, 200) i;
CREATE INDEX vacuums_l2 ON vacuums USING annivf (v) WITH (num_leaves = 30);
CREATE INDEX vacuums_cosine ON vacuums USING annivf (v vector_cosine_ops) WITH (num_leaves = 30);
CREATE FUNCTION faults() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT op || ': ' || f FROM unnest(ARRAY['<->', '<=>']) op, index_faults('vacuums', op, 100) f
$$;
CREATE FUNCTION tuples() RETURNS TABLE (l2 float4, cosine float4, rows bigint) LANGUAGE sql AS $$
	SELECT (SELECT reltuples FROM pg_class WHERE oid = 'vacuums_l2'::regclass),
		(SELECT reltuples FROM pg_class WHERE oid = 'vacuums_cosine'::regclass),
		(SELECT count(*) FROM vacuums)
$$;
SELECT * FROM tuples();
VACUUM vacuums;
SELECT * FROM tuples();

-- some rows; then none
DELETE FROM vacuums WHERE id % 3 = 0;
SELECT faults();
VACUUM (INDEX_CLEANUP on) vacuums;
SELECT * FROM tuples();
SELECT faults();
VACUUM (INDEX_CLEANUP on) vacuums;
SELECT * FROM tuples();

-- all of some leaves; NULLs; rows of the exact leaf
SET enable_indexscan = off; -- the true ones
DELETE FROM vacuums WHERE id IN (
	SELECT id FROM vacuums ORDER BY v <-> (SELECT v FROM vacuums WHERE id = 100) LIMIT 250);
RESET enable_indexscan;
DELETE FROM vacuums WHERE v IS NULL;
DELETE FROM vacuums WHERE id > 3000 AND id % 4 = 0;
VACUUM (INDEX_CLEANUP on) vacuums;
SELECT * FROM tuples();
SELECT faults();

-- dead entries that stay, as the index was not to be cleaned
DELETE FROM vacuums WHERE id % 3 = 1 AND id < 600;
VACUUM (INDEX_CLEANUP off) vacuums;
SELECT faults();
INSERT INTO vacuums SELECT 5000 + row_number() OVER (), x, 0 FROM clustered(300, 8, 0.3) x;
SELECT faults();
VACUUM (INDEX_CLEANUP on) vacuums;
INSERT INTO vacuums SELECT 6000 + row_number() OVER (), x, 0 FROM clustered(300, 8, 0.3) x;
SELECT faults();
ANALYZE vacuums;
SELECT * FROM tuples();

-- rows that were updated in place (HOT), on pages that were pruned
UPDATE vacuums SET note = 1;
UPDATE vacuums SET note = 2 WHERE id % 2 = 0;
VACUUM (INDEX_CLEANUP on) vacuums;
UPDATE vacuums SET note = 3 WHERE id % 3 = 0;
SELECT faults();
VACUUM (INDEX_CLEANUP on) vacuums;
SELECT faults();

-- several workers, little memory for dead rows, a delay
SET maintenance_work_mem = '1MB';
SET min_parallel_index_scan_size = 0;
SET vacuum_cost_delay = '0.1ms';
DELETE FROM vacuums WHERE id % 5 = 0;
VACUUM (PARALLEL 2, INDEX_CLEANUP on) vacuums;
RESET vacuum_cost_delay;
RESET min_parallel_index_scan_size;
RESET maintenance_work_mem;
SELECT * FROM tuples();
SELECT faults();

-- ANALYZE, FREEZE, FULL
ANALYZE vacuums;
VACUUM (FREEZE) vacuums;
SELECT faults();
DELETE FROM vacuums WHERE id % 5 = 1;
VACUUM FULL vacuums;
SELECT * FROM tuples();
SELECT faults();

-- everything
DELETE FROM vacuums;
VACUUM vacuums;
SELECT * FROM tuples();
SELECT faults();
INSERT INTO vacuums SELECT row_number() OVER (), x, 0 FROM clustered(100, 8) x;
SELECT faults();
DROP TABLE vacuums;

-- an index does not grow: all rows deleted and inserted again, and a window that slides over them
CREATE TABLE vacuums (id int, v vector(8));
INSERT INTO vacuums SELECT row_number() OVER (), x FROM clustered(2000, 8) x;
CREATE INDEX vacuums_v ON vacuums USING annivf (v) WITH (num_leaves = 20);
CREATE TABLE vacuums_size AS SELECT pg_relation_size('vacuums_v') AS bytes;
DELETE FROM vacuums; VACUUM vacuums; INSERT INTO vacuums SELECT row_number() OVER (), x FROM clustered(2000, 8) x;
DELETE FROM vacuums; VACUUM vacuums; INSERT INTO vacuums SELECT row_number() OVER (), x FROM clustered(2000, 8) x;
DELETE FROM vacuums; VACUUM vacuums; INSERT INTO vacuums SELECT row_number() OVER (), x FROM clustered(2000, 8) x;
DELETE FROM vacuums; VACUUM vacuums; INSERT INTO vacuums SELECT row_number() OVER (), x FROM clustered(2000, 8) x;
SELECT pg_relation_size('vacuums_v') <= bytes * 1.1 AS as_small FROM vacuums_size;
DELETE FROM vacuums WHERE id <= 500; VACUUM vacuums; INSERT INTO vacuums SELECT 2000 + row_number() OVER (), x FROM clustered(500, 8) x;
DELETE FROM vacuums WHERE id <= 1000; VACUUM vacuums; INSERT INTO vacuums SELECT 2500 + row_number() OVER (), x FROM clustered(500, 8) x;
DELETE FROM vacuums WHERE id <= 1500; VACUUM vacuums; INSERT INTO vacuums SELECT 3000 + row_number() OVER (), x FROM clustered(500, 8) x;
DELETE FROM vacuums WHERE id <= 2000; VACUUM vacuums; INSERT INTO vacuums SELECT 3500 + row_number() OVER (), x FROM clustered(500, 8) x;
DELETE FROM vacuums WHERE id <= 2500; VACUUM vacuums; INSERT INTO vacuums SELECT 4000 + row_number() OVER (), x FROM clustered(500, 8) x;
SELECT pg_relation_size('vacuums_v') <= bytes * 1.1 AS as_small FROM vacuums_size;
SELECT index_faults('vacuums', '<->', 100);
DROP TABLE vacuums, vacuums_size;

-- the exact leaf of an index that is not trained: pages emptied and filled again
CREATE TABLE vacuums (id int, v vector(3));
CREATE INDEX vacuums_v ON vacuums USING annivf (v);
INSERT INTO vacuums SELECT i, CASE WHEN i % 3 > 0 THEN ARRAY[i % 10, i % 7, i % 3]::vector END FROM generate_series(1, 6000) i;
CREATE TABLE vacuums_size AS SELECT pg_relation_size('vacuums_v') AS bytes;
DELETE FROM vacuums WHERE id > 100;
VACUUM vacuums;
SELECT index_faults('vacuums', '<->', 100);
INSERT INTO vacuums SELECT i, CASE WHEN i % 3 > 0 THEN ARRAY[i % 10, i % 7, i % 3]::vector END FROM generate_series(101, 6000) i;
SELECT pg_relation_size('vacuums_v') <= bytes AS as_small FROM vacuums_size;
SELECT index_faults('vacuums', '<->', 20);
DELETE FROM vacuums;
VACUUM vacuums;
SELECT index_faults('vacuums', '<->', 100);
DROP TABLE vacuums, vacuums_size;
DROP FUNCTION faults, tuples;

-- Unlogged and temporary tables (test/t/007_unlogged.pl crashes the server under them)

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

SET temp_buffers = '800kB';
CREATE UNLOGGED TABLE unlogged (id int, v vector(6));
CREATE INDEX unlogged_v ON unlogged USING annivf (v) WITH (num_leaves = 10);
SELECT pg_relation_size('unlogged_v', 'init') / 8192 AS pages;
INSERT INTO unlogged SELECT row_number() OVER (), x FROM clustered(500, 6) x;
SELECT index_faults('unlogged', '<->', 100);
SELECT ann_train('unlogged_v');
INSERT INTO unlogged SELECT 1000 + row_number() OVER (), x FROM clustered(500, 6, 0.2) x;
DELETE FROM unlogged WHERE id % 3 = 0;
VACUUM (INDEX_CLEANUP on) unlogged;
INSERT INTO unlogged SELECT 2000 + row_number() OVER (), x FROM clustered(500, 6, 0.3) x;
SELECT index_faults('unlogged', '<->', 100);
-- to a logged table and back
ALTER TABLE unlogged SET LOGGED;
SELECT pg_relation_size('unlogged_v', 'init') AS pages;
SELECT index_faults('unlogged', '<->', 100);
ALTER TABLE unlogged SET UNLOGGED;
SELECT pg_relation_size('unlogged_v', 'init') / 8192 AS pages;
SELECT index_faults('unlogged', '<->', 100);
REINDEX INDEX unlogged_v;
TRUNCATE unlogged;
INSERT INTO unlogged SELECT row_number() OVER (), x FROM clustered(50, 6) x;
SELECT index_faults('unlogged', '<->', 100);
DROP TABLE unlogged;

-- temporary: pages in local buffers, of which there are few
CREATE TEMP TABLE temporary (id int, v vector(64));
CREATE INDEX temporary_v ON temporary USING annivf (v vector_cosine_ops);
INSERT INTO temporary SELECT row_number() OVER (), x FROM clustered(1500, 64) x;
SELECT index_faults('temporary', '<=>', 100);
SELECT ann_train('temporary_v');
INSERT INTO temporary SELECT 2000 + row_number() OVER (), x FROM clustered(500, 64, 0.2) x;
DELETE FROM temporary WHERE id % 4 = 0;
VACUUM temporary;
INSERT INTO temporary SELECT 3000 + row_number() OVER (), x FROM clustered(500, 64, 0.3) x;
SELECT index_faults('temporary', '<=>', 100);
REINDEX INDEX temporary_v;
SELECT index_faults('temporary', '<=>', 100);
DROP TABLE temporary;

-- blocks wider than a page, in local buffers
CREATE TEMP TABLE temporary (id int, v vector(3000));
CREATE INDEX ON temporary USING annivf (v) WITH (num_leaves = 2, dimensions_per_block = 2);
INSERT INTO temporary SELECT row_number() OVER (), x FROM clustered(40, 3000, 0.1, 3) x;
SELECT ann_train('temporary_v_idx');
INSERT INTO temporary SELECT 100 + row_number() OVER (), x FROM clustered(40, 3000, 0.2, 3) x;
SELECT index_faults('temporary', '<->', 50);
DROP TABLE temporary;

-- emptied or gone at the end of the transaction
CREATE TEMP TABLE temporary (id int, v vector(2)) ON COMMIT DELETE ROWS;
CREATE INDEX temporary_v ON temporary USING annivf (v) WITH (num_leaves = 2);
BEGIN;
INSERT INTO temporary SELECT i, ARRAY[i, 1]::vector FROM generate_series(1, 50) i;
SELECT ann_train('temporary_v');
SELECT index_faults('temporary', '<->', 50);
COMMIT;
SELECT index_faults('temporary', '<->', 50);
BEGIN;
INSERT INTO temporary SELECT i, ARRAY[i, 2]::vector FROM generate_series(1, 50) i;
SELECT index_faults('temporary', '<->', 50);
COMMIT;
DROP TABLE temporary;
BEGIN;
CREATE TEMP TABLE temporary (id int, v vector(2)) ON COMMIT DROP;
CREATE INDEX ON temporary USING annivf (v);
INSERT INTO temporary VALUES (1, '[1,2]');
COMMIT;

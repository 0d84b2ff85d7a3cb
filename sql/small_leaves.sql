-- Option min_partition_size: leaves of fewer rows are dissolved when centroids are trained

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- 20 clusters of 200 rows, 30 of 5; the sample is the whole table
CREATE TABLE small (id int, v vector(8)) WITH (autovacuum_enabled = off);
INSERT INTO small SELECT row_number() OVER (), x FROM (
	SELECT clustered(4000, 8, 0.5, 20) x UNION ALL SELECT clustered(150, 8, 0.3, 30)) s;
CREATE INDEX small_v ON small USING annivf (v) WITH (num_leaves = 60);
CREATE FUNCTION small_leaves(OUT leaves text, OUT all_large bool, OUT rows numeric, OUT info bool)
LANGUAGE sql AS $$
	SELECT CASE count(*) WHEN 60 THEN 'all' WHEN 1 THEN 'one' ELSE 'fewer' END,
		min(num_tuples) >= coalesce(substring(array_to_string(c.reloptions, ' ') FROM 'min_partition_size=(\d+)')::int, 0),
		sum(num_tuples), count(*) = (ann_index_info('small_v')).num_leaves
	FROM ann_leaves('small_v'), pg_class c WHERE c.oid = 'small_v'::regclass GROUP BY c.reloptions
$$;
SELECT * FROM small_leaves();
SELECT min(num_tuples) < 40 AS small_ones FROM ann_leaves('small_v');
ALTER INDEX small_v SET (min_partition_size = 1);
REINDEX INDEX small_v;
SELECT * FROM small_leaves();
ALTER INDEX small_v SET (min_partition_size = 40);
-- as with all options that shape an index, it is the next build that takes it
SELECT * FROM small_leaves();
REINDEX INDEX small_v;
SELECT * FROM small_leaves();
SELECT index_faults('small', '<->', 300);
SELECT recall('small', '<->', (SELECT array_agg(x) FROM clustered(4030, 8, 0.5, 20) WITH ORDINALITY c(x, i) WHERE i > 4000), 10) >= 0.95
	AS good;
-- second leaves do not count
ALTER INDEX small_v SET (soar_lambda = 1, min_partition_size = 100);
REINDEX INDEX small_v;
SELECT * FROM small_leaves();
SELECT index_faults('small', '<->', 300);
-- rows of the dissolved leaves can be deleted and inserted
DELETE FROM small WHERE id > 4000;
VACUUM small;
INSERT INTO small SELECT 5000 + row_number() OVER (), x FROM clustered(150, 8, 0.3, 30) x;
SELECT index_faults('small', '<->', 300);
ALTER INDEX small_v RESET (soar_lambda);
-- one leaf always stays
ALTER INDEX small_v SET (min_partition_size = 2147483647);
REINDEX INDEX small_v;
SELECT * FROM small_leaves() WHERE NOT all_large;
SELECT index_faults('small', '<->', 300);
DROP INDEX small_v;

-- many leaves, few of which stay: their parents follow
CREATE TABLE many (id int, v vector(4)) WITH (autovacuum_enabled = off);
INSERT INTO many SELECT row_number() OVER (), x FROM clustered(12000, 4, 0.5, 200) x;
CREATE INDEX many_v ON many USING annivf (v) WITH (num_leaves = 1000, min_partition_size = 60);
SELECT count(*) < 250 AS fewer, min(num_tuples) >= 60 AS all_large, sum(num_tuples) FROM ann_leaves('many_v');
SELECT index_faults('many', '<->', 300);
-- of a sample: as if it were the table
ALTER INDEX many_v SET (training_sample_size = 4000, num_leaves = 300);
REINDEX INDEX many_v;
SELECT count(*) < 250 AS fewer, min(num_tuples) > 30 AS all_large, sum(num_tuples) FROM ann_leaves('many_v');

-- the same index for any number of workers, and by ann_train
CREATE FUNCTION many_print() RETURNS text LANGUAGE sql AS $$
	SELECT md5(string_agg(l::text || (SELECT string_agg(e::text, ';' ORDER BY e.ctid)
		FROM ann_leaf_entries('many_v', l.leaf) e), ';' ORDER BY l.leaf)) FROM ann_leaves('many_v') l
$$;
SET min_parallel_table_scan_size = 0;
ALTER TABLE many SET (parallel_workers = 2);
SET max_parallel_maintenance_workers = 0;
REINDEX INDEX many_v;
SELECT many_print() AS print \gset
SET max_parallel_maintenance_workers = 2;
REINDEX INDEX many_v;
SELECT many_print() = :'print' AS same;
DROP INDEX many_v;
CREATE TABLE rows AS TABLE many;
TRUNCATE many;
CREATE INDEX many_v ON many USING annivf (v) WITH (num_leaves = 300, min_partition_size = 60);
INSERT INTO many TABLE rows;
SELECT ann_train('many_v');
SELECT count(*) < 250 AS fewer, min(num_tuples) >= 60 AS all_large, sum(num_tuples) FROM ann_leaves('many_v');
SELECT index_faults('many', '<->', 300);

-- an index that takes its model from this one takes its leaves, whatever its own rows are
CREATE TABLE taking AS SELECT * FROM many WHERE id % 100 = 0;
CREATE INDEX taking_v ON taking USING annivf (v) WITH (trained_from = many_v, min_partition_size = 60);
SELECT (SELECT count(*) FROM ann_leaves('taking_v')) = (SELECT count(*) FROM ann_leaves('many_v')) AS same;

DROP TABLE small, many, rows, taking;
DROP FUNCTION small_leaves, many_print;

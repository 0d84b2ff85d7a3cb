-- ann_recall: how much of a query's true answer the index finds

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE recalled (id serial, v vector(6));
INSERT INTO recalled (v) SELECT x FROM clustered(3000, 6, 0.4, 300) x;
CREATE INDEX recalled_v ON recalled USING annivf (v) WITH (num_leaves = 100);

SELECT ann_recall('SELECT id FROM recalled ORDER BY v <-> ''[1,2,0,1,2,0]'' LIMIT 10') > 0.7 AS good;
-- few leaves find less than all of them
CREATE FUNCTION mean_recall() RETURNS float8 LANGUAGE sql AS $$
	SELECT avg(ann_recall(format('SELECT id FROM recalled ORDER BY v <-> %L LIMIT 20', v))) FROM recalled WHERE id % 200 = 0
$$;
SET ann.num_leaves_to_search = 1;
SELECT mean_recall() AS one \gset
SET ann.num_leaves_to_search = 10;
SELECT mean_recall() AS ten \gset
SET ann.num_leaves_to_search = 100;
SET ann.num_reordering_candidates = 3000;
SELECT :one < :ten AS more, mean_recall() AS all;
RESET ann.num_reordering_candidates;
RESET ann.num_leaves_to_search;

-- settings of the caller are as before
SET enable_sort = off;
SELECT ann_recall('SELECT id FROM recalled ORDER BY v <-> ''[1,1,1,1,1,1]'' LIMIT 5') > 0.5 AS good;
SHOW enable_sort;
SHOW enable_indexscan;
RESET enable_sort;

-- duplicates, NULLs, no rows
SELECT ann_recall('SELECT NULL, id % 2 FROM recalled ORDER BY v <-> ''[1,1,1,1,1,1]'' LIMIT 100') > 0.5 AS some;
SELECT ann_recall('SELECT id FROM recalled WHERE false ORDER BY v <-> ''[1,1,1,1,1,1]'' LIMIT 5') IS NULL AS nothing;
SELECT ann_recall(NULL) IS NULL AS strict;

-- what is no query
SELECT ann_recall('DELETE FROM recalled');
SELECT ann_recall('SELEC 1');
SELECT ann_recall('');
SELECT ann_recall('SELECT 1; SELECT 2');
SELECT ann_recall('SELECT v <-> ''[1]'' FROM recalled');
SHOW enable_indexscan;
SELECT * FROM unsound();
DROP TABLE recalled;
DROP FUNCTION mean_recall;

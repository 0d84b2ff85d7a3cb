-- reloptions and settings: ranges, defaults, which counts

SET client_min_messages = warning;
CREATE TABLE opt (id int, v vector(4));
INSERT INTO opt SELECT i, ARRAY[i % 7, i % 11, i % 13, i % 17]::vector FROM generate_series(1, 500) i;

-- every option, and what the catalog keeps of it
CREATE INDEX opt_i ON opt USING annivf (v) WITH (num_leaves = 8, num_leaves_to_search = 3,
	num_reordering_candidates = 50, dimensions_per_block = 2, training_sample_size = 400,
	training_iterations = 5, seed = 7);
SELECT unnest(reloptions) FROM pg_class WHERE relname = 'opt_i' ORDER BY 1;

-- out of range
CREATE INDEX ON opt USING annivf (v) WITH (num_leaves = -1);
CREATE INDEX ON opt USING annivf (v) WITH (num_leaves = 16777217);
CREATE INDEX ON opt USING annivf (v) WITH (num_leaves_to_search = -1);
CREATE INDEX ON opt USING annivf (v) WITH (num_reordering_candidates = -2);
CREATE INDEX ON opt USING annivf (v) WITH (dimensions_per_block = 129);
CREATE INDEX ON opt USING annivf (v) WITH (training_sample_size = -1);
CREATE INDEX ON opt USING annivf (v) WITH (training_iterations = 1001);
CREATE INDEX ON opt USING annivf (v) WITH (seed = -1);
CREATE INDEX ON opt USING annivf (v) WITH (lists = 100);
CREATE INDEX ON opt USING annivf (v) WITH (num_leaves = many);

-- at the bounds
CREATE INDEX opt_j ON opt USING annivf (v) WITH (num_leaves = 1, dimensions_per_block = 128,
	training_sample_size = 1, training_iterations = 1, seed = 2147483647);
DROP INDEX opt_j;

-- the two of searching may change later
ALTER INDEX opt_i SET (num_leaves_to_search = 5);
ALTER INDEX opt_i RESET (num_reordering_candidates);
ALTER INDEX opt_i SET (num_leaves_to_search = 16777217);
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM opt ORDER BY v <-> '[1,2,3,4]' LIMIT 3) s;
SELECT leaves_searched FROM ann_search_stats();
SET ann.num_leaves_to_search = 2;
SELECT count(*) FROM (SELECT id FROM opt ORDER BY v <-> '[1,2,3,4]' LIMIT 3) s;
SELECT leaves_searched FROM ann_search_stats();
RESET ann.num_leaves_to_search;

-- settings: ranges
SET ann.num_leaves_to_search = 0;
SET ann.num_leaves_to_search = -2;
SET ann.num_leaves_to_search = 16777217;
SET ann.num_reordering_candidates = -2;
SET ann.max_leaves_to_search = 0;
SET ann.iterative_scan = sometimes;
SET ann.simd = sse;
SET ann.no_such_setting = 1;
SHOW ann.num_leaves_to_search;
SHOW ann.num_reordering_candidates;
SHOW ann.iterative_scan;
SHOW ann.max_leaves_to_search;

-- only a superuser chooses the kernels
CREATE ROLE regress_ann_user;
SET ROLE regress_ann_user;
SET ann.simd = scalar;
SET ann.num_leaves_to_search = 7;
RESET ROLE;
RESET ann.num_leaves_to_search;
DROP ROLE regress_ann_user;

-- iterative_scan: a filter that the searched leaves cannot satisfy
SET ann.num_leaves_to_search = 1;
SELECT count(*) FROM (SELECT id FROM opt WHERE id > 490 ORDER BY v <-> '[1,2,3,4]' LIMIT 10) s;
SET ann.iterative_scan = relaxed_order;
SELECT count(*) FROM (SELECT id FROM opt WHERE id > 490 ORDER BY v <-> '[1,2,3,4]' LIMIT 10) s;
SET ann.iterative_scan = off;
SELECT count(*) < 10 AS too_few FROM (SELECT id FROM opt WHERE id > 490 ORDER BY v <-> '[1,2,3,4]' LIMIT 10) s;
RESET ann.iterative_scan;
SET ann.max_leaves_to_search = 2;
SET client_min_messages = notice;
SELECT count(*) < 10 AS too_few FROM (SELECT id FROM opt WHERE id > 490 ORDER BY v <-> '[1,2,3,4]' LIMIT 10) s;
RESET ann.max_leaves_to_search;
RESET ann.num_leaves_to_search;

-- fewer rows to train on than leaves
SET client_min_messages = warning;
CREATE INDEX opt_k ON opt USING annivf (v) WITH (num_leaves = 100, training_sample_size = 50);
DROP TABLE opt;

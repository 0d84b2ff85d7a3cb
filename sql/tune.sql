-- ann_tune: the cheapest setting that reaches a recall

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE tuned (id serial, v vector(8));
INSERT INTO tuned (v) SELECT x FROM clustered(6000, 8, 0.4, 300) x;
INSERT INTO tuned (v) VALUES (NULL), ('[0,0,0,0,0,0,0,0]');
CREATE INDEX tuned_l2 ON tuned USING annivf (v) WITH (num_leaves = 150, seed = 7);
CREATE INDEX tuned_ip ON tuned USING annivf (v vector_ip_ops) WITH (num_leaves = 150, soar_lambda = 1.5);
CREATE INDEX tuned_cosine ON tuned USING annivf (v vector_cosine_ops) WITH (num_leaves = 150);
CREATE TABLE tunings AS SELECT index::regclass, target, t.*
	FROM unnest(ARRAY['tuned_l2', 'tuned_ip', 'tuned_cosine']) index, unnest(ARRAY[0.5, 0.9, 0.99, 1]) target, ann_tune(index, target, 10, 60) t;

-- it is reached, with no more leaves than there are; a higher one asks for more
SELECT index, count(*), bool_and(recall >= target) AS reached, bool_and(num_leaves_to_search BETWEEN 1 AND 150) AS possible,
		bool_and(num_reordering_candidates = -1 OR num_reordering_candidates >= 20) AS candidates, bool_and(ms_per_query > 0) AS timed
	FROM tunings GROUP BY index ORDER BY index;
SELECT a.index, bool_and(a.num_leaves_to_search <= b.num_leaves_to_search) AS ascending
	FROM tunings a JOIN tunings b ON b.index = a.index AND a.target = 0.5 AND b.target = 0.99 GROUP BY a.index ORDER BY a.index;
-- the same every time, but for the clock
SELECT count(*) AS equal FROM tunings o, ann_tune(o.index, o.target, 10, 60) t
	WHERE (o.num_leaves_to_search, o.num_reordering_candidates, o.recall) = (t.num_leaves_to_search, t.num_reordering_candidates, t.recall);
-- recall is what other rows see with the setting, too
SELECT num_leaves_to_search AS leaves, num_reordering_candidates AS candidates FROM tunings
	WHERE index = 'tuned_l2'::regclass AND target = 0.9 \gset
SET ann.num_leaves_to_search = :leaves;
SET ann.num_reordering_candidates = :candidates;
SELECT avg(ann_recall(format('SELECT id FROM tuned ORDER BY v <-> %L LIMIT 10', v))) > 0.8 AS held FROM tuned WHERE id % 100 = 0;
RESET ann.num_leaves_to_search;
RESET ann.num_reordering_candidates;
-- by hand: the only setting that is certain
SELECT recall FROM ann_tune('tuned_l2', 1, 6100, 5);

-- a partial index, one of an expression; few rows, none
CREATE INDEX tuned_part ON tuned USING annivf (v) WITH (num_leaves = 20) WHERE id > 3000;
SELECT recall >= 0.9 AS reached, num_leaves_to_search <= 20 AS possible FROM ann_tune('tuned_part', 0.9);
CREATE INDEX tuned_expr ON tuned USING annivf ((subvector(v, 1, 3)::vector(3))) WITH (num_leaves = 20);
SELECT recall >= 0.9 AS reached FROM ann_tune('tuned_expr', 0.9, 5);
CREATE TABLE few (v vector(3));
CREATE INDEX few_v ON few USING annivf (v);
SELECT * FROM ann_tune('few_v');
INSERT INTO few VALUES ('[1,2,3]');
SELECT ann_train('few_v');
SELECT num_leaves_to_search, recall FROM ann_tune('few_v');
DELETE FROM few;
SELECT * FROM ann_tune('few_v');
INSERT INTO few SELECT '[1,2,3]' FROM generate_series(1, 30);
SELECT recall FROM ann_tune('few_v', 1, 100);

-- what cannot be
SELECT * FROM ann_tune('tuned_l2', 0);
SELECT * FROM ann_tune('tuned_l2', 1.1);
SELECT * FROM ann_tune('tuned_l2', 'NaN');
SELECT * FROM ann_tune('tuned_l2', 0.9, 0);
SELECT * FROM ann_tune('tuned_l2', 0.9, 10, 0);
SELECT * FROM ann_tune('tuned');
SET maintenance_work_mem = '1MB';
SELECT * FROM ann_tune('tuned_l2', 0.9, 10000, 10000);
RESET maintenance_work_mem;
SELECT * FROM unsound();
DROP TABLE tuned, tunings, few;

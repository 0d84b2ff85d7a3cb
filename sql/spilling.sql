-- ann.query_spilling_threshold: of the first leaves only those that are hardly farther than the nearest

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- 40 clusters, which are the leaves
CREATE TABLE spilled (id serial PRIMARY KEY, v vector(16));
INSERT INTO spilled (v) SELECT x FROM clustered(4000, 16, 0.4, 40, 0.5) x;
CREATE INDEX spilled_v ON spilled USING annivf (v) WITH (num_leaves = 40, num_leaves_to_search = 30, soar_lambda = 0);

-- Queries on the line between the two nearest centroids, which are the nearest two of each of them: in the
-- middle both are equally far; at a quarter of the way the second one is three times as far.
CREATE TABLE places AS
	WITH pair AS (SELECT a.leaf, a.centroid::real[] AS a, b.centroid::real[] AS b
		FROM ann_leaves('spilled_v') a, ann_leaves('spilled_v') b WHERE a.leaf <> b.leaf ORDER BY a.centroid <-> b.centroid, a.leaf LIMIT 1)
	SELECT name, leaf, (SELECT array_agg(x + part * (y - x) ORDER BY i)::vector FROM unnest(a, b) WITH ORDINALITY u(x, y, i)) AS q
		FROM pair, (VALUES ('easy', 0.25), ('boundary', 0.5)) p(name, part);

-- leaves that a search for the nearest row looks at
CREATE FUNCTION leaves(index regclass, q vector, threshold float8) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('ann.query_spilling_threshold', threshold::text, true);
	PERFORM count(*) FROM ann_search(index, q, 1);
	PERFORM set_config('ann.query_spilling_threshold', '0', true);
	RETURN (SELECT leaves_searched FROM ann_search_stats());
END $$;
SELECT name, threshold, leaves('spilled_v', q, threshold)
	FROM places, unnest(ARRAY[0, 0.1, 0.5]::float8[]) threshold ORDER BY name DESC, threshold;
SELECT threshold, leaves('spilled_v', q, threshold) >= 2 AS several
	FROM places, unnest(ARRAY[1e-300, 1.9, 2.1]::float8[]) threshold WHERE name = 'easy' ORDER BY threshold;

-- with every metric: at least one leaf, at most those asked for, the more the greater the threshold
CREATE INDEX spilled_ip ON spilled USING annivf (v vector_ip_ops) WITH (num_leaves = 40, num_leaves_to_search = 30);
CREATE INDEX spilled_cosine ON spilled USING annivf (v vector_cosine_ops) WITH (num_leaves = 40, num_leaves_to_search = 30, soar_lambda = 1.5);
CREATE INDEX spilled_l1 ON spilled USING annivf (v vector_l1_ops) WITH (num_leaves = 40, num_leaves_to_search = 30);
CREATE INDEX spilled_flat ON spilled USING annivf (v) WITH (num_leaves = 40, num_leaves_to_search = 30, quantizer = 'flat');
CREATE FUNCTION course(index regclass, OUT fewest bigint, OUT most bigint, OUT grows bool, OUT differs bool) LANGUAGE sql AS $$
	SELECT min(n), max(n), bool_and(n >= before OR before IS NULL), bool_or(n <> other)
		FROM (SELECT n, lag(n) OVER (PARTITION BY id ORDER BY threshold) AS before, lag(n) OVER (PARTITION BY threshold ORDER BY id) AS other
			FROM (SELECT id, threshold, leaves(index, (SELECT avg(v) FROM spilled w WHERE w.id IN (s.id, s.id + s.id % 3)), threshold) AS n
				FROM spilled s, unnest(ARRAY[1e-9, 0.01, 0.1, 0.5, 1, 3, 1000]::float8[]) threshold WHERE id <= 40 OFFSET 0) s) s
$$;
SELECT i AS index, (course(i)).* FROM unnest(ARRAY['spilled_v', 'spilled_ip', 'spilled_cosine', 'spilled_l1', 'spilled_flat']::regclass[]) i;
DROP INDEX spilled_flat;

-- under a great threshold the result is that without, and no row is missing under any
CREATE FUNCTION same_answer(rel regclass, op text, q vector, rows int) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	without record := answer(rel, op, q, rows, true);
BEGIN
	PERFORM set_config('ann.query_spilling_threshold', '1000', true);
	RETURN without = answer(rel, op, q, rows, true);
END $$;
SELECT op, count(*), bool_and(same_answer('spilled', op, v, k)) AS same
	FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) op, spilled, unnest(ARRAY[1, 10, 300]) k WHERE id <= 20 GROUP BY op ORDER BY op;
SHOW ann.query_spilling_threshold;
CREATE FUNCTION every_row_once(op text, threshold float8) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('ann.query_spilling_threshold', threshold::text, true);
	RETURN (SELECT bool_and((SELECT count(*) = 4000 AND count(DISTINCT i) = 4000 FROM unnest((answer('spilled', op, q, 0, true)).ids) i)) FROM places);
END $$;
SELECT threshold, mode, bool_and(every_row_once(op, threshold)) AS every_row_once
	FROM unnest(ARRAY[1e-300, 0.2, 1000]::float8[]) threshold, unnest(ARRAY['strict_order', 'relaxed_order']) mode,
		LATERAL (SELECT set_config('ann.iterative_scan', mode, true)) s, unnest(ARRAY['<->', '<#>', '<=>', '<+>']) op
	GROUP BY threshold, mode ORDER BY threshold, mode;
-- a search that was spilled over two leaves scores their codes, whatever the most is
CREATE FUNCTION codes(q vector, leaves int, threshold float8) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('ann.query_spilling_threshold', threshold::text, true);
	PERFORM count(*) FROM ann_search('spilled_v', q, 10, leaves);
	PERFORM set_config('ann.query_spilling_threshold', '0', true);
	RETURN (SELECT codes_scanned FROM ann_search_stats());
END $$;
SELECT codes(q, 2, 0) = codes(q, 30, 0.3) AS same, codes(q, 2, 0) = codes(q, 1000, 0.3) AS same, codes(q, 1, 0.3) = codes(q, 1, 0) AS one
	FROM places WHERE name = 'boundary';

-- no further leaves: those chosen are the end of it
SET ann.iterative_scan = off;
SET enable_seqscan = off;
SET enable_sort = off;
SET ann.query_spilling_threshold = 0.3;
SELECT q AS easy, (SELECT num_tuples FROM ann_leaves('spilled_v') l WHERE l.leaf = p.leaf) AS of_the_leaf FROM places p WHERE name = 'easy' \gset
SELECT q AS boundary FROM places WHERE name = 'boundary' \gset
SELECT count(*) = :of_the_leaf AS its_rows FROM (SELECT id FROM spilled ORDER BY v <-> :'easy') s;
SELECT leaves_searched FROM ann_search_stats();
SELECT count(*) > :of_the_leaf AS of_two FROM (SELECT id FROM spilled ORDER BY v <-> :'boundary') s;
SELECT leaves_searched FROM ann_search_stats();
-- the cap holds for all of a scan's leaves
SET ann.max_leaves_to_search = 1;
SELECT count(*) FROM (SELECT id FROM spilled ORDER BY v <-> :'boundary' LIMIT 5) s;
SELECT leaves_searched FROM ann_search_stats();
RESET ann.iterative_scan;
SET ann.max_leaves_to_search = 5;
SELECT count(*) BETWEEN 5 AND 3999 AS some FROM (SELECT id FROM spilled ORDER BY v <-> :'easy') s;
SELECT leaves_searched FROM ann_search_stats();
RESET ann.max_leaves_to_search;
-- fewer than the rank's share are never returned: a large LIMIT reads on
SELECT count(*) FROM (SELECT id FROM spilled ORDER BY v <-> :'easy' LIMIT 1000) s;
SELECT leaves_searched > 10 AS many FROM ann_search_stats();

-- by function: batches are single searches, a range is complete
SELECT count(*) = 400 AS rows, bool_and(b.ctid = r.ctid) AS same
	FROM ann_search_batch('spilled_v', (SELECT array_agg(v ORDER BY id) FROM spilled WHERE id <= 40), 10) b
	JOIN (SELECT id, x.ordinality, x.ctid FROM spilled, ann_search('spilled_v', v, 10) WITH ORDINALITY x WHERE id <= 40) r
		ON r.id = b.query AND r.ordinality = b.rank;
SELECT count(*) FROM ann_range_search('spilled_v', :'easy', 1000);
SELECT count(*) = (SELECT count(*) FROM (SELECT v FROM spilled OFFSET 0) s WHERE v <-> :'easy' < 0.9) AS all_within
	FROM ann_range_search('spilled_v', :'easy', 0.9);
RESET ann.query_spilling_threshold;

-- strings of bits
CREATE TABLE spilled_bits (id int, v bit(64));
INSERT INTO spilled_bits SELECT id, (binary_quantize(v)::bit(16) || binary_quantize(v - '[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]')::bit(16)
	|| binary_quantize(v + '[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]')::bit(16) || binary_quantize(v)::bit(16))::bit(64) FROM spilled;
CREATE INDEX spilled_hamming ON spilled_bits USING annivf (v bit_hamming_ops) WITH (num_leaves = 40, num_leaves_to_search = 30);
CREATE INDEX spilled_jaccard ON spilled_bits USING annivf (v bit_jaccard_ops) WITH (num_leaves = 40, num_leaves_to_search = 30);
CREATE FUNCTION bit_answer(op text, q bit, threshold float8, OUT ids int[], OUT leaves bigint) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('ann.query_spilling_threshold', threshold::text, true);
	EXECUTE format('SELECT array_agg(id) FROM (SELECT id FROM spilled_bits ORDER BY v %s %L::bit(64) LIMIT 10) s', op, q) INTO ids;
	leaves := (SELECT leaves_searched FROM ann_search_stats());
END $$;
SELECT op, min((narrow).leaves) >= 1 AND max((narrow).leaves) < 30 AS fewer, min((great).leaves) AS of_a_great_one, max((without).leaves) AS without,
		bool_and((great).ids = (without).ids) AS same
	FROM (SELECT op, bit_answer(op, v, 0.1) AS narrow, bit_answer(op, v, 1000) AS great, bit_answer(op, v, 0) AS without
		FROM unnest(ARRAY['<~>', '<%>']) op, spilled_bits WHERE id <= 20 OFFSET 0) s GROUP BY op ORDER BY op;

-- centroids that have codes: leaves come in windows
CREATE INDEX spilled_many ON spilled USING annivf (v) WITH (num_leaves = 600, num_leaves_to_search = 100, training_iterations = 2);
SELECT (course('spilled_many')).*;
SET work_mem = '64kB';
SELECT (course('spilled_many')).*;
RESET work_mem;
DROP INDEX spilled_many;

-- distances that are not finite, an untrained index, one leaf
INSERT INTO spilled (v) VALUES (array_fill(3e38::real, ARRAY[16])), (array_fill(-3e38::real, ARRAY[16]));
SET ann.query_spilling_threshold = 0.1;
SELECT op, count(*) FROM unnest(ARRAY['<->', '<#>', '<=>', '<+>']) op, spilled s,
		LATERAL unnest((answer('spilled', op, s.v, 0, true)).ids) i WHERE id > 4000 GROUP BY op ORDER BY op;
CREATE TABLE spilled_few (id int, v vector(3));
CREATE INDEX spilled_few_v ON spilled_few USING annivf (v) WITH (num_leaves = 1);
INSERT INTO spilled_few SELECT i, ARRAY[i, i, 1]::vector FROM generate_series(1, 50) i;
SELECT count(*) FROM (SELECT id FROM spilled_few ORDER BY v <-> '[1,1,1]') s;
REINDEX TABLE spilled_few;
SELECT count(*) FROM (SELECT id FROM spilled_few ORDER BY v <-> '[1,1,1]') s;
RESET ann.query_spilling_threshold;

-- what is refused
SET ann.query_spilling_threshold = -0.1;
SET ann.query_spilling_threshold = 1000.5;
SET ann.query_spilling_threshold = 'nan';
SET ann.query_spilling_threshold = 'infinity';
SET ann.query_spilling_threshold = 'far';
SHOW ann.query_spilling_threshold;

SELECT i AS index, c.* FROM unnest(ARRAY['spilled_v', 'spilled_ip', 'spilled_cosine', 'spilled_l1',
	'spilled_hamming', 'spilled_jaccard', 'spilled_few_v']::regclass[]) i, ann_check(i, true) c;
SELECT index_faults('spilled', '<->', 50);
DROP TABLE spilled, spilled_bits, spilled_few, places;
DROP FUNCTION leaves, course, same_answer, every_row_once, codes, bit_answer;

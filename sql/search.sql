-- Searching by function: ann_search and ann_range_search

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE searched (id serial, v vector(12));
INSERT INTO searched (v) SELECT x FROM clustered(4000, 12, 0.4, 60) x;
INSERT INTO searched (v) VALUES (NULL), ((SELECT array_agg(0) FROM generate_series(1, 12))::real[]::vector), (NULL);
CREATE INDEX searched_l2 ON searched USING annivf (v) WITH (num_leaves = 50, soar_lambda = 0);
CREATE INDEX searched_ip ON searched USING annivf (v vector_ip_ops) WITH (num_leaves = 50, soar_lambda = 1.5);
CREATE INDEX searched_cosine ON searched USING annivf (v vector_cosine_ops) WITH (num_leaves = 50, soar_lambda = 1.5);
CREATE TABLE queries AS SELECT id, (SELECT array_agg(x + 0.01 ORDER BY i) FROM unnest(v::real[]) WITH ORDINALITY u(x, i))::real[]::vector AS q
	FROM searched WHERE id IN (3, 500, 777, 1500, 3999);
CREATE TABLE metrics (index regclass, op text);
INSERT INTO metrics VALUES ('searched_l2', '<->'), ('searched_ip', '<#>'), ('searched_cosine', '<=>');

-- rows and distances of ORDER BY, by the same index under the same settings
CREATE FUNCTION by_order(op text, q vector, k int, OUT tids tid[], OUT distances float8[]) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	EXECUTE format('SELECT array_agg(ctid), array_agg(d) FROM
		(SELECT ctid, v %1$s %2$L AS d FROM searched ORDER BY v %1$s %2$L LIMIT %3$s) s', op, q, k)
		INTO tids, distances;
END $$;
CREATE FUNCTION by_search(index regclass, q vector, k int, OUT tids tid[], OUT distances float8[]) LANGUAGE sql AS $$
	SELECT array_agg(ctid ORDER BY ordinality), array_agg(distance ORDER BY ordinality)
		FROM ann_search(index, q, k) WITH ORDINALITY
$$;
SELECT op, count(*), bool_and((by_search(index, q, k)).tids = (by_order(op, q, k)).tids) AS rows,
		bool_and((by_search(index, q, k)).distances = (by_order(op, q, k)).distances) AS distances
	FROM metrics, queries, (VALUES (1), (7), (10)) k(k) GROUP BY op ORDER BY op;
-- all leaves, all rows: those of a sort, for any k; rows with NULL are left out
SELECT op, count(*), bool_and((SELECT array_agg(r.distance ORDER BY ordinality)
			FROM ann_search(index, q, k, 50, 5000) WITH ORDINALITY r) =
		(ann_test.answer('searched', op, q, LEAST(k, 4001), false)).distances) AS exact
	FROM metrics, queries, (VALUES (1), (25), (300), (10000)) k(k) GROUP BY op ORDER BY op;
SELECT index, count(*) FROM metrics, ann_search(index, (SELECT q FROM queries WHERE id = 500), 1000000) GROUP BY index ORDER BY index;

-- settings of one call: leaves and candidates
SELECT count(*) FROM ann_search('searched_l2', (SELECT q FROM queries WHERE id = 3), 10, 4);
SELECT leaves_searched FROM ann_search_stats();
SELECT count(*) FROM ann_search('searched_l2', (SELECT q FROM queries WHERE id = 3), 10, 1000);
SELECT leaves_searched FROM ann_search_stats();
SELECT count(*) FROM ann_search('searched_l2', (SELECT q FROM queries WHERE id = 3), 10, 20, 64);
SELECT leaves_searched, candidates_reordered FROM ann_search_stats();
SELECT count(*) FROM ann_search('searched_l2', (SELECT q FROM queries WHERE id = 3), 10, 20, 0);
SELECT leaves_searched, heap_fetches FROM ann_search_stats();
SHOW ann.num_leaves_to_search;
-- an order by estimates comes with true distances all the same
SELECT bool_and(r.distance = (s.v <-> q)) AS true_distances
	FROM queries, ann_search('searched_l2', q, 20, 10, 0) r JOIN searched s ON s.ctid = r.ctid;
-- k is known: the leaves of rank k are searched at once
SELECT count(*) FROM ann_search('searched_l2', (SELECT q FROM queries WHERE id = 3), 1, 3);
SELECT leaves_searched AS of_one FROM ann_search_stats() \gset
SELECT count(*) FROM ann_search('searched_l2', (SELECT q FROM queries WHERE id = 3), 400, 3);
SELECT leaves_searched > :of_one AS more FROM ann_search_stats();

-- the code's distance, and the leaf, are those of the functions of the codec
SELECT count(*) = 250 AS rows, bool_and(r.approx_distance = ann_code_distance('searched_l2', e.code, q)) AS of_the_code,
		bool_and(r.leaf IN (SELECT a.leaf FROM ann_assign('searched_l2', q, 20) a)) AS near
	FROM queries, ann_search('searched_l2', q, 50, 20) r, ann_leaf_entries('searched_l2', r.leaf) e WHERE e.ctid = r.ctid;
SELECT index, count(*) = 250 AS rows, avg((e.code IS NOT NULL)::int) > 0.5 AS primary_entries,
		bool_and(e.code IS NULL OR r.approx_distance = ann_code_distance(index, e.code, q)) AS of_the_code
	FROM metrics CROSS JOIN queries CROSS JOIN ann_search(index, q, 50, 50) r
		LEFT JOIN LATERAL (SELECT code FROM ann_leaf_entries(index, r.leaf) e WHERE e.ctid = r.ctid) e ON true
	GROUP BY index ORDER BY index;

-- rows by ctid, with their columns
SELECT count(*), count(s.id), bool_and(r.distance = (s.v <=> q)) AS same
	FROM queries, ann_search('searched_cosine', q) r JOIN searched s ON s.ctid = r.ctid;

-- within a radius: exactly those rows, in order, when all leaves are searched
CREATE FUNCTION within(op text, q vector, radius float8) RETURNS TABLE (tid tid, distance float8) LANGUAGE plpgsql AS $$
BEGIN
	SET LOCAL enable_indexscan = off;
	RETURN QUERY EXECUTE format('SELECT ctid, v %1$s %2$L AS d FROM searched WHERE v %1$s %2$L < %3$L
		ORDER BY d, ctid', op, q, radius);
END $$;
CREATE VIEW radii AS SELECT m.*, queries.*, rank, (SELECT max(d) FROM
		(SELECT unnest((ann_test.answer('searched', op, q, rank, false)).distances) d) s) AS radius
	FROM metrics m, queries, (VALUES (1), (2), (10), (200), (4000)) r(rank);
SET ann.num_reordering_candidates = 1000000;
SELECT op, rank, count(*), bool_and((SELECT array_agg(ROW(r.ctid, r.distance) ORDER BY ordinality)
			FROM ann_range_search(index, q, radius, 50) WITH ORDINALITY r) IS NOT DISTINCT FROM
		(SELECT array_agg(ROW(w.tid, w.distance)) FROM within(op, q, radius) w)) AS exact
	FROM radii GROUP BY op, rank ORDER BY op, rank;
RESET ann.num_reordering_candidates;
-- so does a filter beside the order, which by itself ends no scan
SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT id FROM searched WHERE v <-> '[1,2,0,1,1,2,0,1,1,2,0,1]' < 4
	ORDER BY v <-> '[1,2,0,1,1,2,0,1,1,2,0,1]' LIMIT 5;
RESET enable_seqscan;
RESET enable_sort;
CREATE FUNCTION by_filter(op text, q vector, radius float8) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
	result float8[];
BEGIN
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	SET LOCAL ann.num_leaves_to_search = 50;
	EXECUTE format('SELECT array_agg(d) FROM (SELECT v %1$s %2$L AS d FROM searched WHERE v %1$s %2$L < %3$L
		ORDER BY v %1$s %2$L) s', op, q, radius) INTO result;
	RETURN result;
END $$;
SET ann.num_reordering_candidates = 1000000;
SELECT op, rank, bool_and(by_filter(op, q, radius) IS NOT DISTINCT FROM
		(SELECT array_agg(w.distance) FROM within(op, q, radius) w)) AS exact
	FROM radii WHERE rank IN (2, 200) GROUP BY op, rank ORDER BY op, rank;
RESET ann.num_reordering_candidates;
-- strictly: a row at the radius is outside
SELECT rank, max((SELECT count(*) FROM ann_range_search('searched_l2', q, radius))) <= rank - 1 AS outside,
		min((SELECT count(*) FROM ann_range_search('searched_l2', q, radius + 1e-9))) AS inside
	FROM radii WHERE op = '<->' AND rank <= 2 GROUP BY rank ORDER BY rank;
-- at defaults: most of them, and nothing else
SELECT op, sum((SELECT count(*) FROM ann_range_search(index, q, radius) r JOIN within(op, q, radius) w ON w.tid = r.ctid)) >
		0.95 * sum(rank - 1) AS most,
		bool_and((SELECT coalesce(bool_and(r.distance < radius), true) FROM ann_range_search(index, q, radius) r)) AS nothing_else
	FROM radii WHERE rank IN (10, 200) GROUP BY op ORDER BY op;
-- it ends at the radius
SELECT count(*) FROM ann_range_search('searched_l2', (SELECT q FROM queries WHERE id = 3), 0.5);
SELECT codes_scanned < 2000 AS few, heap_fetches < 100 AS fewer FROM ann_search_stats();
SELECT count(*) FROM ann_range_search('searched_l2', (SELECT q FROM queries WHERE id = 3), 0);
SELECT count(*) FROM ann_range_search('searched_l2', (SELECT q FROM queries WHERE id = 3), -1);
SELECT count(*) FROM ann_range_search('searched_l2', (SELECT q FROM queries WHERE id = 3), 'infinity');

-- a query without direction orders nothing: any rows, none within a radius
SELECT count(*), bool_and(distance = 'NaN') AS no_number FROM ann_search('searched_cosine', '[0,0,0,0,0,0,0,0,0,0,0,0]', 7);
SELECT count(*) FROM ann_range_search('searched_cosine', '[0,0,0,0,0,0,0,0,0,0,0,0]', 'infinity');

-- only what the snapshot sees; updated rows by their new place
BEGIN;
DELETE FROM searched WHERE id <= 2000;
UPDATE searched SET id = id + 10000 WHERE id > 3900;
SELECT bool_and(s.id > 2000) AS living, count(*) = 500 AS rows, count(s.id) AS with_row
	FROM queries, ann_search('searched_l2', q, 100, 50) r LEFT JOIN searched s ON s.ctid = r.ctid;
SELECT count(s.id) = count(*) AS all_rows, count(*) FROM ann_range_search('searched_ip', (SELECT q FROM queries WHERE id = 3), 1e9) r
	LEFT JOIN searched s ON s.ctid = r.ctid;
ROLLBACK;

-- a partial index, one of an expression, one of half precision
CREATE INDEX searched_part ON searched USING annivf (v) WHERE id > 2000;
SELECT bool_and(id > 2000) AS part, count(*) FROM ann_search('searched_part', (SELECT q FROM queries WHERE id = 3), 50) r JOIN searched s ON s.ctid = r.ctid;
CREATE INDEX searched_expr ON searched USING annivf ((subvector(v, 1, 4)::vector(4)));
SELECT bool_and(abs(distance - (subvector(v, 1, 4) <-> '[1,2,0,1]')) < 1e-6) AS same, count(*)
	FROM ann_search('searched_expr', '[1,2,0,1]', 20) r JOIN searched s ON s.ctid = r.ctid;
CREATE INDEX searched_half ON searched USING annivf ((v::halfvec(12)) halfvec_l2_ops);
SELECT max(abs(distance - (v::halfvec(12)::vector <-> '[1,2,0,1,1,2,0,1,1,2,0,1]'))) < 1e-6 AS same, count(*)
	FROM ann_search('searched_half', '[1,2,0,1,1,2,0,1,1,2,0,1]', 20) r JOIN searched s ON s.ctid = r.ctid;
DROP INDEX searched_expr, searched_half;

-- not trained, and empty: exact, from no leaf
CREATE TABLE few (id serial, v vector(3));
CREATE INDEX few_v ON few USING annivf (v);
SELECT count(*) FROM ann_search('few_v', '[1,2,3]');
SELECT count(*) FROM ann_range_search('few_v', '[1,2,3]', 10);
INSERT INTO few (v) SELECT ARRAY[i, 0, 0]::real[]::vector FROM generate_series(1, 20) i;
INSERT INTO few (v) VALUES (NULL);
SELECT distance, approx_distance, leaf FROM ann_search('few_v', '[0,0,0]', 3);
SELECT array_agg(distance) FROM ann_range_search('few_v', '[0,0,0]', 4);
SELECT count(*) FROM ann_search('few_v', '[0,0,0]', 100);
-- rows that no training saw stand in the exact leaf, with no code
SELECT ann_train('few_v');
INSERT INTO few (v) VALUES ('[1e30,1e30,1e30]');
SELECT leaf IS NULL AS exact_leaf, approx_distance IS NULL AS no_code FROM ann_search('few_v', '[1e30,1e30,1e30]', 1);

-- what cannot be
SELECT * FROM ann_search('searched', '[1]');
CREATE INDEX searched_id ON searched (id);
SELECT * FROM ann_search('searched_id', '[1]');
SELECT * FROM ann_range_search('searched_id', '[1]', 1);
SELECT * FROM ann_search(0, '[1]');
SELECT * FROM ann_search('searched_l2', '[1,2]');
SELECT * FROM ann_range_search('searched_l2', '[1,2]', 1);
SELECT * FROM ann_search('searched_l2', '[1]', 0);
SELECT * FROM ann_search('searched_l2', '[1]', 1, 0);
SELECT * FROM ann_search('searched_l2', '[1]', 1, 1, -1);
SELECT * FROM ann_range_search('searched_l2', '[1]', 'NaN');
SELECT * FROM ann_range_search('searched_l2', '[1]', 1, 0);
SELECT count(*) FROM ann_search(NULL, '[1]');
SELECT count(*) FROM ann_search('searched_l2', NULL);
SELECT count(*) FROM ann_search('searched_l2', '[1]', NULL);
SELECT count(*) FROM ann_range_search('searched_l2', '[1]', NULL);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'searched_part'::regclass;
SELECT * FROM ann_search('searched_part', '[1]');
DROP INDEX searched_part, searched_id;

-- SELECT on the table, and all of its rows
CREATE ROLE ann_search_user;
SET ROLE ann_search_user;
SELECT count(*) FROM ann_search('few_v', '[0,0,0]', 3);
RESET ROLE;
GRANT SELECT ON few TO ann_search_user;
SET ROLE ann_search_user;
SELECT count(*) FROM ann_search('few_v', '[0,0,0]', 3);
RESET ROLE;
ALTER TABLE few ENABLE ROW LEVEL SECURITY;
SET ROLE ann_search_user;
SELECT count(*) FROM ann_search('few_v', '[0,0,0]', 3);
SELECT count(*) FROM ann_range_search('few_v', '[0,0,0]', 3);
RESET ROLE;
SELECT count(*) FROM ann_search('few_v', '[0,0,0]', 3);

SELECT c.* FROM metrics, ann_check(index, true) c;
DROP VIEW radii;
DROP TABLE searched, queries, metrics, few;
DROP FUNCTION by_order, by_search, by_filter, within;
DROP ROLE ann_search_user;

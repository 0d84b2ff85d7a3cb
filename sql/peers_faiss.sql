-- What Faiss's own tests state, as far as it holds for any index (doc/peers.md): what codes lose, what more
-- candidates gain, what a filter, a removal, a merge and a swap leave as it was

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- test_ivfpq_codec.cpp, test_standalone_codec.py: the mean squared error of a code falls with more leaves, with
-- smaller blocks and with leaves at all; half precision loses less than 8 bits, these less than 4
CREATE TABLE coded (id serial, v vector(32));
INSERT INTO coded (v) SELECT x FROM clustered(3000, 32, 0.4, 200) x;
CREATE FUNCTION coding_error(options text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	result float8;
BEGIN
	EXECUTE 'CREATE INDEX coded_v ON coded USING annivf (v) WITH (soar_lambda = 0, ' || options || ')';
	SELECT avg(l2_squared_distance(v, ann_decode('coded_v', ann_encode('coded_v', v)))) INTO result FROM coded;
	DROP INDEX coded_v;
	RETURN result;
END $$;
CREATE TABLE errors AS SELECT name, coding_error(options) AS error FROM (VALUES
	('16 leaves', 'num_leaves = 16, dimensions_per_block = 4'), ('128 leaves', 'num_leaves = 128, dimensions_per_block = 4'),
	('M = 8', 'num_leaves = 64, dimensions_per_block = 4, nbits = 8'), ('M = 16', 'num_leaves = 64, dimensions_per_block = 2, nbits = 8'),
	('no leaves', 'num_leaves = 1, dimensions_per_block = 4, nbits = 8'), ('256 leaves', 'num_leaves = 256, dimensions_per_block = 4, nbits = 8'),
	('4 bits', 'num_leaves = 1, dimensions_per_block = 1, rotation = off'), ('sq8', 'num_leaves = 1, quantizer = sq8')) o(name, options);
INSERT INTO errors SELECT 'fp16', avg(l2_squared_distance(v, v::halfvec::vector)) FROM coded;
SELECT b.name AS coarse, a.name AS fine, a.error < b.error AS less FROM (VALUES ('16 leaves', '128 leaves'), ('M = 8', 'M = 16'),
	('no leaves', '256 leaves'), ('4 bits', 'sq8'), ('sq8', 'fp16')) p(coarse, fine) JOIN errors b ON b.name = coarse JOIN errors a ON a.name = fine;
-- a code of what a code stands for is that code again, but for 10 rows of 1,000
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 16, dimensions_per_block = 4, soar_lambda = 0);
SELECT count(*) FILTER (WHERE ann_encode('coded_v', ann_decode('coded_v', code), leaf) <> substr(code, 2)) <= 30 AS stable,
		max(ann_decode('coded_v', code) <-> ann_reconstruct('coded_v', tid)) AS apart
	FROM (SELECT ctid AS tid, ann_encode('coded_v', v) AS code, get_byte(ann_encode('coded_v', v), 0) AS leaf FROM coded) s;

-- test_product_quantizer.py: codewords stand for themselves where there are no more than 16 or 256 values
CREATE TABLE lattice (id serial, v vector(6));
INSERT INTO lattice (v) SELECT ARRAY[i & 3, i >> 2 & 3, i >> 4 & 3, i & 3, i >> 2 & 3, i >> 4 & 3]::vector FROM generate_series(0, 63) i, generate_series(1, 20);
CREATE INDEX lattice_v ON lattice USING annivf (v) WITH (num_leaves = 1, dimensions_per_block = 1, residual_quantization = off);
SELECT max(v <-> ann_decode('lattice_v', ann_encode('lattice_v', v))) < 0.05 AS exact FROM lattice;
DROP TABLE lattice;

-- test_clustering.py: fewer different rows than leaves; a leaf for each row
CREATE TABLE lumps (id serial, v vector(3));
INSERT INTO lumps (v) SELECT ARRAY[i % 5, 7, -(i % 5)]::vector FROM generate_series(1, 500) i;
CREATE INDEX lumps_v ON lumps USING annivf (v) WITH (num_leaves = 10);
SELECT count(*) AS leaves, sum(num_tuples), max(num_tuples) FROM ann_leaves('lumps_v');
SELECT index_faults('lumps', '<->', 50);
DELETE FROM lumps WHERE id > 5;
DROP INDEX lumps_v;
CREATE INDEX lumps_v ON lumps USING annivf (v) WITH (num_leaves = 5);
SELECT count(*) AS leaves, max(num_tuples) FROM ann_leaves('lumps_v');
DROP TABLE lumps;

-- TestRefine, test_refine.py: a factor of 10 finds as many nearest rows in the first 10 as there are in the first
-- 100 without reordering; true distances; no factor finds less than a smaller one
DROP INDEX coded_v;
CREATE TABLE queries AS SELECT i::int AS id, x AS q FROM clustered(100, 32, 0.9, 200) WITH ORDINALITY c(x, i);
CREATE TABLE truth AS SELECT q.id AS query, r.id, r.rank, r.d FROM queries q, LATERAL (SELECT c.id, c.v <-> q.q AS d,
	row_number() OVER (ORDER BY c.v <-> q.q) AS rank FROM coded c) r WHERE rank <= 10;
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 20, dimensions_per_block = 8, soar_lambda = 0);
CREATE FUNCTION found(k int, candidates int) RETURNS TABLE (query int, id int, distance float8) LANGUAGE sql AS $$
	SELECT q.id, c.id, s.distance FROM queries q, ann_search('coded_v', q.q, k, 20, candidates) s JOIN coded c ON c.ctid = s.ctid
$$;
SELECT (SELECT count(*) FROM truth NATURAL JOIN found(10, 100) WHERE rank = 1) >= (SELECT count(*) FROM truth NATURAL JOIN found(100, 0) WHERE rank = 1) AS refined;
SELECT max(abs(f.distance - (c.v <-> q.q))) < 1e-5 AS distances FROM found(10, 100) f JOIN coded c USING (id) JOIN queries q ON q.id = query;
CREATE TABLE factors AS SELECT factor, (SELECT count(*) FROM truth t JOIN found(10, factor) f USING (query, id)) AS hits FROM unnest('{0,10,11,20,40,3000}'::int[]) factor;
SELECT factor, hits >= lag(hits) OVER (ORDER BY factor) AS no_less, hits > lag(hits, 3) OVER (ORDER BY factor) AS more, hits = 1000 AS all FROM factors;

-- test_contrib.py, test_autotune.py: the overlap with the truth never falls as more leaves are searched
SELECT bool_and(hits >= before) AS never_falls, max(hits) FROM (SELECT hits, lag(hits) OVER (ORDER BY leaves) AS before
	FROM (SELECT leaves, (SELECT count(*) FROM truth t JOIN queries q ON q.id = t.query JOIN LATERAL (SELECT c.id FROM
			ann_search('coded_v', q.q, 10, leaves, 3000) s JOIN coded c ON c.ctid = s.ctid) f ON f.id = t.id) AS hits
		FROM unnest('{1,2,4,8,16,20}'::int[]) leaves) s) t;

-- test_ivflib.py: more leaves than there are find what an exhaustive search does, by rank and within a radius; a
-- number for one call comes before the index's own
SELECT count(*) FILTER (WHERE f.distance IS DISTINCT FROM t.d) AS differ FROM truth t LEFT JOIN
	(SELECT q.id AS query, s.distance, row_number() OVER (PARTITION BY q.id ORDER BY s.distance) AS rank
		FROM queries q, ann_search('coded_v', q.q, 10, 1000, 3000) s) f USING (query, rank);
SET ann.num_reordering_candidates = 3000;
SELECT (SELECT count(*) FROM queries, ann_range_search('coded_v', q, 8, 1000)) = count(*) AS same, count(*) > 0 AS any FROM queries, coded WHERE v <-> q < 8;
RESET ann.num_reordering_candidates;
ALTER INDEX coded_v SET (num_leaves_to_search = 2);
SELECT count(*) FROM ann_search('coded_v', (SELECT q FROM queries WHERE id = 1), 1, 20);
SELECT leaves_searched FROM ann_search_stats();
SELECT count(*) FROM ann_search('coded_v', (SELECT q FROM queries WHERE id = 1), 1);
SELECT leaves_searched FROM ann_search_stats();
ALTER INDEX coded_v RESET (num_leaves_to_search);
-- leaf by leaf, by hand: the rows of the leaves are those of a search, and so, nearly, is their order by code, though
-- an index knows more of a row than its code
SET ann.num_reordering_candidates = 3000;
SELECT count(*) AS queries, bool_and((SELECT array_agg((s.ctid, s.distance)) FROM ann_search('coded_v', q, 10, 4) s) =
		(SELECT array_agg((tid, d)) FROM (SELECT c.ctid AS tid, c.v <-> q AS d FROM ann_assign('coded_v', q, 4) a, ann_leaf_entries('coded_v', a.leaf) e
			JOIN (SELECT ctid, v FROM coded OFFSET 0) c ON c.ctid = e.ctid ORDER BY d LIMIT 10) h)) AS same FROM queries WHERE id <= 20;
RESET ann.num_reordering_candidates;
DROP INDEX coded_v;
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 20, dimensions_per_block = 1, soar_lambda = 0);
SELECT avg((SELECT count(*) FROM ann_search('coded_v', q, 10, 4, 0) s JOIN (SELECT e.ctid FROM ann_assign('coded_v', q, 4) a, ann_leaf_entries('coded_v', a.leaf) e
	ORDER BY ann_code_distance('coded_v', e.code, q) LIMIT 10) h USING (ctid))) > 9 AS nearly FROM queries WHERE id <= 20;

-- test_search_params.py: a filter gives what an index of those rows gives, and k rows however few pass; what is
-- left after a limit on leaves is part of what there is without
CREATE FUNCTION filtered(filter text, k int, is_capped bool DEFAULT false) RETURNS TABLE (query int, id int) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true),
		set_config('ann.num_leaves_to_search', CASE WHEN is_capped THEN '2' ELSE '20' END, true),
		set_config('ann.max_leaves_to_search', CASE WHEN is_capped THEN '2' ELSE '-1' END, true),
		set_config('ann.num_reordering_candidates', '3000', true);
	RETURN QUERY EXECUTE format('SELECT q.id, s.id FROM queries q, LATERAL (SELECT c.id FROM coded c WHERE %s ORDER BY c.v <-> q.q LIMIT %s) s
		WHERE q.id <= 20', filter, k);
END $$;
CREATE TABLE whole AS SELECT * FROM filtered('hashint4(id) % 10 = 0', 10);
SELECT count(*), count(DISTINCT query) FROM whole;
SELECT count(*) AS others FROM (SELECT * FROM filtered('hashint4(id) % 10 = 0', 10, true) EXCEPT SELECT * FROM filtered('hashint4(id) % 10 = 0', 3000)) s;
DROP INDEX coded_v;
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 20) WHERE hashint4(id) % 10 = 0;
SELECT count(*) AS differ FROM (SELECT * FROM filtered('hashint4(id) % 10 = 0', 10) EXCEPT TABLE whole) s;
DROP INDEX coded_v;

-- test_index_composite.py, test_merge_index.py: rows merged in and removed again; 200 vectors swapped with others
CREATE INDEX coded_v ON coded USING annivf (v) WITH (num_leaves = 20);
CREATE TABLE before AS SELECT q.id AS query, c.id, s.distance FROM queries q, ann_search('coded_v', q.q, 10, 20, 5000) s JOIN coded c ON c.ctid = s.ctid;
INSERT INTO coded SELECT 10000 + i, x FROM clustered(1000, 32, 0.9, 200) WITH ORDINALITY c(x, i);
SELECT count(*) AS differ FROM (SELECT q.id AS query, c.id, s.distance FROM queries q, ann_search('coded_v', q.q, 10, 20, 5000) s JOIN coded c ON c.ctid = s.ctid WHERE c.id < 10000
	EXCEPT TABLE before) s;
DELETE FROM coded WHERE id > 10000;
VACUUM coded;
SELECT count(*) AS differ FROM (SELECT q.id AS query, c.id, s.distance FROM queries q, ann_search('coded_v', q.q, 10, 20, 5000) s JOIN coded c ON c.ctid = s.ctid
	EXCEPT TABLE before) s;
UPDATE coded a SET v = b.v FROM coded b WHERE a.id <= 200 AND b.id = 201 - a.id;
SELECT count(*) AS differ FROM (SELECT q.id AS query, CASE WHEN c.id <= 200 THEN 201 - c.id ELSE c.id END, s.distance
		FROM queries q, ann_search('coded_v', q.q, 10, 20, 5000) s JOIN coded c ON c.ctid = s.ctid
	EXCEPT TABLE before) s;
-- what a code of a row found stands for is near it, and as far from the query as the code says
SELECT max(r <-> c.v) < 8 AS near, max(abs((r <-> q.q) / greatest(s.approx_distance, 1e-3) - 1)) < 1e-3 AS as_far
	FROM queries q, ann_search('coded_v', q.q, 10, 20) s JOIN coded c ON c.ctid = s.ctid, ann_reconstruct('coded_v', s.ctid) r WHERE s.leaf IS NOT NULL;

-- parts of a table, whatever they are made by, give together what the whole gives
CREATE TABLE splits (id int, v vector(32), kind text) PARTITION BY LIST (kind);
CREATE TABLE splits_a PARTITION OF splits FOR VALUES IN ('a');
CREATE TABLE splits_b PARTITION OF splits FOR VALUES IN ('b');
CREATE INDEX ON splits USING annivf (v);
CREATE FUNCTION split(condition text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	differ bigint;
BEGIN
	TRUNCATE splits;
	EXECUTE format('INSERT INTO splits SELECT id, v, CASE WHEN %s THEN ''a'' ELSE ''b'' END FROM coded', condition);
	PERFORM ann_train('splits_a_v_idx'), ann_train('splits_b_v_idx');
	PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true),
		set_config('ann.num_leaves_to_search', '1000', true), set_config('ann.num_reordering_candidates', '3000', true);
	SELECT count(*) INTO differ FROM (SELECT q.id, s.d FROM queries q, LATERAL (SELECT p.v <-> q.q AS d FROM splits p ORDER BY p.v <-> q.q LIMIT 10) s
		EXCEPT SELECT query, d FROM truth) s;
	RETURN differ;
END $$;
SELECT condition, split(condition) FROM unnest(ARRAY['id < 700', 'id % 2 = 0', 'id % 7 < 2', '(v::real[])[1] > 0', 'true']) condition;
DROP TABLE coded, errors, queries, truth, factors, whole, before, splits;
DROP FUNCTION coding_error, found, filtered, split;

-- test_distances_simd.cpp: each number of dimensions from 1 to 100, every level of ann.simd that this machine
-- runs, in whole numbers, whose sums are exact
CREATE TABLE levels (level text, dim int, l2 float8, ip float8, l1 float8, cosine float8, hamming float8);
DO $$
DECLARE
	this text;
BEGIN
	FOREACH this IN ARRAY ann_test.simd_levels() LOOP
		PERFORM set_config('ann.simd', this, false);
		INSERT INTO levels SELECT this, dim, l2_squared_distance(v, w), inner_product(v, w), v <+> w, v <=> w, b <~> c
			FROM (SELECT dim, array_agg(i * 7 % 11 - 5 ORDER BY i)::vector AS v, array_agg(i * 5 % 13 - 6 ORDER BY i)::vector AS w,
					string_agg((i % 3 % 2)::text, '')::varbit::bit varying AS b, string_agg((i % 5 % 2)::text, '')::varbit AS c
				FROM generate_series(1, 100) dim, generate_series(1, dim) i GROUP BY dim) s;
	END LOOP;
END $$;
RESET ann.simd;
SELECT count(*) FILTER (WHERE num > 1) AS mismatches, count(*) AS dims FROM
	(SELECT dim, count(DISTINCT (l2, ip, l1, cosine, hamming)) AS num FROM levels GROUP BY dim) s;
SELECT count(*) AS wrong FROM levels l, LATERAL (SELECT sum((i * 7 % 11 - i * 5 % 13 + 1) ^ 2) AS l2, sum((i * 7 % 11 - 5) * (i * 5 % 13 - 6)) AS ip,
		sum(abs(i * 7 % 11 - i * 5 % 13 + 1)) AS l1, sum((i % 3 % 2 <> i % 5 % 2)::int) AS hamming FROM generate_series(1, dim) i) e
	WHERE (l.l2, l.ip, l.l1, l.hamming) <> (e.l2, e.ip, e.l1, e.hamming);
DROP TABLE levels;

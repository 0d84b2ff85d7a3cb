-- What Annoy's own tests state, as far as it holds for any index (doc/peers.md): points with known neighbours,
-- numbered from 0 as there.

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- The nearest of a few points by an index that is not trained, by one that is, and by a sort, which must agree
-- on the distances; squares where asked for.
CREATE FUNCTION nearest(points text[], class text, op text, q vector, OUT ids int[], OUT distances float8[])
LANGUAGE plpgsql AS $$
DECLARE
	exact record;
	found record;
	with_clause text;
BEGIN
	CREATE TEMP TABLE points (id int, v vector) ON COMMIT DROP;
	EXECUTE format('INSERT INTO points SELECT i - 1, p::vector(%s) FROM unnest($1) WITH ORDINALITY u(p, i)', vector_dims(q)) USING points;
	EXECUTE format('ALTER TABLE points ALTER v TYPE vector(%s)', vector_dims(q));
	exact := answer('points', op, q, 0, false);
	FOREACH with_clause IN ARRAY ARRAY['', 'WITH (num_leaves = 2)', 'WITH (quantizer = flat, num_leaves = 1)'] LOOP
		EXECUTE format('CREATE INDEX points_v ON points USING annivf (v %s) %s', class, with_clause);
		found := answer('points', op, q, 0, true);
		IF found.plan NOT LIKE '%Index Scan%' OR found.distances <> exact.distances THEN
			RAISE EXCEPTION '%: % by index, % by sort', with_clause, found.distances, exact.distances;
		ELSIF EXISTS (SELECT FROM unsound()) THEN
			RAISE EXCEPTION '%: %', with_clause, (SELECT u FROM unsound() u LIMIT 1);
		END IF;
		DROP INDEX points_v;
	END LOOP;
	-- ties by number
	SELECT array_agg(i ORDER BY d, i), array_agg(round(d::numeric, 6)::float8 ORDER BY d, i) INTO ids, distances
		FROM unnest(exact.ids, exact.distances) u(i, d);
	DROP TABLE points;
END $$;

-- euclidean_index_test.py
SELECT q, ids FROM unnest('{"[4,4]","[1,1]","[4,2]"}'::vector[]) q, nearest('{"[2,2]","[3,2]","[3,3]"}', 'vector_l2_ops', '<->', q);
SELECT '[0,1]'::vector <-> '[1,1]' AS one, '[1,1]'::vector <-> '[0,0]' = sqrt(2::float8) AS root_of_two;
SELECT q, ids, (SELECT array_agg(round(d ^ 2) ORDER BY d) FROM unnest(distances) d) AS squares
	FROM unnest('{"[0,0,2]","[2,2,2]"}'::vector[]) q, nearest('{"[0,0,2]","[0,1,1]","[1,0,0]"}', 'vector_l2_ops', '<->', q);
SELECT '[0.7125930]'::vector <-> '[0.7123166]' >= 0 AS rounding_never_makes_it_negative;

-- angular_index_test.py: the distance there is the chord of the directions, whose square is twice ours
SELECT q, ids FROM unnest('{"[3,2,1]","[1,2,3]","[2,0,1]"}'::vector[]) q, nearest('{"[0,0,1]","[0,1,0]","[1,0,0]"}', 'vector_cosine_ops', '<=>', q);
SELECT a, b, round(angular_distance(a, b)::numeric, 6) AS chord, abs(angular_distance(a, b) ^ 2 - 2 * (a <=> b)) < 1e-6 AS square
	FROM (VALUES ('[0,1]'::vector, '[1,1]'::vector), ('[97,0]', '[42,42]'), ('[1000,0]', '[10,0]'), ('[1,2,-3]', '[-1,-2,3]')) p(a, b);
SELECT bool_and(angular_distance(a, b) <= 2) AS within,
		max(abs(angular_distance(a, b) ^ 2 - l2_squared_distance(l2_normalize(a), l2_normalize(b)))) < 1e-3 AS squares_agree
	FROM clustered(500, 8, 0.1) WITH ORDINALITY x(a, i) JOIN clustered(500, 8, 0.2) WITH ORDINALITY y(b, i) USING (i);
-- there a vector without direction is at the root of 2 from all others; here, as in pgvector, at no distance
SELECT angular_distance('[1,0]', '[0,0]');

-- dot_index_test.py: products, the greatest first
SELECT q, ids FROM unnest('{"[4,4]","[1,1]","[4,2]"}'::vector[]) q, nearest('{"[2,2]","[3,2]","[3,3]"}', 'vector_ip_ops', '<#>', q);
SELECT q, (SELECT array_agg(0 - d ORDER BY d) FROM unnest(distances) d) AS products
	FROM unnest('{"[0,0,2]","[2,2,2]"}'::vector[]) q, nearest('{"[0,0,2]","[0,1,1]","[1,0,0]"}', 'vector_ip_ops', '<#>', q);

-- manhattan_index_test.py
SELECT q, ids FROM unnest('{"[4,4]","[1,1]","[5,3]"}'::vector[]) q, nearest('{"[2,2]","[3,2]","[3,3]"}', 'vector_l1_ops', '<+>', q);
SELECT '[0,1]'::vector <+> '[1,1]' AS one, '[1,1]'::vector <+> '[0,0]' AS two;
SELECT q, ids, distances
	FROM unnest('{"[0,0,2]","[2,2,1]"}'::vector[]) q, nearest('{"[0,0,2]","[0,1,1]","[1,0,0]"}', 'vector_l1_ops', '<+>', q);

-- hamming_index_test.py: elements that differ; of vectors of 0 and 1, that is also the taxicab distance and the
-- square of the Euclidean one, and the distance of strings of bits
SELECT bool_and(h = (a <~> b)) AS bits, bool_and(h = (v <+> w)) AS taxicab, bool_and(h = round((v <-> w) ^ 2)) AS square, min(h) >= 0 AND max(h) <= 10 AS within
	FROM (SELECT *, vector_hamming_distance(v, w) AS h FROM (
		SELECT a, b, string_to_array(regexp_replace(a::text, '(?<=.)(?=.)', ',', 'g'), ',')::int[]::vector AS v,
			string_to_array(regexp_replace(b::text, '(?<=.)(?=.)', ',', 'g'), ',')::int[]::vector AS w
		FROM (SELECT i::bit(10) AS a, (i * 7)::bit(10) AS b FROM generate_series(0, 1023) i) s) t) u;
-- 64 bits: two strings at 1 from the query, one at 22
CREATE TABLE strings (id int, v bit(64));
INSERT INTO strings SELECT i, s # p::bit(64) FROM (SELECT x'9a3c51e76b08d2f4'::bit(64) AS s) b,
	(VALUES (0, x'0000000000000000'), (1, x'0000000000000400'), (2, x'8000000000000000'), (3, x'00000003fffff000'),
		(4, x'ffffffff00000000')) f(i, p);
CREATE INDEX strings_v ON strings USING annivf (v);
SET enable_seqscan = off;
SELECT v <~> x'9a3c51e76b08d2f4' AS distance FROM strings ORDER BY v <~> x'9a3c51e76b08d2f4' LIMIT 4;
SELECT ann_train('strings_v');
SELECT v <~> x'9a3c51e76b08d2f4' AS distance FROM strings ORDER BY v <~> x'9a3c51e76b08d2f4' LIMIT 4;
RESET enable_seqscan;
SELECT * FROM unsound();
DROP TABLE strings;

-- holes_test.py and the tests of one item and of none: as many rows as there are, and no others, whatever is asked for
CREATE TABLE holes (id int, v vector(10));
CREATE INDEX holes_v ON holes USING annivf (v);
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM holes ORDER BY v <-> '[0,0,0,0,0,0,0,0,0,0]' LIMIT 50) s;
CREATE FUNCTION holes(num int) RETURNS TABLE (trained bool, returned bigint, others bigint) LANGUAGE plpgsql AS $$
DECLARE
	ids int[];
BEGIN
	TRUNCATE holes;
	-- the numbers of Annoy's items need not begin at 0 either
	INSERT INTO holes SELECT 1000 + 3 * row_number() OVER (), x FROM clustered(num, 10, 0.6, 30) x;
	FOR i IN 0..1 LOOP
		trained := i = 1 AND ann_train('holes_v');
		ids := (answer('holes', '<->', '[0,0,0,0,0,0,0,0,0,0]', 999999999, true)).ids;
		SELECT count(DISTINCT f.id), count(*) FILTER (WHERE h.id IS NULL) INTO returned, others
			FROM unnest(ids) f(id) LEFT JOIN holes h USING (id);
		RETURN NEXT;
	END LOOP;
END $$;
SELECT num, h.* FROM unnest('{1,2,10,1000}'::int[]) num, holes(num) h;
SELECT count(*) FROM (SELECT id FROM holes ORDER BY v <-> '[0,0,0,0,0,0,0,0,0,0]' LIMIT 50) s;
-- memory_leak_test.py: built and dropped many times
DO $$
BEGIN
	FOR i IN 1..25 LOOP
		DROP INDEX holes_v;
		CREATE INDEX holes_v ON holes USING annivf (v);
	END LOOP;
END $$;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM holes ORDER BY v <-> '[0,0,0,0,0,0,0,0,0,0]' LIMIT 1000000) s;
RESET enable_seqscan;

-- seed_test.py: the same seed, the same codes and answers
CREATE INDEX holes_a ON holes USING annivf (v) WITH (num_leaves = 30, seed = 42);
CREATE TABLE contents AS SELECT l.leaf, e.ctid AS tid, e.code FROM ann_leaves('holes_a') l, ann_leaf_entries('holes_a', l.leaf) e;
CREATE TABLE answers AS SELECT q, ordinality, s.ctid AS tid, s.distance FROM clustered(50, 10, 0.3) q, ann_search('holes_a', q, 100) WITH ORDINALITY s;
DROP INDEX holes_a;
CREATE INDEX holes_a ON holes USING annivf (v) WITH (num_leaves = 30, seed = 42);
SELECT count(*), (SELECT count(*) FROM (SELECT l.leaf, e.ctid, e.code FROM ann_leaves('holes_a') l, ann_leaf_entries('holes_a', l.leaf) e
	EXCEPT TABLE contents) s) AS differ FROM contents;
SELECT count(*), (SELECT count(*) FROM (SELECT q, ordinality, s.ctid, s.distance FROM clustered(50, 10, 0.3) q, ann_search('holes_a', q, 100) WITH ORDINALITY s
	EXCEPT SELECT * FROM answers) s) AS differ FROM answers;
SELECT * FROM unsound();
DROP TABLE holes, contents, answers;
DROP FUNCTION nearest, holes;

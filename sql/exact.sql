-- FULL = EXACT: with all leaves searched and reordering over all rows, an index returns exactly what
-- the sort returns, in its order (ties of distance aside), for each metric, size and dimension

SET client_min_messages = error;
CREATE SCHEMA exact;
SET search_path = exact, public;
SET max_parallel_workers_per_gather = 0;

-- n rows of dim elements: random ones, duplicates, zero vectors, NULLs, a few magnitudes
CREATE FUNCTION random_vector(dim int, scale float8) RETURNS vector
LANGUAGE sql VOLATILE AS $$
	SELECT array_agg((random() - 0.5) * scale)::real[]::vector FROM generate_series(1, dim)
$$;

CREATE FUNCTION fill(n int, dim int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS rows;
	EXECUTE format('CREATE TABLE rows (id int, v vector(%s))', dim);
	FOR i IN 1..n LOOP
		INSERT INTO rows VALUES (i,
			CASE
				WHEN i % 17 = 3 THEN NULL
				WHEN i % 13 = 5 THEN array_fill(0::real, ARRAY[dim])::vector
				WHEN i % 11 = 7 THEN (SELECT v FROM rows WHERE v IS NOT NULL ORDER BY id LIMIT 1)
				ELSE random_vector(dim, CASE i % 7 WHEN 0 THEN 100 ELSE 1 END)
			END);
	END LOOP;
END $$;

-- ids and distances in the order of the plan in force
CREATE FUNCTION answer(op text, q vector, OUT ids int[], OUT distances float8[])
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT array_agg(id), array_agg(d)
		FROM (SELECT id, v %s $1 AS d FROM rows ORDER BY v %s $1) s', op, op)
		INTO ids, distances USING q;
END $$;

-- NULL when the index's answer is the sort's, else what differs
CREATE FUNCTION difference(op text, q vector) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	exact record;
	found record;
	plan text;
BEGIN
	SET LOCAL enable_indexscan = off;
	SET LOCAL enable_seqscan = on;
	SELECT * INTO exact FROM answer(op, q);
	SET LOCAL enable_indexscan = on;
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_sort = off;
	EXECUTE format('EXPLAIN (FORMAT json) SELECT id FROM rows ORDER BY v %s %L', op, q) INTO plan;
	SELECT * INTO found FROM answer(op, q);
	SET LOCAL enable_sort = on;
	IF plan NOT LIKE '%Index Scan%' THEN
		RETURN 'no index scan';
	ELSIF exact.distances IS DISTINCT FROM found.distances THEN
		RETURN 'distances differ';
	ELSIF (SELECT array_agg(i ORDER BY i) FROM unnest(exact.ids) i)
		IS DISTINCT FROM (SELECT array_agg(i ORDER BY i) FROM unnest(found.ids) i) THEN
		RETURN 'rows differ';
	END IF;
	RETURN NULL;
END $$;

-- every metric over the table that fill() made; index options as given
CREATE FUNCTION check_all(n int, dim int, options text) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	class text;
	op text;
	query vector;
	bad text;
BEGIN
	PERFORM fill(n, dim);
	FOR class, op IN VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>') LOOP
		EXECUTE format('CREATE INDEX i ON rows USING annivf (v vector_%s_ops) %s', class, options);
		FOR query IN
			SELECT random_vector(dim, 1) UNION ALL SELECT random_vector(dim, 50)
			UNION ALL SELECT array_fill(0::real, ARRAY[dim])::vector
			UNION ALL (SELECT v FROM rows WHERE v IS NOT NULL ORDER BY id DESC LIMIT 1)
		LOOP
			bad := difference(op, query);
			IF bad IS NOT NULL THEN
				RETURN NEXT format('N %s, D %s, %s, %s: %s', n, dim, op, options, bad);
			END IF;
		END LOOP;
		RETURN QUERY SELECT format('N %s, D %s, %s, %s: %s', n, dim, op, options, f) FROM ann_check(to_regclass('i'), true) f;
		DROP INDEX i;
	END LOOP;
END $$;

SET ann.num_leaves_to_search = 1000000;
SET ann.num_reordering_candidates = 1000000;
SELECT setseed(0.5);

SELECT check_all(n, dim, options)
FROM unnest(ARRAY[0, 1, 2, 10, 33]) n, unnest(ARRAY[1, 2, 3, 5, 7, 101, 128]) dim,
	unnest(ARRAY['', 'WITH (num_leaves = 3)']) options;
SELECT check_all(1000, dim, 'WITH (num_leaves = 20)')
FROM unnest(ARRAY[1, 2, 3, 5, 7, 101, 128]) dim;
SELECT check_all(300, 384, 'WITH (num_leaves = 7)');
SELECT check_all(n, 384, 'WITH (num_leaves = 2)') FROM unnest(ARRAY[10, 33]) n;
SELECT check_all(n, 1536, 'WITH (num_leaves = 4)') FROM unnest(ARRAY[2, 33, 100]) n;
-- long blocks and centroids wider than a page
SELECT check_all(n, 1536, 'WITH (num_leaves = 2, dimensions_per_block = 1)') FROM unnest(ARRAY[1, 70]) n;
SELECT check_all(n, 16000, 'WITH (num_leaves = 2)') FROM unnest(ARRAY[1, 2, 10]) n;
SELECT check_all(10, 16000, 'WITH (num_leaves = 2, dimensions_per_block = 4)');
-- blocks that do not divide the dimensions, and wider than them
SELECT check_all(100, 7, 'WITH (num_leaves = 5, dimensions_per_block = 3)');
SELECT check_all(100, 3, 'WITH (num_leaves = 5, dimensions_per_block = 100)');

-- all rows equal
CREATE OR REPLACE FUNCTION fill(n int, dim int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS rows;
	EXECUTE format('CREATE TABLE rows (id int, v vector(%s))', dim);
	INSERT INTO rows SELECT i, array_fill(0.3::real, ARRAY[dim])::vector FROM generate_series(1, n) i;
END $$;
SELECT check_all(n, 5, 'WITH (num_leaves = 10)') FROM unnest(ARRAY[1, 2, 33, 500]) n;

-- far from the origin, far apart, tiny and huge
CREATE OR REPLACE FUNCTION fill(n int, dim int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS rows;
	EXECUTE format('CREATE TABLE rows (id int, v vector(%s))', dim);
	INSERT INTO rows
		SELECT i, array_agg((scale * (random() - 0.5) + shift)::real)::vector
		FROM generate_series(1, n) i, generate_series(1, dim),
			unnest(ARRAY[1e-30, 1e-5, 1e5, 1e30, 1, 0.01], ARRAY[0, 0, 0, 0, 0, 1e4])
				WITH ORDINALITY AS magnitude(scale, shift, which)
		WHERE i % 6 + 1 = which
		GROUP BY i;
END $$;
SELECT check_all(n, 6, 'WITH (num_leaves = 10)') FROM unnest(ARRAY[6, 33, 400]) n;

-- read to its end, a scan with other settings returns every row exactly once, NULLs last
CREATE TABLE many AS
	SELECT i AS id, CASE WHEN i % 50 = 0 THEN NULL ELSE random_vector(8, 1) END AS v
	FROM generate_series(1, 3000) i;
CREATE INDEX many_i ON many USING annivf (v vector_l2_ops) WITH (num_leaves = 60);
SET enable_seqscan = off;
SET enable_sort = off;
CREATE FUNCTION read_all(q vector) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	result text;
BEGIN
	SELECT format('rows %s distinct %s nulls %s nulls last %s', count(*), count(DISTINCT id),
		count(*) FILTER (WHERE d IS NULL),
		coalesce(min(n) FILTER (WHERE d IS NULL) > max(n) FILTER (WHERE d IS NOT NULL), false))
	INTO result
	FROM (SELECT id, d, row_number() OVER () AS n
		FROM (SELECT id, v <-> q AS d FROM many ORDER BY v <-> q OFFSET 0) s) t;
	RETURN result;
END $$;
RESET ann.num_leaves_to_search;
RESET ann.num_reordering_candidates;
SELECT read_all('[0,0,0,0,0,0,0,0]');
SET ann.num_leaves_to_search = 1;
SELECT read_all('[.1,0,.2,0,0,-.3,0,0]');
SET ann.num_reordering_candidates = 5;
SELECT read_all('[.1,0,.2,0,0,-.3,0,0]');
SET ann.num_reordering_candidates = 0;
SELECT read_all('[.1,0,.2,0,0,-.3,0,0]');
SET ann.num_reordering_candidates = -1;
SET ann.iterative_scan = relaxed_order;
SELECT read_all('[.1,0,.2,0,0,-.3,0,0]');
SET work_mem = '64kB';
SET ann.iterative_scan = strict_order;
SELECT read_all('[.1,0,.2,0,0,-.3,0,0]');
RESET ann.num_leaves_to_search;
RESET ann.num_reordering_candidates;
RESET ann.iterative_scan;
RESET work_mem;

SELECT * FROM ann_check('many_i', true);
DROP SCHEMA exact CASCADE;

-- annivf over halfvec. FULL = EXACT: with all leaves searched and reordering over all rows, an index
-- returns exactly what the sort returns, in its order (ties of distance aside), for each metric, size
-- and dimension, after every kind of change.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all

SET client_min_messages = error;
CREATE SCHEMA halves;
SET search_path = halves, public;
SET max_parallel_workers_per_gather = 0;
SET ann.num_leaves_to_search = 1000000;
SET ann.num_reordering_candidates = 1000000;

CREATE FUNCTION random_halfvec(dim int, scale float8) RETURNS halfvec
LANGUAGE sql VOLATILE AS $$
	SELECT array_agg((random() - 0.5) * scale)::real[]::halfvec FROM generate_series(1, dim)
$$;

-- row i of a table: random ones, duplicates, zero vectors, NULLs, the ends of the range
CREATE FUNCTION some_halfvec(i int, dim int) RETURNS halfvec LANGUAGE sql VOLATILE AS $$
	SELECT CASE
		WHEN i % 17 = 3 THEN NULL
		WHEN i % 13 = 5 THEN array_fill(0, ARRAY[dim])::halfvec
		WHEN i % 11 = 7 THEN array_fill(0.25, ARRAY[dim])::halfvec
		WHEN i % 19 = 8 THEN random_halfvec(dim, 1e-6)
		WHEN i % 101 = 9 THEN random_halfvec(dim, 131000)
		ELSE random_halfvec(dim, CASE i % 7 WHEN 0 THEN 100 ELSE 1 END)
	END
$$;

CREATE FUNCTION fill(n int, dim int, type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS rows;
	EXECUTE format('CREATE TABLE rows (id int, v %s)', type);
	FOR i IN 1..n LOOP
		INSERT INTO rows VALUES (i, some_halfvec(i, dim));
	END LOOP;
END $$;

CREATE FUNCTION uses(index text, query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan LIKE '%Index Scan%' AND position(index IN plan) > 0;
END $$;

-- ids and distances in the order of the plan in force
CREATE FUNCTION answer(op text, q halfvec, OUT ids int[], OUT distances float8[])
LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT array_agg(id), array_agg(d)
		FROM (SELECT id, v %s $1 AS d FROM rows ORDER BY v %s $1) s', op, op)
		INTO ids, distances USING q;
END $$;

-- NULL when the index's answer is the sort's, else what differs
CREATE FUNCTION difference(op text, q halfvec) RETURNS text LANGUAGE plpgsql AS $$
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

-- an index of each metric over the table "rows"
CREATE FUNCTION make_indexes(options text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	metric text;
BEGIN
	FOREACH metric IN ARRAY ARRAY['l2', 'ip', 'cosine'] LOOP
		EXECUTE format('CREATE INDEX rows_%s ON rows USING annivf (v halfvec_%s_ops) %s', metric, metric, options);
	END LOOP;
END $$;

-- what is wrong with the indexes of the table "rows", by queries of each kind and by ann_check
CREATE FUNCTION faults(dim int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	metric text;
	op text;
	query halfvec;
	bad text;
BEGIN
	FOR metric, op IN VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>') LOOP
		FOR query IN
			SELECT random_halfvec(dim, 1) UNION ALL SELECT random_halfvec(dim, 1000)
			UNION ALL SELECT array_fill(0, ARRAY[dim])::halfvec
			UNION ALL (SELECT v FROM rows WHERE v IS NOT NULL ORDER BY id DESC LIMIT 1)
		LOOP
			bad := difference(op, query);
			IF bad IS NOT NULL THEN
				RETURN NEXT format('D %s, %s: %s', dim, op, bad);
			END IF;
		END LOOP;
		RETURN QUERY SELECT format('D %s, %s: block %s, %s: %s', dim, op, block, invariant, problem)
			FROM ann_check(('rows_' || metric)::regclass, true);
	END LOOP;
END $$;

CREATE FUNCTION check_all(n int, dim int, options text, type text DEFAULT 'halfvec(%s)') RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fill(n, dim, format(type, dim));
	PERFORM make_indexes(options);
	RETURN QUERY SELECT format('N %s, %s, %s', n, options, fault) FROM faults(dim) fault;
END $$;

SELECT setseed(0.5);
SELECT check_all(n, dim, options)
FROM unnest(ARRAY[0, 1, 33]) n, unnest(ARRAY[1, 3, 7, 128, 384]) dim, unnest(ARRAY['', 'WITH (num_leaves = 3)']) options;
SELECT check_all(1000, dim, 'WITH (num_leaves = 20)') FROM unnest(ARRAY[1, 3, 7, 128, 384]) dim;
SELECT check_all(1000, 7, '');
-- toasted values, and more floats than a page holds
SELECT check_all(33, 5000, 'WITH (num_leaves = 2)');
SELECT check_all(2, 16000, '');
-- a column without a type modifier
SELECT check_all(n, 5, options, 'halfvec') FROM unnest(ARRAY[0, 1, 33, 1000]) n, unnest(ARRAY['', 'WITH (num_leaves = 8)']) options;

-- the same under every level of ann.simd
DO $$
DECLARE
	this text;
	fault text;
BEGIN
	FOREACH this IN ARRAY ann_test.simd_levels() LOOP
		PERFORM set_config('ann.simd', this, false);
		FOR fault IN SELECT check_all(300, 23, 'WITH (num_leaves = 5)') LOOP
			RAISE WARNING '%: %', this, fault;
		END LOOP;
	END LOOP;
END $$;
RESET ann.simd;

-- insert, update, delete, vacuum
SELECT fill(1000, 24, 'halfvec(24)');
SELECT make_indexes('WITH (num_leaves = 15)');
INSERT INTO rows SELECT i, some_halfvec(i, 24) FROM generate_series(1001, 1500) i;
SELECT faults(24);
UPDATE rows SET v = some_halfvec(id + 5, 24) WHERE id % 5 = 0;
UPDATE rows SET v = NULL WHERE id % 50 = 1;
SELECT faults(24);
DELETE FROM rows WHERE id % 3 = 0;
SELECT faults(24);
VACUUM rows;
SELECT faults(24);
INSERT INTO rows SELECT i, some_halfvec(i, 24) FROM generate_series(1501, 1700) i;
SELECT faults(24);
DELETE FROM rows;
VACUUM rows;
SELECT faults(24);
INSERT INTO rows SELECT i, some_halfvec(i, 24) FROM generate_series(1, 100) i;
SELECT faults(24);
REINDEX INDEX rows_l2;
SELECT faults(24);

-- an index that is made on an empty table and trained afterwards; rows of other dimensions
SELECT fill(0, 3, 'halfvec');
SELECT make_indexes('');
INSERT INTO rows SELECT i, some_halfvec(i, 3) FROM generate_series(1, 1500) i;
INSERT INTO rows VALUES (0, '[1,2]');
SELECT ann_train('rows_l2'), ann_train('rows_ip'), ann_train('rows_cosine');
SELECT faults(3);
INSERT INTO rows VALUES (0, '[1,2]');
SELECT id FROM rows ORDER BY v <-> '[1,2]' LIMIT 1;
SELECT faults(3);

-- at defaults: every row is found, by its own value first; the default class is halfvec_l2_ops
RESET ann.num_leaves_to_search;
RESET ann.num_reordering_candidates;
CREATE TABLE plain (id int, v halfvec(16));
INSERT INTO plain SELECT i, random_halfvec(16, 1) FROM generate_series(1, 2000) i;
CREATE INDEX plain_v ON plain USING annivf (v);
SELECT opcname FROM pg_index i JOIN pg_opclass c ON c.oid = i.indclass[0] WHERE indexrelid = 'plain_v'::regclass;
SELECT dims, distance_measure, is_trained, num_tuples FROM ann_index_info('plain_v');
SET enable_seqscan = off;
SELECT uses('plain_v', 'SELECT id FROM plain ORDER BY v <-> (SELECT v FROM plain WHERE id = 7) LIMIT 3');
SELECT count(*) FROM plain p
WHERE id <= 100 AND (SELECT q.id FROM plain q ORDER BY q.v <-> p.v LIMIT 1) = p.id;
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM plain ORDER BY v <-> array_fill(0.05, ARRAY[16])::halfvec OFFSET 0) s;
-- a vector as the query is rounded first
SELECT (SELECT array_agg(id) FROM (SELECT id FROM plain ORDER BY v <-> q::halfvec LIMIT 5) s) =
	(SELECT array_agg(id) FROM (SELECT id FROM plain ORDER BY v <-> q LIMIT 5) s) AS same
FROM (SELECT array_fill(0.1, ARRAY[16])::vector AS q) t;

-- an index over the halves of a column of vectors
CREATE TABLE vectors (id int, v vector(16));
INSERT INTO vectors SELECT id, v FROM plain;
CREATE INDEX vectors_half ON vectors USING annivf ((v::halfvec(16)) halfvec_cosine_ops);
SELECT uses('vectors_half', 'SELECT id FROM vectors ORDER BY v::halfvec(16) <=> array_fill(1, ARRAY[16])::halfvec(16) LIMIT 3');
SET ann.num_leaves_to_search = 1000000;
SELECT (SELECT array_agg(id) FROM (SELECT id FROM vectors ORDER BY v::halfvec(16) <=> q LIMIT 10) s) =
	(SELECT array_agg(id) FROM (SELECT id FROM plain ORDER BY v <=> q LIMIT 10) s) AS same
FROM (SELECT array_fill(1, ARRAY[16])::halfvec AS q) t;
SELECT * FROM ann_check('vectors_half', true);
RESET enable_seqscan;

-- metrics and types that there is no class for
CREATE INDEX ON plain USING annivf (v vector_l2_ops);
CREATE INDEX ON vectors USING annivf (v halfvec_l2_ops);

DROP SCHEMA halves CASCADE;

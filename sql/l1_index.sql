-- annivf for the taxicab distance. FULL = EXACT: with all leaves searched and reordering over all rows, an
-- index returns exactly what the sort returns, in its order (ties of distance aside), for each size and
-- dimension, after every kind of change.

SET client_min_messages = error;
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET client_min_messages = error;
CREATE SCHEMA taxicab;
SET search_path = taxicab, public, ann_test;
SET max_parallel_workers_per_gather = 0;
SET jit = off;

-- row i of a table: random ones, duplicates, zero vectors, NULLs, a few magnitudes, whole numbers
CREATE FUNCTION some_vector(i int, dim int) RETURNS vector LANGUAGE sql VOLATILE AS $$
	SELECT CASE
		WHEN i % 17 = 3 THEN NULL
		WHEN i % 13 = 5 THEN array_fill(0, ARRAY[dim])::vector
		WHEN i % 11 = 7 THEN array_fill(0.25, ARRAY[dim])::vector
		WHEN i % 19 = 8 THEN anything(dim, 1e-6)
		WHEN i % 101 = 9 THEN anything(dim, 1e5)
		WHEN i % 103 = 9 THEN anything(dim, 3e38) -- for the exact leaf
		WHEN i % 5 = 1 THEN (SELECT array_agg(floor(random() * 4)) FROM generate_series(1, dim))::real[]::vector
		ELSE anything(dim, CASE i % 7 WHEN 0 THEN 100 ELSE 1 END)
	END
$$;

CREATE FUNCTION fill(n int, dim int, type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS rows;
	EXECUTE format('CREATE TABLE rows (id int, v %s)', type);
	INSERT INTO rows SELECT i, some_vector(i, dim) FROM generate_series(1, n) i;
END $$;

-- what is wrong with the index of the table "rows", by queries of each kind and by ann_check
CREATE FUNCTION faults(dim int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	query vector;
	bad text;
BEGIN
	FOR query IN
		SELECT anything(dim) UNION ALL SELECT anything(dim, 1000) UNION ALL SELECT anything(dim, 1e30)
		UNION ALL SELECT array_fill(0, ARRAY[dim])::vector
	LOOP
		bad := full_difference('rows', '<+>', query);
		IF bad IS NOT NULL THEN
			RETURN NEXT format('D %s: %s', dim, bad);
		END IF;
	END LOOP;
	RETURN QUERY SELECT index_faults('rows', '<+>', 50);
END $$;

CREATE FUNCTION check_all(n int, dim int, options text, type text DEFAULT 'vector(%s)') RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fill(n, dim, format(type, dim));
	EXECUTE format('CREATE INDEX rows_v ON rows USING annivf (v vector_l1_ops) %s', options);
	RETURN QUERY SELECT format('N %s, %s, %s', n, options, fault) FROM faults(dim) fault;
END $$;

SELECT setseed(0.5);
SELECT check_all(n, dim, options)
FROM unnest(ARRAY[0, 1, 33]) n, unnest(ARRAY[1, 3, 7, 128, 384]) dim, unnest(ARRAY['', 'WITH (num_leaves = 3)']) options;
SELECT check_all(1000, dim, 'WITH (num_leaves = 20)') FROM unnest(ARRAY[1, 3, 7, 128, 384]) dim;
SELECT check_all(1000, 25, format('WITH (num_leaves = 20, dimensions_per_block = %s)', width)) FROM unnest(ARRAY[1, 2, 3, 8, 25]) width;
SELECT check_all(1000, 25, 'WITH (num_leaves = 20, soar_lambda = 1.5)');
SELECT check_all(1000, 7, '');
SELECT check_all(33, 5000, 'WITH (num_leaves = 2)');
SELECT check_all(n, 5, options, 'vector') FROM unnest(ARRAY[0, 1, 33, 1000]) n, unnest(ARRAY['', 'WITH (num_leaves = 8)']) options;

-- all rows alike
SELECT fill(0, 12, 'vector(12)');
INSERT INTO rows SELECT i, array_fill(7, ARRAY[12])::vector FROM generate_series(1, 300) i;
CREATE INDEX rows_v ON rows USING annivf (v vector_l1_ops) WITH (num_leaves = 10);
SELECT faults(12);

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
SELECT fill(1000, 24, 'vector(24)');
CREATE INDEX rows_v ON rows USING annivf (v vector_l1_ops) WITH (num_leaves = 15);
INSERT INTO rows SELECT i, some_vector(i, 24) FROM generate_series(1001, 1500) i;
SELECT faults(24);
UPDATE rows SET v = some_vector(id + 5, 24) WHERE id % 5 = 0;
UPDATE rows SET v = NULL WHERE id % 50 = 1;
SELECT faults(24);
DELETE FROM rows WHERE id % 3 = 0;
SELECT faults(24);
VACUUM rows;
SELECT faults(24);
INSERT INTO rows SELECT i, some_vector(i, 24) FROM generate_series(1501, 1700) i;
SELECT faults(24);
DELETE FROM rows;
VACUUM rows;
SELECT faults(24);
INSERT INTO rows SELECT i, some_vector(i, 24) FROM generate_series(1, 100) i;
SELECT faults(24);
REINDEX INDEX rows_v;
SELECT faults(24);

-- an index that is made on an empty table and trained afterwards; rows and queries of other dimensions
SELECT fill(0, 3, 'vector');
CREATE INDEX rows_v ON rows USING annivf (v vector_l1_ops);
INSERT INTO rows SELECT i, some_vector(i, 3) FROM generate_series(1, 1500) i;
INSERT INTO rows VALUES (0, '[1,2]');
SELECT faults(3);
SELECT ann_train('rows_v');
SELECT faults(3);
INSERT INTO rows VALUES (0, '[1,2]');
INSERT INTO rows SELECT i, some_vector(i, 3) FROM generate_series(1501, 1600) i;
SELECT faults(3);
SET enable_seqscan = off;
SELECT id FROM rows ORDER BY v <+> '[1,2]' LIMIT 1;
RESET enable_seqscan;

-- halfvec: the same distances
CREATE TABLE halves (id int, v halfvec(20));
INSERT INTO halves SELECT i, anything(20)::halfvec FROM generate_series(1, 1500) i;
CREATE INDEX halves_v ON halves USING annivf (v halfvec_l1_ops) WITH (num_leaves = 20);
INSERT INTO halves SELECT i, anything(20)::halfvec FROM generate_series(1501, 1600) i;
DELETE FROM halves WHERE id % 4 = 0;
VACUUM halves;
CREATE FUNCTION half_answer(by_index bool) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
	answer float8[];
BEGIN
	PERFORM set_config('enable_seqscan', (NOT by_index)::text, true), set_config('enable_indexscan', by_index::text, true),
		set_config('enable_sort', (NOT by_index)::text, true), set_config('ann.num_leaves_to_search', '100000', true),
		set_config('ann.num_reordering_candidates', '100000', true);
	SELECT array_agg(d) INTO answer FROM (SELECT v <+> array_fill(0.1, ARRAY[20])::halfvec AS d FROM halves
		ORDER BY v <+> array_fill(0.1, ARRAY[20])::halfvec) s;
	RETURN answer;
END $$;
SELECT half_answer(true) = half_answer(false) AS same, array_length(half_answer(true), 1) AS num, (SELECT leaves_searched FROM ann_search_stats());
SELECT * FROM ann_check('halves_v', true);

-- rows of clusters at default settings: recall, and few rows read
CREATE TABLE clusters (id serial, v vector(24));
INSERT INTO clusters (v) SELECT x FROM clustered(6000, 24, 0.4, 60) x;
CREATE INDEX clusters_v ON clusters USING annivf (v vector_l1_ops);
SELECT dims, distance_measure, is_trained, num_tuples, quantizer, dimensions_per_block, num_blocks, code_size, rotated
	FROM ann_index_info('clusters_v');
CREATE TABLE queries AS SELECT array_agg(x) AS q FROM (SELECT x FROM clustered(6050, 24, 0.4, 60) x OFFSET 6000) s;
SELECT recall('clusters', '<+>', q, 10) > 0.9 AS good FROM queries;
SELECT heap_fetches BETWEEN 10 AND 60 AS few FROM ann_search_stats();
SELECT * FROM index_faults('clusters', '<+>');

-- the codec: a code stands for what is near the row, whatever the leaf
SELECT avg(v <+> ann_decode('clusters_v', ann_encode('clusters_v', v))) < 0.15 * avg(v <+> array_fill(0, ARRAY[24])::vector) AS near,
		bool_and(ann_reconstruct('clusters_v', ctid) = ann_decode('clusters_v', ann_encode('clusters_v', v))) AS same
	FROM clusters WHERE id % 50 = 0;
SELECT bool_and(substr(ann_encode('clusters_v', v), 2) = ann_encode('clusters_v', v, 3)) AS same FROM clusters WHERE id % 50 = 0;
SELECT bool_and(ann_code_distance('clusters_v', code, q[1]) = ann_decode('clusters_v', code) <+> q[1]) AS same
	FROM queries, (SELECT ann_encode('clusters_v', v) AS code FROM clusters WHERE id % 50 = 0) c;

-- an option that has nothing to say here
SET client_min_messages = notice;
CREATE INDEX ignored ON clusters USING annivf (v vector_l1_ops) WITH (rotation = on);
SELECT rotated FROM ann_index_info('ignored');

SET client_min_messages = error;
DROP SCHEMA taxicab CASCADE;

-- annivf over bit. FULL = EXACT: with all leaves searched, an index returns exactly what the sort returns,
-- in its order (ties of distance aside), for both metrics, after every kind of change; and as the codes are
-- exact, by itself as well as with all rows reordered.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all

SET client_min_messages = error;
CREATE SCHEMA bits;
SET search_path = bits, public;
SET max_parallel_workers_per_gather = 0;
SET jit = off;

CREATE FUNCTION random_bits(dim int, share float8) RETURNS bit varying LANGUAGE sql VOLATILE AS $$
	SELECT string_agg((random() < share)::int::text, '')::bit varying FROM generate_series(1, dim)
$$;

-- row i of a table: random ones, thin and dense, duplicates, NULLs, all zeroes, all ones
CREATE FUNCTION some_bits(i int, dim int) RETURNS bit varying LANGUAGE sql VOLATILE AS $$
	SELECT CASE
		WHEN i % 17 = 3 THEN NULL
		WHEN i % 13 = 5 THEN repeat('0', dim)::bit varying
		WHEN i % 11 = 7 THEN repeat('01', dim)::bit varying
		WHEN i % 41 = 2 THEN repeat('1', dim)::bit varying
		ELSE random_bits(dim, CASE i % 3 WHEN 0 THEN 0.03 WHEN 1 THEN 0.3 ELSE 0.7 END)
	END
$$;

CREATE FUNCTION fill(n int, dim int, type text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	DROP TABLE IF EXISTS rows;
	EXECUTE format('CREATE TABLE rows (id int, v %s)', type);
	EXECUTE format('INSERT INTO rows SELECT i, substring(some_bits(i, $2) FOR $2)::bit(%s) FROM generate_series(1, $1) i', dim)
		USING n, dim;
END $$;

CREATE FUNCTION make_indexes(options text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	metric text;
BEGIN
	FOREACH metric IN ARRAY ARRAY['hamming', 'jaccard'] LOOP
		EXECUTE format('CREATE INDEX rows_%s ON rows USING annivf (v bit_%s_ops) %s', metric, metric, options);
	END LOOP;
END $$;

-- ids and distances in the order of the plan in force
CREATE FUNCTION answer(op text, q bit varying, OUT ids int[], OUT distances float8[], OUT plan text) LANGUAGE plpgsql AS $$
DECLARE
	value text := format('B''%s''', q);
BEGIN
	EXECUTE format('EXPLAIN (FORMAT json) SELECT id FROM rows ORDER BY v %s %s', op, value) INTO plan;
	EXECUTE format('SELECT array_agg(id), array_agg(d)
		FROM (SELECT id, v %1$s %2$s AS d FROM rows ORDER BY v %1$s %2$s) s', op, value)
		INTO ids, distances;
END $$;

-- NULL when the index's answer is the sort's, else what differs
CREATE FUNCTION difference(op text, q bit varying) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	exact record;
	found record;
BEGIN
	PERFORM set_config('enable_indexscan', 'off', true), set_config('enable_seqscan', 'on', true);
	SELECT * INTO exact FROM answer(op, q);
	PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true),
		set_config('enable_sort', 'off', true);
	SELECT * INTO found FROM answer(op, q);
	PERFORM set_config('enable_sort', 'on', true);
	IF found.plan NOT LIKE '%Index Scan%' THEN
		RETURN 'no index scan';
	ELSIF exact.distances IS DISTINCT FROM found.distances THEN
		RETURN 'distances differ';
	ELSIF (SELECT array_agg(i ORDER BY i) FROM unnest(exact.ids) i)
		IS DISTINCT FROM (SELECT array_agg(i ORDER BY i) FROM unnest(found.ids) i) THEN
		RETURN 'rows differ';
	END IF;
	RETURN NULL;
END $$;

-- what is wrong with the indexes of the table "rows", by queries of each kind and by ann_check
CREATE FUNCTION faults(dim int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	metric text;
	op text;
	query bit varying;
	candidates text;
	bad text;
BEGIN
	PERFORM set_config('ann.num_leaves_to_search', '1000000', true);
	FOR metric, op IN VALUES ('hamming', '<~>'), ('jaccard', '<%>') LOOP
		FOR query IN
			SELECT random_bits(dim, 0.1) UNION ALL SELECT random_bits(dim, 0.5)
			UNION ALL SELECT repeat('0', dim)::bit varying UNION ALL SELECT repeat('1', dim)::bit varying
			UNION ALL (SELECT v FROM rows WHERE v IS NOT NULL ORDER BY id DESC LIMIT 1)
		LOOP
			FOREACH candidates IN ARRAY ARRAY['-1', '1000000'] LOOP
				PERFORM set_config('ann.num_reordering_candidates', candidates, true);
				bad := difference(op, query);
				IF bad IS NOT NULL THEN
					RETURN NEXT format('D %s, %s, reordering %s: %s', dim, op, candidates, bad);
				END IF;
			END LOOP;
		END LOOP;
		RETURN QUERY SELECT format('D %s, %s: block %s, %s: %s', dim, op, block, invariant, problem)
			FROM ann_check(('rows_' || metric)::regclass, true);
	END LOOP;
	PERFORM set_config('ann.num_leaves_to_search', '-1', true), set_config('ann.num_reordering_candidates', '-1', true);
END $$;

CREATE FUNCTION check_all(n int, dim int, options text, type text DEFAULT 'bit(%s)') RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fill(n, dim, format(type, dim));
	PERFORM make_indexes(options);
	RETURN QUERY SELECT format('N %s, %s, %s', n, options, fault) FROM faults(dim) fault;
END $$;

SELECT setseed(0.5);
SELECT check_all(n, dim, options)
FROM unnest(ARRAY[0, 1, 33]) n, unnest(ARRAY[1, 3, 8, 13, 384]) dim, unnest(ARRAY['', 'WITH (num_leaves = 3)']) options;
SELECT check_all(1000, dim, 'WITH (num_leaves = 20)') FROM unnest(ARRAY[1, 2, 4, 5, 63, 128]) dim;
SELECT check_all(1000, 65, 'WITH (num_leaves = 20, soar_lambda = 1.5)');
SELECT check_all(1000, 66, '');
-- blocks of more than a page, toasted values, the greatest length
SELECT check_all(100, 2500, 'WITH (num_leaves = 4)');
SELECT check_all(5, 16000, 'WITH (num_leaves = 2)');
-- bit varying is taken for bit; its type modifier is no length
SELECT check_all(n, 13, options, type)
FROM unnest(ARRAY[0, 1, 33, 1000]) n, unnest(ARRAY['', 'WITH (num_leaves = 8)']) options,
	unnest(ARRAY['bit varying', 'bit varying(40)']) type;
-- all rows alike, of one bit or none
CREATE FUNCTION check_alike(value bit(24)) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fill(0, 24, 'bit(24)');
	INSERT INTO rows SELECT i, value FROM generate_series(1, 300) i;
	PERFORM make_indexes('WITH (num_leaves = 10)');
	RETURN QUERY SELECT faults(24);
END $$;
SELECT check_alike(repeat('0', 24)::bit(24));
SELECT check_alike((B'1' || repeat('0', 23)::bit(23))::bit(24));

-- the same under every level of ann.simd
DO $$
DECLARE
	this text;
	fault text;
BEGIN
	FOREACH this IN ARRAY ann_test.simd_levels() LOOP
		PERFORM set_config('ann.simd', this, false);
		FOR fault IN SELECT check_all(300, 71, 'WITH (num_leaves = 5)') LOOP
			RAISE WARNING '%: %', this, fault;
		END LOOP;
	END LOOP;
END $$;
RESET ann.simd;

-- insert, update, delete, vacuum
CREATE FUNCTION row_of(i int) RETURNS bit(30) LANGUAGE sql AS $$
	SELECT substring(some_bits(i, 30) FOR 30)::bit(30)
$$;
SELECT fill(1000, 30, 'bit(30)');
SELECT make_indexes('WITH (num_leaves = 15)');
INSERT INTO rows SELECT i, row_of(i) FROM generate_series(1001, 1500) i;
SELECT faults(30);
UPDATE rows SET v = row_of(id + 5) WHERE id % 5 = 0;
UPDATE rows SET v = NULL WHERE id % 50 = 1;
SELECT faults(30);
DELETE FROM rows WHERE id % 3 = 0;
SELECT faults(30);
VACUUM rows;
SELECT faults(30);
INSERT INTO rows SELECT i, row_of(i) FROM generate_series(1501, 1700) i;
SELECT faults(30);
DELETE FROM rows;
VACUUM rows;
SELECT faults(30);
INSERT INTO rows SELECT i, row_of(i) FROM generate_series(1, 100) i;
SELECT faults(30);
REINDEX INDEX rows_hamming;
REINDEX INDEX rows_jaccard;
SELECT faults(30);

-- an index that is made on an empty table and trained afterwards; rows and queries of other lengths
SELECT fill(0, 30, 'bit varying');
SELECT make_indexes('');
SELECT faults(30);
INSERT INTO rows VALUES (0, B'');
INSERT INTO rows VALUES (0, repeat('0', 16001)::bit varying);
INSERT INTO rows SELECT i, row_of(i) FROM generate_series(1, 1500) i;
SELECT faults(30);
INSERT INTO rows VALUES (0, B'101');
SELECT ann_train('rows_hamming'), ann_train('rows_jaccard');
SELECT faults(30);
INSERT INTO rows VALUES (0, B'101');
INSERT INTO rows VALUES (0, B'');
INSERT INTO rows SELECT i, row_of(i) FROM generate_series(1501, 1600) i;
SELECT faults(30);
SET enable_seqscan = off;
SELECT id FROM rows ORDER BY v <~> B'101' LIMIT 1;
SELECT id FROM rows ORDER BY v <%> B'' LIMIT 1;
SELECT count(*) FROM (SELECT id FROM rows ORDER BY v <~> NULL) s;
RESET enable_seqscan;
CREATE TABLE wide (v bit(16001));
CREATE INDEX ON wide USING annivf (v);
CREATE TABLE long_rows (v bit varying);
INSERT INTO long_rows VALUES (repeat('1', 16001)::bit varying);
CREATE INDEX ON long_rows USING annivf (v);

-- rows of clusters at default settings: recall, and few rows read; the default class is bit_hamming_ops
CREATE TABLE clustered (id int, v bit(256));
CREATE TABLE centres AS SELECT c, random_bits(256, 0.35) AS v FROM generate_series(0, 59) c;
CREATE FUNCTION flipped(v bit varying, share float8) RETURNS bit(256) LANGUAGE sql VOLATILE AS $$
	SELECT (v::bit(256) # random_bits(256, share)::bit(256))
$$;
INSERT INTO clustered SELECT i, flipped(v, 0.1) FROM generate_series(1, 6000) i JOIN centres ON c = i % 60;
CREATE TABLE queries AS SELECT c AS id, flipped(v, 0.1) AS v FROM centres;
CREATE INDEX clustered_hamming ON clustered USING annivf (v);
CREATE INDEX clustered_jaccard ON clustered USING annivf (v bit_jaccard_ops);
SELECT opcname FROM pg_index i JOIN pg_opclass c ON c.oid = i.indclass[0] WHERE indexrelid = 'clustered_hamming'::regclass;
SELECT dims, distance_measure, is_trained, num_tuples, quantizer, dimensions_per_block, num_blocks, code_size, table_bits, rotated
	FROM ann_index_info('clustered_hamming');
SELECT distance_measure FROM ann_index_info('clustered_jaccard');
CREATE FUNCTION recall_of(op text) RETURNS float8 LANGUAGE sql AS $$
	SELECT avg(ann_recall(format('SELECT v %1$s B''%2$s'' FROM clustered ORDER BY v %1$s B''%2$s'' LIMIT 10', op, v))) FROM queries
$$;
SELECT recall_of('<~>') > 0.9 AS hamming, recall_of('<%>') > 0.9 AS jaccard;
SET enable_seqscan = off;
CREATE FUNCTION fetches(op text) RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	q bit varying;
	total int := 0;
BEGIN
	FOR q IN SELECT v FROM queries LOOP
		EXECUTE format('SELECT count(*) FROM (SELECT 1 FROM clustered ORDER BY v %s B''%s'' LIMIT 10) s', op, q);
		total := total + (SELECT heap_fetches FROM ann_search_stats());
	END LOOP;
	RETURN total / 60.0;
END $$;
SELECT fetches('<~>') BETWEEN 10 AND 32 AS hamming, fetches('<%>') BETWEEN 10 AND 32 AS jaccard;
RESET enable_seqscan;

-- built by workers as by one process
SET min_parallel_table_scan_size = 0;
SET maintenance_work_mem = '128MB';
SET max_parallel_maintenance_workers = 2;
ALTER TABLE clustered SET (parallel_workers = 2);
CREATE TABLE alone AS SELECT md5(string_agg(e::text, ',' ORDER BY e)) AS jaccard
	FROM ann_leaves('clustered_jaccard') l, ann_leaf_entries('clustered_jaccard', l.leaf) e;
REINDEX TABLE clustered;
SELECT jaccard = (SELECT md5(string_agg(e::text, ',' ORDER BY e))
	FROM ann_leaves('clustered_jaccard') l, ann_leaf_entries('clustered_jaccard', l.leaf) e) AS same FROM alone;
SELECT * FROM ann_check('clustered_hamming', true);
SELECT recall_of('<~>') > 0.9 AS hamming, recall_of('<%>') > 0.9 AS jaccard;

-- inspection and codec: strings of bits are vectors of 0 and 1 there, and codes say it all
CREATE FUNCTION as_vector(v bit varying) RETURNS vector LANGUAGE sql AS $$
	SELECT string_to_array(v::text, NULL)::real[]::vector
$$;
SELECT bool_and(ann_decode(i, ann_encode(i, as_vector(v))) = as_vector(v)) AS encoded,
		bool_and(ann_reconstruct(i, ctid) = as_vector(v)) AS reconstructed
	FROM clustered, unnest(ARRAY['clustered_hamming', 'clustered_jaccard']::regclass[]) i WHERE id % 100 = 0;
SELECT bool_and(ann_code_distance('clustered_hamming', ann_encode('clustered_hamming', as_vector(c.v)), as_vector(q.v)) = c.v <~> q.v) AS hamming,
		bool_and(ann_code_distance('clustered_jaccard', ann_encode('clustered_jaccard', as_vector(c.v)), as_vector(q.v)) = c.v <%> q.v) AS jaccard
	FROM clustered c, queries q WHERE c.id % 500 = 0;
SELECT ann_encode('clustered_hamming', array_fill(0.5, ARRAY[256])::vector);
SELECT ann_encode('clustered_hamming', '[1]');
SELECT count(*), count(DISTINCT e.ctid), bool_and(ann_decode('clustered_jaccard', e.code) = as_vector(c.v)) AS same
	FROM ann_leaves('clustered_jaccard') l, ann_leaf_entries('clustered_jaccard', l.leaf) e JOIN clustered c ON c.ctid = e.ctid;
SELECT count(*), min(centroid::text) AS nibble_0, max(centroid::text) AS nibble_15 FROM ann_codebook('clustered_hamming') WHERE code IN (0, 15);
SELECT count(*) FROM ann_assign('clustered_jaccard', array_fill(0, ARRAY[256])::vector, 3);

-- searching by function, with a vector of 0 and 1
SELECT (SELECT array_agg(distance ORDER BY distance) FROM ann_search('clustered_jaccard', as_vector(q.v), 10, 1000)) =
	(SELECT array_agg(d ORDER BY d) FROM (SELECT v <%> q.v AS d FROM clustered ORDER BY 1 LIMIT 10) s) AS nearest
	FROM queries q WHERE id = 3;
SELECT count(*) > 0 AS some, bool_and(distance = approx_distance) AS exact
	FROM queries q, ann_search('clustered_hamming', as_vector(q.v), 10, 1000) WHERE id < 5;
SELECT (SELECT count(*) FROM ann_range_search('clustered_hamming', as_vector(q.v), 60, 1000)) =
	(SELECT count(*) FROM clustered WHERE v <~> q.v < 60) AS within FROM queries q WHERE id = 3;
SELECT * FROM ann_search('clustered_hamming', array_fill(-1, ARRAY[256])::vector);
SELECT * FROM ann_range_search('clustered_hamming', '[1]', 5);

-- options that have nothing to say here
SET client_min_messages = notice;
CREATE INDEX ignored ON clustered USING annivf (v) WITH (dimensions_per_block = 2, rotation = on);
SELECT dimensions_per_block, rotated FROM ann_index_info('ignored');
DROP INDEX ignored;

-- over the signs of vectors; types that there is no class for
CREATE TABLE vectors (id int, v vector(24));
INSERT INTO vectors SELECT i, array_agg(random() - 0.5)::vector FROM generate_series(1, 1500) i, generate_series(1, 24) GROUP BY i;
CREATE INDEX vectors_signs ON vectors USING annivf ((binary_quantize(v)::bit(24)) bit_hamming_ops) WITH (num_leaves = 10);
SET ann.num_leaves_to_search = 10;
SET enable_seqscan = off;
SELECT ann_recall('SELECT binary_quantize(v)::bit(24) <~> B''110011001100110011001100'' FROM vectors
	ORDER BY binary_quantize(v)::bit(24) <~> B''110011001100110011001100'' LIMIT 50');
SELECT count(*) FROM ann_check('vectors_signs', true);
RESET enable_seqscan;
CREATE INDEX ON clustered USING annivf (v vector_l2_ops);
CREATE INDEX ON vectors USING annivf (v bit_hamming_ops);

SET client_min_messages = error;
DROP SCHEMA bits CASCADE;

-- Quantisers: what an index codes its rows by, and what that is worth

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE rows (id serial, v vector(24));
INSERT INTO rows (v) SELECT x FROM clustered(3000, 24, 0.3, 50) x;
INSERT INTO rows (v) VALUES (NULL), ((SELECT array_agg(0) FROM generate_series(1, 24))::real[]::vector);

-- the forms of a code, coarse ones first; all with the same leaves
CREATE TABLE forms (num serial, name text, options text);
INSERT INTO forms (name, options) VALUES
	('pq 4 by 4', 'dimensions_per_block = 4, nbits = 4'),
	('pq 4 by 2', 'dimensions_per_block = 2'),
	('pq 8 by 2', 'dimensions_per_block = 2, nbits = 8'),
	('sq8', 'quantizer = sq8'),
	('flat', 'quantizer = flat');

-- Of an index by each form: size of a code, mean squared error, recall of the first 10 without
-- reordering, rows read from the heap for the first 10 at defaults, faults
CREATE FUNCTION measure(opclass text, op text, extra text DEFAULT '') RETURNS TABLE (name text, code_size int,
	size bigint, error float8, recall float8, fetched bigint, faults text) LANGUAGE plpgsql AS $$
DECLARE
	form forms;
	queries vector[] := (SELECT array_agg(v ORDER BY id) FROM rows WHERE id % 100 = 7);
	q vector;
BEGIN
	FOR form IN SELECT * FROM forms ORDER BY num LOOP
		EXECUTE format('CREATE INDEX rows_v ON rows USING annivf (v %s) WITH (num_leaves = 30, %s %s)', opclass,
			form.options, extra);
		name := form.name;
		code_size := ann_code_size('rows_v');
		size := pg_relation_size('rows_v');
		PERFORM set_config('enable_seqscan', 'on', true);
		error := (SELECT avg(l2_squared_distance(ann_decode('rows_v', ann_encode('rows_v', r.v)),
				CASE WHEN op = '<=>' THEN l2_normalize(r.v) ELSE r.v END))
			FROM rows r WHERE id <= 3000 AND form.name <> 'flat');
		PERFORM set_config('ann.num_reordering_candidates', '0', true);
		recall := ann_test.recall('rows', op, queries, 10);
		PERFORM set_config('ann.num_reordering_candidates', '-1', true);
		fetched := 0;
		FOREACH q IN ARRAY queries LOOP
			PERFORM answer('rows', op, q, 10, true);
			fetched := fetched + (SELECT heap_fetches FROM ann_search_stats());
		END LOOP;
		faults := (SELECT string_agg(f, '; ') FROM index_faults('rows', op, 200) f);
		RETURN NEXT;
		DROP INDEX rows_v;
	END LOOP;
END $$;

-- error falls from form to form, recall rises; heap rows fall too, until they are the least that is read at a time
CREATE FUNCTION judge(opclass text, op text, extra text DEFAULT '') RETURNS TABLE (name text, code_size int,
	error_falls bool, recall_rises bool, fewer_rows bool, faults text) LANGUAGE sql AS $$
	SELECT name, code_size, error < lag(error) OVER w, recall >= lag(recall) OVER w - 0.002,
		CASE WHEN name LIKE 'pq%' THEN fetched <= lag(fetched) OVER w * 1.01 END, faults
	FROM measure(opclass, op, extra) WITH ORDINALITY m(name, code_size, size, error, recall, fetched, faults, num)
	WINDOW w AS (ORDER BY num) ORDER BY num
$$;
SELECT * FROM judge('vector_l2_ops', '<->');
SELECT * FROM judge('vector_cosine_ops', '<=>', ', soar_lambda = 1.5');
SELECT * FROM judge('vector_ip_ops', '<#>', ', rotation = off, soar_lambda = 0, seed = 3');

-- codes of rows, not of what they differ by from centroids: right too, and worse, as rows are longer
DELETE FROM forms WHERE name IN ('flat', 'pq 4 by 4');
SELECT * FROM judge('vector_l2_ops', '<->', ', residual_quantization = off');
SELECT * FROM judge('vector_ip_ops', '<#>', ', residual_quantization = off, soar_lambda = 1');
CREATE TABLE on_off AS SELECT * FROM measure('vector_cosine_ops', '<=>', ', residual_quantization = on')
	UNION ALL SELECT * FROM measure('vector_cosine_ops', '<=>', ', residual_quantization = off');
SELECT name, min(code_size) = max(code_size) AS same_size, (array_agg(error))[1] < (array_agg(error))[2] AS less_error,
	string_agg(faults, '; ') AS faults FROM on_off GROUP BY name ORDER BY name;

-- what an index says of its code
CREATE INDEX rows_v ON rows USING annivf (v) WITH (num_leaves = 30, nbits = 8, dimensions_per_block = 3, rotation = on);
SELECT quantizer, dimensions_per_block, num_blocks, nbits, code_size, residual_quantization, rotated
	FROM ann_index_info('rows_v');
SELECT count(*), count(DISTINCT block), count(DISTINCT code), min(vector_dims(centroid)) FROM ann_codebook('rows_v');
SELECT avg((ann_encode('rows_v', ann_decode('rows_v', code)) = code)::int) > 0.8 AS same
	FROM (SELECT ann_encode('rows_v', v) AS code FROM rows WHERE id % 10 = 0) s;
SELECT count(*), avg((e.code = ann_encode('rows_v', r.v))::int) > 0.98 AS same_code
	FROM ann_leaves('rows_v') l, ann_leaf_entries('rows_v', l.leaf) e JOIN rows r ON r.ctid = e.ctid;
DROP INDEX rows_v;
CREATE INDEX rows_v ON rows USING annivf (v) WITH (num_leaves = 30, quantizer = sq8, residual_quantization = off);
SELECT quantizer, dimensions_per_block, num_blocks, nbits, code_size, residual_quantization, rotated, table_bits
	FROM ann_index_info('rows_v');
DROP INDEX rows_v;

-- a flat index has no codes in it; a code that is asked for is the row
CREATE INDEX rows_v ON rows USING annivf (v) WITH (num_leaves = 30, quantizer = flat);
SELECT quantizer, dimensions_per_block, num_blocks, nbits, code_size, leaf_code_size, rotated FROM ann_index_info('rows_v');
SELECT count(*) FROM ann_codebook('rows_v');
SELECT bool_and(ann_decode('rows_v', ann_encode('rows_v', v)) = v) AS same,
		bool_and(ann_code_distance('rows_v', ann_encode('rows_v', v), v) = 0) AS no_distance,
		bool_and(octet_length(ann_encode('rows_v', v, 3)) = 96) AS elements_alone
	FROM rows WHERE v IS NOT NULL AND id % 20 = 0;
SELECT count(*), count(code) FROM ann_leaves('rows_v') l, ann_leaf_entries('rows_v', l.leaf);
SELECT ann_decode('rows_v', '\x00');
SELECT ann_decode('rows_v', decode('00' || repeat('0000c07f', 24), 'hex'));
SELECT bool_and(approx_distance = distance) AS same, count(*) FROM ann_search('rows_v',
	(SELECT v FROM rows WHERE id = 5), 20, num_leaves_to_search => 3, num_reordering_candidates => 0);
-- a count of candidates means nothing to it: rows of the searched leaves are all read
SET enable_seqscan = off;
SET ann.num_reordering_candidates = 1;
SELECT (SELECT array_agg(id) FROM (SELECT id FROM rows ORDER BY v <-> (SELECT v FROM rows WHERE id = 9) LIMIT 5) s)
	= (SELECT array_agg(id) FROM (SELECT id FROM rows WHERE id > 0 ORDER BY l2_distance(v, (SELECT v FROM rows WHERE id = 9)) LIMIT 5) s) AS same;
RESET ann.num_reordering_candidates;
RESET enable_seqscan;

-- rows that come and go
INSERT INTO rows (v) SELECT x FROM clustered(500, 24, 0.7, 50) x;
DELETE FROM rows WHERE id % 7 = 0;
SELECT * FROM index_faults('rows', '<->');
VACUUM rows;
SELECT * FROM index_faults('rows', '<->');
DROP INDEX rows_v;
CREATE INDEX rows_v ON rows USING annivf (v) WITH (num_leaves = 30, nbits = 8, soar_lambda = 1.5);
INSERT INTO rows (v) SELECT x FROM clustered(500, 24, 0.6, 50) x;
UPDATE rows SET v = l2_normalize(v) WHERE id % 11 = 0;
SELECT * FROM index_faults('rows', '<->');
VACUUM rows;
SELECT * FROM index_faults('rows', '<->');
DROP TABLE rows, on_off;

-- trained later, and by vacuum; by workers the same index as alone
CREATE TABLE later (id serial, v vector(20));
CREATE INDEX later_v ON later USING annivf (v vector_cosine_ops) WITH (quantizer = sq8);
INSERT INTO later (v) SELECT x FROM clustered(2000, 20, 0.2, 50) x;
SELECT ann_train('later_v');
SELECT quantizer, nbits, code_size FROM ann_index_info('later_v');
SELECT * FROM index_faults('later', '<=>');
DROP INDEX later_v;
CREATE INDEX later_v ON later USING annivf (v vector_ip_ops) WITH (quantizer = flat, num_leaves = 10);
SELECT quantizer, code_size FROM ann_index_info('later_v');
SELECT * FROM index_faults('later', '<#>');
DROP TABLE later;

-- the taxicab distance and strings of bits: their own codes, or none
CREATE TABLE taxi (id serial, v vector(20));
INSERT INTO taxi (v) SELECT x FROM clustered(1500, 20, 0.2, 50) x;
CREATE INDEX taxi_v ON taxi USING annivf (v vector_l1_ops) WITH (quantizer = flat, num_leaves = 10);
SELECT quantizer, code_size, residual_quantization FROM ann_index_info('taxi_v');
SELECT * FROM index_faults('taxi', '<+>', 200);
SELECT bool_and(ann_code_distance('taxi_v', ann_encode('taxi_v', v), v) = 0) AS exact FROM taxi WHERE id % 50 = 0;
CREATE INDEX ON taxi USING annivf (v vector_l1_ops) WITH (nbits = 8);
CREATE INDEX ON taxi USING annivf (v vector_l1_ops) WITH (quantizer = sq8);
CREATE INDEX ON taxi USING annivf (v vector_l1_ops) WITH (residual_quantization = on);
DROP TABLE taxi;
CREATE TABLE strings (id serial, v bit(60));
SELECT setseed(0.3);
INSERT INTO strings (v) SELECT ((random() * 2 ^ 60)::bigint & (random() * 2 ^ 60)::bigint)::bit(60) FROM generate_series(1, 1500);
CREATE INDEX ON strings USING annivf (v) WITH (quantizer = sq8);
CREATE INDEX ON strings USING annivf (v bit_jaccard_ops) WITH (nbits = 8);
CREATE FUNCTION nearest(op text, by_index bool) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
	result float8[];
BEGIN
	PERFORM set_config('enable_indexscan', by_index::text, true), set_config('enable_seqscan', (NOT by_index)::text, true),
		set_config('enable_sort', (NOT by_index)::text, true), set_config('ann.num_leaves_to_search', '1000', true);
	EXECUTE format('SELECT array_agg(d) FROM (SELECT v %1$s %2$L::bit(60) AS d FROM strings ORDER BY v %1$s %2$L::bit(60)) s', op,
		(SELECT v FROM strings WHERE id = 77)) INTO result;
	RETURN result;
END $$;
CREATE INDEX strings_v ON strings USING annivf (v) WITH (quantizer = flat, num_leaves = 10);
SELECT quantizer, code_size FROM ann_index_info('strings_v');
SELECT nearest('<~>', true) = nearest('<~>', false) AS same, (SELECT count(*) FROM ann_check('strings_v', true)) AS faults;
DROP INDEX strings_v;
CREATE INDEX strings_v ON strings USING annivf (v bit_jaccard_ops) WITH (quantizer = flat, num_leaves = 10);
SELECT nearest('<%>', true) = nearest('<%>', false) AS same, (SELECT count(*) FROM ann_check('strings_v', true)) AS faults;
SELECT num_leaves_to_search < num_leaves AS calibrated FROM ann_index_info('strings_v');
DROP TABLE strings;
DROP FUNCTION nearest;

-- wide rows: codes of 8 bits on pages of their own
CREATE TABLE wide (id serial, v vector(700));
INSERT INTO wide (v) SELECT x FROM clustered(400, 700, 0.2, 20) x;
CREATE INDEX wide_v ON wide USING annivf (v) WITH (quantizer = sq8, num_leaves = 5);
SELECT code_size FROM ann_index_info('wide_v');
SELECT * FROM index_faults('wide', '<->', 50);
INSERT INTO wide (v) SELECT x FROM clustered(50, 700, 0.6, 20) x;
DELETE FROM wide WHERE id % 3 = 0;
VACUUM wide;
SELECT * FROM index_faults('wide', '<->', 50);
DROP TABLE wide;

-- what cannot be
CREATE TABLE none (v vector(3));
CREATE INDEX ON none USING annivf (v) WITH (quantizer = pq8);
CREATE INDEX ON none USING annivf (v) WITH (nbits = 6);
CREATE INDEX ON none USING annivf (v) WITH (nbits = 16);
CREATE INDEX ON none USING annivf (v) WITH (quantizer = sq8, nbits = 4);
CREATE INDEX ON none USING annivf (v) WITH (quantizer = sq8, dimensions_per_block = 2);
CREATE INDEX ON none USING annivf (v) WITH (quantizer = flat, nbits = 8);
CREATE INDEX ON none USING annivf (v) WITH (quantizer = flat, dimensions_per_block = 1);
CREATE INDEX ON none USING annivf (v) WITH (quantizer = flat, rotation = on);
CREATE INDEX ON none USING annivf (v) WITH (quantizer = flat, residual_quantization = off);
CREATE INDEX ON none USING annivf (v) WITH (residual_quantization = maybe);
CREATE INDEX none_v ON none USING annivf (v) WITH (quantizer = sq8, nbits = 8, dimensions_per_block = 1);
ALTER INDEX none_v SET (nbits = 4);
DROP TABLE none;
DROP TABLE forms;
DROP FUNCTION judge, measure;

-- ann_index_info and ann_leaves: what an index is made of
SET client_min_messages = warning;

SELECT setseed(0.5);

CREATE TABLE rows (id serial, v vector(8));
INSERT INTO rows (v) SELECT array_agg(random() * 10 + i % 5 * 20)::real[]::vector
	FROM generate_series(1, 2000) i, generate_series(1, 8) j GROUP BY i ORDER BY i;
INSERT INTO rows (v) SELECT NULL FROM generate_series(1, 7);
INSERT INTO rows (v) VALUES ('[0,0,0,0,0,0,0,0]'), ('[0,0,0,0,0,0,0,0]');

-- counts must be the table's, leaves those asked for
CREATE INDEX rows_l2 ON rows USING annivf (v) WITH (num_leaves = 12, seed = 3);
CREATE INDEX rows_ip ON rows USING annivf (v vector_ip_ops) WITH (dimensions_per_block = 3);
CREATE INDEX rows_cosine ON rows USING annivf (v vector_cosine_ops)
	WITH (num_leaves = 300, num_leaves_to_search = 5, num_reordering_candidates = 40,
		training_sample_size = 1000);
CREATE VIEW info AS
	SELECT indexrelid::regclass AS index, i.* FROM pg_index, ann_index_info(indexrelid) i
		WHERE indrelid = 'rows'::regclass ORDER BY indexrelid;
SELECT index, dims, distance_measure, is_trained, num_tuples, exact_rows, null_rows FROM info;
SELECT index, num_leaves BETWEEN 5 AND 12 AS few, num_leaves BETWEEN 257 AND 300 AS many FROM info;
SELECT index, quantizer, dimensions_per_block, num_blocks, nbits, code_size, leaf_code_size, seed, version
	FROM info;
SELECT index, num_leaves_to_search BETWEEN 1 AND num_leaves AS to_search, num_reordering_candidates,
	trained_rows BETWEEN num_leaves AND num_tuples AS trained_rows, error_bound > 0 AS error_bound,
	leaves_growth BETWEEN 0 AND 2 AS leaves_growth, table_bits IN (8, 16) AS table_bits FROM info;
SELECT num_leaves_to_search, num_reordering_candidates, trained_rows <= 1000 AS sample
	FROM ann_index_info('rows_cosine');

-- its own values, whatever the session has set; changed by ALTER INDEX
SET ann.num_leaves_to_search = 7;
ALTER INDEX rows_cosine SET (num_leaves_to_search = 9, num_reordering_candidates = 0);
SELECT num_leaves_to_search, num_reordering_candidates FROM ann_index_info('rows_cosine');
ALTER INDEX rows_cosine SET (num_leaves_to_search = 1000);
ALTER INDEX rows_cosine RESET (num_reordering_candidates);
SELECT num_leaves_to_search = num_leaves AS all_leaves, num_reordering_candidates
	FROM ann_index_info('rows_cosine');
RESET ann.num_leaves_to_search;

-- leaves: each row with a code is in one, that of the nearest centroid
SELECT index, (SELECT count(*) = i.num_leaves AND sum(num_tuples) = i.num_tuples - exact_rows - null_rows
	AND count(DISTINCT leaf) = count(*) AND bool_and(vector_dims(centroid) = dims)
	AND bool_and(num_pages > 0 OR num_tuples = 0) FROM ann_leaves(index)) AS leaves FROM info i;
WITH leaves AS MATERIALIZED (SELECT * FROM ann_leaves('rows_l2')),
nearest AS (
	SELECT (SELECT leaf FROM leaves ORDER BY centroid <-> v LIMIT 1), count(*) FROM rows
		WHERE v IS NOT NULL GROUP BY 1)
SELECT sum(abs(num_tuples - coalesce(count, 0))) <= 2 AS as_assigned
	FROM leaves LEFT JOIN nearest USING (leaf);

-- dead rows count until they are vacuumed
DELETE FROM rows WHERE id <= 500;
SELECT num_tuples FROM ann_index_info('rows_l2');
VACUUM (PARALLEL 0) rows;
SELECT num_tuples, null_rows FROM ann_index_info('rows_l2');
SELECT sum(num_tuples) FROM ann_leaves('rows_l2');

-- untrained: no leaves, no model; then trained
CREATE TABLE grown (id serial, v vector);
CREATE INDEX grown_v ON grown USING annivf (v);
SELECT * FROM ann_index_info('grown_v') \gx
INSERT INTO grown (v) SELECT array_agg(random())::real[]::vector
	FROM generate_series(1, 500) i, generate_series(1, 3) j GROUP BY i;
INSERT INTO grown (v) VALUES (NULL);
SELECT dims, is_trained, num_tuples, num_leaves, exact_rows, null_rows FROM ann_index_info('grown_v');
SELECT * FROM ann_leaves('grown_v');
SELECT ann_train('grown_v');
SELECT dims, is_trained, num_tuples, num_leaves > 0 AS leaves, exact_rows, null_rows
	FROM ann_index_info('grown_v');
SELECT sum(num_tuples) FROM ann_leaves('grown_v');

-- blocks and centroids wider than a page
CREATE TABLE wide (id serial, v vector(9000));
INSERT INTO wide (v) SELECT array_agg((i + j) % 17)::real[]::vector
	FROM generate_series(1, 40) i, generate_series(1, 9000) j GROUP BY i;
CREATE INDEX wide_v ON wide USING annivf (v) WITH (num_leaves = 1, dimensions_per_block = 1);
SELECT num_blocks, code_size, num_tuples FROM ann_index_info('wide_v');
SELECT leaf, num_tuples, num_pages, centroid <-> (SELECT array_agg(a)::real[]::vector FROM (
	SELECT avg((i + j) % 17) AS a FROM generate_series(1, 40) i, generate_series(1, 9000) j
		GROUP BY j ORDER BY j) s) < 10 AS near_the_mean FROM ann_leaves('wide_v');

-- what they refuse
CREATE INDEX rows_id ON rows (id);
SELECT * FROM ann_index_info('rows');
SELECT * FROM ann_index_info('rows_id');
SELECT * FROM ann_leaves('rows_id');
SELECT ann_index_info(NULL) IS NULL AS strict;

-- privileges: SELECT on the table; leaves say what rows are like, also rows that are hidden
CREATE ROLE ann_inspect_user;
SET ROLE ann_inspect_user;
SELECT dims FROM ann_index_info('rows_l2');
SELECT count(*) > 0 AS leaves FROM ann_leaves('rows_l2');
RESET ROLE;
GRANT SELECT ON rows TO ann_inspect_user;
SET ROLE ann_inspect_user;
SELECT dims FROM ann_index_info('rows_l2');
SELECT count(*) > 0 AS leaves FROM ann_leaves('rows_l2');
RESET ROLE;
ALTER TABLE rows ENABLE ROW LEVEL SECURITY;
SET ROLE ann_inspect_user;
SELECT dims FROM ann_index_info('rows_l2');
SELECT count(*) > 0 AS leaves FROM ann_leaves('rows_l2');
RESET ROLE;

DROP INDEX rows_id;
SELECT c.* FROM info, ann_check(index, true) c;
SELECT c.* FROM unnest(ARRAY['grown_v', 'wide_v']::regclass[]) i, ann_check(i, true) c;
DROP VIEW info;
DROP TABLE rows, grown, wide;
DROP ROLE ann_inspect_user;

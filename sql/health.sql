-- ann_index_health and ann_indexes: the state of an index, and what to do about it
SET client_min_messages = warning;
SELECT setseed(0.5);

-- health: how even the leaves are, what the codes leave, what came since the build
CREATE TABLE healthy (id serial, v vector(8));
INSERT INTO healthy (v) SELECT array_agg(random() * 10 + i % 5 * 20)::real[]::vector
	FROM generate_series(1, 3000) i, generate_series(1, 8) j GROUP BY i ORDER BY i;
INSERT INTO healthy (v) VALUES (NULL);
CREATE INDEX healthy_v ON healthy USING annivf (v) WITH (num_leaves = 30, soar_lambda = 1.5);
CREATE VIEW sizes AS SELECT count(*) * sum(num_tuples::float8 ^ 2) / sum(num_tuples::float8) ^ 2 AS factor,
	(SELECT avg(greatest(num_tuples / mean - 1, 0)) FROM ann_leaves('healthy_v'),
		(SELECT avg(num_tuples)::float8 AS mean FROM ann_leaves('healthy_v')) m) AS positive FROM ann_leaves('healthy_v');
SELECT num_tuples, abs(imbalance_factor - factor) < 1e-9 AS factor, abs(weighted_avg_relative_imbalance - (factor - 1)) < 1e-9 AS weighted,
	abs(avg_relative_positive_imbalance - positive) < 1e-9 AS positive, imbalance_factor >= 1 AS least,
	inserts_since_build FROM ann_index_health('healthy_v'), sizes;
SELECT avg_quantization_error / (SELECT avg((v <-> ann_decode('healthy_v', ann_encode('healthy_v', v))) ^ 2) FROM healthy) BETWEEN 0.97 AND 1.03
	AS error FROM ann_index_health('healthy_v');
-- rows of another kind, all of them in few leaves, which REINDEX spreads out
SELECT imbalance_factor AS before FROM ann_index_health('healthy_v') \gset
INSERT INTO healthy (v) SELECT array_agg(100 + random())::real[]::vector FROM generate_series(1, 4000) i, generate_series(1, 8) j GROUP BY i ORDER BY i;
SELECT imbalance_factor > 2 * :before AS worse, inserts_since_build FROM ann_index_health('healthy_v');
SELECT index, is_trained, num_tuples, null_rows, num_leaves, soar_lambda, options, size = pg_relation_size(index) AS size, scans, advice
	FROM ann_indexes WHERE tablename = 'healthy';
REINDEX INDEX healthy_v;
SELECT imbalance_factor < 2 * :before AS better, inserts_since_build FROM ann_index_health('healthy_v');
DELETE FROM healthy WHERE id > 2500;
VACUUM (PARALLEL 0) healthy;
SELECT num_tuples, inserts_since_build FROM ann_index_health('healthy_v');
SELECT advice FROM ann_indexes WHERE tablename = 'healthy';
-- not trained; empty; not its own
CREATE TABLE grown (v vector(3));
CREATE INDEX grown_v ON grown USING annivf (v);
INSERT INTO grown VALUES ('[1,2,3]'), (NULL);
SELECT * FROM ann_index_health('grown_v');
SELECT schemaname, indexname, is_trained, num_tuples, imbalance_factor, advice FROM ann_indexes WHERE tablename = 'grown';
INSERT INTO grown SELECT ARRAY[i, i % 7, 0]::real[]::vector FROM generate_series(1, 10001) i;
SELECT advice FROM ann_indexes WHERE tablename = 'grown';
SELECT * FROM ann_index_health('grown');
CREATE ROLE ann_inspect_user;
SET ROLE ann_inspect_user;
SELECT * FROM ann_index_health('grown_v');
SELECT count(*) FROM ann_indexes;
RESET ROLE;
GRANT SELECT ON grown TO ann_inspect_user;
SET ROLE ann_inspect_user;
SELECT indexname, num_tuples FROM ann_indexes;
RESET ROLE;
DROP VIEW sizes;
SELECT f.* FROM unnest(ARRAY['healthy_v', 'grown_v']::regclass[]) i, ann_check(i, true) f;
DROP TABLE healthy, grown;
DROP ROLE ann_inspect_user;

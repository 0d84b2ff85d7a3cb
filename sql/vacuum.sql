-- vacuum: dead rows go, space is reused, settings of the search stay right

SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;
CREATE TABLE vac (id int, v vector(8)) WITH (autovacuum_enabled = off);
CREATE FUNCTION fill_vac(first int, last int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO vac SELECT i, CASE WHEN i % 20 = 0 THEN NULL
		ELSE ARRAY[sin(i), cos(i), sin(2 * i), cos(3 * i), sin(5 * i), cos(7 * i), i % 3, i % 5]::real[]::vector END
	FROM generate_series(first, last) i
$$;
CREATE FUNCTION read_vac() RETURNS text LANGUAGE sql AS $$
	SELECT format('%s rows, %s distinct', count(*), count(DISTINCT id))
	FROM (SELECT id FROM vac ORDER BY v <-> '[0,0,0,0,0,0,0,0]' OFFSET 0) s
$$;
SELECT fill_vac(1, 4000);
CREATE INDEX vac_i ON vac USING annivf (v) WITH (num_leaves = 20);
SELECT read_vac();

DELETE FROM vac WHERE id % 3 = 0;
SELECT read_vac();
VACUUM vac;
SELECT read_vac();

-- delete all, vacuum, insert again: the size stays
CREATE TABLE sizes (round int, pages bigint);
DO $$
BEGIN
	INSERT INTO sizes VALUES (0, pg_relation_size('vac_i') / 8192);
END $$;
DELETE FROM vac;
VACUUM vac;
SELECT read_vac();
SELECT fill_vac(1, 4000);
INSERT INTO sizes VALUES (1, pg_relation_size('vac_i') / 8192);
DELETE FROM vac;
VACUUM vac;
SELECT fill_vac(4001, 8000);
INSERT INTO sizes VALUES (2, pg_relation_size('vac_i') / 8192);
SELECT read_vac();
SELECT max(pages) <= min(pages) * 1.1 AS size_stays FROM sizes;
DELETE FROM vac WHERE id > 6000;
VACUUM (INDEX_CLEANUP off) vac;
SELECT read_vac();
VACUUM vac;
VACUUM FULL vac;
SELECT read_vac();
SELECT reltuples FROM pg_class WHERE relname = 'vac_i';

-- parallel vacuum of two indexes
CREATE INDEX vac_j ON vac USING annivf (v vector_cosine_ops) WITH (num_leaves = 5);
DELETE FROM vac WHERE id % 2 = 0;
SET min_parallel_index_scan_size = 0;
VACUUM (PARALLEL 2) vac;
RESET min_parallel_index_scan_size;
SELECT read_vac();
SELECT count(*) FROM (SELECT id FROM vac ORDER BY v <=> '[1,0,0,0,0,0,0,0]' OFFSET 0) s;

-- a concurrent rebuild
REINDEX INDEX CONCURRENTLY vac_i;
SELECT read_vac();
CREATE INDEX CONCURRENTLY vac_k ON vac USING annivf (v vector_ip_ops) WITH (num_leaves = 5);
SELECT count(*) FROM (SELECT id FROM vac ORDER BY v <#> '[1,0,0,0,0,0,0,0]' OFFSET 0) s;
ANALYZE vac;
DROP TABLE vac, sizes;
DROP FUNCTION fill_vac, read_vac;

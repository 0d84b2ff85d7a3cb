-- Partitioned tables and inheritance: an index for each part, their rows merged in order

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE parts (id int, v vector(8)) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (1000);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (1000) TO (2000);
INSERT INTO parts SELECT row_number() OVER (), x FROM clustered(1900, 8) x;
CREATE INDEX parts_v ON parts USING annivf (v) WITH (num_leaves = 9, num_leaves_to_search = 9);
SELECT pg_get_indexdef(inhrelid) FROM pg_inherits WHERE inhparent = 'parts_v'::regclass ORDER BY 1;
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (2000) TO (3000);
INSERT INTO parts SELECT 2000 + i, CASE i % 3 WHEN 0 THEN NULL ELSE ARRAY[i, 0, 0, 0, 0, 0, 0, 0]::vector END
	FROM generate_series(1, 50) i;

SET enable_seqscan = off;
SET enable_sort = off;
EXPLAIN (COSTS off) SELECT id FROM parts ORDER BY v <-> '[1,2,3,4,5,6,7,8]' LIMIT 5;
SELECT index_faults('parts', '<->', 300);

-- as near as by a sort, through all parts; pruned to one
CREATE FUNCTION distances(query text) RETURNS float8[] LANGUAGE plpgsql AS $$
DECLARE
	result float8[];
BEGIN
	EXECUTE format('SELECT array_agg(d) FROM (%s) s', query) INTO result;
	RETURN result;
END $$;
SET enable_seqscan = on;
SET enable_sort = on;
SET enable_indexscan = off;
CREATE TABLE parts_exact AS SELECT distances('SELECT v <-> ''[1,2,0,4,0,1,2,3]'' AS d FROM parts
	ORDER BY v <-> ''[1,2,0,4,0,1,2,3]'' LIMIT 300') AS d, distances('SELECT v <-> ''[1,2,0,4,0,1,2,3]'' AS d
	FROM parts WHERE id < 700 ORDER BY v <-> ''[1,2,0,4,0,1,2,3]'' LIMIT 300') AS low;
SET enable_indexscan = on;
SET enable_seqscan = off;
SET enable_sort = off;
SET ann.num_reordering_candidates = 10000;
SELECT distances('SELECT v <-> ''[1,2,0,4,0,1,2,3]'' AS d FROM parts
	ORDER BY v <-> ''[1,2,0,4,0,1,2,3]'' LIMIT 300') = d, distances('SELECT v <-> ''[1,2,0,4,0,1,2,3]'' AS d
	FROM parts WHERE id < 700 ORDER BY v <-> ''[1,2,0,4,0,1,2,3]'' LIMIT 300') = low FROM parts_exact;
RESET ann.num_reordering_candidates;
DROP TABLE parts_exact;

-- attached, detached, moved from part to part, dropped
CREATE TABLE parts_4 (v vector(8), id int);
INSERT INTO parts_4 SELECT x, 3000 + row_number() OVER () FROM clustered(200, 8, 0.2) x;
CREATE INDEX parts_4_v ON parts_4 USING annivf (v) WITH (num_leaves = 3);
ALTER TABLE parts ATTACH PARTITION parts_4 FOR VALUES FROM (3000) TO (4000);
SELECT index_faults('parts', '<->', 300);
UPDATE parts SET id = id + 1000 WHERE id BETWEEN 900 AND 950;
ALTER TABLE parts DETACH PARTITION parts_1;
SELECT index_faults('parts', '<->', 300);
SELECT index_faults('parts_1', '<->', 100);
DROP TABLE parts_1;
VACUUM parts;
SELECT index_faults('parts', '<->', 300);
-- the parts are trained one by one
SELECT ann_train('parts_3_v_idx');
SELECT index_faults('parts', '<->', 300);
REINDEX INDEX parts_v;
REINDEX TABLE CONCURRENTLY parts;
SELECT index_faults('parts', '<->', 300);
DROP TABLE parts;

-- inheritance, and a union of tables
RESET enable_seqscan;
RESET enable_sort;
CREATE TABLE parts (id int, v vector(2));
CREATE TABLE parts_child () INHERITS (parts);
INSERT INTO parts SELECT i, ARRAY[i, 1]::vector FROM generate_series(1, 50) i;
INSERT INTO parts_child SELECT 100 + i, ARRAY[i, 2]::vector FROM generate_series(1, 50) i;
CREATE INDEX ON parts USING annivf (v) WITH (num_leaves = 2);
CREATE INDEX ON parts_child USING annivf (v) WITH (num_leaves = 2);
SELECT index_faults('parts', '<->', 100);
SET enable_seqscan = off;
SET enable_sort = off;
SELECT id FROM parts ORDER BY v <-> '[7,1.4]' LIMIT 4;
SELECT id FROM (SELECT * FROM ONLY parts UNION ALL SELECT * FROM parts_child) u ORDER BY v <-> '[7,1.4]' LIMIT 4;
DROP TABLE parts CASCADE;
DROP FUNCTION distances;

-- Rotation: the same answers in other coordinates

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- dimensions that are sums of a few: there are axes to find
CREATE FUNCTION mixed(num int, dim int) RETURNS SETOF vector LANGUAGE sql AS $$
	SELECT (SELECT array_agg(sin(d * 7.3) * a[1 + d % 3] + cos(d * 3.1) * a[4 + d % 5] + 0.05 * (random() - 0.5)
			+ CASE WHEN i % 400 = 0 THEN 2 ELSE 0 END) FROM generate_series(1, dim) d)::real[]::vector
	FROM (SELECT i, array_agg(random() * 2 - 1) AS a
		FROM generate_series(1, num) i, generate_series(1, 9) j GROUP BY i) s
$$;

SELECT setseed(0.1);
CREATE TABLE rotated (id serial, v vector(51));
INSERT INTO rotated (v) SELECT mixed(3000, 51);
INSERT INTO rotated (v) VALUES (NULL), ((SELECT array_agg(0) FROM generate_series(1, 51))::real[]::vector);

CREATE INDEX r_bad ON rotated USING annivf (v) WITH (rotation = sideways);

-- automatic: on; each metric; what comes later is rotated as well
CREATE INDEX r ON rotated USING annivf (v) WITH (num_leaves = 20, dimensions_per_block = 4);
SELECT rotated FROM ann_index_info('r');
SELECT index_faults('rotated', '<->', 50);
INSERT INTO rotated (v) SELECT mixed(300, 51);
UPDATE rotated SET v = v WHERE id % 50 = 0;
DELETE FROM rotated WHERE id % 60 = 0;
VACUUM rotated;
SELECT index_faults('rotated', '<->', 50);
-- centroids are shown in the rows' own coordinates
SELECT max(abs(of_leaves - of_rows)) < 0.05 AS in_place FROM
	(SELECT d, sum(num_tuples * x) / sum(num_tuples) AS of_leaves
		FROM ann_leaves('r'), unnest(centroid::real[]) WITH ORDINALITY u(x, d) GROUP BY d) l
	JOIN (SELECT d, avg(x) AS of_rows
		FROM rotated, unnest(v::real[]) WITH ORDINALITY u(x, d) GROUP BY d) r USING (d);
DROP INDEX r;

-- off and on, and what it is good for: with fewer rows read the answers are as good
CREATE TABLE queries AS SELECT mixed(20, 51) AS v;
CREATE FUNCTION rows_read() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	q vector;
	sum bigint := 0;
BEGIN
	PERFORM set_config('enable_seqscan', 'off', true), set_config('ann.num_leaves_to_search', '20', true);
	FOR q IN SELECT v FROM queries LOOP
		PERFORM id FROM (SELECT id FROM rotated ORDER BY v <-> q LIMIT 10) s;
		sum := sum + (SELECT heap_fetches FROM ann_search_stats());
	END LOOP;
	RETURN sum;
END $$;
CREATE INDEX r ON rotated USING annivf (v) WITH (num_leaves = 20, dimensions_per_block = 4, rotation = off);
SELECT rotated FROM ann_index_info('r');
SELECT rows_read() AS plain \gset
ALTER INDEX r SET (rotation = on);
REINDEX INDEX r;
SELECT rotated FROM ann_index_info('r');
SELECT rows_read() < :plain AS fewer;
DROP INDEX r;

CREATE INDEX r ON rotated USING annivf (v vector_ip_ops) WITH (num_leaves = 20, dimensions_per_block = 4, rotation = on);
SELECT rotated FROM ann_index_info('r');
SELECT index_faults('rotated', '<#>', 50);
DROP INDEX r;
CREATE INDEX r ON rotated USING annivf (v vector_cosine_ops) WITH (num_leaves = 20, dimensions_per_block = 2, rotation = true);
SELECT rotated FROM ann_index_info('r');
SELECT index_faults('rotated', '<=>', 50);
DROP INDEX r;

-- an index that grew from empty
CREATE TABLE grown (id serial, v vector(40));
CREATE INDEX grown_v ON grown USING annivf (v) WITH (dimensions_per_block = 4);
INSERT INTO grown (v) SELECT mixed(2000, 40);
SELECT ann_train('grown_v');
SELECT rotated FROM ann_index_info('grown_v');
INSERT INTO grown (v) SELECT mixed(200, 40);
SELECT index_faults('grown', '<->', 50);
DROP TABLE grown;

-- rows that have no axes: all equal, few, of one dimension, constant dimensions
CREATE TABLE odd (id serial, v vector);
INSERT INTO odd (v) SELECT '[1,2,3,4,5,6]' FROM generate_series(1, 1000);
CREATE INDEX odd_v ON odd USING annivf ((v::vector(6))) WITH (num_leaves = 3, dimensions_per_block = 2, rotation = on);
SELECT problem FROM ann_check('odd_v', true);
TRUNCATE odd;
INSERT INTO odd (v) SELECT ARRAY[i, 0, 0, 5, 0, i]::vector FROM generate_series(1, 1000) i;
REINDEX INDEX odd_v;
SELECT problem FROM ann_check('odd_v', true);
SELECT v FROM odd ORDER BY v::vector(6) <-> '[30,0,0,5,0,30]' LIMIT 1;
DROP TABLE odd;
CREATE TABLE odd (id serial, v vector(1));
INSERT INTO odd (v) SELECT ARRAY[i]::vector FROM generate_series(1, 1000) i;
CREATE INDEX ON odd USING annivf (v) WITH (rotation = on);
SELECT index_faults('odd', '<->', 50);
DROP TABLE odd;

-- too wide, and too little memory
CREATE TABLE wide (id int, v vector(1001));
INSERT INTO wide SELECT i, (SELECT array_agg(sin(i * d)) FROM generate_series(1, 1001) d)::real[]::vector
	FROM generate_series(1, 40) i;
CREATE INDEX wide_v ON wide USING annivf (v) WITH (num_leaves = 2, rotation = on);
SELECT rotated FROM ann_index_info('wide_v');
DROP INDEX wide_v;
ALTER TABLE wide ALTER v TYPE vector(400) USING (v::real[])[1:400]::vector;
SET maintenance_work_mem = '1MB';
CREATE INDEX wide_v ON wide USING annivf (v) WITH (num_leaves = 2, rotation = on);
SELECT rotated FROM ann_index_info('wide_v');
RESET maintenance_work_mem;
DROP TABLE wide, rotated, queries;
DROP FUNCTION mixed, rows_read;

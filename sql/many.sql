-- So many leaves that their centroids have codes, and the parents of the centroids are kept

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE many (id serial, v vector(5));
INSERT INTO many (v) SELECT x FROM clustered(6000, 5, 0.3, 1500, 0.4) x;
INSERT INTO many (v) VALUES (NULL), ('[0,0,0,0,0]');

CREATE FUNCTION every_row_once() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	found int[];
	q vector;
BEGIN
	PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
	FOR q IN SELECT anything(5, 8) FROM generate_series(1, 5) LOOP
		SELECT array_agg(id) INTO found FROM (SELECT id FROM many ORDER BY v <-> q) s;
		IF (SELECT count(*) FROM unnest(found)) <> (SELECT count(*) FROM many)
			OR (SELECT count(DISTINCT i) FROM unnest(found) i) <> (SELECT count(*) FROM many) THEN
			RETURN format('%s rows', array_length(found, 1));
		END IF;
	END LOOP;
	RETURN 'every row once';
END $$;

CREATE INDEX many_v ON many USING annivf (v) WITH (num_leaves = 2100, training_iterations = 3);
SELECT num_leaves > 2048 AS many FROM ann_index_info('many_v');
SELECT index_faults('many', '<->', 100);
SELECT every_row_once();
-- the first window is the narrowest, the following ones find what it has left out
SET ann.num_leaves_to_search = 1;
SELECT every_row_once();
SET work_mem = '64kB';
SELECT every_row_once();
RESET work_mem;
SET ann.num_leaves_to_search = 50;
SET ann.iterative_scan = relaxed_order;
SELECT every_row_once();
RESET ann.iterative_scan;
RESET ann.num_leaves_to_search;
SELECT recall('many', '<->', (SELECT array_agg(x) FROM clustered(20, 5, 0.7, 1500, 0.4) x), 10) > 0.9 AS good;

-- inserts look for their leaf among the nearest parents only
INSERT INTO many (v) SELECT x FROM clustered(1000, 5, 0.6, 500, 0.4) x;
INSERT INTO many (v) VALUES ('[1000,1000,1000,1000,1000]'), ('[-1e10,0,0,0,0]');
DELETE FROM many WHERE id % 7 = 0;
VACUUM many;
SELECT index_faults('many', '<->', 100);
SELECT every_row_once();
DROP INDEX many_v;

-- the same with two leaves a row
CREATE INDEX many_v ON many USING annivf (v) WITH (num_leaves = 2100, training_iterations = 2, soar_lambda = 1.5);
SELECT every_row_once();
SET ann.num_leaves_to_search = 1;
SELECT every_row_once();
RESET ann.num_leaves_to_search;
INSERT INTO many (v) SELECT x FROM clustered(500, 5, 0.1, 500, 0.4) x;
DELETE FROM many WHERE id % 11 = 0;
VACUUM many;
SELECT index_faults('many', '<->', 100);
SELECT every_row_once();
DROP INDEX many_v;

-- the other metrics
CREATE INDEX many_v ON many USING annivf (v vector_ip_ops) WITH (num_leaves = 2100, training_iterations = 2);
SELECT index_faults('many', '<#>', 50);
DROP INDEX many_v;
CREATE INDEX many_v ON many USING annivf (v vector_cosine_ops) WITH (num_leaves = 2100, training_iterations = 2);
SELECT index_faults('many', '<=>', 50);
DROP TABLE many;
DROP FUNCTION every_row_once;

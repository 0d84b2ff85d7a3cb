-- An index made on an empty table: exact at first, trained by a vacuum or by hand

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE trains (id int, v vector(8)) WITH (autovacuum_enabled = off);
CREATE INDEX trains_v ON trains USING annivf (v);

-- nothing to train on
SELECT ann_train('trains_v');
INSERT INTO trains VALUES (0, NULL);
SELECT ann_train('trains_v');
DELETE FROM trains;

-- a vacuum trains above 10,000 rows, not before
INSERT INTO trains SELECT row_number() OVER (), x FROM clustered(10000, 8) x;
VACUUM trains;
SELECT is_trained('trains');
SELECT recall('trains', '<->', (SELECT array_agg(x) FROM clustered(10, 8, 0.2) x), 10);
INSERT INTO trains SELECT 20000 + row_number() OVER (), x FROM clustered(1, 8) x;
VACUUM (INDEX_CLEANUP off) trains;
SELECT is_trained('trains');
-- a vacuum with workers may train, too
CREATE INDEX trains_id ON trains (id);
SET min_parallel_index_scan_size = 0;
VACUUM (PARALLEL 2) trains;
RESET min_parallel_index_scan_size;
DROP INDEX trains_id;
SELECT is_trained('trains');
SELECT index_faults('trains', '<->', 200);
SELECT recall('trains', '<->', (SELECT array_agg(x) FROM clustered(10, 8, 0.2) x), 10) >= 0.95 AS good;
SELECT ann_train('trains_v');
TRUNCATE trains;
SELECT is_trained('trains');

-- by hand at any size; rows that came before, come after, or are gone; NULLs and values that are not coded
INSERT INTO trains SELECT row_number() OVER (), x FROM clustered(500, 8) x;
INSERT INTO trains VALUES (1001, NULL), (1002, '[0,0,0,0,0,0,0,0]'), (1003, '[1e20,0,0,0,0,0,0,0]');
DELETE FROM trains WHERE id % 7 = 0;
SELECT ann_train('trains_v');
SELECT is_trained('trains');
SELECT index_faults('trains', '<->', 200);
INSERT INTO trains SELECT 2000 + row_number() OVER (), x FROM clustered(500, 8, 0.3) x;
SELECT index_faults('trains', '<->', 200);
VACUUM trains;
SELECT index_faults('trains', '<->', 200);
SELECT ann_train('trains_v');
SELECT reltuples, (SELECT count(*) FROM trains) FROM pg_class WHERE oid = 'trains_v'::regclass;
TRUNCATE trains;

-- rows whose transaction rolls back after they were trained on
BEGIN;
INSERT INTO trains SELECT row_number() OVER (), x FROM clustered(300, 8) x;
SELECT ann_train('trains_v');
SELECT index_faults('trains', '<->', 200);
ROLLBACK;
SELECT is_trained('trains');
SELECT index_faults('trains', '<->', 200);
INSERT INTO trains SELECT row_number() OVER (), x FROM clustered(300, 8, 0.4) x;
SELECT index_faults('trains', '<->', 200);
VACUUM trains;
SELECT index_faults('trains', '<->', 200);
SELECT count(*) FROM trains;

-- in the transaction that made the table; one row alone; all rows equal
BEGIN;
CREATE TABLE trains_new (id int, v vector(8));
CREATE INDEX trains_new_v ON trains_new USING annivf (v);
INSERT INTO trains_new VALUES (1, '[1,2,3,4,5,6,7,8]');
SELECT ann_train('trains_new_v');
INSERT INTO trains_new SELECT 2, v FROM trains_new;
SELECT index_faults('trains_new', '<->', 200);
COMMIT;
SELECT index_faults('trains_new', '<->', 200);
TRUNCATE trains_new;
INSERT INTO trains_new SELECT i, '[1,2,3,4,5,6,7,8]' FROM generate_series(1, 200) i;
SELECT ann_train('trains_new_v');
SELECT index_faults('trains_new', '<->', 50);
-- only NULLs, and rows that no code describes
TRUNCATE trains_new;
INSERT INTO trains_new VALUES (1, NULL), (2, '[1e20,1e20,1e20,0,0,0,0,0]');
SELECT ann_train('trains_new_v');
SELECT is_trained('trains_new');
SELECT index_faults('trains_new', '<->', 200);
-- only dead rows
TRUNCATE trains_new;
INSERT INTO trains_new SELECT row_number() OVER (), x FROM clustered(20, 8) x;
DELETE FROM trains_new;
SELECT ann_train('trains_new_v');
SELECT index_faults('trains_new', '<->', 200);
DROP TABLE trains_new;

-- a cursor that was opened before goes on
TRUNCATE trains;
INSERT INTO trains SELECT row_number() OVER (), x FROM clustered(400, 8) x;
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_sort = off;
DECLARE before CURSOR FOR SELECT id FROM trains ORDER BY v <-> '[1,1,1,1,1,1,1,1]';
CREATE TEMP TABLE fetched (id int);
CREATE FUNCTION fetch_all(name refcursor) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	x int;
BEGIN
	LOOP
		FETCH name INTO x;
		EXIT WHEN NOT FOUND;
		INSERT INTO fetched VALUES (x);
	END LOOP;
END $$;
MOVE 5 FROM before;
SELECT ann_train('trains_v');
SELECT fetch_all('before');
SELECT count(*), count(DISTINCT id) FROM fetched;
COMMIT;
DROP TABLE fetched;
DROP FUNCTION fetch_all;

-- rows of an untrained index of any size are exact and complete
TRUNCATE trains;
INSERT INTO trains SELECT row_number() OVER (), x FROM clustered(3000, 8) x;
SET work_mem = '64kB';
SELECT index_faults('trains', '<->', 50);
SELECT recall('trains', '<->', (SELECT array_agg(x) FROM clustered(10, 8, 0.2) x), 100);
RESET work_mem;

-- options of the index hold for the training too; a reindex trains with enough rows
ALTER INDEX trains_v SET (num_leaves = 13, num_leaves_to_search = 13);
SELECT ann_train('trains_v');
SELECT is_trained('trains');
SELECT leaves_searched FROM ann_search_stats();
REINDEX INDEX trains_v;
SELECT is_trained('trains');
SELECT leaves_searched FROM ann_search_stats();
SELECT index_faults('trains', '<->', 50);
ALTER INDEX trains_v RESET (num_leaves, num_leaves_to_search);
DELETE FROM trains WHERE id > 900;
REINDEX INDEX trains_v;
SELECT is_trained('trains');

-- a function of the index runs as the table's owner, not as the caller
CREATE ROLE regress_ann_train;
CREATE TABLE trains_owned (id int, v vector(8));
CREATE FUNCTION as_is(vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF current_user <> 'regress_ann_train' THEN
		RAISE NOTICE 'runs as another user';
	END IF;
	RETURN $1;
END $$;
ALTER TABLE trains_owned OWNER TO regress_ann_train;
CREATE INDEX trains_owned_v ON trains_owned USING annivf ((as_is(v)::vector(8)));
SET ROLE regress_ann_train;
INSERT INTO trains_owned SELECT row_number() OVER (), x FROM clustered(50, 8) x;
RESET ROLE;
SELECT ann_train('trains_owned_v');
VACUUM trains_owned;
DROP TABLE trains_owned;
DROP FUNCTION as_is;
DROP ROLE regress_ann_train;

DROP TABLE trains;

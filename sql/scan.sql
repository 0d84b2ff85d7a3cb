-- the ordered scan: order, completeness, continuation, cursors, rescans

SET client_min_messages = warning;
SET max_parallel_workers_per_gather = 0;
SET jit = off;

-- vectors of small integers, so that distances are the same on every machine
CREATE FUNCTION scan_vector(i int, dim int) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg((hashint4(i * 100 + d) & 1023) % 20)::vector FROM generate_series(1, dim) d
$$;

CREATE TABLE s (id int, v vector(6), grp int, touched int DEFAULT 0);
INSERT INTO s SELECT i, scan_vector(i, 6), i % 1000 FROM generate_series(1, 4000) i;
INSERT INTO s SELECT i, NULL, -1 FROM generate_series(4001, 4100) i;
CREATE INDEX s_v ON s USING annivf (v) WITH (num_leaves = 60);
ANALYZE s;
SET enable_seqscan = off;
SET enable_sort = off;

-- What reading to the end returns: rows, different ones, NULLs, places where the distance falls, and
-- whether NULLs come last. In strict order it falls once at most: where the rows held back begin.
CREATE FUNCTION scan_read(q vector, OUT rows int, OUT ids int, OUT nulls int, OUT descents int,
	OUT nulls_last boolean) LANGUAGE sql AS $$
	SELECT count(*), count(DISTINCT id), count(*) FILTER (WHERE d IS NULL),
		count(*) FILTER (WHERE d < before),
		NOT bool_or(d IS NOT NULL AND before IS NULL AND n > 1)
	FROM (SELECT id, d, lag(d) OVER (ORDER BY n) AS before, n
		FROM (SELECT id, d, row_number() OVER () AS n
			FROM (SELECT id, v <-> q AS d FROM s ORDER BY v <-> q OFFSET 0) a) b) c
$$;

-- the ten nearest by the index and by a sort
CREATE FUNCTION scan_differs(q vector) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	found float8[];
	exact float8[];
BEGIN
	SELECT array_agg(d) INTO found
		FROM (SELECT v <-> q AS d FROM s ORDER BY v <-> q LIMIT 10) a;
	SELECT array_agg(d) INTO exact
		FROM (SELECT d FROM (SELECT v <-> q AS d FROM s OFFSET 0) b ORDER BY d LIMIT 10) a;
	RETURN found IS DISTINCT FROM exact;
END $$;

-- all settings return every row once
SELECT rows, ids, nulls, descents <= 1 AS ordered, nulls_last FROM scan_read('[1,2,3,4,5,6]');
SET ann.num_leaves_to_search = 1;
SELECT rows, ids, nulls, descents <= 1 AS ordered, nulls_last FROM scan_read('[1,2,3,4,5,6]');
SET ann.num_reordering_candidates = 3;
SELECT rows, ids, nulls, descents <= 1 AS ordered, nulls_last FROM scan_read('[1,2,3,4,5,6]');
SET ann.num_reordering_candidates = 0;
SELECT rows, ids, nulls FROM scan_read('[1,2,3,4,5,6]');
SET ann.num_reordering_candidates = -1;
SET ann.iterative_scan = relaxed_order;
SELECT rows, ids, nulls, nulls_last FROM scan_read('[1,2,3,4,5,6]');
SET ann.iterative_scan = strict_order;
SET work_mem = '64kB';
SELECT rows, ids, nulls, descents <= 1 AS ordered, nulls_last FROM scan_read('[1,2,3,4,5,6]');

-- with all leaves and all rows reordered, in the order of the sort
SET ann.num_leaves_to_search = 1000;
SET ann.num_reordering_candidates = 100000;
SELECT * FROM scan_read('[1,2,3,4,5,6]');
SELECT held_back FROM ann_search_stats();
RESET work_mem;
SELECT * FROM scan_read('[1,2,3,4,5,6]');
SELECT bool_or(scan_differs(scan_vector(-i, 6))) FROM generate_series(1, 50) i;
-- best first, all leaves: the bound is no proof, but for these it holds
RESET ann.num_reordering_candidates;
SELECT count(*) FILTER (WHERE scan_differs(scan_vector(-i, 6))) <= 2 AS good
FROM generate_series(1, 50) i;
RESET ann.num_leaves_to_search;

-- off: the rows of the first leaves and no more; NULLs belong to the last
SET ann.iterative_scan = off;
SET ann.num_leaves_to_search = 5;
SELECT rows BETWEEN 100 AND 3000 AS some, rows = ids AS once, nulls, descents <= 1 AS ordered
FROM scan_read('[1,2,3,4,5,6]');
SELECT leaves_searched FROM ann_search_stats();
SET ann.num_leaves_to_search = 60;
SELECT rows, ids, nulls FROM scan_read('[1,2,3,4,5,6]');
RESET ann.iterative_scan;

-- a cap: a notice when more is wanted than it allows
SET client_min_messages = notice;
SET ann.num_leaves_to_search = 5;
SET ann.max_leaves_to_search = 10;
SELECT count(*) FROM (SELECT id FROM s ORDER BY v <-> '[1,2,3,4,5,6]' LIMIT 20) a;
SELECT rows BETWEEN 200 AND 3000 AS some, nulls FROM scan_read('[1,2,3,4,5,6]');
SELECT leaves_searched FROM ann_search_stats();
SET client_min_messages = warning;
RESET ann.max_leaves_to_search;

-- leaves are added ahead of the rows
SET ann.num_leaves_to_search = 1;
SELECT count(*) FROM (SELECT id FROM s ORDER BY v <-> '[1,2,3,4,5,6]' LIMIT 1) a;
SELECT leaves_searched <= 3 AS few FROM ann_search_stats();
SELECT count(*) FROM (SELECT id FROM s ORDER BY v <-> '[1,2,3,4,5,6]' LIMIT 500) a;
SELECT codes_scanned >= 1000 AS enough FROM ann_search_stats();
RESET ann.num_leaves_to_search;

-- filters do not lose rows
SELECT count(*) FROM (SELECT id FROM s WHERE grp = 7 ORDER BY v <-> '[1,2,3,4,5,6]' LIMIT 10) a;
SET ann.num_leaves_to_search = 60;
SELECT array_agg(id) FROM (SELECT id FROM s WHERE grp IN (7, 8) AND v IS NOT NULL
	ORDER BY v <-> '[1,2,3,4,5,6]', id LIMIT 3) a;
RESET ann.num_leaves_to_search;

-- a query that orders nothing returns every row
SELECT rows, ids FROM scan_read((SELECT NULL::vector));
SELECT count(*), count(DISTINCT id)
FROM (SELECT id FROM s ORDER BY v <-> (SELECT NULL::vector) OFFSET 0) a;
CREATE INDEX s_cosine ON s USING annivf (v vector_cosine_ops) WITH (num_leaves = 20);
SELECT count(*), count(DISTINCT id)
FROM (SELECT id FROM s ORDER BY v <=> '[0,0,0,0,0,0]' OFFSET 0) a;

-- numbers, infinity, NaN, NULL
SET ann.num_leaves_to_search = 1000;
SET ann.num_reordering_candidates = 100000;
UPDATE s SET v = '[0,0,0,0,0,0]' WHERE id IN (17, 18);
SELECT id, d FROM (SELECT id, v <=> '[1,1,1,1,1,1]' AS d, row_number() OVER () AS n
	FROM (SELECT id, v FROM s ORDER BY v <=> '[1,1,1,1,1,1]' OFFSET 0) a) b
WHERE n BETWEEN 3999 AND 4000 ORDER BY id;
DROP INDEX s_cosine;
UPDATE s SET v = '[3e38,0,0,0,0,0]' WHERE id = 18;
SELECT id, d FROM (SELECT id, v <-> '[1,1,1,1,1,1]' AS d, row_number() OVER () AS n
	FROM (SELECT id, v FROM s ORDER BY v <-> '[1,1,1,1,1,1]' OFFSET 0) a) b
WHERE n = 4000;
UPDATE s SET v = scan_vector(id, 6) WHERE id IN (17, 18);
RESET ann.num_leaves_to_search;
RESET ann.num_reordering_candidates;

-- cursors: other commands between fetches, backwards, WITH HOLD, subtransactions
CREATE FUNCTION scan_move(c refcursor, n int, OUT moved int) LANGUAGE plpgsql AS $$
BEGIN
	MOVE FORWARD n FROM c;
	GET DIAGNOSTICS moved = ROW_COUNT;
END $$;
BEGIN;
DECLARE c CURSOR FOR SELECT id, v <-> '[1,2,3,4,5,6]' AS d FROM s ORDER BY v <-> '[1,2,3,4,5,6]';
SELECT scan_move('c', 10);
INSERT INTO s SELECT i, scan_vector(i, 6) FROM generate_series(5001, 5500) i;
DELETE FROM s WHERE id BETWEEN 1001 AND 1500;
SET LOCAL ann.num_leaves_to_search = 1;
SAVEPOINT sp;
SELECT scan_move('c', 1000);
RELEASE sp;
SELECT scan_move('c', 10000);
ROLLBACK;
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT v <-> '[1,2,3,4,5,6]' AS d FROM s ORDER BY v <-> '[1,2,3,4,5,6]';
FETCH 1 FROM c;
MOVE 300 FROM c;
MOVE BACKWARD 301 FROM c;
FETCH 1 FROM c;
COMMIT;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT id FROM s ORDER BY v <-> '[1,2,3,4,5,6]';
COMMIT;
SELECT scan_move('c', 10000);
CLOSE c;

-- rescans
CREATE TABLE q AS SELECT i AS id, CASE WHEN i % 10 > 0 THEN scan_vector(-i, 6) END AS v
FROM generate_series(1, 100) i;
SET ann.num_leaves_to_search = 1000;
SET ann.num_reordering_candidates = 100000;
SELECT count(*), count(DISTINCT (query, nearest)), bool_and(q_is_null OR d = exact) AS right
FROM (SELECT q.id AS query, n.id AS nearest, q.v IS NULL AS q_is_null, n.d,
		(SELECT min(d) FROM (SELECT s.v <-> q.v AS d FROM s OFFSET 0) e) AS exact
	FROM q, LATERAL (SELECT id, s.v <-> q.v AS d FROM s ORDER BY s.v <-> q.v LIMIT 1) n) a;
RESET ann.num_leaves_to_search;
RESET ann.num_reordering_candidates;
SELECT count(*) FROM q, LATERAL (SELECT id FROM s ORDER BY s.v <-> q.v LIMIT 5) n;

-- prepared, with a generic plan
SET plan_cache_mode = force_generic_plan;
PREPARE p (vector, int) AS SELECT count(*) FROM (SELECT id FROM s ORDER BY v <-> $1 LIMIT $2) a;
EXECUTE p ('[1,2,3,4,5,6]', 7);
EXECUTE p (NULL, 7);
EXECUTE p ('[6,5,4,3,2,1]', 5000);
EXECUTE p ('[1,2]', 7);
DEALLOCATE p;
RESET plan_cache_mode;

-- rows updated in place (HOT) and pruned are found, once
ALTER TABLE s SET (fillfactor = 50);
VACUUM FULL s;
UPDATE s SET touched = 1 WHERE id % 3 = 0;
UPDATE s SET touched = 2 WHERE id % 3 = 0;
VACUUM s;
UPDATE s SET touched = 3 WHERE id % 5 = 0;
SELECT rows, ids, nulls, nulls_last FROM scan_read('[1,2,3,4,5,6]');
DELETE FROM s WHERE id % 2 = 0;
SELECT rows, ids, nulls, nulls_last FROM scan_read('[1,2,3,4,5,6]');
VACUUM s;
SELECT rows, ids, nulls, nulls_last FROM scan_read('[1,2,3,4,5,6]');

-- a row that no code describes, far from all others, comes last however few rows are read at a time
DELETE FROM s WHERE v IS NULL;
INSERT INTO s SELECT 5001, array_fill(1e18::real, ARRAY[6])::vector;
SET ann.num_leaves_to_search = 1000;
SET ann.num_reordering_candidates = 5;
CREATE TEMP TABLE near AS SELECT id, v FROM s ORDER BY v <-> '[1,2,3,4,5,6]' LIMIT 100;
SELECT count(*), bool_or(id = 5001) AS has_far FROM near;
SELECT heap_fetches < 1000 AS few FROM ann_search_stats();
SELECT count(*), max(id) FROM ann_search('s_v', '[1,2,3,4,5,6]', 100) f JOIN s ON s.ctid = f.ctid WHERE id = 5001;
SELECT rows, ids FROM scan_read('[1,2,3,4,5,6]');
RESET ann.num_leaves_to_search;
RESET ann.num_reordering_candidates;

SELECT * FROM ann_check('s_v', true);
DROP TABLE s, q, near;
DROP FUNCTION scan_read, scan_differs, scan_move, scan_vector;

-- ann_search_batch: many searches at once give what one gives

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE searched (id serial, v vector(12));
INSERT INTO searched (v) SELECT x FROM clustered(6000, 12, 0.3, 60) x;
INSERT INTO searched (v) VALUES (NULL), ((SELECT array_agg(0) FROM generate_series(1, 12))::real[]::vector);
CREATE INDEX searched_l2 ON searched USING annivf (v) WITH (num_leaves = 60, soar_lambda = 1.5);
CREATE INDEX searched_ip ON searched USING annivf (v vector_ip_ops) WITH (num_leaves = 60, soar_lambda = 0);
CREATE INDEX searched_cosine ON searched USING annivf (v vector_cosine_ops) WITH (num_leaves = 700, soar_lambda = 0);
CREATE TABLE queries AS SELECT (row_number() OVER ())::int AS query, q FROM clustered(80, 12, 0.7, 40) q;
-- the last two: no direction, no vector
INSERT INTO queries VALUES (81, '[0,0,0,0,0,0,0,0,0,0,0,0]'), (82, NULL);

-- rows of one that the other has not, both ways
CREATE FUNCTION differences(index regclass, k int, leaves int DEFAULT NULL, candidates int DEFAULT NULL) RETURNS TABLE (num bigint, single_only bigint, batch_only bigint) LANGUAGE sql AS $$
	WITH single AS MATERIALIZED (
		SELECT query, ordinality::int AS rank, r.ctid, distance
			FROM queries, ann_search(index, q, k, leaves, candidates) WITH ORDINALITY r),
	batch AS MATERIALIZED (
		SELECT * FROM ann_search_batch(index, (SELECT array_agg(q ORDER BY query) FROM queries), k, leaves, candidates))
	SELECT (SELECT count(*) FROM single), (SELECT count(*) FROM (TABLE single EXCEPT TABLE batch) s),
		(SELECT count(*) FROM (TABLE batch EXCEPT TABLE single) s)
$$;
CREATE TABLE indexes (index regclass);
INSERT INTO indexes VALUES ('searched_l2'), ('searched_ip'), ('searched_cosine');
SELECT index, k, d.* FROM indexes, (VALUES (1), (10), (60)) k(k), differences(index, k) d ORDER BY index, k;
-- few leaves, all leaves, a count of candidates, none
SELECT index, leaves, candidates, d.* FROM indexes, (VALUES (1, NULL), (700, NULL), (20, 40), (20, 0)) s(leaves, candidates),
	differences(index, 10, leaves, candidates) d ORDER BY index, leaves, candidates;
-- rows come by query and rank, and a query of other dimensions is refused wherever it stands
SELECT index, bool_and(previous < (query, rank)) AS ordered FROM indexes, LATERAL (
	SELECT query, rank, lag((query, rank)) OVER (ORDER BY ordinality) AS previous
		FROM ann_search_batch(index, (SELECT array_agg(q ORDER BY query) FROM queries), 5) WITH ORDINALITY) r
	GROUP BY index ORDER BY index;
SELECT * FROM ann_search_batch('searched_cosine', (SELECT array_agg(q ORDER BY query) FROM queries) || '[1,2]'::vector, 1);
-- whatever memory there is
SET work_mem = '64kB';
SELECT index, d.* FROM indexes, differences(index, 10) d ORDER BY index;
SELECT index, d.* FROM indexes, differences(index, 10, 700) d ORDER BY index;
SET work_mem = '300kB';
SELECT index, d.* FROM indexes, differences(index, 20) d ORDER BY index;
SET work_mem = '64MB';
SELECT index, d.* FROM indexes, differences(index, 20) d ORDER BY index;
-- and settings
SET ann.iterative_scan = off;
SELECT index, single_only, batch_only FROM indexes, differences(index, 100, 2) d ORDER BY index;
SET ann.iterative_scan = relaxed_order;
SELECT index, d.* FROM indexes, differences(index, 100, 2) d ORDER BY index;
RESET ann.iterative_scan;

-- blocks are read once for several searches: far fewer pages than one by one
CREATE FUNCTION pages(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (ANALYZE, BUFFERS, FORMAT json) ' || query INTO plan;
	RETURN (plan -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::bigint + (plan -> 0 -> 'Plan' ->> 'Shared Read Blocks')::bigint;
END $$;
SELECT pages('SELECT count(*) FROM ann_search_batch(''searched_l2'', (SELECT array_agg(q) FROM queries), 1, 20, 0)') * 4 <
	pages('SELECT count(*) FROM queries, ann_search(''searched_l2'', q, 1, 20, 0)') AS fewer;
RESET work_mem;

-- no query, arrays of arrays, rows that come and go
SELECT count(*) FROM ann_search_batch('searched_l2', '{}');
SELECT count(*) FROM ann_search_batch('searched_l2', NULL);
SELECT count(*) FROM ann_search_batch(NULL, (SELECT array_agg(q) FROM queries));
SELECT query, count(*) FROM ann_search_batch('searched_l2', (SELECT ARRAY[ARRAY[q, NULL], ARRAY[q, q]]
	FROM queries WHERE query = 1), 3) GROUP BY query ORDER BY query;
BEGIN;
DELETE FROM searched WHERE id % 2 = 0;
INSERT INTO searched (v) SELECT x FROM clustered(500, 12, 0.8, 20) x;
SELECT index, d.* FROM indexes, differences(index, 10) d ORDER BY index;
SELECT count(*) = count(s.id) AS living FROM ann_search_batch('searched_ip', (SELECT array_agg(q) FROM queries), 20) b
	LEFT JOIN searched s ON s.ctid = b.ctid;
ROLLBACK;

-- not trained
CREATE TABLE few (id serial, v vector(12));
CREATE INDEX few_v ON few USING annivf (v);
SELECT d.* FROM differences('few_v', 10) d;
INSERT INTO few (v) SELECT x FROM clustered(100, 12, 0.8, 20) x;
SELECT d.* FROM differences('few_v', 10) d;

-- what cannot be
SELECT * FROM ann_search_batch('searched', ARRAY['[1]']::vector[]);
SELECT * FROM ann_search_batch('searched_l2', ARRAY['[1,2]']::vector[]);
SELECT * FROM ann_search_batch('searched_l2', ARRAY['[1,2]']::vector[], 0);
SELECT * FROM ann_search_batch('searched_l2', ARRAY['[1,2]']::vector[], 1, 0);

SELECT c.* FROM indexes, ann_check(index, true) c;
DROP TABLE searched, queries, indexes, few;
DROP FUNCTION differences, pages;

-- What other libraries have calls for, as SQL says it (doc/peers.md): models, batches, identifiers, one item's
-- neighbours, crowding, merging; each with the plan or the count that shows that the index serves it

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- the nodes of a plan that matter, from top to bottom
CREATE FUNCTION nodes(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	EXECUTE 'EXPLAIN (COSTS OFF, FORMAT json) ' || query INTO plan;
	RETURN (SELECT string_agg(n[1], ', ') FROM regexp_matches(plan, '"Node Type": "(Index Scan|Seq Scan|Sort|Gather|WindowAgg)"', 'g') n);
END $$;

-- Annoy's first example: 1,000 Gaussian items of 40 dimensions, by angle; TFRS: any number of results, the first ones
-- the same
CREATE TABLE items (id bigint PRIMARY KEY, name text, key uuid, attr int, v vector(40));
SELECT setseed(0);
INSERT INTO items SELECT i, 'item ' || i, md5(i::text)::uuid, i % 4, (SELECT array_agg(sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random()))
	FROM generate_series(1, 40 + i * 0))::real[]::vector FROM generate_series(0, 999) i;
CREATE INDEX items_v ON items USING annivf (v vector_cosine_ops) WITH (num_leaves = 20, num_leaves_to_search = 20, num_reordering_candidates = 1000);
ANALYZE items;
SET enable_seqscan = off;
SET enable_sort = off;
SELECT nodes('SELECT id FROM items ORDER BY v <=> (SELECT v FROM items WHERE id = 0) LIMIT 10') AS plan;
SELECT (array_agg(id))[1] AS first, round((array_agg(d))[1]::numeric, 6) = 0 AS itself, count(*) FROM
	(SELECT id, v <=> (SELECT v FROM items WHERE id = 0) AS d FROM items ORDER BY v <=> (SELECT v FROM items WHERE id = 0) LIMIT 10) s;
SELECT bool_and((answer('items', '<=>', v, 100, true)).ids[1:10] = (answer('items', '<=>', v, 10, true)).ids) AS ten_of_a_hundred,
	bool_and((answer('items', '<=>', v, 100, true)).ids[1:37] = (answer('items', '<=>', v, 37, true)).ids) AS as_many_as_you_like
	FROM items WHERE id % 100 = 0;

-- identifiers: any columns, or the place; negative and large ones cost no room
SELECT name IS NOT NULL AS name, key = md5(id::text)::uuid AS uuid, ctid IS NOT NULL AS place FROM items ORDER BY v <=> (SELECT v FROM items WHERE id = 7) LIMIT 1;
SELECT pg_relation_size('items_v') AS before \gset
UPDATE items SET id = CASE id WHEN 1 THEN -5 ELSE 4611686018427387904 END WHERE id IN (1, 2);
SELECT id FROM items ORDER BY v <=> (SELECT v FROM items WHERE id = -5) LIMIT 1;
SELECT id FROM items ORDER BY v <=> (SELECT v FROM items WHERE id = 4611686018427387904) LIMIT 1;
SELECT pg_relation_size('items_v') <= :before + 8192 AS no_larger;

-- the query by a model of the user's: a stable function is called once and the index serves it; of a volatile one each
-- row would have another answer
CREATE FUNCTION model(feature int) RETURNS vector LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT v FROM items WHERE id = feature); END $$;
CREATE FUNCTION moody_model(feature int) RETURNS vector LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN model(feature); END $$;
SELECT nodes('SELECT id FROM items ORDER BY v <=> model(3) LIMIT 5') AS stable, nodes('SELECT id FROM items ORDER BY v <=> moody_model(3) LIMIT 5') AS volatile;
SELECT id FROM items ORDER BY v <=> model(3) LIMIT 1;

-- many queries in one statement: by a lateral join; by arrays, which workers make; both what single queries give
CREATE TABLE wanted AS SELECT id::int AS q_id, v AS q FROM items WHERE id % 20 = 3;
ANALYZE wanted;
CREATE TABLE singly AS SELECT q_id, (answer('items', '<=>', q, 10, true)).ids::bigint[] FROM wanted;
SELECT count(*) AS differ FROM singly JOIN (SELECT q_id, array_agg(s.id) AS ids FROM wanted, LATERAL (SELECT id FROM items ORDER BY v <=> q LIMIT 10) s GROUP BY q_id) l
	USING (q_id) WHERE singly.ids <> l.ids;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SET enable_seqscan = on;
SELECT nodes('SELECT q_id, ARRAY(SELECT id FROM items ORDER BY v <=> q LIMIT 10) FROM wanted') AS plan;
SELECT count(*) AS differ FROM singly JOIN (SELECT q_id, ARRAY(SELECT id FROM items ORDER BY v <=> q LIMIT 10) AS ids FROM wanted) p USING (q_id) WHERE singly.ids <> p.ids;
SET max_parallel_workers_per_gather = 0;
SET enable_seqscan = off;
-- offline: into a table
CREATE TABLE results AS SELECT q_id, s.rank, s.id FROM wanted, LATERAL (SELECT id, row_number() OVER () AS rank FROM (SELECT id FROM items ORDER BY v <=> q LIMIT 10) o) s;
SELECT count(*), count(DISTINCT (q_id, rank)) FROM results;

-- a distance is what the function says; more rows than there are: all of them
SELECT bool_and(d = cosine_distance(v, q)) AS same, count(*) FROM (SELECT v, q, v <=> q AS d FROM wanted, LATERAL (SELECT v FROM items ORDER BY v <=> q LIMIT 10) s) t;
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <=> model(3) LIMIT 5000) s;

-- settings of one transaction; ROLLBACK brings the index's own back
BEGIN;
SET LOCAL ann.num_leaves_to_search = 2;
SET LOCAL ann.num_reordering_candidates = 40;
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <=> model(3) LIMIT 5) s;
SELECT leaves_searched, candidates_reordered FROM ann_search_stats();
ROLLBACK;
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <=> model(3) LIMIT 5) s;
SELECT leaves_searched FROM ann_search_stats();
-- a search looks at the rows of its leaves, and at no others
BEGIN;
SET LOCAL ann.num_leaves_to_search = 3;
SET LOCAL ann.num_reordering_candidates = 20;
SELECT count(*) FROM (SELECT id FROM items ORDER BY v <=> model(3) LIMIT 5) s;
SELECT codes_scanned = (SELECT sum(l.num_tuples) FROM ann_assign('items_v', model(3), 3) a JOIN ann_leaves('items_v') l USING (leaf)) AS of_three_leaves
	FROM ann_search_stats();
COMMIT;

-- crowding: at most two of a kind among the first ten
SELECT nodes('SELECT id FROM (SELECT id, d, row_number() OVER (PARTITION BY attr ORDER BY d) AS place FROM
	(SELECT id, attr, v <=> model(3) AS d FROM items ORDER BY v <=> model(3) LIMIT 50) s) t WHERE place <= 2 ORDER BY d LIMIT 10') LIKE '%Index Scan' AS by_index;
SELECT max(n), count(*) FROM (SELECT attr, count(*) AS n FROM (SELECT attr, d, row_number() OVER (PARTITION BY attr ORDER BY d) AS place FROM
	(SELECT attr, v <=> model(3) AS d FROM items ORDER BY v <=> model(3) LIMIT 50) s) t WHERE place <= 2 GROUP BY attr) u;

-- the first dimensions of many: an index of an expression
CREATE INDEX items_short ON items USING annivf ((subvector(v, 1, 8)::vector(8)));
SELECT nodes('SELECT id FROM items ORDER BY subvector(v, 1, 8)::vector(8) <-> ''[1,2,3,4,5,6,7,8]'' LIMIT 5') AS plan;
DROP INDEX items_short;

-- all copies of a row are found, and duplicates by grouping
INSERT INTO items SELECT 2000 + i, 'copy', NULL, 0, v FROM items, generate_series(1, 12) i WHERE id = 9;
SELECT count(*) FILTER (WHERE id >= 2000) AS copies FROM (SELECT id FROM items ORDER BY v <=> (SELECT v FROM items WHERE id = 9) LIMIT 13) s;
SELECT count(*) AS times FROM items GROUP BY v HAVING count(*) > 1;

-- indexing again replaces the index; merging empties the one table and fills the other
SELECT pg_relation_filenode('items_v') AS before \gset
REINDEX INDEX items_v;
SELECT pg_relation_filenode('items_v') <> :before AS another;
CREATE TABLE others (LIKE items INCLUDING ALL);
INSERT INTO others SELECT id, name, NULL, attr, v FROM items WHERE id BETWEEN 100 AND 199;
WITH d AS (DELETE FROM others RETURNING *) INSERT INTO items SELECT 10000 + id, name, key, attr, v FROM d;
SELECT (SELECT count(*) FROM others) AS others, (SELECT count(*) FROM items) AS items;
SELECT count(*) AS twice FROM (SELECT id FROM items ORDER BY v <=> (SELECT v FROM items WHERE id = 150) LIMIT 2) s WHERE id IN (150, 10150);
SELECT count(*) FROM ann_check('items_v', true);
DROP TABLE items, wanted, singly, results, others;
DROP FUNCTION nodes, model, moody_model;

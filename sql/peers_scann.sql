-- What the tests of ScaNN and of the TFRS layer over it state, as far as it holds for any index (doc/peers.md)

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET client_min_messages = warning;
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- factorized_top_k_test.py: one leaf, all rows reordered: what brute force gives, for any number of candidates and
-- queries, k, seed and kind of identifier; indexed again, the same
CREATE TABLE candidates (id bigint, name text, v vector(4));
CREATE TABLE queries (id int, q vector(4));
CREATE FUNCTION top_k(num int, num_queries int, k int, seed int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	exact text;
	found text;
	command text := format('SELECT string_agg(concat_ws('' '', q.id, s.id, s.name, s.d), E''\n'' ORDER BY q.id, s.d, s.id) FROM queries q,
		LATERAL (SELECT c.id, name, c.v <#> q.q AS d FROM candidates c ORDER BY c.v <#> q.q LIMIT %s) s', k);
BEGIN
	TRUNCATE candidates, queries;
	INSERT INTO candidates SELECT 5000000000 + i, 'item ' || i, x FROM clustered(num, 4, seed / 1000.0, 20) WITH ORDINALITY c(x, i);
	INSERT INTO queries SELECT i, x FROM clustered(num_queries, 4, seed / 1001.0, 5) WITH ORDINALITY c(x, i);
	EXECUTE format('CREATE INDEX candidates_v ON candidates USING annivf (v vector_ip_ops) WITH (num_leaves = 1, num_leaves_to_search = 1,
		num_reordering_candidates = 100000, seed = %s)', seed);
	PERFORM set_config('enable_indexscan', 'off', true);
	EXECUTE command INTO exact;
	PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true);
	FOR i IN 1..2 LOOP
		EXECUTE command INTO found;
		IF found <> exact THEN
			RETURN 'differs: ' || found || E'\n' || exact;
		END IF;
		-- all queries in one call
		SELECT string_agg(concat_ws(' ', b.query, c.id, c.name, b.distance), E'\n' ORDER BY b.query, b.distance, c.id) INTO found
			FROM ann_search_batch('candidates_v', (SELECT array_agg(q ORDER BY id) FROM queries), k) b JOIN candidates c ON c.ctid = b.ctid;
		IF found <> exact THEN
			RETURN 'batch differs: ' || found || E'\n' || exact;
		END IF;
		REINDEX INDEX candidates_v;
	END LOOP;
	DROP INDEX candidates_v;
	RETURN NULL;
END $$;
SELECT count(*), count(top_k(num, num_queries, k, seed)) AS differ FROM unnest('{128,1024}'::int[]) num, unnest('{3,15,16}'::int[]) num_queries,
	unnest('{5,10}'::int[]) k, unnest('{42,123,256}'::int[]) seed;
DROP TABLE candidates, queries;
DROP FUNCTION top_k;

-- scann_ops_pybind_test.py: distances beside sums of numbers of twice the length; 1,234 rows for 200 leaves, some of
-- them empty; as many rows as k asks for
CREATE TABLE rows (id serial, v vector(50));
INSERT INTO rows (v) SELECT x FROM clustered(1234, 50, 0.3, 40) x;
SELECT max(abs(1 + (v <#> q) / exact)) < 1e-5 AS products, max(abs((v <-> q) ^ 2 / squares - 1)) < 1e-5 AS squares
	FROM (SELECT v, q, (SELECT sum(a::float8 * b) FROM unnest(v::real[], q::real[]) u(a, b)) AS exact,
			(SELECT sum((a::float8 - b) ^ 2) FROM unnest(v::real[], q::real[]) u(a, b)) AS squares
		FROM rows, (SELECT v AS q FROM rows WHERE id = 7) s WHERE id BETWEEN 100 AND 400) t WHERE abs(exact) > 10;
CREATE INDEX rows_v ON rows USING annivf (v vector_ip_ops) WITH (num_leaves = 200, soar_lambda = 1.5);
DELETE FROM rows WHERE id % 3 > 0;
VACUUM rows;
SELECT count(*) FILTER (WHERE num_tuples = 0) > 0 AS some_are_empty, sum(num_tuples) FROM ann_leaves('rows_v');
SELECT index_faults('rows', '<#>');
SET enable_seqscan = off;
SELECT k, (SELECT count(*) FROM (SELECT id FROM rows ORDER BY v <#> (SELECT v FROM rows WHERE id = 9) LIMIT k) s) AS rows
	FROM unnest('{10,15,20}'::int[]) k;
RESET enable_seqscan;
DROP TABLE rows;

-- scann_ops_pybind_updates_test.py: rows that are deleted, come back and are overwritten, for each metric
CREATE FUNCTION updates(class text, op text) RETURNS TABLE (what text, "right" bool) LANGUAGE plpgsql AS $$
DECLARE
	q vector;
	before record;
	after record;
BEGIN
	CREATE TEMP TABLE updated (id int PRIMARY KEY, v vector(16)) ON COMMIT DROP;
	INSERT INTO updated SELECT row_number() OVER (), x FROM clustered(1000, 16, 0.7, 30) x;
	EXECUTE format('CREATE INDEX updated_v ON updated USING annivf (v %s) WITH (num_leaves = 20, num_leaves_to_search = 20,
		num_reordering_candidates = 100000)', class);
	q := (SELECT x FROM clustered(1, 16, 0.8, 30) x);
	before := answer('updated', op, q, 10, true);

	CREATE TEMP TABLE taken ON COMMIT DROP AS SELECT * FROM updated WHERE id = ANY (before.ids[1:5]);
	DELETE FROM updated WHERE id = ANY (before.ids[1:5]);
	after := answer('updated', op, q, 5, true);
	what := 'deleted: the next five are first, as far away as before';
	"right" := after.ids = before.ids[6:10] AND after.distances = before.distances[6:10];
	RETURN NEXT;
	INSERT INTO updated TABLE taken;
	after := answer('updated', op, q, 10, true);
	what := 'inserted again: as before';
	"right" := after.ids = before.ids AND after.distances = before.distances;
	RETURN NEXT;
	INSERT INTO updated SELECT 2000 + id, v FROM taken;
	after := answer('updated', op, q, 10, true);
	what := 'copies: beside what they are copies of';
	"right" := (SELECT array_agg(DISTINCT i % 2000 ORDER BY i % 2000) FROM unnest(after.ids) i) = (SELECT array_agg(id ORDER BY id) FROM taken);
	RETURN NEXT;
	-- by zeroes; where these may be near, by the opposite of the query
	UPDATE updated SET v = CASE WHEN op = '<#>' THEN v - v ELSE v - v - q END WHERE id % 2000 = ANY (before.ids[1:5]);
	after := answer('updated', op, q, 5, true);
	what := 'overwritten: gone from the first places';
	"right" := after.ids = before.ids[6:10];
	RETURN NEXT;
	DELETE FROM updated;
	INSERT INTO updated SELECT 10000 + row_number() OVER (), x FROM clustered(1000, 16, 0.7, 30) x;
	after := answer('updated', op, q, 10, true);
	what := 'all deleted and inserted under other numbers: as before';
	"right" := (SELECT array_agg(i - 10000 ORDER BY n) FROM unnest(after.ids) WITH ORDINALITY u(i, n)) = before.ids AND after.distances = before.distances;
	RETURN NEXT;
	-- rebalance: other leaves, the same answer
	ALTER INDEX updated_v SET (num_leaves = 31, num_leaves_to_search = 31);
	REINDEX INDEX updated_v;
	what := 'rebalanced: other leaves, the same answer';
	"right" := (answer('updated', op, q, 10, true)).distances = before.distances AND (SELECT count(*) FROM ann_leaves('updated_v')) = 31;
	RETURN NEXT;
	DROP TABLE updated, taken;
END $$;
SELECT class, u.* FROM (VALUES ('vector_l2_ops', '<->'), ('vector_ip_ops', '<#>'), ('vector_cosine_ops', '<=>')) m(class, op), updates(class, op) u;
DROP FUNCTION updates;

-- 12,345 rows of 50 dimensions, 300 leaves of which 30 are searched, 20 candidates, second leaves
SET maintenance_work_mem = '64MB';
CREATE TABLE many (id serial, v vector(50));
INSERT INTO many (v) SELECT x FROM clustered(12345, 50, 0.6, 300) x;
CREATE INDEX many_v ON many USING annivf (v vector_ip_ops) WITH (num_leaves = 300, num_leaves_to_search = 30, soar_lambda = 1.5);
SET ann.num_reordering_candidates = 20;
SELECT recall('many', '<#>', (SELECT array_agg(v) FROM many WHERE id % 400 = 0), 10) > 0.9 AS found;
RESET ann.num_reordering_candidates;
-- sum_partition_sizes: each row stands in one leaf
SELECT sum(num_tuples), (SELECT num_tuples FROM ann_index_health('many_v')) FROM ann_leaves('many_v');
SELECT count(*) FROM ann_check('many_v', true);
DROP TABLE many;

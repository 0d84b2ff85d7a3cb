-- which plans the costs lead to

SET max_parallel_workers_per_gather = 0;
SET jit = off;

CREATE FUNCTION plan_vector(i int, dim int) RETURNS vector LANGUAGE sql IMMUTABLE AS $$
	SELECT array_agg((hashint4(i * 100 + d) & 1023) % 20)::vector FROM generate_series(1, dim) d
$$;

-- the nodes of a plan from top to bottom, in words that no version changes
CREATE FUNCTION plan_of(query text, OUT nodes text) LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	plan := plan->0->'Plan';
	WHILE plan IS NOT NULL LOOP
		nodes := concat_ws(' < ', nodes,
			concat_ws(' ', plan->>'Node Type', plan->>'Index Name'));
		plan := (SELECT child FROM jsonb_array_elements(plan->'Plans') child
			WHERE child->>'Parent Relationship' = 'Outer');
	END LOOP;
END $$;

-- few rows: sorted
CREATE TABLE few (id int, v vector(3));
INSERT INTO few SELECT i, plan_vector(i, 3) FROM generate_series(1, 300) i;
CREATE INDEX few_v ON few USING annivf (v);
ANALYZE few;
SELECT plan_of($$SELECT id FROM few ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
SET enable_seqscan = off;
SELECT plan_of($$SELECT id FROM few ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
RESET enable_seqscan;

-- many rows: the index for a LIMIT, a sort for all of them
CREATE TABLE many (id int, grp int, v vector(3));
INSERT INTO many SELECT i, i % 5000, plan_vector(i, 3) FROM generate_series(1, 100000) i;
CREATE INDEX many_v ON many USING annivf (v);
CREATE INDEX many_grp ON many (grp);
ANALYZE many;
SELECT plan_of($$SELECT id FROM many ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
SELECT plan_of($$SELECT id FROM many ORDER BY v <-> '[1,2,3]'$$);
SELECT plan_of($$SELECT id, rank() OVER (ORDER BY v <-> '[1,2,3]') FROM many$$);
-- commuted, subqueries
SELECT plan_of($$SELECT id FROM many ORDER BY '[1,2,3]' <-> v LIMIT 5$$);
SELECT plan_of($$SELECT id FROM many ORDER BY v <-> (SELECT v FROM few LIMIT 1) LIMIT 5$$);
-- a mild filter keeps it, a selective one has a better index
SELECT plan_of($$SELECT id FROM many WHERE id > 50000 ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
SELECT plan_of($$SELECT id FROM many WHERE grp = 7 ORDER BY v <-> '[1,2,3]' LIMIT 5$$);
-- two distances never reach the index, with whatever else switched off
SET enable_seqscan = off;
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM many ORDER BY v <-> '[1,2,3]', v <-> '[3,2,1]' LIMIT 5) s;
RESET enable_seqscan;
RESET enable_sort;
-- nor does a query that orders nothing
SELECT plan_of('SELECT count(*) FROM many');
CREATE INDEX many_part ON many USING annivf (v) WHERE id <= 500;
SELECT plan_of('SELECT count(*) FROM many WHERE id <= 500');
-- though it could: forced, a partial index returns all of its rows
DROP INDEX many_grp;
SET enable_seqscan = off;
SELECT plan_of('SELECT id FROM many WHERE id <= 500');
SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM many WHERE id <= 500 OFFSET 0) a;
SET enable_sort = off;

-- costs are finite, and those of more rows are no less
CREATE FUNCTION plan_cost(query text, OUT startup float8, OUT total float8) LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	startup := plan->0->'Plan'->>'Startup Cost';
	total := plan->0->'Plan'->>'Total Cost';
END $$;
SELECT * FROM ann_check('many_part', true);
DROP INDEX many_part;
SELECT bool_and(total >= startup AND total < 1e9 AND total >= before) AS sane
FROM (SELECT startup, total, lag(total, 1, 0::float8) OVER (ORDER BY k) AS before
	FROM unnest(ARRAY[1, 10, 100, 1000, 10000, 100000]) k,
		plan_cost(format('SELECT id FROM many ORDER BY v <-> ''[1,2,3]'' LIMIT %s', k))) c;
SET ann.num_leaves_to_search = 1;
SELECT (plan_cost('SELECT id FROM many ORDER BY v <-> ''[1,2,3]'' LIMIT 1')).total AS few_leaves \gset
SET ann.num_leaves_to_search = 500;
SELECT (plan_cost('SELECT id FROM many ORDER BY v <-> ''[1,2,3]'' LIMIT 1')).total > :few_leaves AS more;
RESET ann.num_leaves_to_search;

SELECT f.* FROM unnest(ARRAY['few_v', 'many_v']::regclass[]) i, ann_check(i, true) f;
DROP TABLE few, many;
DROP FUNCTION plan_cost, plan_of, plan_vector;

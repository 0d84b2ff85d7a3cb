-- l2_within() and so on, their operators and balls; which plans they lead to, with what estimates

SET client_min_messages = warning;
CREATE SCHEMA within_plans;
SET search_path = within_plans, public;
SET max_parallel_workers_per_gather = 0;
SET jit = off;

CREATE FUNCTION error_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE query;
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM, nullif(hint, ''));
END $$;

-- values: less, never equal
SELECT l2_within('[0,0]'::vector, '[3,4]', 5), l2_within('[0,0]'::vector, '[3,4]', 5.0001),
	ip_within('[1,2]'::vector, '[3,4]', -11), ip_within('[1,2]'::vector, '[3,4]', -10.9),
	cosine_within('[1,0]'::vector, '[0,1]', 1), cosine_within('[1,0]'::vector, '[0,1]', 1.1),
	l1_within('[0,0]'::vector, '[3,4]', 7), l1_within('[0,0]'::vector, '[3,4]', 7.1);
SELECT l2_within('[0,0]'::halfvec, '[3,4]', 5), l2_within('[0,0]'::halfvec, '[3,4]', 5.0001),
	ip_within('[1,2]'::halfvec, '[3,4]', -11), ip_within('[1,2]'::halfvec, '[3,4]', -10.9),
	cosine_within('[1,0]'::halfvec, '[0,1]', 1), cosine_within('[1,0]'::halfvec, '[0,1]', 1.1),
	l1_within('[0,0]'::halfvec, '[3,4]', 7), l1_within('[0,0]'::halfvec, '[3,4]', 7.1);
SELECT hamming_within(B'1100', B'1010', 2), hamming_within(B'1100', B'1010', 3),
	jaccard_within(B'1100', B'1010', 0.5), jaccard_within(B'1100', B'1010', 0.7);
SELECT '[0,0]'::vector <<->> vector_ball('[3,4]', 5.1) AS l2, '[1,2]'::vector <<#>> vector_ball('[3,4]', -10) AS ip,
	'[1,0]'::vector <<=>> vector_ball('[0,1]', 1.1) AS cosine, '[0,0]'::vector <<+>> vector_ball('[3,4]', 7.1) AS l1,
	'[0,0]'::halfvec <<->> halfvec_ball('[3,4]', 5.1) AS half_l2, '[1,2]'::halfvec <<#>> halfvec_ball('[3,4]', -10) AS half_ip,
	'[1,0]'::halfvec <<=>> halfvec_ball('[0,1]', 1.1) AS half_cosine, '[0,0]'::halfvec <<+>> halfvec_ball('[3,4]', 7.1) AS half_l1,
	B'1100' <<~>> bit_ball(B'1010', 3) AS hamming, B'1100' <<%>> bit_ball(B'1010', 0.7) AS jaccard;
-- zero vectors have no cosine distance, so they are within nothing; NULL; infinite radii
SELECT cosine_within('[0,0]'::vector, '[0,1]', 'infinity') AS nan, l2_within('[0,0]'::vector, '[3,4]', 'infinity') AS all,
	ip_within('[0,0]'::vector, '[3,4]', '-infinity') AS none, l2_within(NULL::vector, '[3,4]', 1) AS null1,
	l2_within('[0,0]'::vector, NULL, 1) AS null2, l2_within('[0,0]'::vector, '[3,4]', NULL) AS null3,
	'[0,0]'::vector <<->> '("[3,4]",)' AS null4, '[0,0]'::vector <<->> '(,1)' AS null5, '[0,0]'::vector <<->> NULL AS null6;
SELECT error_of($$SELECT l2_within('[0,0]'::vector, '[3,4]', 'NaN')$$);
SELECT error_of($$SELECT '[0,0]'::vector <<->> vector_ball('[3,4]', 'NaN')$$);
SELECT error_of($$SELECT l2_within('[0,0]'::vector, '[3,4,5]', 1)$$);
SELECT error_of($$SELECT '[0,0]'::vector <<->> '("[3,4,5]",1)'$$);
SELECT error_of($$SELECT hamming_within(B'11', B'1', 1)$$);
SELECT error_of($$SELECT '[0,0]'::vector <<->> '[3,4]'$$);
-- balls are rows: made, stored, taken apart
SELECT vector_ball('[1,2]', 0.5), (vector_ball('[1,2]', 0.5)).center, (vector_ball('[1,2]', 0.5)).radius,
	halfvec_ball('[1,2]', 0.5), bit_ball(B'101', 2), ROW('[1,2]', 0.5)::vector_ball = vector_ball('[1,2]', 0.5) AS same;
SELECT vector_ball(NULL, 1), bit_ball(B'1', NULL);

-- ---- plans

CREATE TABLE items (id int, v vector(8), w vector(8));
SELECT setseed(0.25);
CREATE FUNCTION random_vector(dim int) RETURNS vector LANGUAGE sql VOLATILE AS $$
	SELECT array_agg(random())::real[]::vector FROM generate_series(1, dim)
$$;
INSERT INTO items SELECT i, random_vector(8) FROM generate_series(1, 20000) i;
UPDATE items SET w = v WHERE id <= 3;
INSERT INTO items VALUES (0, NULL);
VACUUM ANALYZE items;
CREATE INDEX items_v ON items USING annivf (v);

-- the parts of a plan that answer a query, in words that no version changes
CREATE FUNCTION plan_of(query text, OUT nodes text) LANGUAGE plpgsql AS $$
DECLARE
	plan jsonb;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	plan := plan->0->'Plan';
	WHILE plan IS NOT NULL LOOP
		nodes := concat_ws(' < ', nodes, concat_ws(' ', plan->>'Node Type', plan->>'Index Name',
			CASE WHEN plan ? 'Index Cond' THEN 'cond' END, CASE WHEN plan ? 'Order By' THEN 'order' END,
			CASE WHEN plan ? 'Filter' THEN 'filter' END));
		plan := (SELECT child FROM jsonb_array_elements(plan->'Plans') child
			WHERE child->>'Parent Relationship' IN ('Outer', 'Inner') ORDER BY child->>'Parent Relationship' LIMIT 1);
	END LOOP;
END $$;

EXPLAIN (COSTS OFF) SELECT id FROM items WHERE l2_within(v, '[0.3,0.6,0.4,0.8,0.2,0.7,0.5,0.4]', 0.2);
EXPLAIN (COSTS OFF) SELECT id FROM items WHERE l2_within('[0.3,0.6,0.4,0.8,0.2,0.7,0.5,0.4]', v, 0.2)
	AND v <<->> '("[0,0,0,0,0,0,0,0]",1)' AND id < 50 ORDER BY v <-> '[0.3,0.6,0.4,0.8,0.2,0.7,0.5,0.4]' LIMIT 5;
SELECT '[0.3,0.6,0.4,0.8,0.2,0.7,0.5,0.4]'::vector AS q \gset
-- chosen where it is selective
SELECT r, plan_of(format('SELECT id FROM items WHERE l2_within(v, %L, %s)', :'q', r)) FROM unnest(ARRAY[0.1, 0.2, 3]) r;
SELECT plan_of(format('SELECT id FROM items WHERE l2_within(v, %L, 0.2) ORDER BY v <-> %1$L', :'q'));
SELECT plan_of(format('SELECT id FROM items WHERE l2_within(v, %L, 0.2) ORDER BY v <-> %1$L LIMIT 5', :'q'));
-- the order of another query is another matter: a subquery keeps the condition to the index
SELECT plan_of(format('SELECT id FROM (SELECT id, v FROM items WHERE l2_within(v, %L, 0.2) OFFSET 0) s ORDER BY v <-> %L LIMIT 5',
	:'q', '[1,0,1,0,1,0,1,0]'));
-- not for another metric, column or type, for no constant, for OR and NOT
SELECT c, plan_of('SELECT id FROM items WHERE ' || format(c, :'q')) FROM unnest(ARRAY['cosine_within(v, %L, 0.01)', 'l2_within(w, %L, 0.1)',
	'l2_within(v::halfvec(8), %L, 0.1)', 'l2_within(v, v, 0.1)', 'l2_within(v, w, 0.1)', 'l2_within(v, %L, random())',
	'NOT l2_within(v, %L, 0.1)', 'l2_within(v, %L, 0.1) OR id = 3', 'l2_within(v, %L, 0.1) IS NOT TRUE', 'v <-> %L < 0.1']) c;
SELECT plan_of($$SELECT count(*) FROM items WHERE l2_within(v, '[0.3,0.6,0.4,0.8,0.2,0.7,0.5,0.4]', 0.2)$$);
SET enable_indexscan = off;
SELECT plan_of(format('SELECT id FROM items WHERE l2_within(v, %L, 0.1)', :'q'));
RESET enable_indexscan;

-- parameters, joins, rescans: what they find is what a scan of the table does, under FULL
SET ann.num_leaves_to_search = 1000000;
SET ann.num_reordering_candidates = 1000000;
SET plan_cache_mode = force_generic_plan;
PREPARE by_function(vector, float8) AS SELECT count(*) FROM items WHERE l2_within(v, $1, $2);
PREPARE by_ball(vector_ball) AS SELECT count(*) FROM items WHERE v <<->> $1;
EXPLAIN (COSTS OFF) EXECUTE by_function(NULL, NULL);
EXPLAIN (COSTS OFF) EXECUTE by_ball(NULL);
SELECT count(*) FROM items WHERE v <-> :'q' < 0.5;
EXECUTE by_function(:'q', 0.5);
EXECUTE by_ball(vector_ball(:'q', 0.5));
EXECUTE by_function(:'q', 'infinity');
EXECUTE by_function(:'q', 0);
EXECUTE by_function(:'q', -1);
EXECUTE by_function(:'q', '-infinity');
EXECUTE by_function(NULL, 1);
EXECUTE by_function(:'q', NULL);
EXECUTE by_ball(NULL);
EXECUTE by_ball('(,)');
EXECUTE by_ball('("[1,2]",)');
SELECT error_of(format('EXECUTE by_function(%L, %L)', :'q', 'NaN'));
SELECT error_of($$EXECUTE by_function('[1,2]', 1)$$);
SELECT error_of($$EXECUTE by_function('[1,2]', -1)$$);
RESET plan_cache_mode;
CREATE TABLE wanted AS SELECT id AS n, v AS q, 0.1 * (id % 5) AS r FROM items WHERE id BETWEEN 1 AND 25;
INSERT INTO wanted VALUES (0, NULL, 1), (0, :'q', NULL), (0, :'q', 'infinity'), (0, '[1,1,1,1,1,1,1,1]', -1);
SELECT plan_of('SELECT * FROM wanted JOIN items ON l2_within(v, q, r)');
SELECT plan_of('SELECT * FROM wanted, LATERAL (SELECT id FROM items WHERE l2_within(v, q, r) ORDER BY v <-> q LIMIT 5) s');
SET enable_seqscan = off;
SELECT count(*), sum(n * id) FROM wanted JOIN items ON l2_within(v, q, r);
SELECT count(*), sum(id) FROM wanted, LATERAL (SELECT id FROM items WHERE l2_within(v, q, r) ORDER BY v <-> q LIMIT 5) s;
SET enable_indexscan = off;
SELECT count(*), sum(n * id) FROM wanted JOIN items ON v <-> q < r;
SELECT count(*), sum(id) FROM wanted, LATERAL (SELECT id FROM items WHERE v <-> q < r ORDER BY v <-> q LIMIT 5) s;
RESET enable_indexscan;
-- an order that orders nothing
SELECT plan_of(format('SELECT id FROM items WHERE l2_within(v, %L, 0.5) ORDER BY v <-> (SELECT NULL::vector)', :'q'));
SELECT count(*) FROM (SELECT id FROM items WHERE l2_within(v, :'q', 0.5) ORDER BY v <-> (SELECT NULL::vector) OFFSET 0) s;
RESET enable_seqscan;
RESET ann.num_leaves_to_search;
RESET ann.num_reordering_candidates;

-- the scan ends at the radius, though the order alone would go on to the last row
SET enable_seqscan = off;
SELECT count(*) FROM (SELECT id FROM items WHERE l2_within(v, :'q', 0.1) OFFSET 0) s;
SELECT leaves_searched < 80 AS few_leaves, heap_fetches < 64 AS few_rows FROM ann_search_stats();
SELECT count(*) FROM (SELECT id FROM items WHERE l2_within(v, :'q', 0.1) ORDER BY v <-> :'q' OFFSET 0) s;
SELECT leaves_searched < 80 AS few_leaves, heap_fetches < 64 AS few_rows FROM ann_search_stats();
SET enable_sort = off;
SELECT count(*) FROM (SELECT id FROM items WHERE v <-> :'q' < 0.1 ORDER BY v <-> :'q' OFFSET 0) s;
SELECT heap_fetches FROM ann_search_stats();
RESET enable_sort;
-- nothing can be within 0, so nothing is searched
SELECT count(*) FROM items WHERE l2_within(v, :'q', 0);
SELECT leaves_searched, heap_fetches FROM ann_search_stats();
-- rows are changed where the condition finds them, each version once
BEGIN;
CREATE TEMP TABLE before AS SELECT id FROM items WHERE l2_within(v, :'q', 0.4);
UPDATE items SET w = v WHERE l2_within(v, :'q', 0.4);
SELECT count(*) = (SELECT count(*) FROM before) AS same FROM items WHERE l2_within(v, :'q', 0.4) AND w IS NOT NULL AND id > 3;
SELECT count(*) = (SELECT count(*) FROM before) AS same FROM (SELECT id FROM items WHERE l2_within(v, :'q', 0.4) FOR UPDATE) s;
DELETE FROM items WHERE l2_within(v, :'q', 0.4);
SELECT count(*) FROM items WHERE l2_within(v, :'q', 0.4);
ROLLBACK;
SELECT ann_recall(format('SELECT id FROM items WHERE l2_within(v, %L, 0.4)', :'q')) > 0.9 AS recall;
-- a cursor
BEGIN;
DECLARE c CURSOR FOR SELECT v <-> :'q' < 0.4 AS within FROM items WHERE l2_within(v, :'q', 0.4) ORDER BY v <-> :'q';
FETCH 3 FROM c;
MOVE 4 FROM c;
FETCH 1 FROM c;
ROLLBACK;

-- an index over part of the rows, one of an expression, one over halves
CREATE INDEX items_part ON items USING annivf (w) WHERE id <= 3;
SELECT plan_of(format('SELECT id FROM items WHERE l2_within(w, %L, 9) AND id <= 3', :'q'));
SELECT count(*) FROM items WHERE l2_within(w, :'q', 9) AND id <= 3;
SELECT plan_of(format('SELECT id FROM items WHERE l2_within(w, %L, 9)', :'q'));
CREATE INDEX items_half ON items USING annivf ((v::halfvec(8)) halfvec_cosine_ops);
SELECT plan_of(format('SELECT id FROM items WHERE cosine_within(v::halfvec(8), %L, 0.02)', :'q'));
CREATE INDEX items_bits ON items USING annivf ((binary_quantize(v - '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]')::bit(8)) bit_hamming_ops);
SELECT plan_of($$SELECT id FROM items WHERE hamming_within(binary_quantize(v - '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]')::bit(8), B'11110000', 1)$$);
SET ann.num_leaves_to_search = 1000000;
SELECT (SELECT count(*) FROM items WHERE hamming_within(binary_quantize(v - '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]')::bit(8), B'11110000', 1)) =
	(SELECT count(*) FROM items WHERE binary_quantize(v - '[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]')::bit(8) = B'11110000') AS same;
RESET ann.num_leaves_to_search;
RESET enable_seqscan;
SELECT count(*) FROM unnest(ARRAY['items_v', 'items_part', 'items_half', 'items_bits']::regclass[]) i, ann_check(i, true);

-- ---- estimates: near to what is there, where the sample tells
CREATE FUNCTION estimate(condition text, rel regclass DEFAULT 'items') RETURNS float8 LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE format('EXPLAIN (FORMAT json) SELECT id FROM %s WHERE %s', rel, condition) INTO plan;
	RETURN plan->0->'Plan'->>'Plan Rows';
END $$;
CREATE FUNCTION within_factor(metric text, op text, q vector, radius float8, factor float8) RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	rows float8;
BEGIN
	SET LOCAL enable_indexscan = off;
	EXECUTE format('SELECT count(*) FROM items WHERE v %s %L < %L', op, q, radius) INTO rows;
	RETURN estimate(format('%s_within(v, %L, %L)', metric, q, radius)) BETWEEN rows / factor AND rows * factor;
END $$;
SELECT metric, share, within_factor(metric, op, :'q',
		(ARRAY(SELECT (CASE metric WHEN 'l2' THEN v <-> :'q' WHEN 'ip' THEN v <#> :'q' WHEN 'cosine' THEN v <=> :'q' ELSE v <+> :'q' END)
			FROM items WHERE v IS NOT NULL ORDER BY 1))[20000 * share], factor)
	FROM (VALUES ('l2', '<->'), ('ip', '<#>'), ('cosine', '<=>'), ('l1', '<+>')) m(metric, op),
		(VALUES (0.9, 1.5), (0.5, 1.5), (0.1, 3), (0.01, 6)) s(share, factor) ORDER BY metric, share;
SELECT estimate(format('l2_within(v, %L, 1e9)', :'q')) > 19900 AS all, estimate(format('l2_within(v, %L, 0)', :'q')) < 20 AS none,
	estimate('l2_within(v, NULL, 1)') AS nothing, estimate('l2_within(v, (SELECT v FROM items WHERE id = 3), 1)') AS unknown,
	estimate('l2_within(v, ''[1,2]'', 1)') AS other_dimensions, estimate(format('l2_within(v, %L, ''NaN'')', :'q')) AS nan;
SELECT estimate(format('l2_within(v, %L, 0.5)', :'q')) = estimate(format('v <<->> vector_ball(%L, 0.5)', :'q')) AS same,
	estimate(format('l2_within(v, %L, 0.5)', :'q')) = estimate(format('l2_within(%L, v, 0.5)', :'q')) AS either_way;
-- without statistics; with dimensions of several numbers; of a few values alone
CREATE TABLE mixed (id int, v vector);
INSERT INTO mixed SELECT id, CASE WHEN id % 2 = 0 THEN v ELSE '[1,2]' END FROM items WHERE id BETWEEN 1 AND 1000;
SELECT plan_of($$SELECT id FROM mixed WHERE id < 0 AND l2_within(v, '[1,2]', 1)$$);
ANALYZE mixed;
SELECT count(*) FROM mixed WHERE id < 0 AND l2_within(v, '[1,2]', 1);
SELECT count(*) FROM mixed WHERE CASE WHEN vector_dims(v) = 2 THEN l2_within(v, '[1,2]', 1) END;
TRUNCATE mixed;
INSERT INTO mixed SELECT i, ARRAY[i % 4, 0]::vector FROM generate_series(1, 1200) i;
ANALYZE mixed;
SELECT estimate('l2_within(v, ''[0,0]'', 1.5)', 'mixed') AS of_few_values, estimate('l2_within(v, ''[0,0,0]'', 1)', 'mixed') AS other_dimensions;

-- ---- classes of somebody else's
CREATE OPERATOR CLASS other_ops FOR TYPE vector USING annivf AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	OPERATOR 2 <<#>> (vector, vector_ball), FUNCTION 1 annivf_vector_l2_support(internal);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'other_ops';
CREATE INDEX mixed_v ON mixed USING annivf ((v::vector(2)) other_ops);
SET enable_seqscan = off;
SELECT error_of($$SELECT id FROM mixed WHERE v::vector(2) <<#>> vector_ball('[1,2]', 3)$$);
SELECT plan_of($$SELECT id FROM mixed WHERE l2_within(v::vector(2), '[1,2]', 3)$$);
DROP OPERATOR FAMILY other_ops USING annivf CASCADE;
CREATE FUNCTION near(vector, float8) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 <-> ''[0,0]'' < $2; END';
CREATE OPERATOR <<< (LEFTARG = vector, RIGHTARG = float8, FUNCTION = near);
CREATE OPERATOR CLASS other_ops FOR TYPE vector USING annivf AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	OPERATOR 2 <<< (vector, float8), FUNCTION 1 annivf_vector_l2_support(internal);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'other_ops';
CREATE INDEX mixed_v ON mixed USING annivf ((v::vector(2)) other_ops);
SELECT error_of($$SELECT id FROM mixed WHERE v::vector(2) <<< 3$$);
SELECT plan_of($$SELECT id FROM mixed WHERE l2_within(v::vector(2), '[1,2]', 3)$$);
DROP OPERATOR FAMILY other_ops USING annivf CASCADE;
-- one without is fine
CREATE OPERATOR CLASS other_ops FOR TYPE vector USING annivf AS OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 annivf_vector_l2_support(internal);
CREATE INDEX mixed_v ON mixed USING annivf ((v::vector(2)) other_ops);
SELECT amvalidate(oid) FROM pg_opclass WHERE opcname = 'other_ops';
SELECT plan_of($$SELECT id FROM mixed WHERE l2_within(v::vector(2), '[1,2]', 3)$$);
RESET enable_seqscan;

DROP SCHEMA within_plans CASCADE;

-- Conditions on a distance by index. FULL = EXACT: with all leaves searched and all candidates read, an index
-- lets through exactly the rows that a scan of the table does, for each type and metric, in every form of the
-- condition, after every kind of change.

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET client_min_messages = error;
CREATE SCHEMA within;
SET search_path = within, public, ann_test;
SET max_parallel_workers_per_gather = 0;
SET jit = off;
SET ann.num_leaves_to_search = 16777216;
SET ann.num_reordering_candidates = 2147483647;

CREATE TABLE metrics (type text, metric text, op text, condition text);
INSERT INTO metrics SELECT type, metric, op, condition FROM unnest(ARRAY['vector', 'halfvec']) type,
	(VALUES ('l2', '<->', '<<->>'), ('ip', '<#>', '<<#>>'), ('cosine', '<=>', '<<=>>'), ('l1', '<+>', '<<+>>')) m(metric, op, condition);
INSERT INTO metrics VALUES ('bit', 'hamming', '<~>', '<<~>>'), ('bit', 'jaccard', '<%>', '<<%>>');

-- row i of a table: random ones, duplicates, zero vectors, NULLs, a few magnitudes
CREATE FUNCTION some_vector(i int, dim int) RETURNS vector LANGUAGE sql VOLATILE AS $$
	SELECT CASE
		WHEN i % 17 = 3 THEN NULL
		WHEN i % 13 = 5 THEN array_fill(0, ARRAY[dim])::vector
		WHEN i % 11 = 7 THEN array_fill(0.25, ARRAY[dim])::vector
		ELSE (SELECT array_agg((random() - 0.5) * CASE i % 7 WHEN 0 THEN 100 WHEN 1 THEN 1e-3 ELSE 1 END)
			FROM generate_series(1, dim))::real[]::vector
	END
$$;

-- a value of the type
CREATE FUNCTION some_value(type text, i int, dim int) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN CASE WHEN type <> 'bit' THEN some_vector(i, dim)::text
		WHEN i % 19 = 3 THEN repeat('1', dim)
		ELSE binary_quantize(some_vector(i, dim))::text END;
END $$;

-- the same as a literal
CREATE FUNCTION literal(type text, value text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE type WHEN 'bit' THEN format('B%L', value) ELSE format('%L::%s', value, type) END
$$;

CREATE FUNCTION add_rows(type text, first int, last int, dim int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO rows SELECT i, some_value(%L, i, %s)::%s(%s) FROM generate_series(%s, %s) i',
		type, dim, type, dim, first, last);
END $$;

-- ids (in the order that is asked for, or ascending) by the plan that is wanted
CREATE FUNCTION answer(query text, by_index bool, ordered bool, OUT ids int[], OUT plan text) LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('enable_indexscan', by_index::text, true),
		set_config('enable_seqscan', (NOT by_index)::text, true),
		set_config('enable_sort', (NOT by_index)::text, true);
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	EXECUTE format('SELECT array_agg(id %s) FROM (%s) s', CASE WHEN NOT ordered THEN 'ORDER BY id' END, query) INTO ids;
	PERFORM set_config('enable_seqscan', 'on', true);
END $$;

-- what is wrong with the answers for one metric, query and radius; other: another query
CREATE FUNCTION difference(m metrics, query text, other_query text, radius float8) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	exact int[];
	found record;
	form text;
	order_by text;
	distances float8[];
	q text := literal(m.type, query);
	other text := literal(m.type, other_query);
	same text := format('v %s %s', m.op, q);
	far text := format('v %s %s', m.op, other);
BEGIN
	exact := (answer(format('SELECT id FROM rows WHERE %s < %L', same, radius), false, false)).ids;
	-- the function, either way round, and the operator; in no order, in that of the query (one form), and in another
	FOREACH form IN ARRAY ARRAY[
		format('%s_within(v, %s, %L)', m.metric, q, radius),
		format('%s_within(%s, v, %L)', m.metric, q, radius),
		format('v %s %s_ball(%s, %L)', m.condition, m.type, q, radius)]
	LOOP
		FOREACH order_by IN ARRAY ARRAY['', ' ORDER BY ' || same, ' ORDER BY ' || far] LOOP
			CONTINUE WHEN (form LIKE '%_ball%') <> (order_by LIKE '% ' || same) AND order_by <> '';
			found := answer('SELECT id FROM rows WHERE ' || form || order_by, true, order_by <> '');
			IF found.plan NOT LIKE '%"Index Cond"%' OR (order_by <> '') <> (found.plan LIKE '%"Order By"%') THEN
				RETURN NEXT 'no index scan: ' || form || order_by;
			END IF;
			IF (SELECT array_agg(i ORDER BY i) FROM unnest(found.ids) i) IS DISTINCT FROM exact THEN
				RETURN NEXT format('%s rows, not %s: %s', array_length(found.ids, 1), array_length(exact, 1), form || order_by);
			END IF;
			CONTINUE WHEN order_by = '';
			EXECUTE format('SELECT array_agg(%s ORDER BY n) FROM unnest($1) WITH ORDINALITY u(i, n) JOIN rows ON id = i',
				replace(order_by, 'ORDER BY', '')) INTO distances USING found.ids;
			IF distances IS DISTINCT FROM (SELECT array_agg(d ORDER BY d) FROM unnest(distances) d) THEN
				RETURN NEXT 'not in order: ' || form || order_by;
			END IF;
		END LOOP;
	END LOOP;
	-- a filter on the ordered scan
	found := answer(format('SELECT id FROM rows WHERE %s < %L ORDER BY %1$s', same, radius), true, false);
	IF found.plan LIKE '%"Index Cond"%' OR found.ids IS DISTINCT FROM exact THEN
		RETURN NEXT format('filter: %s rows, not %s: %s', array_length(found.ids, 1), array_length(exact, 1), m);
	END IF;
	-- two conditions, of two queries
	form := format('%1$s_within(v, %2$s, %4$L) AND %1$s_within(v, %3$s, %4$L)', m.metric, q, other, radius);
	exact := (answer(format('SELECT id FROM rows WHERE %s < %L AND %s < %2$L', same, radius, far), false, false)).ids;
	IF (answer('SELECT id FROM rows WHERE ' || form, true, false)).ids IS DISTINCT FROM exact OR
		(answer(format('SELECT id FROM rows WHERE %s ORDER BY %s', form, far), true, false)).ids IS DISTINCT FROM exact THEN
		RETURN NEXT 'two conditions differ: ' || form;
	END IF;
END $$;

-- the same of all metrics of a type, of queries of each kind and radii from none to all; and ann_check
CREATE FUNCTION faults(of_type text, dim int) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
	m metrics;
	q text;
	other text := some_value(of_type, 1, dim);
	radii float8[];
	radius float8;
BEGIN
	FOR m IN SELECT * FROM metrics x WHERE x.type = of_type LOOP
		FOR q IN SELECT some_value(of_type, i, dim) FROM unnest(ARRAY[2, 5]) i LOOP
			PERFORM set_config('enable_seqscan', 'on', true);
			EXECUTE format('SELECT array_agg(d ORDER BY d) FROM (SELECT v %s %s AS d FROM rows) s
				WHERE d IS NOT NULL AND d <> ''NaN''', m.op, literal(of_type, q)) INTO radii;
			FOR radius IN
				SELECT DISTINCT x FROM unnest(ARRAY[-1, 'infinity', radii[10], radii[array_length(radii, 1) / 2]]) x WHERE x IS NOT NULL
			LOOP
				RETURN QUERY SELECT format('D %s: %s', dim, d) FROM difference(m, q, other, radius) d;
			END LOOP;
		END LOOP;
		RETURN QUERY SELECT format('%s: block %s, %s: %s', m, block, invariant, problem)
			FROM ann_check(('rows_' || m.metric)::regclass, true);
	END LOOP;
END $$;

CREATE FUNCTION fill(type text, num int, dim int, options text, column_type text DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	m metrics;
BEGIN
	DROP TABLE IF EXISTS rows;
	EXECUTE format('CREATE TABLE rows (id int, v %s)', coalesce(column_type, format('%s(%s)', type, dim)));
	PERFORM add_rows(type, 1, num, dim);
	FOR m IN SELECT * FROM metrics x WHERE x.type = fill.type LOOP
		EXECUTE format('CREATE INDEX rows_%s ON rows USING annivf (v %s_%s_ops) %s', m.metric, m.type, m.metric, options);
	END LOOP;
END $$;

CREATE FUNCTION check_all(type text, num int, dim int, options text, column_type text DEFAULT NULL) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM fill(type, num, dim, options, column_type);
	RETURN QUERY SELECT format('N %s, %s: %s', num, options, fault) FROM faults(type, dim) fault;
END $$;

SELECT setseed(0.5);
SELECT check_all(type, num, 7, 'WITH (num_leaves = 3)') FROM unnest(ARRAY['vector', 'halfvec', 'bit']) type, unnest(ARRAY[0, 1, 40]) num;
SELECT check_all('vector', 200, 7, '');
SELECT check_all(type, 700, dim, 'WITH (num_leaves = 20)') FROM (VALUES ('vector', 3), ('halfvec', 30), ('bit', 30)) t(type, dim);
SELECT check_all(type, 700, 30, 'WITH (num_leaves = 20, soar_lambda = 1.5)') FROM unnest(ARRAY['vector', 'bit']) type;
SELECT check_all('vector', 700, 30, 'WITH (num_leaves = 20, quantizer = flat)');
-- toasted values; a column without a type modifier; bit varying
SELECT check_all('vector', 20, 2500, 'WITH (num_leaves = 2)');
SELECT check_all('vector', 300, 5, 'WITH (num_leaves = 8)', 'vector');
SELECT check_all('bit', 300, 24, 'WITH (num_leaves = 8)', 'bit varying');

-- codes of bits are exact: so is a condition on them by itself, with all leaves
RESET ann.num_reordering_candidates;
SELECT check_all('bit', 700, 40, 'WITH (num_leaves = 20)');
SET ann.num_reordering_candidates = 2147483647;

-- each way to go on
DO $$
DECLARE
	mode text;
	fault text;
BEGIN
	PERFORM fill('vector', 500, 12, 'WITH (num_leaves = 20)');
	FOREACH mode IN ARRAY ARRAY['relaxed_order', 'off'] LOOP
		PERFORM set_config('ann.iterative_scan', mode, false);
		FOR fault IN SELECT * FROM faults('vector', 12) f WHERE f NOT LIKE '%not in order%' OR mode <> 'relaxed_order' LOOP
			RAISE WARNING '%: %', mode, fault;
		END LOOP;
	END LOOP;
	RESET ann.iterative_scan;
END $$;

-- every level of ann.simd
DO $$
DECLARE
	this text;
	fault text;
BEGIN
	FOREACH this IN ARRAY ann_test.simd_levels() LOOP
		PERFORM set_config('ann.simd', this, false);
		FOR fault IN SELECT check_all(type, 150, 23, 'WITH (num_leaves = 5)') FROM unnest(ARRAY['vector', 'halfvec', 'bit']) type LOOP
			RAISE WARNING '%: %', this, fault;
		END LOOP;
	END LOOP;
END $$;
RESET ann.simd;

-- insert, update, delete, vacuum; much of the leaves dead
SELECT fill('vector', 600, 24, 'WITH (num_leaves = 15)');
SELECT add_rows('vector', 601, 1000, 24);
SELECT faults('vector', 24);
UPDATE rows SET v = some_vector(id + 5, 24) WHERE id % 5 = 0;
UPDATE rows SET v = NULL WHERE id % 50 = 1;
DELETE FROM rows WHERE id % 3 > 0;
SELECT faults('vector', 24);
VACUUM rows;
SELECT faults('vector', 24);
SELECT add_rows('vector', 1501, 1700, 24);
SELECT faults('vector', 24);
DELETE FROM rows;
SELECT faults('vector', 24);
VACUUM rows;
SELECT faults('vector', 24);

-- from exact to trained
SELECT fill('vector', 0, 6, '');
SELECT add_rows('vector', 1, 1500, 6);
SELECT faults('vector', 6);
SELECT ann_train('rows_l2'), ann_train('rows_ip'), ann_train('rows_cosine'), ann_train('rows_l1');
SELECT faults('vector', 6);

-- at defaults: most of them, and nothing else; with rows in one leaf and in two, and by estimates alone
RESET ann.num_leaves_to_search;
RESET ann.num_reordering_candidates;
SELECT fill('vector', 0, 12, 'WITH (num_leaves = 50)');
INSERT INTO rows SELECT i, v FROM clustered(5000, 12, 0.5, 60) WITH ORDINALITY c(v, i);
REINDEX TABLE rows;
CREATE FUNCTION recall(num int) RETURNS TABLE (metric text, most bool, nothing_else bool) LANGUAGE plpgsql AS $$
DECLARE
	m metrics;
	q text;
	radius float8;
	form text;
	exact int[];
	ids int[];
	hits int;
	others int;
	num_exact int;
BEGIN
	FOR m IN SELECT * FROM metrics x WHERE x.type = 'vector' LOOP
		hits := 0;
		others := 0;
		num_exact := 0;
		FOR q IN SELECT v FROM rows r WHERE r.id IN (2, 4, 6, 8, 10, 12) LOOP
			PERFORM set_config('enable_seqscan', 'on', true);
			EXECUTE format('SELECT max(d) FROM (SELECT v %s %L AS d FROM rows ORDER BY v %1$s %2$L LIMIT %s) s', m.op, q, num) INTO radius;
			FOREACH form IN ARRAY ARRAY['', format(' ORDER BY v %s %L', m.op, q)] LOOP
				exact := (answer(format('SELECT id FROM rows WHERE v %s %L < %L', m.op, q, radius), false, false)).ids;
				ids := (answer(format('SELECT id FROM rows WHERE %s_within(v, %L, %L) %s', m.metric, q, radius, form), true, false)).ids;
				hits := hits + (SELECT count(*) FROM unnest(ids) i WHERE i = ANY (exact));
				others := others + (SELECT count(*) FROM unnest(ids) i WHERE i <> ALL (exact));
				num_exact := num_exact + array_length(exact, 1);
			END LOOP;
		END LOOP;
		metric := m.metric;
		most := hits >= 0.9 * num_exact;
		nothing_else := others = 0;
		RETURN NEXT;
	END LOOP;
END $$;
SELECT * FROM recall(12) UNION ALL SELECT * FROM recall(200);
SET ann.num_reordering_candidates = 0;
SELECT metric, nothing_else FROM recall(200);
RESET ann.num_reordering_candidates;
ALTER INDEX rows_l2 SET (soar_lambda = 1.5);
ALTER INDEX rows_cosine SET (soar_lambda = 1.5);
REINDEX TABLE rows;
SELECT * FROM recall(200);

DROP SCHEMA within CASCADE;

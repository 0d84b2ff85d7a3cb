-- helpers.sql: what the SQL and TAP tests share: data, recall, and checks of an index against its table.
-- Tables have columns id and v. The functions have a schema of their own, at the end of the search path.

SET client_min_messages = warning;
CREATE SCHEMA IF NOT EXISTS ann_test;
GRANT USAGE ON SCHEMA ann_test TO PUBLIC;
RESET client_min_messages;
SET search_path = public, ann_test;

-- num rows around centres, the same ones for the same seed
CREATE OR REPLACE FUNCTION ann_test.clustered(num int, dim int, seed float8 DEFAULT 0.5, centres int DEFAULT 100,
	spread float8 DEFAULT 1) RETURNS SETOF vector LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(seed);
	RETURN QUERY
		WITH c AS MATERIALIZED (
			SELECT array_agg(random() * 6 - 3) AS x FROM generate_series(1, centres * dim))
		SELECT (SELECT array_agg(c.x[i % centres * dim + d] + spread * (random() - random()))
			FROM generate_series(1, dim) d)::real[]::vector
		FROM generate_series(1, num) i, c;
END $$;

-- the levels of ann.simd that this machine runs
CREATE OR REPLACE FUNCTION ann_test.simd_levels() RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
	before text := current_setting('ann.simd');
	this text;
	levels text[];
BEGIN
	FOREACH this IN ARRAY ARRAY['scalar', 'avx2', 'avx512', 'neon'] LOOP
		BEGIN
			PERFORM set_config('ann.simd', this, false);
			levels := levels || this;
		EXCEPTION WHEN invalid_parameter_value THEN
			CONTINUE;
		END;
	END LOOP;
	PERFORM set_config('ann.simd', before, false);
	RETURN levels;
END $$;

-- another vector with every call
CREATE OR REPLACE FUNCTION ann_test.anything(dim int, scale float8 DEFAULT 1) RETURNS vector
LANGUAGE sql VOLATILE AS $$
	SELECT array_agg((random() - 0.5) * scale)::real[]::vector FROM generate_series(1, dim)
$$;

-- ids and distances of table rel (id, v), by index or by sort; rows 0: all
CREATE OR REPLACE FUNCTION ann_test.answer(rel regclass, op text, q vector, rows bigint, by_index bool,
	OUT ids int[], OUT distances float8[], OUT plan text) LANGUAGE plpgsql AS $$
DECLARE
	-- a query of NULL behind a subquery, lest the planner sees it
	value text := coalesce(quote_literal(q), '(SELECT NULL)');
	query text := format('SELECT id, v %s %s::vector AS d FROM %s ORDER BY v %s %s::vector %s', op, value,
		rel, op, value, CASE WHEN rows > 0 THEN 'LIMIT ' || rows END);
BEGIN
	PERFORM set_config('enable_indexscan', by_index::text, true),
		set_config('enable_seqscan', (NOT by_index)::text, true),
		set_config('enable_bitmapscan', 'off', true),
		set_config('enable_sort', (NOT by_index)::text, true);
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	EXECUTE format('SELECT array_agg(id), array_agg(d) FROM (%s) s', query) INTO ids, distances;
END $$;

-- share of the nearest k rows that the index finds, over all queries; equal distances count
CREATE OR REPLACE FUNCTION ann_test.recall(rel regclass, op text, queries vector[], k int) RETURNS float8
LANGUAGE plpgsql AS $$
DECLARE
	q vector;
	exact record;
	found record;
	hits int := 0;
BEGIN
	FOREACH q IN ARRAY queries LOOP
		exact := answer(rel, op, q, k, false);
		found := answer(rel, op, q, k, true);
		IF found.plan NOT LIKE '%Index Scan%' THEN
			RAISE EXCEPTION 'no index scan';
		END IF;
		hits := hits + (SELECT count(*) FROM unnest(found.distances) d
			WHERE d <= exact.distances[array_upper(exact.distances, 1)]);
	END LOOP;
	RETURN hits / (k * array_length(queries, 1))::float8;
END $$;

-- NULL when the index's whole answer under FULL is the sort's, else what differs
CREATE OR REPLACE FUNCTION ann_test.full_difference(rel regclass, op text, q vector) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	exact record;
	found record;
BEGIN
	PERFORM set_config('ann.num_leaves_to_search', '16777216', true),
		set_config('ann.num_reordering_candidates', '2147483647', true),
		set_config('work_mem', '64MB', true);
	exact := answer(rel, op, q, 0, false);
	found := answer(rel, op, q, 0, true);
	PERFORM set_config('ann.num_leaves_to_search', '-1', true),
		set_config('ann.num_reordering_candidates', '-1', true);
	IF found.plan NOT LIKE '%Index Scan%' THEN
		RETURN 'no index scan';
	ELSIF exact.distances IS DISTINCT FROM found.distances THEN
		RETURN format('distances differ: %s rows by index, %s by sort',
			array_length(found.ids, 1), array_length(exact.ids, 1));
	ELSIF (SELECT array_agg(i ORDER BY i) FROM unnest(exact.ids) i)
		IS DISTINCT FROM (SELECT array_agg(i ORDER BY i) FROM unnest(found.ids) i) THEN
		RETURN 'rows differ';
	END IF;
	RETURN NULL;
END $$;

-- Compares the index of table rel (id, v) with the table; returns what is wrong. Every row must be
-- found by its own vector (at most `own` rows are tried): first under FULL, then at defaults under a
-- filter.
CREATE OR REPLACE FUNCTION ann_test.index_faults(rel regclass, op text, own int DEFAULT 1000) RETURNS SETOF text
LANGUAGE plpgsql AS $$
DECLARE
	q vector;
	num bigint;
	bad bigint;
	fault text;
BEGIN
	FOR q IN EXECUTE format('(SELECT v FROM %s WHERE v IS NOT NULL ORDER BY id LIMIT 1)
			UNION ALL (SELECT v FROM %s WHERE v IS NOT NULL ORDER BY id DESC LIMIT 1)', rel, rel)
	LOOP
		fault := full_difference(rel, op, q);
		IF fault IS NOT NULL THEN
			RETURN NEXT 'FULL: ' || fault;
		END IF;
	END LOOP;

	PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_indexscan', 'off', true);
	EXECUTE format('CREATE TEMP TABLE own_rows AS SELECT id, v FROM %s WHERE v IS NOT NULL
		ORDER BY hashint4(id), id LIMIT %s', rel, own);
	PERFORM set_config('enable_indexscan', 'on', true), set_config('enable_seqscan', 'off', true),
		set_config('enable_sort', 'off', true), set_config('enable_bitmapscan', 'off', true);

	-- the nearest row under FULL is as near as the row itself (there may be equal ones)
	PERFORM set_config('ann.num_leaves_to_search', '16777216', true);
	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE x.d IS NULL OR x.d > o.v %2$s o.v)
		FROM (SELECT * FROM own_rows LIMIT 100) o
		LEFT JOIN LATERAL (SELECT t.v %2$s o.v AS d FROM %1$s t ORDER BY t.v %2$s o.v LIMIT 1) x
		ON true', rel, op) INTO num, bad;
	PERFORM set_config('ann.num_leaves_to_search', '-1', true);
	IF bad > 0 THEN
		RETURN NEXT format('%s of %s rows are not found by their own vector under FULL', bad, num);
	END IF;

	EXECUTE format('SELECT count(*), count(*) FILTER (WHERE x.id IS NULL) FROM own_rows o
		LEFT JOIN LATERAL (SELECT t.id FROM %1$s t WHERE t.id = o.id ORDER BY t.v %2$s o.v LIMIT 1) x
		ON true', rel, op) INTO num, bad;
	IF bad > 0 THEN
		RETURN NEXT format('%s of %s rows are not found by their own vector under a filter', bad, num);
	END IF;
	DROP TABLE own_rows;

	-- the index itself, and those of partitions; pages that a crash has left behind are no fault
	RETURN QUERY
		SELECT format('%s, block %s, %s: %s', indexrelid::regclass, block, invariant, problem)
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = relam,
			ann_check(indexrelid, true)
		WHERE (indrelid = rel OR indrelid IN (SELECT relid FROM pg_partition_tree(rel)))
			AND amname = 'annivf' AND relkind = 'i' AND invariant <> 'leak';
END $$;

-- what ann_check says of all annivf indexes that there are: nothing
CREATE OR REPLACE FUNCTION ann_test.unsound() RETURNS TABLE (index regclass, block bigint, invariant text, problem text)
LANGUAGE plpgsql AS $$
BEGIN
	RETURN QUERY SELECT c.oid::regclass, f.* FROM pg_class c JOIN pg_am a ON a.oid = relam, ann_check(c.oid, true) f
		WHERE amname = 'annivf' AND relkind = 'i' ORDER BY 1, 2, 3, 4;
END $$;

-- Does the index of table rel (id, v) search leaves? One that is not trained has none.
CREATE OR REPLACE FUNCTION ann_test.is_trained(rel regclass, op text DEFAULT '<->') RETURNS bool LANGUAGE plpgsql AS $$
DECLARE
	q vector;
BEGIN
	-- a zero query orders nothing under cosine, and searches no leaf
	EXECUTE format('SELECT v FROM %s WHERE v IS NOT NULL AND vector_norm(v) > 0 LIMIT 1', rel) INTO q;
	IF (answer(rel, op, q, 1, true)).plan NOT LIKE '%Index Scan%' THEN
		RAISE EXCEPTION 'no index scan';
	END IF;
	RETURN (SELECT leaves_searched > 0 FROM ann_search_stats());
END $$;

-- Raises an error where the index of table rel (id, v) and the table differ under one snapshot; for a
-- transaction of level REPEATABLE READ, with others at work.
CREATE OR REPLACE FUNCTION ann_test.must_agree(rel regclass, op text, q vector) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	fault text := full_difference(rel, op, q);
	ids int[];
	num bigint;
BEGIN
	IF fault IS NOT NULL THEN
		RAISE EXCEPTION 'FULL: %', fault;
	END IF;
	ids := (answer(rel, op, q, 0, true)).ids;
	EXECUTE format('SELECT count(*) FROM %s', rel) INTO num;
	IF coalesce(array_length(ids, 1), 0) <> num OR (SELECT count(DISTINCT i) FROM unnest(ids) i) <> num THEN
		RAISE EXCEPTION 'at defaults: % rows of %, % different ones', array_length(ids, 1), num,
			(SELECT count(DISTINCT i) FROM unnest(ids) i);
	END IF;
END $$;

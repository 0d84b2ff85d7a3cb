-- Privileges, row-level security and security barriers; whose rights the functions in an index have.

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE ROLE regress_ann_reader;
CREATE ROLE regress_ann_owner;
CREATE SCHEMA guarded;
GRANT USAGE, CREATE ON SCHEMA guarded TO regress_ann_owner;
GRANT USAGE ON SCHEMA guarded TO regress_ann_reader;
SET search_path = guarded, public, ann_test;
CREATE TABLE guarded (id serial, tenant int, v vector(8));
INSERT INTO guarded (tenant, v) SELECT row_number() OVER () % 4, x FROM clustered(3000, 8) x;
CREATE INDEX guarded_v ON guarded USING annivf (v) WITH (num_leaves = 40, num_leaves_to_search = 40, num_reordering_candidates = 3000);
ANALYZE guarded;

-- every function that takes an index, called with whatever its other arguments may be: SQLSTATE or "answers"
CREATE FUNCTION outcome(function oid, index regclass) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	arguments text := (SELECT string_agg(CASE type::regtype::text
			WHEN 'regclass' THEN quote_literal(index) || '::regclass'
			WHEN 'vector' THEN '''[1,2,3,4,5,6,7,8]''::vector'
			WHEN 'vector[]' THEN 'ARRAY[''[1,2,3,4,5,6,7,8]''::vector]'
			WHEN 'bytea' THEN '''\x00000000000000000000''::bytea'
			WHEN 'tid' THEN '''(0,1)''::tid'
			WHEN 'double precision' THEN '0.9'
			WHEN 'integer' THEN '1'
			WHEN 'boolean' THEN 'true' END, ', ' ORDER BY n)
		FROM pg_proc, unnest(proargtypes) WITH ORDINALITY a(type, n) WHERE oid = function);
BEGIN
	EXECUTE format('SELECT count(*) FROM %I.%I(%s) f', 'public', (SELECT proname FROM pg_proc WHERE oid = function), arguments);
	RETURN 'answers';
EXCEPTION WHEN OTHERS THEN
	RETURN sqlstate;
END $$;
CREATE VIEW outcomes AS
	SELECT proname, outcome(p.oid, 'guarded.guarded_v')
	FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
		JOIN pg_extension e ON e.oid = d.refobjid
	WHERE extname = 'ann' AND proargtypes[0] = 'regclass'::regtype;
-- (a view's functions run as who asks)
GRANT SELECT ON outcomes TO PUBLIC;

SET ROLE regress_ann_reader;
SELECT outcome, string_agg(proname, ' ' ORDER BY proname) FROM outcomes GROUP BY 1;
RESET ROLE;
GRANT SELECT (id, v) ON guarded TO regress_ann_reader;
SET ROLE regress_ann_reader;
SELECT outcome, string_agg(proname, ' ' ORDER BY proname) FROM outcomes GROUP BY 1;
RESET ROLE;
GRANT SELECT ON guarded TO regress_ann_reader;
SET ROLE regress_ann_reader;
SELECT outcome, string_agg(proname, ' ' ORDER BY proname) FROM outcomes GROUP BY 1 ORDER BY 1;
RESET ROLE;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON guarded FOR SELECT TO regress_ann_reader USING (tenant = 2);
SET ROLE regress_ann_reader;
SELECT outcome, string_agg(proname, ' ' ORDER BY proname) FROM outcomes GROUP BY 1 ORDER BY 1;

-- a plan by index heeds the policy, by order and by condition, and before a function that would tell
CREATE FUNCTION pg_temp.tells(int) RETURNS bool LANGUAGE plpgsql COST 0.0001 AS $$
BEGIN
	IF $1 <> 2 THEN
		RAISE NOTICE 'saw a row of tenant %', $1;
	END IF;
	RETURN true;
END $$;
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM guarded WHERE pg_temp.tells(tenant) ORDER BY v <-> '[1,0,1,0,1,0,1,0]' LIMIT 20;
CREATE TEMP TABLE by_index AS
	SELECT id, tenant FROM guarded WHERE pg_temp.tells(tenant) ORDER BY v <-> '[1,0,1,0,1,0,1,0]' LIMIT 20;
EXPLAIN (COSTS OFF) SELECT id FROM guarded WHERE pg_temp.tells(tenant) AND l2_within(v, '[1,0,1,0,1,0,1,0]', 5);
CREATE TEMP TABLE by_condition AS
	SELECT id, tenant FROM guarded WHERE pg_temp.tells(tenant) AND l2_within(v, '[1,0,1,0,1,0,1,0]', 5);
RESET ROLE;
RESET enable_seqscan;
SELECT count(*), min(tenant), max(tenant),
	array_agg(id ORDER BY id) = ARRAY(SELECT id FROM (SELECT id FROM guarded WHERE tenant = 2 ORDER BY v <-> '[1,0,1,0,1,0,1,0]', id LIMIT 20) s ORDER BY 1) AS right
FROM by_index;
SELECT count(*) > 0 AS some, min(tenant), max(tenant),
	array_agg(id ORDER BY id) = ARRAY(SELECT id FROM guarded WHERE tenant = 2 AND (v <-> '[1,0,1,0,1,0,1,0]') <= 5 ORDER BY 1) AS right
FROM by_condition;
DROP TABLE by_index, by_condition;
ALTER TABLE guarded DISABLE ROW LEVEL SECURITY;

-- the same behind a barrier: what the planner expects tells nothing of the hidden rows either
CREATE VIEW mine WITH (security_barrier) AS SELECT id, tenant, v FROM guarded WHERE tenant = 2;
GRANT SELECT ON mine TO regress_ann_reader;
REVOKE SELECT ON guarded FROM regress_ann_reader;
REVOKE SELECT (id, v) ON guarded FROM regress_ann_reader;
CREATE FUNCTION expected_rows(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	plan json;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END $$;
SET enable_seqscan = off;
SET ROLE regress_ann_reader;
EXPLAIN (COSTS OFF) SELECT id FROM mine WHERE pg_temp.tells(tenant) ORDER BY v <-> '[1,0,1,0,1,0,1,0]' LIMIT 20;
SELECT count(*), min(tenant), max(tenant) FROM
	(SELECT tenant FROM mine WHERE pg_temp.tells(tenant) ORDER BY v <-> '[1,0,1,0,1,0,1,0]' LIMIT 20) s;
SELECT count(*) > 0 AS some, min(tenant), max(tenant) FROM mine WHERE pg_temp.tells(tenant) AND l2_within(v, '[1,0,1,0,1,0,1,0]', 5);
SELECT expected_rows($$SELECT * FROM mine WHERE l2_within(v, '[9,9,9,9,9,9,9,9]', 1)$$)
	= expected_rows($$SELECT * FROM mine WHERE l2_within(v, '[0,0,0,0,0,0,0,0]', 100)$$) AS tells_nothing;
RESET ROLE;
SELECT expected_rows($$SELECT * FROM guarded WHERE l2_within(v, '[9,9,9,9,9,9,9,9]', 1)$$)
	< expected_rows($$SELECT * FROM guarded WHERE l2_within(v, '[0,0,0,0,0,0,0,0]', 100)$$) AS tells_who_may_know;
RESET enable_seqscan;

-- a function in an index runs as the table's owner, whoever calls a function of ours
CREATE TABLE owned (id int, v vector(8));
INSERT INTO owned SELECT id, v FROM guarded;
CREATE FUNCTION as_is(vector) RETURNS vector LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF current_user <> 'regress_ann_owner' THEN
		RAISE EXCEPTION 'runs as another user';
	END IF;
	RETURN $1;
END $$;
ALTER TABLE owned OWNER TO regress_ann_owner;
CREATE INDEX owned_v ON owned USING annivf ((as_is(v)::vector(8))) WITH (num_leaves = 40);
SELECT outcome, string_agg(proname, ' ' ORDER BY proname)
FROM (SELECT proname, outcome(p.oid, 'owned_v') FROM pg_proc p JOIN outcomes USING (proname)) s
WHERE proname <> 'ann_decode' AND proname <> 'ann_code_distance' GROUP BY 1 ORDER BY 1;
SELECT current_user = session_user AS same;
SELECT count(*) FROM ann_search('owned_v', (SELECT v FROM owned WHERE id = 7), 5, 40, 3000);
SELECT current_user = session_user AS same;

SELECT * FROM index_faults('guarded', '<->', 200);
DROP SCHEMA guarded CASCADE;
DROP FUNCTION pg_temp.tells;
DROP ROLE regress_ann_reader, regress_ann_owner;

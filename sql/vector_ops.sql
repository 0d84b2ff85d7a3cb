-- Distances, norms. All values are such that every sum is exact, whatever the order of its terms: the
-- output does not depend on ann.simd.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all

SELECT '[0,0]'::vector <-> '[3,4]';
SELECT '[1,2,3]'::vector <#> '[4,5,6]';
SELECT '[3,4]'::vector <=> '[4,3]';
SELECT '[1,-2]'::vector <+> '[-3,4]';
-- operators and functions are the same
SELECT l2_distance('[0,0]'::vector, '[3,4]') AS l2, inner_product('[1,2,3]'::vector, '[4,5,6]') AS ip,
	cosine_distance('[3,4]'::vector, '[4,3]') AS cosine, l1_distance('[1,-2]'::vector, '[-3,4]') AS l1,
	vector_l2_squared_distance('[0,0]', '[3,4]') AS l2_squared,
	vector_negative_inner_product('[1,2,3]', '[4,5,6]') AS negative_ip;
-- argument types are found from an unknown literal
SELECT '[1]'::vector <-> '[3]', '[1]' <-> '[3]'::vector;

-- the range of cosine: the same direction, across, opposite
SELECT '[1,1]'::vector <=> '[4,4]' AS same, '[1,0]'::vector <=> '[0,2]' AS across,
	'[1,1]'::vector <=> '[-2,-2]' AS opposite;
-- never below 0 nor above 2, though the quotient rounds past 1
SELECT min(v <=> u) >= 0 AS low, max(v <=> u) < 1e-6 AS near, max(v <=> w) <= 2 AS high
FROM (
	SELECT array_agg(sin(i * seed))::vector AS v, array_agg(3 * sin(i * seed))::vector AS u,
		array_agg(-3 * sin(i * seed))::vector AS w
	FROM generate_series(1, 200) seed, generate_series(1, 13) i GROUP BY seed
) s;

-- symmetry and zero, many dimensions: odd ones leave a tail behind every width of register
SELECT dim, v <-> w AS l2, -(v <#> w) AS ip, v <+> w AS l1, v <-> v AS self,
	(v <-> w) = (w <-> v) AND (v <#> w) = (w <#> v) AND (v <+> w) = (w <+> v)
	AND (v <=> w) = (w <=> v) AS symmetric
FROM (
	SELECT dim, array_agg(i % 3)::vector AS v, array_agg(i % 3 + 2)::vector AS w
	FROM unnest(ARRAY[1, 4, 9, 16, 25, 64, 100, 121, 1024, 4096]) dim, generate_series(1, dim) i
	GROUP BY dim
) s ORDER BY dim;

-- zero vectors: no direction, so the cosine is NaN, after all numbers in the order
SELECT '[0,0]'::vector <=> '[1,2]' AS zero, '[0,0]'::vector <=> '[0,0]' AS both,
	'[0,0]'::vector <-> '[0,0]' AS l2, '[0,0]'::vector <#> '[1,2]' AS ip;
SELECT v, v <=> '[1,0]' AS distance
FROM (VALUES ('[0,0]'::vector), ('[-1,0]'), (NULL), ('[5,0]'), ('[0,1]')) t (v)
ORDER BY v <=> '[1,0]';

-- sums are floats: they overflow to infinity without an error, and vanish below the smallest
SELECT '[3e38]'::vector <-> '[-3e38]' AS l2, '[3e38]'::vector <#> '[3e38]' AS ip,
	'[3e38]'::vector <+> '[-3e38]' AS l1,
	vector_l2_squared_distance('[2e19]', '[0]') AS l2_squared;
SELECT '[3e38,3e38]'::vector <#> '[3e38,-3e38]' AS ip;
SELECT '[1e30]'::vector <=> '[1e30]' AS great, '[1e-30]'::vector <=> '[1e-30]' AS small;
SELECT '[1e-30]'::vector <-> '[0]' AS l2, '[1e-30]'::vector <+> '[0]' > 0 AS l1;

-- different dimensions
SELECT '[1,2]'::vector <-> '[1]';
SELECT '[1,2]'::vector <#> '[1]';
SELECT '[1,2]'::vector <=> '[1]';
SELECT '[1]'::vector <+> '[1,2]';
SELECT inner_product('[1,2]'::vector, '[1,2,3]');
SELECT vector_l2_squared_distance('[1]', '[1,2,3]');
\set VERBOSITY sqlstate
SELECT '[1,2]'::vector <-> '[1]';
\set VERBOSITY default

-- NULL
SELECT NULL::vector <-> '[1]' AS l2, vector_norm(NULL) AS norm, vector_dims(NULL::vector) AS dims;

-- dimensions, norm: the norm is a double, so nothing overflows
SELECT vector_dims('[1,2,3]'::vector), vector_dims('[1]'::vector);
SELECT vector_norm('[3,4]'), vector_norm('[0,0]'), vector_norm('[2e38,2e38,2e38,2e38]') > 3e38 AS great,
	vector_norm('[1e-45]') > 0 AS small;

-- normalisation: zero stays zero, no magnitude is too large or small
SELECT l2_normalize('[3,4]'::vector), l2_normalize('[-2]'::vector), l2_normalize('[0,0]'::vector), l2_normalize('[0,3e38]'::vector);
SELECT l2_normalize('[3e38,3e38,3e38,3e38]'::vector), l2_normalize('[1e-45,0]'::vector), l2_normalize('[-0,1]'::vector);

-- toasted and packed arguments give the same as plain ones
CREATE TABLE stored (dim int, v vector);
INSERT INTO stored
SELECT dim, array_agg(i % 4)::vector
FROM unnest(ARRAY[4, 400, 4000]) dim, generate_series(1, dim) i GROUP BY dim;
SELECT dim, s.v <-> array_fill(0, ARRAY[dim])::vector AS l2, s.v <#> s.v AS ip, vector_norm(s.v),
	l2_normalize(s.v) <+> s.v > 0 AS normalized
FROM stored s ORDER BY dim;

-- compiled expressions call the same functions
SET jit = on;
SET jit_above_cost = 0;
SET jit_inline_above_cost = 0;
SET jit_optimize_above_cost = 0;
SELECT sum(v <-> v) AS l2, sum(vector_dims(v)) AS dims FROM stored;
RESET jit;
RESET jit_above_cost;
RESET jit_inline_above_cost;
RESET jit_optimize_above_cost;
DROP TABLE stored;

-- what the planner knows
SELECT oprname, oprcode::regprocedure, oprcom = oid AS commutes, oprresult::regtype
FROM pg_operator WHERE oprleft = 'vector'::regtype AND oprright = 'vector'::regtype
	AND oprname IN ('<->', '<#>', '<=>', '<+>') ORDER BY oprname COLLATE "C";
SELECT proname, provolatile, proisstrict, proparallel, procost
FROM pg_proc
WHERE proargtypes = ARRAY['vector'::regtype, 'vector'::regtype]::oidvector
	AND (proname LIKE '%distance' OR proname LIKE '%product') ORDER BY proname;

-- every level of ann.simd that this machine runs agrees
CREATE TABLE levels (level text, l2 float8, ip float8, cosine float8, l1 float8);
DO $$
DECLARE
	this text;
BEGIN
	FOREACH this IN ARRAY ann_test.simd_levels() LOOP
		PERFORM set_config('ann.simd', this, false);
		INSERT INTO levels
		SELECT ann_simd(), v <-> w, v <#> w, v <=> w, v <+> w
		FROM (
			SELECT array_agg(i % 5)::vector AS v, array_agg(i % 7)::vector AS w
			FROM generate_series(1, 131) i
		) s;
	END LOOP;
END $$;
RESET ann.simd;
SELECT count(DISTINCT (l2, ip, cosine, l1)), min(l2 * l2)::numeric(6,2) AS l2_squared, min(ip) AS ip,
	min(l1) AS l1
FROM levels;
SELECT count(*) = count(DISTINCT level) FROM levels;
DROP TABLE levels;

-- a toasted second argument is kept from row to row: whichever it was before, the result is that of a plain one
CREATE TABLE toasted (id int, v vector(600), h halfvec(1200), b bit(20000));
ALTER TABLE toasted ALTER v SET STORAGE external, ALTER h SET STORAGE external, ALTER b SET STORAGE external;
INSERT INTO toasted SELECT i, array_agg(sin(i * j) ORDER BY j)::real[]::vector, (array_agg(cos(i * j) ORDER BY j) || array_agg(sin(i + j) ORDER BY j))::real[]::halfvec,
	string_agg((i * j % 7 / 4)::text, '' ORDER BY j)::bit(20000) FROM generate_series(1, 12) i, generate_series(1, 600) j GROUP BY i;
SELECT count(*), min(pg_column_size(v)) > 2000 AS v, min(pg_column_size(h)) > 2000 AS h, min(pg_column_size(b)) > 2000 AS b, pg_relation_size('toasted') AS pages
	FROM toasted;
SELECT count(*), count(*) FILTER (WHERE a.v <-> c.v <> a.v <-> plain.v OR a.v <#> c.v <> a.v <#> plain.v OR a.v <=> c.v <> a.v <=> plain.v
		OR a.v <+> c.v <> a.v <+> plain.v OR lp_distance(a.v, c.v, 3) <> lp_distance(a.v, plain.v, 3)) AS v,
		count(*) FILTER (WHERE a.h <-> c.h <> a.h <-> plain.h OR a.h <=> c.h <> a.h <=> plain.h) AS h,
		count(*) FILTER (WHERE a.b <~> c.b <> a.b <~> plain.b OR a.b <%> c.b <> a.b <%> plain.b) AS b
	FROM toasted a, toasted c, LATERAL (SELECT c.v::real[]::vector AS v, c.h::real[]::halfvec AS h, c.b::text::bit(20000) AS b OFFSET 0) plain;
-- one call of many rows, by a table's query
SELECT count(*) FROM toasted WHERE v <-> (SELECT v FROM toasted WHERE id = 3) = 0;
SELECT sum((SELECT count(*) FROM toasted a WHERE a.v <-> c.v = 0)) FROM toasted c;
DROP TABLE toasted;

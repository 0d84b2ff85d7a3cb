-- Functions, operators, order and aggregates of halfvec. Sums are exact, whatever the order of their
-- terms, unless said: the output does not depend on ann.simd.
\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all

SELECT '[0,0]'::halfvec <-> '[3,4]' AS l2, '[1,2,3]'::halfvec <#> '[4,5,6]' AS ip,
	'[3,4]'::halfvec <=> '[4,3]' AS cosine, '[1,-2]'::halfvec <+> '[-3,4]' AS l1;
SELECT l2_distance('[0,0]'::halfvec, '[3,4]') AS l2, inner_product('[1,2,3]'::halfvec, '[4,5,6]') AS ip,
	cosine_distance('[3,4]'::halfvec, '[4,3]') AS cosine, l1_distance('[1,-2]'::halfvec, '[-3,4]') AS l1,
	halfvec_l2_squared_distance('[0,0]', '[3,4]') AS l2_squared,
	halfvec_negative_inner_product('[1,2,3]', '[4,5,6]') AS negative_ip;
SELECT halfvec_spherical_distance('[1,0]', '[0,1]') AS across, halfvec_spherical_distance('[1,0]', '[1,0]') AS same,
	halfvec_spherical_distance('[1,0]', '[-1,0]') AS opposite, halfvec_spherical_distance('[2,0]', '[2,0]') AS cut;
-- the ends of the range
SELECT '[65504]'::halfvec <-> '[-65504]' AS l2, inner_product('[65504]'::halfvec, '[65504]') AS ip,
	'[65504,0]'::halfvec <=> '[65504,0]' AS cosine, '[65504]'::halfvec <+> '[-65504]' AS l1,
	'[5.9604645e-08]'::halfvec <-> '[0]' AS least, '[5.9604645e-08]'::halfvec <=> '[65504]' AS far;
SELECT round((v <-> w)::numeric, -4) AS l2, round((v <+> w)::numeric, -4) AS l1
FROM (SELECT array_fill(65504, ARRAY[16000])::halfvec AS v, array_fill(-65504, ARRAY[16000])::halfvec AS w) s;
-- zero vectors have no direction
SELECT '[0,0]'::halfvec <=> '[1,2]' AS zero, '[0,0]'::halfvec <=> '[0,0]' AS both;
SELECT '[1,1]'::halfvec <=> '[4,4]' AS same, '[1,0]'::halfvec <=> '[0,2]' AS across,
	'[1,1]'::halfvec <=> '[-2,-2]' AS opposite;

-- many dimensions, up to those whose floats do not fit the stack; equal to those of vector, bit for bit
SELECT dim, v <-> w AS l2, -(v <#> w) AS ip, v <+> w AS l1, v <-> v AS self,
	(v <-> w) = (w <-> v) AND (v <#> w) = (w <#> v) AND (v <+> w) = (w <+> v)
	AND (v <=> w) = (w <=> v) AS symmetric
FROM (
	SELECT dim, array_agg(i % 3)::halfvec AS v, array_agg(i % 3 + 2)::halfvec AS w
	FROM unnest(ARRAY[1, 4, 9, 16, 25, 64, 100, 121, 1024, 4096, 14400]) dim, generate_series(1, dim) i
	GROUP BY dim
) s ORDER BY dim;
SELECT dim FROM (
	SELECT dim, array_agg(sin(i))::halfvec AS v, array_agg(cos(i * 7))::halfvec AS w
	FROM unnest(ARRAY[1, 3, 17, 128, 255, 384, 1536, 2048, 2049, 16000]) dim, generate_series(1, dim) i
	GROUP BY dim
) s
WHERE (v <-> w) IS DISTINCT FROM (v::vector <-> w::vector) OR (v <#> w) IS DISTINCT FROM (v::vector <#> w::vector)
	OR (v <=> w) IS DISTINCT FROM (v::vector <=> w::vector)
	OR (v <+> w) IS DISTINCT FROM (v::vector <+> w::vector)
	OR halfvec_l2_squared_distance(v, w) IS DISTINCT FROM vector_l2_squared_distance(v::vector, w::vector);
-- a vector and a halfvec meet as halfvecs
SELECT '[1,2]'::vector <-> '[4,6]'::halfvec AS l2, pg_typeof('[1,2]'::vector + '[4,6]'::halfvec);

-- different dimensions, NULL
SELECT '[1,2]'::halfvec <-> '[1]';
SELECT '[1,2]'::halfvec <#> '[1]';
SELECT '[1,2]'::halfvec <=> '[1]';
SELECT '[1]'::halfvec <+> '[1,2]';
SELECT inner_product('[1,2]'::halfvec, '[1,2,3]');
SELECT halfvec_l2_squared_distance('[1]', '[1,2,3]');
SELECT halfvec_spherical_distance('[1]', '[1,2,3]');
\set VERBOSITY sqlstate
SELECT '[1,2]'::halfvec <-> '[1]';
\set VERBOSITY default
SELECT NULL::halfvec <-> '[1]' AS l2, l2_norm(NULL::halfvec) AS norm, vector_dims(NULL::halfvec) AS dims,
	NULL::halfvec + '[1]' AS sum, subvector('[1]'::halfvec, NULL, 1) AS part;

-- arithmetic
SELECT '[1,2,3]'::halfvec + '[4,5,6]' AS sum, '[1,2,3]'::halfvec - '[4,5,6]' AS difference,
	'[1,2,3]'::halfvec * '[4,5,6]' AS product, '[1,2]'::halfvec || '[3]' AS joined;
SELECT halfvec_add('[1]', '[2]'), halfvec_sub('[1]', '[2]'), halfvec_mul('[3]', '[2]'), halfvec_concat('[3]', '[2]');
-- rounded once: ties to even; the least subnormal; zero is no underflow
SELECT '[2048,2048,0.1]'::halfvec + '[1,3,0.2]', '[5.9604645e-08]'::halfvec * '[1]', '[0,1]'::halfvec * '[1e-7,0]',
	'[65504]'::halfvec + '[15]';
SELECT '[65504]'::halfvec + '[16]';
SELECT '[-65504]'::halfvec - '[65504]';
SELECT '[256]'::halfvec * '[256]';
SELECT '[1e-7]'::halfvec * '[1e-7]';
SELECT '[1,2]'::halfvec + '[3]';
SELECT '[1,2]'::halfvec - '[3]';
SELECT '[1,2]'::halfvec * '[3]';
SELECT vector_dims(array_fill(0, ARRAY[15999])::halfvec || '[1]');
SELECT array_fill(0, ARRAY[16000])::halfvec || '[1]';
\set VERBOSITY sqlstate
SELECT '[65504]'::halfvec + '[16]';
SELECT '[1e-7]'::halfvec * '[1e-7]';
SELECT array_fill(0, ARRAY[16000])::halfvec || '[1]';
\set VERBOSITY default

-- dimensions, norm, normalisation, bits, parts
SELECT vector_dims('[1,2,3]'::halfvec), l2_norm('[3,4]'::halfvec), l2_norm('[0,0]'::halfvec) AS zero,
	l2_norm('[65504]'::halfvec) AS greatest, l2_norm('[5.9604645e-08]'::halfvec) AS least;
SELECT l2_normalize('[3,4]'::halfvec), l2_normalize('[0,0]'::halfvec), l2_normalize('[-65504]'::halfvec),
	l2_normalize('[0,0.1]'::halfvec), l2_normalize('[5.9604645e-08,0]'::halfvec), l2_normalize('[-0,1]'::halfvec);
SELECT binary_quantize('[1,0,-1]'::halfvec), binary_quantize('[-0,5.9604645e-08,-5.9604645e-08]'::halfvec) AS tiny,
	binary_quantize('[0,0.1,-0.2,-0.3,0.4,0.5,0.6,-0.7,0.8,-0.9,1]'::halfvec) AS two_bytes;
SELECT length(binary_quantize(array_fill(1, ARRAY[16000])::halfvec)),
	bit_count(binary_quantize(array_fill(1, ARRAY[16000])::halfvec));
SELECT subvector('[1,2,3,4,5]'::halfvec, 1, 3) AS a, subvector('[1,2,3,4,5]'::halfvec, 3, 2) AS b,
	subvector('[1,2,3,4,5]'::halfvec, -1, 3) AS c, subvector('[1,2,3,4,5]'::halfvec, 3, 9) AS d,
	subvector('[1,2,3,4,5]'::halfvec, 3, 2147483647) AS e,
	subvector('[1,2,3,4,5]'::halfvec, -2147483644, 2147483647) AS f, subvector('[1,2,3,4,5]'::halfvec, 5, 1) AS g;
SELECT subvector('[1,2,3,4,5]'::halfvec, 1, 0);
SELECT subvector('[1,2,3,4,5]'::halfvec, 3, -1);
SELECT subvector('[1,2,3,4,5]'::halfvec, -1, 2);
SELECT subvector('[1,2,3,4,5]'::halfvec, 6, 1);
SELECT subvector('[1,2,3,4,5]'::halfvec, 2147483647, 10);
SELECT subvector('[1,2,3,4,5]'::halfvec, -2147483648, -2147483648);

-- toasted and packed arguments give the same as plain ones
CREATE TABLE stored (dim int, v halfvec);
INSERT INTO stored
SELECT dim, array_agg(i % 4)::halfvec
FROM unnest(ARRAY[4, 400, 4000]) dim, generate_series(1, dim) i GROUP BY dim;
SELECT dim, vector_dims(v), v <-> array_fill(0, ARRAY[dim])::halfvec AS l2, v <#> v AS ip, l2_norm(v),
	v + v - v = v AS arithmetic, vector_dims(v || v), subvector(v, dim, 1) AS last,
	bit_count(binary_quantize(v)) AS bits
FROM stored ORDER BY dim;
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

-- comparison: element by element, then by dimensions
SELECT v, w, v < w AS lt, v <= w AS le, v = w AS eq, v <> w AS ne, v >= w AS ge, v > w AS gt, halfvec_cmp(v, w) AS cmp,
	(halfvec_hash(v) = halfvec_hash(w)) = (v = w) AS hash,
	(halfvec_hash_extended(v, 7) = halfvec_hash_extended(w, 7)) = (v = w) AS hash_extended
FROM (VALUES ('[1,2,3]'::halfvec, '[1,2,3]'::halfvec), ('[1,2]', '[1,2,3]'), ('[1,2,3]', '[1,2]'), ('[1,2]', '[2,3,4]'),
	('[2,3]', '[1,2,3]'), ('[0,1]', '[-0,1]'), ('[-1]', '[1]'), ('[-0]', '[5.9604645e-08]'), ('[-2]', '[-1]'),
	('[0.1]', '[0.10001]')) t (v, w);
SELECT halfvec_hash_extended('[1]', 0) = halfvec_hash_extended('[1]', 1) AS same_seed;

-- operator classes
CREATE FUNCTION plan_has(node text, query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	plan text;
BEGIN
	EXECUTE 'EXPLAIN (FORMAT json) ' || query INTO plan;
	RETURN position(node IN plan) > 0;
END $$;
CREATE TABLE ordered (id int, v halfvec);
INSERT INTO ordered
SELECT i, CASE WHEN i % 10 = 9 THEN NULL ELSE ARRAY[i % 5, -(i % 7)]::halfvec END FROM generate_series(1, 100) i;
INSERT INTO ordered VALUES (101, '[0,0]'), (102, '[-0,0]'), (103, '[0]'), (104, '[4]');
SELECT v, count(*) FROM ordered GROUP BY v ORDER BY v LIMIT 6;
SET enable_seqscan = off;
CREATE INDEX ordered_v ON ordered (v);
SELECT plan_has('ordered_v', $$SELECT v FROM ordered WHERE v = '[3,-1]'$$);
SELECT count(*), min(id) FROM ordered WHERE v = '[3,-1]';
SELECT count(*) FROM ordered WHERE v >= '[3,-1]' AND v < '[4]';
SELECT v FROM ordered WHERE v IS NOT NULL ORDER BY v DESC LIMIT 3;
DROP INDEX ordered_v;
CREATE INDEX ordered_v ON ordered USING hash (v);
SELECT plan_has('ordered_v', $$SELECT v FROM ordered WHERE v = '[0,0]'$$);
SELECT id FROM ordered WHERE v = '[0,0]' ORDER BY id;
RESET enable_seqscan;
SET enable_mergejoin = off;
SET enable_nestloop = off;
SELECT plan_has('Hash Join', 'SELECT count(*) FROM ordered a JOIN ordered b USING (v)');
SELECT count(*) FROM ordered a JOIN ordered b USING (v);
RESET enable_mergejoin;
SET enable_hashjoin = off;
SELECT plan_has('Merge Join', 'SELECT count(*) FROM ordered a JOIN ordered b USING (v)');
SELECT count(*) FROM ordered a JOIN ordered b USING (v);
RESET enable_nestloop;
RESET enable_hashjoin;
SELECT count(DISTINCT v) FROM ordered;
CREATE TABLE parts (v halfvec) PARTITION BY HASH (v);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT v FROM ordered;
SELECT count(*) FROM parts WHERE v = '[0,0]';
DROP TABLE parts;

-- aggregates
SELECT avg(v), sum(v) FROM unnest(ARRAY['[1,2,3]'::halfvec, '[3,5,7]']) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY['[1,2,3]'::halfvec, '[3,5,7]', NULL]) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY[]::halfvec[]) v;
SELECT avg(v), sum(v) FROM unnest(ARRAY[NULL]::halfvec[]) v;
SELECT avg(v) FROM unnest(ARRAY['[1,2]'::halfvec, '[3]']) v;
SELECT sum(v) FROM unnest(ARRAY['[1,2]'::halfvec, '[3]']) v;
SELECT avg(v) FROM unnest(ARRAY['[65504]'::halfvec, '[65504]']) v;
SELECT sum(v) FROM unnest(ARRAY['[65504]'::halfvec, '[65504]']) v;
-- rounded once, at the end: halves alone would stay at 2048, or go past the range on the way
SELECT sum('[1,0.001]'::halfvec) FROM generate_series(1, 10000);
SELECT sum(v) FROM unnest(ARRAY['[65504]'::halfvec, '[65504]', '[-65504]']) v;
-- groups and windows keep their states apart
SELECT id % 3 AS g, count(v), avg(v), sum(v) FROM ordered WHERE id <= 100 GROUP BY g ORDER BY g;
SELECT id, sum(v) OVER (ORDER BY id) AS running, avg(v) OVER (ORDER BY id ROWS 1 PRECEDING) AS pair
FROM ordered WHERE id < 6 ORDER BY id;
-- in parallel, where a worker may have seen no row
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
ALTER TABLE ordered SET (parallel_workers = 2);
SELECT plan_has('Finalize', 'SELECT avg(v), sum(v) FROM ordered WHERE id <= 100');
SELECT avg(v), sum(v) FROM ordered WHERE id <= 100;
SELECT avg(v), sum(v) FROM ordered WHERE id > 1000;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;
DROP TABLE ordered;
DROP FUNCTION plan_has;
-- states that nobody has made by aggregation
SELECT halfvec_accum('{0}', '[1,2]'), halfvec_accum('{1,2,3}', '[4,5]'), halfvec_sum_accum('{1,2,3}', '[4,5]');
SELECT halfvec_combine('{0}', '{0}'), halfvec_combine('{0}', '{1,2}'), halfvec_combine('{1,2}', '{0}'),
	halfvec_combine('{1,2}', '{3,4}');
SELECT halfvec_avg('{0}'), halfvec_avg('{2,3,4}'), halfvec_sum('{0}'), halfvec_sum('{2,3,4}');
-- a state that is shared is not changed
SELECT halfvec_accum(s, '[1]') AS one, halfvec_combine(s, '{1,5}') AS both, s
FROM (SELECT '{1,2}'::float8[] AS s OFFSET 0) t;
SELECT halfvec_accum('{}', '[1]');
SELECT halfvec_accum('{{1,2}}', '[1]');
SELECT halfvec_accum('{1,NULL}', '[1]');
SELECT halfvec_accum('{1,2}', '[1,2]');
SELECT halfvec_sum_accum('{1,2}', '[1,2]');
SELECT halfvec_accum('{1,Infinity}', '[1]');
SELECT halfvec_combine('{1,2}', '{1,2,3}');
SELECT halfvec_combine('{1,1.7e308}', '{1,1.7e308}');
SELECT halfvec_combine('{}', '{1}');
SELECT halfvec_avg('{}');
SELECT halfvec_avg('{1}');
SELECT halfvec_avg('{1,65520}');
SELECT halfvec_avg('{1,Infinity}');
SELECT halfvec_avg('{1,NaN}');
SELECT halfvec_sum('{1,NaN}');
SELECT halfvec_sum('{1,1e300}');
SELECT halfvec_sum('{1}');
SELECT halfvec_avg(array_agg(n)) FROM generate_series(1, 16002) n;

-- what the planner knows: every function is immutable, strict and parallel safe
SELECT o.oprname, o.oprcode::regprocedure, c.oprname AS commutator, n.oprname AS negator, o.oprresult::regtype,
	o.oprcanhash AS hash, o.oprcanmerge AS merge, o.oprrest, o.oprjoin
FROM pg_operator o LEFT JOIN pg_operator c ON c.oid = o.oprcom LEFT JOIN pg_operator n ON n.oid = o.oprnegate
WHERE o.oprleft = 'halfvec'::regtype AND o.oprright = 'halfvec'::regtype ORDER BY o.oprname COLLATE "C";
SELECT count(*) > 30 AS all_there, count(*) FILTER (WHERE provolatile <> 'i' OR NOT proisstrict OR proparallel <> 's') AS other
FROM pg_proc WHERE prokind = 'f' AND (prorettype = 'halfvec'::regtype OR 'halfvec'::regtype = ANY (proargtypes::oid[]));
SELECT proname, procost FROM pg_proc
WHERE proargtypes = ARRAY['halfvec'::regtype, 'halfvec'::regtype]::oidvector
	AND (proname LIKE '%distance' OR proname LIKE '%product') ORDER BY proname;

-- every level of ann.simd that this machine runs agrees
CREATE TABLE levels (level text, l2 float8, ip float8, cosine float8, l1 float8, v text);
DO $$
DECLARE
	this text;
BEGIN
	FOREACH this IN ARRAY ann_test.simd_levels() LOOP
		PERFORM set_config('ann.simd', this, false);
		INSERT INTO levels
		SELECT ann_simd(), v <-> w, v <#> w, v <=> w, v <+> w, (v || '[0.1,-0,5.9604645e-08,65504]')::vector::text
		FROM (
			SELECT array_agg(i % 5)::halfvec AS v, array_agg(i % 7)::halfvec AS w
			FROM generate_series(1, 131) i
		) s;
	END LOOP;
END $$;
RESET ann.simd;
SELECT count(DISTINCT (l2, ip, cosine, l1, v)), min(l2 * l2)::numeric(6,2) AS l2_squared, min(ip) AS ip,
	min(l1) AS l1
FROM levels;
SELECT count(*) = count(DISTINCT level) FROM levels;
DROP TABLE levels;

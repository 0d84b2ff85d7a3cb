-- Arithmetic, pieces and the distances that have no operator.

-- elementwise
SELECT '[1,2,3]'::vector + '[4,5,-6]' AS sums, '[1,2,3]'::vector - '[4,5,-6]' AS differences,
	'[1,2,3]'::vector * '[4,5,-6]' AS products, '[1,2]'::vector || '[3]' AS both;
SELECT vector_add('[1,2]', '[3,4]') AS sums, vector_sub('[1,2]', '[3,4]') AS differences,
	vector_mul('[1,2]', '[3,4]') AS products, vector_concat('[1,2]', '[3,4]') AS both;
-- precedence is that of numbers
SELECT '[1]'::vector + '[2]'::vector * '[3]' AS seven, '[9]'::vector - '[4]'::vector - '[3]' AS two;
-- zeros: of a sum positive, of a product with the sign of its factors
SELECT '[1,-0]'::vector + '[-1,0]' AS sums, '[1,0]'::vector - '[1,0]' AS differences,
	'[0,-1]'::vector * '[-1,0]' AS products;
-- a column on either side, many dimensions
SELECT dim, v + v - v = v AS same, vector_norm(v - v) AS nothing, (v * v) <+> v AS l1, vector_dims(v || v)
FROM (
	SELECT dim, array_agg(i % 3 ORDER BY i)::vector AS v
	FROM unnest(ARRAY[1, 7, 64, 100, 2000]) dim, generate_series(1, dim) i GROUP BY dim
) s ORDER BY dim;
-- in the smallest numbers
SELECT '[1e-45]'::vector + '[1e-45]' AS sum, '[1.5e-45]'::vector - '[1.5e-45]' AS difference,
	'[1e-22]'::vector * '[1e-22]' AS product;

-- overflow and underflow
SELECT '[3e38]'::vector + '[3e38]';
SELECT '[1,-3e38]'::vector + '[1,-3e38]';
SELECT '[-3e38]'::vector - '[3e38]';
SELECT '[1e37]'::vector * '[1e37]';
SELECT '[1,1e20]'::vector * '[1,-1e20]';
SELECT '[1e-37]'::vector * '[1e-37]';
SELECT '[1,-1e-30]'::vector * '[1,1e-30]';
SELECT '[3e38]'::vector - '[3e38]' AS nothing, '[0]'::vector * '[1e-45]' AS zero;

-- dimensions
SELECT '[1,2]'::vector + '[3]';
SELECT '[1,2]'::vector - '[3]';
SELECT '[1]'::vector * '[3,4]';
SELECT vector_dims(array_fill(1, ARRAY[15999])::vector || '[1]');
SELECT array_fill(1, ARRAY[16000])::vector || '[1]';
SELECT array_fill(1, ARRAY[16000])::vector || array_fill(1, ARRAY[16000])::vector;
\set VERBOSITY sqlstate
SELECT '[1,2]'::vector + '[3]';
SELECT '[3e38]'::vector + '[3e38]';
SELECT '[1e-37]'::vector * '[1e-37]';
SELECT array_fill(1, ARRAY[16000])::vector || '[1]';
\set VERBOSITY default

-- a part: from 1 on, what lies outside is left out
SELECT subvector('[1,2,3,4,5]'::vector, 1, 3), subvector('[1,2,3,4,5]'::vector, 3, 2),
	subvector('[1,2,3,4,5]'::vector, 5, 1), subvector('[1,2,3,4,5]'::vector, 1, 5);
SELECT subvector('[1,2,3,4,5]'::vector, -1, 3), subvector('[1,2,3,4,5]'::vector, 0, 3),
	subvector('[1,2,3,4,5]'::vector, 3, 9), subvector('[1,2,3,4,5]'::vector, 3, 2147483647),
	subvector('[1,2,3,4,5]'::vector, -2147483644, 2147483647);
SELECT subvector('[1,2,3]'::vector, 1, 0);
SELECT subvector('[1,2,3]'::vector, 2, -1);
SELECT subvector('[1,2,3]'::vector, -1, 2);
SELECT subvector('[1,2,3]'::vector, 4, 1);
SELECT subvector('[1,2,3]'::vector, 2147483647, 2147483647);
SELECT subvector('[1,2,3]'::vector, -2147483648, -2147483648);
\set VERBOSITY sqlstate
SELECT subvector('[1,2,3]'::vector, 4, 1);
\set VERBOSITY default

-- bits: 1 above zero
SELECT binary_quantize('[1,0,-1]'::vector), binary_quantize('[-0]'::vector), binary_quantize('[1e-45]'::vector);
SELECT binary_quantize('[0,0.1,-0.2,-0.3,0.4,0.5,0.6,-0.7,0.8,-0.9,1]'::vector);
SELECT length(b), bit_count(b), get_bit(b, 8), get_bit(b, 15999)
FROM (SELECT binary_quantize(array_agg(i % 2 ORDER BY i)::vector) AS b FROM generate_series(1, 16000) i) s;
SELECT binary_quantize('[1,-1,1,1,-1,1,1,1,-1]'::vector) = B'101101110' AS same,
	pg_typeof(binary_quantize('[1]'::vector));

-- parts of stored vectors: plain, with a short header, toasted, toasted with compression
CREATE TABLE parts (id int, v vector);
INSERT INTO parts
SELECT dim, array_agg(i % 100 ORDER BY i)::vector
FROM unnest(ARRAY[5, 100, 400, 5000]) dim, generate_series(1, dim) i GROUP BY dim;
ALTER TABLE parts ALTER v SET STORAGE extended;
INSERT INTO parts SELECT 5001, array_agg(i % 100 ORDER BY i)::vector FROM generate_series(1, 5001) i;
ALTER TABLE parts ALTER v SET STORAGE external;
SELECT id, pg_column_size(v) < 4 * id AS compressed, subvector(v, 1, 3) AS first,
	subvector(v, id - 2, 10) AS last, subvector(v, id / 2, 2) AS middle, subvector(v, 1, id) = v AS whole
FROM parts ORDER BY id;
SELECT id, binary_quantize(v - v) = repeat('0', id)::varbit AS bits, vector_dims(v || v) AS both
FROM parts ORDER BY id;
-- an expression index needs its type modifier
CREATE INDEX ON parts USING annivf ((subvector(v, 1, 3)::vector(3)));
DROP TABLE parts;

-- norms under both names
SELECT l2_norm('[3,4]'::vector), l2_norm('[0]'::vector), l2_norm(NULL::vector);

-- distances without operators
SELECT l2_squared_distance('[0,0]'::vector, '[3,4]') AS l2_squared,
	linf_distance('[1,2,3]'::vector, '[2,0,3]') AS linf, linf_distance('[1]'::vector, '[1]') AS zero,
	vector_hamming_distance('[1,0,1,1]'::vector, '[1,1,0,1]') AS hamming,
	vector_hamming_distance('[0,1]'::vector, '[-0,1]') AS same;
SELECT linf_distance('[3e38]'::vector, '[-3e38]') > 5.9e38 AS great;
-- the greatest exponent is the greatest difference, 1 and 2 are known
SELECT p, round(lp_distance('[1,2,3]'::vector, '[4,-2,3]', p)::numeric, 6) AS distance
FROM unnest(ARRAY[1, 1.5, 2, 3, 4, 5, 100, 2000, 'infinity']::float8[]) p;
SELECT lp_distance('[1,2]'::vector, '[4,-2]', 1) = '[1,2]'::vector <+> '[4,-2]' AS l1,
	lp_distance('[1,2]'::vector, '[4,-2]', 2) = '[1,2]'::vector <-> '[4,-2]' AS l2,
	lp_distance('[1,2]'::vector, '[4,-2]', 'infinity') = linf_distance('[1,2]'::vector, '[4,-2]') AS linf;
-- no exponent overflows or loses small differences
SELECT p, round((lp_distance('[3e38]'::vector, '[-3e38]', p) / 6e38)::numeric, 6) AS great,
	lp_distance('[1e-40]'::vector, '[0]', p)::real AS small, lp_distance('[1,2]'::vector, '[1,2]', p) AS zero
FROM unnest(ARRAY[1, 3, 7, 5000]::float8[]) p;
SELECT lp_distance('[1]'::vector, '[2]', 0.5);
SELECT lp_distance('[1]'::vector, '[2]', 'NaN');
SELECT lp_distance('[1]'::vector, '[2]', '-infinity');
\set VERBOSITY sqlstate
SELECT lp_distance('[1]'::vector, '[2]', 0);
\set VERBOSITY default

-- angles: the Euclidean distance of directions, from 0 to 2; NaN where there is none, as for <=>
SELECT round(angular_distance('[0,1]'::vector, '[1,1]')::numeric, 6) AS eighth,
	round(angular_distance('[97,0]'::vector, '[42,42]')::numeric, 6) AS scaled,
	angular_distance('[1000,0]'::vector, '[10,0]') AS same,
	angular_distance('[1,0]'::vector, '[0,7]')::real AS across,
	angular_distance('[1,1]'::vector, '[-3,-3]') AS opposite,
	angular_distance('[1,0]'::vector, '[0,0]') AS zero;
SELECT bool_and(abs(angular_distance(v, w) - (l2_normalize(v) <-> l2_normalize(w))) < 1e-5) AS agrees
FROM (
	SELECT array_agg(sin(i * seed))::vector AS v, array_agg(cos(i * i + seed))::vector AS w
	FROM generate_series(1, 50) seed, generate_series(1, 13) i GROUP BY seed
) s;
-- the angle over pi of unit vectors; what is past 1 is cut
SELECT vector_spherical_distance('[1,0]', '[1,0]') AS same, vector_spherical_distance('[1,0]', '[0,1]') AS across,
	vector_spherical_distance('[1,0]', '[-1,0]') AS opposite, vector_spherical_distance('[2]', '[2]') AS cut,
	vector_spherical_distance('[2]', '[-2]') AS cut_too;

-- dimensions
SELECT l2_squared_distance('[1,2]'::vector, '[1]');
SELECT linf_distance('[1,2]'::vector, '[1]');
SELECT lp_distance('[1,2]'::vector, '[1]', 3);
SELECT vector_hamming_distance('[1,2]'::vector, '[1]');
SELECT angular_distance('[1,2]'::vector, '[1]');
SELECT vector_spherical_distance('[1]', '[1,2]');

-- NULL
SELECT NULL::vector + '[1]' AS sum, '[1]'::vector * NULL AS product, NULL::vector || '[1]' AS both,
	subvector('[1]'::vector, NULL, 1) AS part, binary_quantize(NULL::vector) AS bits,
	lp_distance('[1]'::vector, '[1]', NULL) AS lp;

-- what the planner knows of every function of the type: immutable, strict, parallel safe
SELECT count(*) > 40 AS many, bool_and(provolatile = 'i') AS immutable, bool_and(proisstrict) AS strict,
	bool_and(proparallel = 's') AS safe
FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
WHERE prokind = 'f' AND ('vector'::regtype = ANY (proargtypes) OR prorettype = 'vector'::regtype)
	AND proname NOT LIKE 'ann%';
SELECT oprname, oprcode, oprcom = oid AS commutes, oprresult::regtype
FROM pg_operator
WHERE oprleft = 'vector'::regtype AND oprright = 'vector'::regtype AND oprname IN ('+', '-', '*', '||')
ORDER BY oprname COLLATE "C";

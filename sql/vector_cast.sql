-- Casts between vector and arrays.

SELECT ARRAY[1,2,3]::vector;
SELECT ARRAY[1.5,-2]::real[]::vector;
SELECT ARRAY[1.5,-2]::float8[]::vector;
SELECT ARRAY[1.5,-2]::numeric[]::vector;
SELECT ARRAY[0.1,16777217]::float8[]::vector;
SELECT ARRAY[2147483647,-2147483648]::vector;
-- subscripts that do not begin at 1 are forgotten
SELECT '[5:6]={1,2}'::int[]::vector, '[-1:0]={1,2}'::real[]::vector;
-- too small becomes zero
SELECT ARRAY[1e-50,1]::float8[]::vector;

-- with a type modifier
SELECT ARRAY[1,2]::vector(2);
SELECT ARRAY[1,2]::vector(3);
SELECT ARRAY[1,2]::real[]::vector(1);
SELECT array_to_vector(ARRAY[1,2], -1, true);

-- refused
SELECT '{}'::int[]::vector;
SELECT '{}'::numeric[]::vector;
SELECT '{{1,2},{3,4}}'::real[]::vector;
SELECT '{1,NULL}'::int[]::vector;
SELECT '{NULL}'::real[]::vector;
SELECT '{1,NULL}'::float8[]::vector;
SELECT '{NULL,1}'::numeric[]::vector;
SELECT '{NaN}'::real[]::vector;
SELECT '{1,NaN}'::float8[]::vector;
SELECT '{NaN}'::numeric[]::vector;
SELECT '{-Infinity}'::real[]::vector;
SELECT '{Infinity}'::float8[]::vector;
SELECT '{Infinity}'::numeric[]::vector;
SELECT '{1e39}'::float8[]::vector;
SELECT '{1e39}'::numeric[]::vector;
SELECT array_fill(1, ARRAY[16001])::vector;
SELECT array_fill(1.5, ARRAY[16001])::vector;
\set VERBOSITY sqlstate
SELECT '{}'::int[]::vector;
SELECT '{{1}}'::int[]::vector;
SELECT '{NULL}'::int[]::vector;
SELECT '{NaN}'::real[]::vector;
SELECT '{1e39}'::numeric[]::vector;
SELECT array_fill(1, ARRAY[16001])::vector;
SELECT '{1}'::int8[]::vector;
SELECT '{1}'::text[]::vector;
\set VERBOSITY default
SELECT vector_dims(array_fill(1, ARRAY[16000])::vector);
-- null bitmaps without nulls: the elements of such an array stand elsewhere
SELECT (ARRAY[NULL,1,2]::int[])[2:3]::vector, (ARRAY[NULL,1.5,2]::float8[])[2:3]::vector,
	(ARRAY[1,2,NULL]::real[])[1:2]::vector, (ARRAY[NULL,1.5]::numeric[])[2:2]::vector;
-- a function over another array type has no elements that we know
CREATE FUNCTION array_to_vector(int8[], integer, boolean) RETURNS vector
	AS '$libdir/ann', 'ann_array_to_vector' LANGUAGE C IMMUTABLE STRICT;
SELECT array_to_vector(ARRAY[1,2]::int8[], -1, true);
DROP FUNCTION array_to_vector(int8[], integer, boolean);

-- back to an array: implicitly, so that array functions take a vector
SELECT '[1,-2.5]'::vector::real[];
SELECT pg_typeof('[1,2]'::vector::real[]), array_dims('[7,8,9]'::vector::real[]);
SELECT array_to_string('[1,2]'::vector::real[], ';');
SELECT vector_to_float4('[1,2]', 5, true);
SELECT '[1.5,2]'::vector::real[]::float8[];
SELECT v = v::real[]::vector::real[] AS same FROM (SELECT '[0.1,1e-45,-3e38]'::vector::real[] AS v) s;

-- assignment: columns take arrays, expressions do not
CREATE TABLE assigned (v vector(2), a real[]);
INSERT INTO assigned VALUES (ARRAY[1,2], '[3,4]'::vector);
INSERT INTO assigned VALUES (ARRAY[1.5,2]::numeric[], NULL);
INSERT INTO assigned VALUES ('{1,2}'::real[], ARRAY[1,2]);
INSERT INTO assigned VALUES (ARRAY[1,2,3], NULL);
SELECT * FROM assigned;
DROP TABLE assigned;
SELECT ARRAY[1,2] <-> '[3,4]'::vector;
SELECT castsource::regtype, casttarget::regtype, castcontext
FROM pg_cast WHERE 'vector'::regtype IN (castsource, casttarget)
ORDER BY castsource::regtype::text COLLATE "C", casttarget::regtype::text COLLATE "C";

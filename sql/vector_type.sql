-- The type vector: text grammar, every input error, type modifier, storage.
-- SQLSTATEs are shown because clients match on them.
\set VERBOSITY sqlstate

-- numbers as strtof reads them
SELECT '[7]'::vector;
SELECT '[1,-2.5,+3,.5,4.]'::vector;
SELECT '[1e3,1E-3,-1.5e+2,0x10,0x1p-1]'::vector;
SELECT '[0,-0]'::vector;
-- shortest text that reads back as the same float; extra_float_digits does not matter
SELECT '[0.1,0.10000001,16777217,3.4028235e38,1.1754944e-38]'::vector;
SET extra_float_digits = -15;
SELECT '[0.33333334,123456.79]'::vector;
RESET extra_float_digits;
-- rounded once: by way of a double this would be 1
SELECT '[1.000000059604644775390625000000000000001]'::vector;
-- too small becomes subnormal or zero
SELECT '[1e-45,1e-46,-1e-46,1e-400]'::vector;

-- white space between all tokens
SELECT E' \t[  1 ,\t2\n,\r3\x0B,\f4 ]\n '::vector;

-- syntax
SELECT ''::vector;
SELECT '   '::vector;
SELECT '1,2,3'::vector;
SELECT '{1,2,3}'::vector;
SELECT '(1,2,3)'::vector;
SELECT '['::vector;
SELECT '[ '::vector;
SELECT '[1'::vector;
SELECT '[1 '::vector;
SELECT '[1,'::vector;
SELECT '[1,]'::vector;
SELECT '[,1]'::vector;
SELECT '[1,,2]'::vector;
SELECT '[1 2]'::vector;
SELECT '[1;2]'::vector;
SELECT '[a]'::vector;
SELECT '[1a]'::vector;
SELECT '[1,2]3'::vector;
SELECT '[1,2],[3]'::vector;
SELECT '[1,2]]'::vector;
SELECT '[[1,2]]'::vector;
SELECT '[1e]'::vector;
SELECT '[- 1]'::vector;
SELECT '[1'::vector(1);
-- no elements
SELECT '[]'::vector;
SELECT ' [ ] '::vector;
SELECT '[]x'::vector;
-- no finite value
SELECT '[NaN]'::vector;
SELECT '[1,nan,2]'::vector;
SELECT '[nan(1)]'::vector;
SELECT '[Infinity]'::vector;
SELECT '[1,-inf]'::vector;
-- out of range
SELECT '[3.5e38]'::vector;
SELECT '[1,-1e39]'::vector;
SELECT '[1e400]'::vector;

-- the texts of the errors
\set VERBOSITY default
SELECT '1,2'::vector;
SELECT '[1,x]'::vector;
SELECT '[1] [2]'::vector;
SELECT '[]'::vector;
SELECT '[nan]'::vector;
SELECT '[-inf]'::vector;
SELECT '[0, 1e39 ,2]'::vector;
SELECT '[1,2]'::vector(3);
\set VERBOSITY sqlstate

-- where the server has soft errors (16 and later), every error of the input is one
DO $$
DECLARE
	literal text;
	valid boolean;
BEGIN
	IF current_setting('server_version_num')::int < 160000 THEN
		RETURN;
	END IF;
	FOREACH literal IN ARRAY ARRAY['', '[', '[]', '[1', '[1,]', '[x]', '[1]2', '[nan]', '[inf]', '[1e39]',
		'[1,2]', '[' || repeat('1,', 16000) || '1]'] LOOP
		EXECUTE 'SELECT pg_input_is_valid($1, ''vector(3)'')' INTO valid USING literal;
		IF valid THEN
			RAISE WARNING 'taken for valid: %', literal;
		END IF;
	END LOOP;
END $$;

-- limits: 16000 elements, and more commas than that after the bracket are only junk
SELECT vector_dims(('[' || repeat('1,', 15999) || '1]')::vector);
SELECT ('[' || repeat('1,', 16000) || '1]')::vector;
SELECT ('[' || repeat('1,', 20000) || 'x]')::vector;
SELECT ('[1]' || repeat(',', 20000))::vector;

-- type modifier
CREATE TABLE typmod (v vector(3));
SELECT format_type(atttypid, atttypmod), attstorage
FROM pg_attribute WHERE attrelid = 'typmod'::regclass AND attname = 'v';
INSERT INTO typmod VALUES ('[1,2,3]');
INSERT INTO typmod VALUES ('[1,2]');
INSERT INTO typmod VALUES ('[1,2,3,4]');
INSERT INTO typmod SELECT '[1,2]'::vector;
INSERT INTO typmod SELECT '[4,5,6]'::vector;
INSERT INTO typmod VALUES (NULL);
SELECT * FROM typmod;
DROP TABLE typmod;
SELECT '[1,2]'::vector(2);
SELECT '[1,2]'::vector::vector(2);
SELECT '[1,2]'::vector::vector(3);
SELECT '[1,2]'::vector(3)::vector(2);
SELECT vector('[1,2]', 2, true), vector('[1,2]', -1, true);
SELECT '[1]'::vector(16000);
SELECT '[1]'::vector(0);
SELECT '[1]'::vector(-1);
SELECT '[1]'::vector(16001);
SELECT '[1]'::vector(2147483648);
SELECT '[1]'::vector(1,1);
SELECT '[1]'::vector('one');
\set VERBOSITY default
SELECT '[1]'::vector(0);
SELECT '[1]'::vector(16001);
SELECT '[1]'::vector(1,1);
\set VERBOSITY sqlstate

-- arrays of vectors
SELECT ARRAY['[1,2]', '[3]']::vector[];
SELECT '{"[1,2]","[3]"}'::vector[];
SELECT '{"[1,2]","[3]"}'::vector(2)[];

-- storage: plain, packed header, toasted without compression; a slice gives the dimensions
CREATE TABLE stored (id int, v vector);
INSERT INTO stored
SELECT dim, array_agg(i % 100)::vector
FROM unnest(ARRAY[1, 29, 30, 400, 16000]) dim, generate_series(1, dim) i GROUP BY dim;
SELECT id, vector_dims(v), pg_column_size(v), length(v::text), v <-> v FROM stored ORDER BY id;
SELECT typlen, typbyval, typalign, typstorage, typcategory FROM pg_type WHERE typname = 'vector';
SELECT pg_relation_size(reltoastrelid) > 0 FROM pg_class WHERE oid = 'stored'::regclass;
DROP TABLE stored;

-- the kernels in use are one of the levels of the setting
SELECT ann_simd() IN ('scalar', 'avx2', 'avx512', 'neon');
SET ann.simd = scalar;
SELECT ann_simd();
SET ann.simd = none;
\set VERBOSITY default
-- no machine has both
DO $$
DECLARE
	refused int := 0;
	level text;
BEGIN
	FOREACH level IN ARRAY ARRAY['avx2', 'neon'] LOOP
		BEGIN
			PERFORM set_config('ann.simd', level, false);
		EXCEPTION WHEN invalid_parameter_value THEN
			refused := refused + 1;
		END;
	END LOOP;
	RAISE NOTICE 'refused: %', refused > 0;
END $$;
RESET ann.simd;
SELECT ann_simd() IN ('scalar', 'avx2', 'avx512', 'neon');
CREATE ROLE regress_ann_plain;
SET ROLE regress_ann_plain;
SET ann.simd = scalar;
RESET ROLE;
DROP ROLE regress_ann_plain;
-- the prefix is ours
SET ann.no_such_setting = 1;

-- The type halfvec: text grammar, every input error, type modifier, casts, binary form, storage.
-- SQLSTATEs are shown because clients match on them.
\set VERBOSITY sqlstate

-- numbers as strtof reads them, rounded to halves: the nearest, ties to even
SELECT '[7]'::halfvec;
SELECT '[1,-2.5,+3,.5,4.]'::halfvec;
SELECT '[1e3,1E-3,-1.5e+2,0x10,0x1p-1]'::halfvec;
SELECT '[0,-0]'::halfvec;
SELECT '[0.1,1.23456,3.14159]'::halfvec;
SELECT '[2048,2049,2050,2051,2052]'::halfvec;
SELECT '[65504,65519,-65519.99]'::halfvec;
-- the least normal one, the greatest subnormal one, the least; half of that is zero
SELECT '[6.1035156e-05,6.0975552e-05,5.9604645e-08,2.9802323e-08,2.9802326e-08,-1e-8,1e-400]'::halfvec;
SET extra_float_digits = -15;
SELECT '[0.33325195]'::halfvec;
RESET extra_float_digits;
SELECT E' \t[  1 ,\t2\n,\r3\x0B,\f4 ]\n '::halfvec;

-- syntax
SELECT ''::halfvec;
SELECT '1,2,3'::halfvec;
SELECT '{1,2,3}'::halfvec;
SELECT '['::halfvec;
SELECT '[1'::halfvec;
SELECT '[1,'::halfvec;
SELECT '[1,]'::halfvec;
SELECT '[,1]'::halfvec;
SELECT '[1,,2]'::halfvec;
SELECT '[1 2]'::halfvec;
SELECT '[a]'::halfvec;
SELECT '[1a]'::halfvec;
SELECT '[1,2]3'::halfvec;
SELECT '[[1,2]]'::halfvec;
SELECT '[]'::halfvec;
SELECT ' [ ] '::halfvec;
-- no finite value, out of range
SELECT '[NaN]'::halfvec;
SELECT '[1,-inf]'::halfvec;
SELECT '[65520]'::halfvec;
SELECT '[1,-65520]'::halfvec;
SELECT '[1e39]'::halfvec;
SELECT '[1e400]'::halfvec;

-- the texts of the errors
\set VERBOSITY default
SELECT '1,2'::halfvec;
SELECT '[1,x]'::halfvec;
SELECT '[1] [2]'::halfvec;
SELECT '[]'::halfvec;
SELECT '[nan]'::halfvec;
SELECT '[-inf]'::halfvec;
SELECT '[0, 65520 ,2]'::halfvec;
SELECT '[4e38]'::halfvec;
SELECT '[1,2]'::halfvec(3);
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
		'[65520,1,1]', '[1,2]', '[' || repeat('1,', 16000) || '1]'] LOOP
		EXECUTE 'SELECT pg_input_is_valid($1, ''halfvec(3)'')' INTO valid USING literal;
		IF valid THEN
			RAISE WARNING 'taken for valid: %', literal;
		END IF;
	END LOOP;
END $$;

-- limits
SELECT vector_dims(('[' || repeat('1,', 15999) || '1]')::halfvec);
SELECT ('[' || repeat('1,', 16000) || '1]')::halfvec;
SELECT ('[1]' || repeat(',', 20000))::halfvec;

-- every number comes back from its text
SELECT count(*), count(DISTINCT v), count(*) FILTER (WHERE v::text::halfvec::text = v::text) AS same
FROM (
	SELECT ARRAY[s * f * power(2::float8, e)]::float8[]::halfvec AS v
	FROM generate_series(1024, 2047) f, generate_series(-24, 5) e, unnest(ARRAY[-1, 1]) s
) h;

-- type modifier
CREATE TABLE typmod (v halfvec(3));
SELECT format_type(atttypid, atttypmod), attstorage
FROM pg_attribute WHERE attrelid = 'typmod'::regclass AND attname = 'v';
INSERT INTO typmod VALUES ('[1,2,3]');
INSERT INTO typmod VALUES ('[1,2]');
INSERT INTO typmod SELECT '[1,2]'::halfvec;
INSERT INTO typmod SELECT '[4,5,6]'::halfvec;
INSERT INTO typmod SELECT '[1,2]'::vector;
INSERT INTO typmod SELECT '[7,8,9]'::vector;
INSERT INTO typmod VALUES (ARRAY[1,2,3]), (ARRAY[1.5,2,3]::real[]), (NULL);
INSERT INTO typmod VALUES (ARRAY[1,2]);
SELECT * FROM typmod;
DROP TABLE typmod;
SELECT '[1,2]'::halfvec::halfvec(2);
SELECT '[1,2]'::halfvec::halfvec(3);
SELECT halfvec('[1,2]', 2, true), halfvec('[1,2]', -1, true);
SELECT '[1]'::halfvec(16000);
SELECT '[1]'::halfvec(-1);
SELECT '[1]'::halfvec('one');
\set VERBOSITY default
SELECT '[1]'::halfvec(0);
SELECT '[1]'::halfvec(16001);
SELECT '[1]'::halfvec(1,1);
\set VERBOSITY sqlstate
SELECT '{"[1,2]","[3]"}'::halfvec[];
SELECT '{"[1,2]","[3]"}'::halfvec(2)[];

-- from arrays
SELECT ARRAY[1,2,-3]::halfvec, ARRAY[1.5,-2]::real[]::halfvec, ARRAY[0.1,2049]::float8[]::halfvec,
	ARRAY[1.5,-2]::numeric[]::halfvec;
SELECT '[5:6]={1,2}'::int[]::halfvec, (ARRAY[NULL,1.5,2]::float8[])[2:3]::halfvec;
SELECT ARRAY[1,2]::halfvec(2), array_to_halfvec(ARRAY[1,2], -1, true);
SELECT array_fill(1, ARRAY[16001])::halfvec;
SELECT '{1}'::int8[]::halfvec;
\set VERBOSITY default
SELECT ARRAY[1,2]::halfvec(3);
SELECT '{}'::int[]::halfvec;
SELECT '{{1,2},{3,4}}'::real[]::halfvec;
SELECT '{1,NULL}'::int[]::halfvec;
SELECT '{NaN}'::real[]::halfvec;
SELECT '{-Infinity}'::float8[]::halfvec;
SELECT '{1e39}'::float8[]::halfvec;
SELECT '{1e39}'::numeric[]::halfvec;
SELECT '{65520}'::int[]::halfvec;
SELECT '{1,-65520.5}'::real[]::halfvec;
SELECT '{65520}'::float8[]::halfvec;
SELECT '{65520}'::numeric[]::halfvec;
SELECT array_fill(1, ARRAY[16001])::halfvec;
CREATE FUNCTION array_to_halfvec(int8[], integer, boolean) RETURNS halfvec
	AS '$libdir/ann', 'ann_array_to_halfvec' LANGUAGE C IMMUTABLE STRICT;
SELECT array_to_halfvec(ARRAY[1,2]::int8[], -1, true);
DROP FUNCTION array_to_halfvec(int8[], integer, boolean);

-- to an array, from and to vector
SELECT '[1,-2.5,0.1]'::halfvec::real[], pg_typeof('[1,2]'::halfvec::real[]), halfvec_to_float4('[1,2]', 5, true);
SELECT '[1,-2.5,0.1,65504]'::halfvec::vector, '[1,2]'::halfvec::vector(2), halfvec_to_vector('[1,2]', -1, true);
SELECT '[1,-2.5,0.1,65519]'::vector::halfvec, '[1,2]'::vector::halfvec(2), vector_to_halfvec('[1,2]', -1, true);
SELECT '[1,2]'::halfvec::vector(3);
SELECT '[1,2]'::vector::halfvec(3);
SELECT '[1,65520]'::vector::halfvec;
SELECT '[1,-3e38]'::vector::halfvec;
SELECT castsource::regtype, casttarget::regtype, castcontext
FROM pg_cast WHERE 'halfvec'::regtype IN (castsource, casttarget)
ORDER BY castsource::regtype::text COLLATE "C", casttarget::regtype::text COLLATE "C";

-- storage: plain, packed header, toasted without compression; a slice gives the dimensions
CREATE TABLE stored (id int, v halfvec);
INSERT INTO stored
SELECT dim, array_agg(i % 100)::halfvec
FROM unnest(ARRAY[1, 61, 62, 800, 16000]) dim, generate_series(1, dim) i GROUP BY dim;
SELECT id, vector_dims(v), pg_column_size(v), length(v::text), v <-> v AS l2 FROM stored ORDER BY id;
SELECT typlen, typbyval, typalign, typstorage, typcategory FROM pg_type WHERE typname = 'halfvec';

-- COPY round trips
SELECT current_setting('data_directory') || '/ann_halfvec_copy' AS path \gset
INSERT INTO stored VALUES (-1, NULL), (-2, '[-0,5.9604645e-08,-65504,0.1]');
CREATE TABLE target (id int, v halfvec);
COPY stored TO :'path';
COPY target FROM :'path';
SELECT count(*), bool_and(s.v::text IS NOT DISTINCT FROM t.v::text) FROM stored s JOIN target t USING (id);
TRUNCATE target;
COPY stored TO :'path' (FORMAT binary);
COPY target FROM :'path' (FORMAT binary);
SELECT count(*), bool_and(s.v::text IS NOT DISTINCT FROM t.v::text) FROM stored s JOIN target t USING (id);

-- the bytes: int16 dimensions, int16 zero, halves, all in network order
SELECT halfvec_send('[1,-2]'), halfvec_send('[0.5]'), halfvec_send('[65504,5.9604645e-08]');

-- A binary file with one row of one column that holds these bytes: signature, flags, extension, number
-- of columns, length, bytes, end.
CREATE TABLE received (v halfvec);
CREATE TABLE received_narrow (v halfvec(2));
CREATE FUNCTION receive(bytes bytea, relation regclass DEFAULT 'received') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	path text := current_setting('data_directory') || '/ann_halfvec_copy';
	file bytea := '\x5047434f50590aff0d0a00' || int4send(0) || int4send(0) || int2send(1::int2) ||
		int4send(length(bytes)) || bytes || int2send((-1)::int2);
	object oid := lo_from_bytea(0, file);
	result text;
BEGIN
	PERFORM lo_export(object, path);
	PERFORM lo_unlink(object);
	EXECUTE format('TRUNCATE %s', relation);
	BEGIN
		EXECUTE format('COPY %s FROM %L (FORMAT binary)', relation, path);
	EXCEPTION WHEN OTHERS THEN
		RETURN SQLSTATE || ' ' || SQLERRM;
	END;
	EXECUTE format('SELECT v::text FROM %s', relation) INTO result;
	RETURN result;
END $$;
SELECT receive('\x000200003c00c000') AS good;
SELECT receive('\x000200003c00c000', 'received_narrow') AS good;
SELECT receive('\x000100003c00', 'received_narrow') AS other_dimensions;
SELECT receive('\x000000003c00') AS no_dimension;
SELECT receive('\xffff00003c00') AS negative;
SELECT receive('\x3e8100003c00') AS too_many_by_one;
SELECT receive('\x000100013c00') AS unused_set;
SELECT receive('\x0001ffff3c00') AS unused_all_set;
SELECT receive('\x000100007e00') AS nan;
SELECT receive('\x000100007c00') AS infinite;
SELECT receive('\x00010000fc00') AS negative_infinite;
SELECT receive('\x000100000001') AS subnormal;
SELECT receive('\x000200003c00') AS too_short;
SELECT receive('\x00010000') AS no_element;
SELECT receive('\x0001') AS no_header;
SELECT receive('\x') AS empty;
SELECT receive('\x000100003c003c00') AS too_long;
DROP FUNCTION receive;
SELECT 'rm ' || quote_literal(:'path') AS cleanup \gset
COPY (SELECT) TO PROGRAM :'cleanup';
DROP TABLE stored, target, received, received_narrow;

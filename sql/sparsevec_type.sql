-- The type sparsevec: text and binary form, every input error, type modifier, storage, casts.
-- SQLSTATEs are shown because clients match on them.
\set VERBOSITY sqlstate

SELECT '{1:1.5,3:2}/5'::sparsevec;
SELECT '{}/5'::sparsevec, '{}/1'::sparsevec, '{1:1}/1'::sparsevec;
-- values as strtof reads them, indices as strtol
SELECT '{1:1,2:-2.5,3:+3,4:.5,5:4.,6:1e3,7:0x10}/9'::sparsevec;
SELECT '{+1:1,02:2}/+003'::sparsevec;
-- indices in any order
SELECT '{5:5,1:1,3:3}/5'::sparsevec, '{2:1,1:1}/2'::sparsevec;
-- zeroes are dropped, whatever their index
SELECT '{1:0,2:1,3:-0}/3'::sparsevec, '{1:0,1:1,9:0,-7:0}/2'::sparsevec;
-- shortest text that reads back as the same float; extra_float_digits does not matter
SELECT '{1:0.1,2:0.10000001,3:16777217,4:3.4028235e38,5:-1.1754944e-38}/5'::sparsevec;
SET extra_float_digits = -15;
SELECT '{1:0.33333334,2:123456.79}/2'::sparsevec;
RESET extra_float_digits;
-- rounded once: by way of a double this would be 1
SELECT '{1:1.000000059604644775390625000000000000001}/1'::sparsevec;
-- too small becomes subnormal or zero
SELECT '{1:1e-45,2:0,3:-0e-400}/3'::sparsevec;
SELECT '{1:1e-46}/3'::sparsevec;
SELECT '{1:-1e-400}/3'::sparsevec;
-- the longest indices and numbers
SELECT '{999999999:-1.17549435e-38,1000000000:-1.17549435e-38}/1000000000'::sparsevec;

-- white space between all tokens
SELECT E' \t{  1 :\t2\n,\r3\x0B:\f4 } / \n 5\n '::sparsevec, '{ }/1'::sparsevec;

-- syntax
SELECT ''::sparsevec;
SELECT '   '::sparsevec;
SELECT '1:1/2'::sparsevec;
SELECT '[1,2]'::sparsevec;
SELECT '{'::sparsevec;
SELECT '{ '::sparsevec;
SELECT '{:'::sparsevec;
SELECT '{,'::sparsevec;
SELECT '{1'::sparsevec;
SELECT '{1:'::sparsevec;
SELECT '{1:1'::sparsevec;
SELECT '{1:1,'::sparsevec;
SELECT '{}'::sparsevec;
SELECT '{1:1}'::sparsevec;
SELECT '{1:1} 2'::sparsevec;
SELECT '{}/'::sparsevec;
SELECT '{}/ '::sparsevec;
SELECT '{}/1a'::sparsevec;
SELECT '{}/1.5'::sparsevec;
SELECT '{}/1 2'::sparsevec;
SELECT '{}}/1'::sparsevec;
SELECT '{{}}/1'::sparsevec;
SELECT '{:}/1'::sparsevec;
SELECT '{,}/1'::sparsevec;
SELECT '{1}/1'::sparsevec;
SELECT '{1,}/1'::sparsevec;
SELECT '{:1}/1'::sparsevec;
SELECT '{1:}/1'::sparsevec;
SELECT '{a:1}/1'::sparsevec;
SELECT '{1a:1}/1'::sparsevec;
SELECT '{1.5:1}/2'::sparsevec;
SELECT '{1:1a}/1'::sparsevec;
SELECT '{1:1,}/1'::sparsevec;
SELECT '{,1:1}/1'::sparsevec;
SELECT '{1:1,,2:1}/2'::sparsevec;
SELECT '{1:1 2:1}/2'::sparsevec;
SELECT '{1:1;2:1}/2'::sparsevec;
SELECT '{- 1:1}/2'::sparsevec;
SELECT '{1:1'::sparsevec(1);
-- no finite value
SELECT '{1:NaN,2:1}/2'::sparsevec;
SELECT '{1:Infinity}/2'::sparsevec;
SELECT '{1:-inf}/2'::sparsevec;
-- out of range
SELECT '{1:3.5e38}/1'::sparsevec;
SELECT '{1:-1e400}/1'::sparsevec;
-- indices
SELECT '{0:1}/1'::sparsevec;
SELECT '{-1:1}/1'::sparsevec;
SELECT '{2:1}/1'::sparsevec;
SELECT '{1:1,2:1}/1'::sparsevec;
SELECT '{2147483647:1}/1'::sparsevec;
SELECT '{2147483648:1}/1'::sparsevec;
SELECT '{-2147483647:1}/1'::sparsevec;
SELECT '{-2147483648:1}/1'::sparsevec;
SELECT '{9223372036854775808:1}/1'::sparsevec;
SELECT '{-9223372036854775809:1}/1'::sparsevec;
SELECT '{1:1,1:1}/2'::sparsevec;
SELECT '{1:1,2:1,1:1}/2'::sparsevec;
-- dimensions
SELECT '{}/0'::sparsevec;
SELECT '{}/-1'::sparsevec;
SELECT '{}/1000000001'::sparsevec;
SELECT '{}/2147483648'::sparsevec;
SELECT '{}/-2147483649'::sparsevec;
SELECT '{}/9223372036854775808'::sparsevec;
SELECT '{}/-9223372036854775809'::sparsevec;

-- the texts of the errors
\set VERBOSITY default
SELECT '1:2/3'::sparsevec;
SELECT '{1:hello,2:1}/2'::sparsevec;
SELECT '{1:2}'::sparsevec;
SELECT '{1:2}/2 3'::sparsevec;
SELECT '{1:nan}/2'::sparsevec;
SELECT '{1:inf}/2'::sparsevec;
SELECT '{1: 4e38 ,2:1}/2'::sparsevec;
SELECT '{0:1}/1'::sparsevec;
SELECT '{1:1,1:1}/2'::sparsevec;
SELECT '{}/0'::sparsevec;
SELECT '{}/1000000001'::sparsevec;
SELECT '{}/3'::sparsevec(2);
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
	FOREACH literal IN ARRAY ARRAY['', '{', '{}', '{1', '{1:', '{1:1', '{1:1,}', '{1:x}/3', '{}/x', '{}/3x',
		'{1:nan}/3', '{1:inf}/3', '{1:1e39}/3', '{0:1}/3', '{4:1}/3', '{1:1,1:1}/3', '{}/0', '{}/1000000001',
		'{}/2', '{' || (SELECT string_agg(i || ':1', ',') FROM generate_series(1, 16001) i) || '}/3'] LOOP
		EXECUTE 'SELECT pg_input_is_valid($1, ''sparsevec(3)'')' INTO valid USING literal;
		IF valid THEN
			RAISE WARNING 'taken for valid: %', literal;
		END IF;
	END LOOP;
END $$;

-- limits: 16000 elements that are not zero, any number of zeroes
\set VERBOSITY default
SELECT sum(l2_norm(v::sparsevec) ^ 2)
FROM (SELECT '{' || string_agg(i || ':1', ',') || '}/1000000000' AS v FROM generate_series(1, 16000) i) s;
SELECT sum(l2_norm(v::sparsevec) ^ 2)
FROM (SELECT '{' || string_agg(i || ':' || i / 20001, ',') || '}/40000' AS v FROM generate_series(1, 36000) i) s;
SELECT v::sparsevec
FROM (SELECT '{' || string_agg(i || ':1', ',') || '}/1000000000' AS v FROM generate_series(1, 16001) i) s;
SELECT v::sparsevec
FROM (SELECT '{' || string_agg(i || ':1', ',') || '}/16000' AS v FROM generate_series(1, 16001) i) s;
\set VERBOSITY sqlstate
SELECT v::sparsevec
FROM (SELECT '{' || string_agg(i || ':1', ',') || '}/1000000000' AS v FROM generate_series(1, 16001) i) s;

-- type modifier
CREATE TABLE typmod (v sparsevec(3));
SELECT format_type(atttypid, atttypmod), attstorage
FROM pg_attribute WHERE attrelid = 'typmod'::regclass AND attname = 'v';
INSERT INTO typmod VALUES ('{1:1}/3'), (NULL);
INSERT INTO typmod VALUES ('{1:1}/2');
INSERT INTO typmod VALUES ('{}/4');
INSERT INTO typmod SELECT '{1:1}/2'::sparsevec;
INSERT INTO typmod SELECT '{2:1}/3'::sparsevec;
SELECT * FROM typmod;
DROP TABLE typmod;
SELECT '{1:1}/2'::sparsevec::sparsevec(2);
SELECT '{1:1}/2'::sparsevec::sparsevec(3);
SELECT '{1:1}/2'::sparsevec(3)::sparsevec(2);
SELECT sparsevec('{1:1}/2', 2, true), sparsevec('{1:1}/2', -1, true);
SELECT '{}/1000000000'::sparsevec(1000000000);
SELECT '{}/1'::sparsevec(0);
SELECT '{}/1'::sparsevec(-1);
SELECT '{}/1'::sparsevec(1000000001);
SELECT '{}/1'::sparsevec(2147483648);
SELECT '{}/3'::sparsevec(3,2);
SELECT '{}/3'::sparsevec('a');
\set VERBOSITY default
SELECT '{}/1'::sparsevec(0);
SELECT '{}/1'::sparsevec(1000000001);
SELECT '{}/1'::sparsevec(1,1);

-- arrays of sparsevecs
SELECT '{"{1:1,2:2}/2","{}/3"}'::sparsevec[];

-- casts from vector, which is implicit, and back, which is not
SELECT '[0,1.5,0,-3.5,0]'::vector::sparsevec, '[0,-0]'::vector::sparsevec, '[1]'::vector::sparsevec(1);
SELECT '[0,1.5,0,3.5,0]'::vector::sparsevec(4);
SELECT '{2:1.5,4:-3.5}/5'::sparsevec::vector, '{}/2'::sparsevec::vector(2), '{1:1e-45}/1'::sparsevec::vector;
SELECT '{2:1.5,4:3.5}/5'::sparsevec::vector(4);
SELECT '{}/16001'::sparsevec::vector;
SELECT '{16000:1}/16000'::sparsevec::vector::sparsevec, l2_norm(array_fill(1, ARRAY[16000])::vector::sparsevec) ^ 2;
SELECT vector_to_sparsevec('[0,1]', -1, true), sparsevec_to_vector('{2:1}/2', -1, true);
SELECT '[3,0]'::vector <-> '{2:4}/2'::sparsevec AS implicit;

-- casts from arrays
SELECT ARRAY[1,0,2,0,3,0]::sparsevec, '{0,-1.5}'::real[]::sparsevec, '{0,-1.5}'::float8[]::sparsevec,
	'{0,-1.5,0.0}'::numeric[]::sparsevec, '{0,-0}'::real[]::sparsevec;
SELECT '{0.1,16777217,1e-50}'::float8[]::sparsevec, '[5:6]={1,2}'::int[]::sparsevec;
SELECT '{1,0,2}'::real[]::sparsevec(3), array_to_sparsevec(ARRAY[0,1], -1, true);
SELECT (ARRAY[NULL,1,2]::int[])[2:3]::sparsevec, (ARRAY[1,2,NULL]::real[])[1:2]::sparsevec,
	(ARRAY[NULL,1.5]::numeric[])[2:2]::sparsevec;
SELECT array_cat(array_fill(0, ARRAY[100000]), ARRAY[7])::sparsevec;
SELECT '{1,0,2}'::real[]::sparsevec(2);
SELECT '{}'::real[]::sparsevec;
SELECT '{{1}}'::real[]::sparsevec;
SELECT '{1,NULL}'::int[]::sparsevec;
SELECT '{NaN}'::real[]::sparsevec;
SELECT '{-Infinity}'::float8[]::sparsevec;
SELECT '{NaN}'::numeric[]::sparsevec;
SELECT '{1e39}'::float8[]::sparsevec;
SELECT '{1e39}'::numeric[]::sparsevec;
SELECT array_fill(1, ARRAY[16001])::sparsevec;
SELECT '{1}'::int8[]::sparsevec;
\set VERBOSITY sqlstate
SELECT '{}'::real[]::sparsevec;
SELECT '{{1}}'::real[]::sparsevec;
SELECT '{1,NULL}'::int[]::sparsevec;
SELECT '{NaN}'::real[]::sparsevec;
SELECT '{1e39}'::numeric[]::sparsevec;
SELECT array_fill(1, ARRAY[16001])::sparsevec;
SELECT '{}/16001'::sparsevec::vector;
SELECT '{}/3'::sparsevec::vector(2);
\set VERBOSITY default
-- a function over another array type has no elements that we know
CREATE FUNCTION array_to_sparsevec(int8[], integer, boolean) RETURNS sparsevec
	AS '$libdir/ann', 'ann_array_to_sparsevec' LANGUAGE C IMMUTABLE STRICT;
SELECT array_to_sparsevec(ARRAY[1,2]::int8[], -1, true);
DROP FUNCTION array_to_sparsevec(int8[], integer, boolean);
-- assignment: columns take arrays and vectors
CREATE TABLE assigned (s sparsevec(2), v vector(2));
INSERT INTO assigned VALUES (ARRAY[0,2], '{1:3}/2'::sparsevec), ('[3,0]'::vector, NULL);
INSERT INTO assigned VALUES (ARRAY[0,2,3], NULL);
INSERT INTO assigned VALUES ('[1]'::vector, NULL);
SELECT * FROM assigned;
DROP TABLE assigned;
SELECT castsource::regtype, casttarget::regtype, castcontext
FROM pg_cast WHERE 'sparsevec'::regtype IN (castsource, casttarget)
	AND (castsource = ANY ('{int4[],real[],float8[],numeric[],vector,sparsevec}'::regtype[])
		AND casttarget = ANY ('{vector,sparsevec}'::regtype[]))
ORDER BY castsource::regtype::text COLLATE "C", casttarget::regtype::text COLLATE "C";

-- storage: plain, packed header, toasted without compression
CREATE TABLE stored (id int, v sparsevec);
INSERT INTO stored
SELECT nnz, ('{' || string_agg(i || ':' || i % 100 + 1, ',') || '}/20000')::sparsevec
FROM unnest(ARRAY[1, 13, 14, 400, 16000]) nnz, generate_series(1, nnz) i GROUP BY nnz;
SELECT id, pg_column_size(v), length(v::text), v <-> v AS self, v = v AS same FROM stored ORDER BY id;
SELECT typlen, typbyval, typalign, typstorage, typcategory FROM pg_type WHERE typname = 'sparsevec';
SELECT pg_relation_size(reltoastrelid) > 0 FROM pg_class WHERE oid = 'stored'::regclass;

-- the bytes: int32 dimensions, elements, zero; indices from 0; floats; all in network order
SELECT sparsevec_send('{1:1,3:-2}/5'), sparsevec_send('{}/1000000000');

-- COPY, text and binary; one file, written and read by the server
SELECT current_setting('data_directory') || '/ann_sparsevec_copy' AS path \gset
INSERT INTO stored VALUES
	(-1, NULL), (-2, '{}/1'), (-3, '{1:3.4028235e38,2:-1e-45,1000000000:0.1}/1000000000');
CREATE TABLE target (id int, v sparsevec);
COPY stored TO :'path';
COPY target FROM :'path';
SELECT count(*), bool_and(s.v::text IS NOT DISTINCT FROM t.v::text) FROM stored s JOIN target t USING (id);
TRUNCATE target;
COPY stored TO :'path' (FORMAT binary);
COPY target FROM :'path' (FORMAT binary);
SELECT count(*), bool_and(s.v::text IS NOT DISTINCT FROM t.v::text) FROM stored s JOIN target t USING (id);
DROP TABLE stored, target;

-- A binary file with one row of one column that holds these bytes: signature, flags, extension, number
-- of columns, length, bytes, end. COPY writes it from a bytea, as the client has no binary to send.
CREATE TABLE received (v sparsevec);
CREATE TABLE received_narrow (v sparsevec(2));
CREATE FUNCTION receive(bytes bytea, relation regclass DEFAULT 'received') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	path text := current_setting('data_directory') || '/ann_sparsevec_copy';
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
SELECT receive('\x000000020000000100000000000000013f800000') AS good;
SELECT receive('\x000000020000000000000000', 'received_narrow') AS good;
SELECT receive('\x000000030000000000000000', 'received_narrow') AS other_dimensions;
SELECT receive('\x000000000000000000000000') AS no_dimension;
SELECT receive('\xffffffff0000000000000000') AS negative_dimensions;
SELECT receive('\x3b9aca010000000000000000') AS too_many_dimensions;
SELECT receive('\x00000002ffffffff00000000') AS negative_elements;
SELECT receive('\x3b9aca0000003e8100000000') AS too_many_elements;
SELECT receive('\x3b9aca007fffffff00000000') AS far_too_many_elements;
SELECT receive('\x000000010000000200000000') AS more_than_dimensions;
SELECT receive('\x000000020000000000000001') AS unused_set;
SELECT receive('\x000000020000000100000000ffffffff3f800000') AS index_below;
SELECT receive('\x000000020000000100000000000000023f800000') AS index_above;
SELECT receive('\x00000002000000020000000000000001000000003f8000003f800000') AS descending;
SELECT receive('\x00000002000000020000000000000001000000013f8000003f800000') AS twice;
SELECT receive('\x0000000200000001000000000000000100000000') AS zero;
SELECT receive('\x0000000200000001000000000000000180000000') AS negative_zero;
SELECT receive('\x000000020000000100000000000000017fc00000') AS nan;
SELECT receive('\x00000002000000010000000000000001ff800000') AS infinite;
SELECT receive('\x0000000200000001000000000000000100000001') AS subnormal;
SELECT receive('\x00000002000000010000000000000001') AS no_value;
SELECT receive('\x000000020000000100000000') AS no_index;
SELECT receive('\x00000002') AS no_header;
SELECT receive('\x') AS empty;
SELECT receive('\x000000020000000100000000000000013f8000003f800000') AS too_long;
DROP FUNCTION receive;
SELECT 'rm ' || quote_literal(:'path') AS cleanup \gset
COPY (SELECT WHERE false) TO PROGRAM :'cleanup';
DROP TABLE received, received_narrow;

-- casts to and from halfvec
SELECT '{1:1.5,3:-2}/4'::sparsevec::halfvec, '[0,1.5,-0,3]'::halfvec::sparsevec, '{}/3'::sparsevec::halfvec;
SELECT '{1:1.0004883}/2'::sparsevec::halfvec AS rounded, '[1,2]'::halfvec::sparsevec(2);
SELECT '{1:70000}/2'::sparsevec::halfvec;
SELECT '{1:1}/16001'::sparsevec::halfvec;
SELECT '{1:1}/3'::sparsevec::halfvec(2);
SELECT '[1,2]'::halfvec::sparsevec(3);

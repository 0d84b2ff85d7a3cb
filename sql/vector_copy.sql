-- COPY round trips, text and binary; the binary format byte by byte; damaged binary input.

-- one file, overwritten by each part; the server writes and reads it
SELECT current_setting('data_directory') || '/ann_vector_copy' AS path \gset
CREATE TABLE source (id int, v vector);
INSERT INTO source VALUES
	(1, '[1,2,3]'), (2, NULL), (3, '[-0]'), (4, '[3.4028235e38,-1e-45,0.1]'),
	(5, array_fill(0.5, ARRAY[16000])::vector);
CREATE TABLE target (id int, v vector);

COPY source TO :'path';
COPY target FROM :'path';
SELECT count(*), bool_and(s.v::text IS NOT DISTINCT FROM t.v::text) FROM source s JOIN target t USING (id);
TRUNCATE target;
COPY source TO :'path' (FORMAT csv);
COPY target FROM :'path' (FORMAT csv);
SELECT count(*), bool_and(s.v::text IS NOT DISTINCT FROM t.v::text) FROM source s JOIN target t USING (id);
TRUNCATE target;
COPY source TO :'path' (FORMAT binary);
COPY target FROM :'path' (FORMAT binary);
SELECT count(*), bool_and(s.v::text IS NOT DISTINCT FROM t.v::text) FROM source s JOIN target t USING (id);
TRUNCATE target;

-- a column with a type modifier
CREATE TABLE narrow (id int, v vector(2));
COPY narrow FROM STDIN;
1	[1,2]
2	\N
\.
COPY narrow FROM STDIN;
3	[1]
\.
COPY narrow FROM STDIN;
4	[1,
\.
COPY narrow FROM :'path' (FORMAT binary);
SELECT * FROM narrow ORDER BY id;
DROP TABLE narrow;

-- the bytes: int16 dimensions, int16 zero, floats, all in network order
SELECT vector_send('[1,-2]'), vector_send('[0.5]');

-- A binary file with one row of one column that holds these bytes: signature, flags, extension, number
-- of columns, length, bytes, end. COPY writes it from a bytea, as the client has no binary to send.
CREATE TABLE received (v vector);
CREATE TABLE received_narrow (v vector(2));
CREATE FUNCTION receive(bytes bytea, relation regclass DEFAULT 'received') RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
	path text := current_setting('data_directory') || '/ann_vector_copy';
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
SELECT receive('\x000200003f800000c0000000') AS good;
SELECT receive('\x000200003f800000c0000000', 'received_narrow') AS good;
SELECT receive('\x000100003f800000', 'received_narrow') AS other_dimensions;
SELECT receive('\x000000003f800000') AS no_dimension;
SELECT receive('\xffff00003f800000') AS too_many;
SELECT receive('\x3e8100003f800000') AS too_many_by_one;
SELECT receive('\x000100013f800000') AS unused_set;
SELECT receive('\x0001ffff3f800000') AS unused_all_set;
SELECT receive('\x000100007fc00000') AS nan;
SELECT receive('\x000100007f800000') AS infinite;
SELECT receive('\x00010000ff800000') AS negative_infinite;
SELECT receive('\x0001000000000001') AS subnormal;
SELECT receive('\x000200003f800000') AS too_short;
SELECT receive('\x00010000') AS no_element;
SELECT receive('\x0001') AS no_header;
SELECT receive('\x') AS empty;
SELECT receive('\x000100003f8000003f800000') AS too_long;
DROP FUNCTION receive;
SELECT 'rm ' || quote_literal(:'path') AS cleanup \gset
COPY (SELECT WHERE false) TO PROGRAM :'cleanup';
DROP TABLE source, target, received, received_narrow;

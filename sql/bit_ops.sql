-- Distances of the server's own type bit.

SELECT B'1010' <~> B'0011' AS hamming, B'1010' <%> B'0011' AS jaccard;
-- operators and functions are the same; argument types are found from unknown literals
SELECT hamming_distance('1010', '0011') AS hamming, jaccard_distance('1010', '0011') AS jaccard;

-- Hamming: equal, all different, symmetric
SELECT hamming_distance('111', '111') AS none, hamming_distance('111', '110') AS one,
	hamming_distance('111', '000') AS all, hamming_distance('', '') AS empty;
-- Jaccard: 1 where no bit is common, zeroes and no bits at all included
SELECT jaccard_distance('1111', '1111') AS same, jaccard_distance('1111', '1110') AS most,
	jaccard_distance('1100', '1000') AS half, jaccard_distance('1111', '1000') AS quarter,
	jaccard_distance('1111', '0000') AS one_zero, jaccard_distance('0000', '0000') AS zero,
	jaccard_distance('1100', '0011') AS none, jaccard_distance('', '') AS empty;
SELECT bool_and((a <~> b) = (b <~> a)) AS hamming, bool_and((a <%> b) = (b <%> a)) AS jaccard
FROM (SELECT i::bit(7) AS a, j::bit(7) AS b FROM generate_series(0, 127) i, generate_series(0, 127) j) s;

-- every length across words and chunks, against a count bit by bit
SELECT count(*) AS lengths, bool_and(a <~> b = differ) AS hamming,
	bool_and(a <%> b = CASE common WHEN 0 THEN 1 ELSE 1 - common::float8 / either END) AS jaccard
FROM (
	SELECT len, string_agg(x::text, '' ORDER BY i)::varbit AS a, string_agg(y::text, '' ORDER BY i)::varbit AS b,
		sum(x # y) AS differ, sum(x & y) AS common, sum(x | y) AS either
	FROM (
		SELECT len, i, (i * 7 + len) % 3 / 2 AS x, (i * 5 + len) % 11 / 6 AS y
		FROM unnest(ARRAY[1, 7, 8, 9, 63, 64, 65, 71, 72, 127, 128, 129, 511, 512, 513, 4095, 4096, 4097,
			4103, 4160, 8191, 8192, 8193, 12345]) len, generate_series(1, len) i
	) bits
	GROUP BY len
) s;
-- only the last bit of a long string
SELECT n, (repeat('0', n) || '1')::varbit <~> (repeat('0', n) || '0')::varbit AS hamming
FROM unnest(ARRAY[62, 63, 64, 4094, 4095, 4096, 100000]) n;

-- bit varying is taken for bit
SELECT B'101'::varbit <~> B'111'::varbit AS hamming, B'101' <%> B'111'::varbit AS jaccard,
	hamming_distance('111', '000'::varbit(4)) AS shorter_than_allowed;

-- different lengths
SELECT hamming_distance('111', '00');
SELECT jaccard_distance('1111', '000');
SELECT B'1' <~> B''::varbit;
SELECT B'1' <%> B'00000000';
\set VERBOSITY sqlstate
SELECT B'111' <~> B'00';
SELECT B'111' <%> B'00';
\set VERBOSITY default

-- NULL
SELECT hamming_distance(NULL, B'1') AS hamming, jaccard_distance(B'1', NULL) AS jaccard;

-- packed, compressed and toasted arguments give the same as plain ones; the order of a query
CREATE TABLE stored (len int, v varbit);
INSERT INTO stored SELECT len, repeat('01', len / 2)::varbit FROM unnest(ARRAY[8, 800, 80000, 800000]) len;
ALTER TABLE stored ALTER v SET STORAGE external;
INSERT INTO stored SELECT len, repeat('01', len / 2)::varbit FROM unnest(ARRAY[80000]) len;
SELECT len, v <~> ~v AS hamming, v <%> v AS same, v <%> ~v AS jaccard FROM stored ORDER BY len;
DROP TABLE stored;
SELECT v FROM (VALUES (B'1111'), (B'0000'), (NULL), (B'0001'), (B'0111')) t (v) ORDER BY v <~> B'0011', v;

-- what the planner knows
SELECT oprname, oprcode, oprcom = oid AS commutes, oprresult::regtype
FROM pg_operator WHERE oprleft = 'bit'::regtype AND oprname IN ('<~>', '<%>') ORDER BY oprname COLLATE "C";
SELECT proname, provolatile, proisstrict, proparallel, procost
FROM pg_proc WHERE proname IN ('hamming_distance', 'jaccard_distance') ORDER BY proname;

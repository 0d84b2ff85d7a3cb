-- Distances, norm, order and hash of sparsevec. All values are such that every sum is exact.

SELECT '{}/2'::sparsevec <-> '{1:3,2:4}/2';
SELECT '{1:1,2:2,3:3}/3'::sparsevec <#> '{1:4,2:5,3:6}/3';
SELECT '{1:3,2:4}/2'::sparsevec <=> '{1:4,2:3}/2';
SELECT '{1:1,2:-2}/2'::sparsevec <+> '{1:-3,2:4}/2';
-- operators and functions are the same
SELECT l2_distance('{}/2'::sparsevec, '{1:3,2:4}/2') AS l2,
	inner_product('{1:1,2:2,3:3}/3'::sparsevec, '{1:4,2:5,3:6}/3') AS ip,
	cosine_distance('{1:3,2:4}/2'::sparsevec, '{1:4,2:3}/2') AS cosine,
	l1_distance('{1:1,2:-2}/2'::sparsevec, '{1:-3,2:4}/2') AS l1,
	sparsevec_l2_squared_distance('{}/2', '{1:3,2:4}/2') AS l2_squared,
	sparsevec_negative_inner_product('{1:1,2:2,3:3}/3', '{1:4,2:5,3:6}/3') AS negative_ip;

-- elements that one has and the other has not, on either side
SELECT l2_distance('{1:3}/2'::sparsevec, '{2:4}/2') AS l2, inner_product('{1:3}/2'::sparsevec, '{2:4}/2') AS ip,
	cosine_distance('{1:3}/2'::sparsevec, '{2:4}/2') AS cosine, l1_distance('{1:3}/2'::sparsevec, '{2:4}/2') AS l1;
SELECT inner_product('{1:1,3:3,5:5}/5'::sparsevec, '{2:4,3:6,4:8}/5') AS ip,
	l1_distance('{1:1,3:3,5:5,7:7,9:9}/9'::sparsevec, '{2:2,4:4,6:6,8:8}/9') AS l1,
	l2_distance('{999999999:2}/1000000000'::sparsevec, '{1:2,2:2,1000000000:2}/1000000000') AS l2;
-- the same as that of the vectors with all their elements
SELECT count(*), bool_and((a <-> b) = (a::sparsevec <-> b)) AS l2, bool_and((a <#> b) = (a::sparsevec <#> b)) AS ip,
	bool_and((a <=> b) = (a::sparsevec <=> b)) AS cosine, bool_and((a <+> b) = (a::sparsevec <+> b)) AS l1,
	bool_and(vector_l2_squared_distance(a, b) = sparsevec_l2_squared_distance(a, b)) AS l2_squared,
	bool_and(vector_norm(a) = l2_norm(a::sparsevec)) AS norm,
	bool_and(l2_normalize(a)::sparsevec = l2_normalize(a::sparsevec)) AS normalized
FROM (
	SELECT array_agg(greatest(i * seed * 7 % 13 - 8, 0))::vector AS a,
		array_agg(least(i * seed * 5 % 11 - 3, 1) / 2)::vector AS b
	FROM generate_series(1, 200) seed, generate_series(1, 50) i GROUP BY seed
) s;

-- the range of cosine
SELECT '{1:1,2:1}/2'::sparsevec <=> '{1:4,2:4}/2' AS same, '{1:1}/2'::sparsevec <=> '{2:2}/2' AS across,
	'{1:1,2:1}/2'::sparsevec <=> '{1:-2,2:-2}/2' AS opposite;
SELECT min(v <=> u) >= 0 AS low, max(v <=> u) < 1e-6 AS near, max(v <=> w) <= 2 AS high
FROM (
	SELECT array_agg(sin(i * seed))::sparsevec AS v, array_agg(3 * sin(i * seed))::sparsevec AS u,
		array_agg(-3 * sin(i * seed))::sparsevec AS w
	FROM generate_series(1, 200) seed, generate_series(1, 13) i GROUP BY seed
) s;
-- no elements: no direction
SELECT '{}/2'::sparsevec <=> '{1:1}/2' AS zero, '{}/2'::sparsevec <=> '{}/2' AS both,
	'{}/2'::sparsevec <-> '{}/2' AS l2, '{}/2'::sparsevec <#> '{1:1}/2' AS ip, '{}/2'::sparsevec <+> '{}/2' AS l1;

-- sums are floats: they overflow to infinity without an error, and vanish below the smallest
SELECT '{1:3e38}/1'::sparsevec <-> '{1:-3e38}/1' AS l2, '{1:3e38}/1'::sparsevec <#> '{1:3e38}/1' AS ip,
	'{1:3e38}/1'::sparsevec <+> '{1:-3e38}/1' AS l1,
	sparsevec_l2_squared_distance('{1:2e19}/1', '{}/1') AS l2_squared;
SELECT '{1:3e38}/1'::sparsevec <=> '{1:3e38}/1' AS great, '{1:1e-30}/1'::sparsevec <=> '{1:1e-30}/1' AS small;

-- different dimensions
SELECT '{1:1}/2'::sparsevec <-> '{1:1}/1';
SELECT '{1:1}/2'::sparsevec <#> '{1:1}/1';
SELECT '{1:1}/2'::sparsevec <=> '{1:1}/1';
SELECT '{1:1}/1'::sparsevec <+> '{1:1}/2';
SELECT inner_product('{}/2'::sparsevec, '{}/3');
SELECT sparsevec_l2_squared_distance('{}/1', '{}/1000000000');
\set VERBOSITY sqlstate
SELECT '{1:1}/2'::sparsevec <-> '{1:1}/1';
\set VERBOSITY default

-- NULL
SELECT NULL::sparsevec <-> '{}/1' AS l2, l2_norm(NULL::sparsevec) AS norm, NULL::sparsevec = '{}/1' AS equal;

-- norm: a double, so nothing overflows
SELECT l2_norm('{1:3,2:4}/9'::sparsevec), l2_norm('{}/2'::sparsevec) AS zero,
	l2_norm('{1:2e38,2:2e38,3:2e38,4:2e38}/4'::sparsevec) > 3e38 AS great, l2_norm('{1:1e-45}/1'::sparsevec) > 0 AS small;
-- normalisation: what becomes too small is dropped
SELECT l2_normalize('{1:3,5:4}/9'::sparsevec), l2_normalize('{2:-2}/2'::sparsevec), l2_normalize('{}/2'::sparsevec);
SELECT l2_normalize('{1:3e38,2:1e-37}/2'::sparsevec), l2_normalize('{1:1e-45}/1'::sparsevec),
	l2_normalize('{2:3e37,4:3e-37,6:4e37,8:4e-37}/9'::sparsevec);

-- order: that of arrays of all elements, then the dimensions
SELECT '{1:1}/2'::sparsevec < '{1:2}/2' AS lt, '{1:1}/2'::sparsevec <= '{1:1}/2' AS le, '{1:1}/2'::sparsevec = '{1:1}/2' AS eq,
	'{1:1}/2'::sparsevec <> '{1:2}/2' AS ne, '{1:1}/2'::sparsevec >= '{1:1}/2' AS ge, '{1:2}/2'::sparsevec > '{1:1}/2' AS gt;
SELECT '{1:1}/2'::sparsevec < '{1:1}/2' AS lt, '{1:2}/2'::sparsevec <= '{1:1}/2' AS le, '{1:1}/2'::sparsevec = '{1:1}/3' AS eq,
	'{1:1}/2'::sparsevec <> '{1:1}/2' AS ne, '{1:1}/2'::sparsevec >= '{1:1}/3' AS ge, '{1:1}/2'::sparsevec > '{2:1}/2' AS gt;
SELECT sparsevec_cmp('{1:1,2:2,3:3}/3', '{}/3'), sparsevec_cmp('{1:1,2:2}/2', '{1:1,2:2,3:-3}/3'),
	sparsevec_cmp('{2:-1}/2', '{}/3'), sparsevec_cmp('{5:-1}/5', '{}/3'), sparsevec_cmp('{1:2,2:3}/2', '{1:1,2:2,3:3}/3');
-- all pairs of those with 1 to 3 elements of -1, 0 and 1
CREATE TABLE few AS
SELECT array_agg(n / (3 ^ i)::int % 3 - 1 ORDER BY i)::sparsevec AS v
FROM generate_series(1, 3) dim, generate_series(0, (3 ^ dim)::int - 1) n, generate_series(0, dim - 1) i
GROUP BY dim, n;
SELECT bool_and(sparsevec_cmp(a, b) = btarraycmp(a::vector::real[], b::vector::real[])) AS as_arrays,
	bool_and(sparsevec_cmp(a, b) = -sparsevec_cmp(b, a)) AS antisymmetric,
	bool_and((a < b) = (sparsevec_cmp(a, b) < 0) AND (a <= b) = (sparsevec_cmp(a, b) <= 0)
		AND (a = b) = (sparsevec_cmp(a, b) = 0) AND (a <> b) = (sparsevec_cmp(a, b) <> 0)
		AND (a >= b) = (sparsevec_cmp(a, b) >= 0) AND (a > b) = (sparsevec_cmp(a, b) > 0)) AS operators,
	count(*) AS pairs, count(*) FILTER (WHERE a = b) AS equal
FROM few x (a), few y (b);
DROP TABLE few;

-- btree: search, order, uniqueness, merge join
CREATE TABLE items (id int, v sparsevec(3));
INSERT INTO items VALUES (1, '{1:1}/3'), (2, '{}/3'), (3, NULL), (4, '{3:-1}/3'), (5, '{1:1,2:-1}/3'), (6, '{1:1}/3');
CREATE INDEX items_v ON items (v);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM items WHERE v = '{1:1}/3';
SELECT id FROM items WHERE v = '{1:1}/3' ORDER BY id;
SELECT id, v FROM items WHERE v >= '{}/3' ORDER BY v, id;
SELECT id, v FROM items ORDER BY v DESC NULLS LAST, id;
CREATE UNIQUE INDEX ON items (v);
DROP INDEX items_v;
-- hash: search, aggregates, joins, partitions
CREATE INDEX items_v ON items USING hash (v);
EXPLAIN (COSTS OFF) SELECT id FROM items WHERE v = '{1:1}/3';
SELECT id FROM items WHERE v = '{1:1}/3' ORDER BY id;
RESET enable_seqscan;
RESET enable_bitmapscan;
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT v, count(*) FROM items GROUP BY v;
SELECT count(*), sum(num) FROM (SELECT v, count(*) AS num FROM items GROUP BY v) s;
RESET enable_sort;
SET enable_nestloop = off;
SET enable_mergejoin = off;
EXPLAIN (COSTS OFF) SELECT * FROM items x JOIN items y USING (v);
SELECT count(*) FROM items x JOIN items y USING (v);
SET enable_hashjoin = off;
SET enable_mergejoin = on;
SELECT count(*) FROM items x JOIN items y USING (v);
RESET enable_nestloop;
RESET enable_mergejoin;
RESET enable_hashjoin;
SELECT sparsevec_hash(v) = sparsevec_hash(l2_normalize(v)) AS equal, sparsevec_hash(v) = sparsevec_hash('{2:1}/9') AS other,
	sparsevec_hash_extended(v, 0) & x'ffffffff'::bigint = sparsevec_hash(v) & x'ffffffff'::bigint AS low_half,
	sparsevec_hash_extended(v, 1) = sparsevec_hash_extended(v, 2) AS seeded
FROM (SELECT '{0:0,1:1,3:0}/9'::sparsevec AS v) s;
DROP TABLE items;
CREATE TABLE parts (v sparsevec) PARTITION BY HASH (v);
CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT format('{%s:1}/100', i)::sparsevec FROM generate_series(1, 100) i;
SELECT count(*), count(DISTINCT v), count(DISTINCT tableoid) FROM parts;
DROP TABLE parts;

-- toasted and packed arguments give the same as plain ones
CREATE TABLE stored (nnz int, v sparsevec);
INSERT INTO stored
SELECT nnz, ('{' || string_agg(i * 3 || ':1', ',') || '}/50000')::sparsevec
FROM unnest(ARRAY[4, 400, 10000]) nnz, generate_series(1, nnz) i GROUP BY nnz;
SELECT nnz, v <#> v AS ip, v <-> '{}/50000' AS l2, v <+> '{3:2,4:1}/50000' AS l1, l2_norm(v),
	sparsevec_hash(v) = sparsevec_hash(v::text::sparsevec) AS hash, sparsevec_cmp(v, v::text::sparsevec) AS cmp
FROM stored ORDER BY nnz;
DROP TABLE stored;

-- the order of a query
SELECT v FROM (VALUES ('{2:1}/3'::sparsevec), ('{}/3'), (NULL), ('{1:5}/3')) t (v) ORDER BY v <-> '{1:4}/3';

-- what the planner knows
SELECT oprname, oprcode::regprocedure, oprcom::regoperator, oprnegate::regoperator, oprcanhash, oprcanmerge,
	oprrest, oprjoin
FROM pg_operator WHERE oprleft = 'sparsevec'::regtype ORDER BY oprname COLLATE "C";
SELECT bool_and(provolatile = 'i' AND proisstrict AND proparallel = 's') AS pure
FROM pg_proc WHERE prorettype = 'sparsevec'::regtype OR 'sparsevec'::regtype = ANY (proargtypes);
SELECT amname, opcname, amvalidate(c.oid)
FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod WHERE opcintype = 'sparsevec'::regtype AND opcdefault ORDER BY amname;

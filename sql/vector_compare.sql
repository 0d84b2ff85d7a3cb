-- Order and equality: operators, btree and hash operator classes, and the plans that need them.

-- the first difference decides, then the number of dimensions
SELECT a, b, a < b AS lt, a <= b AS le, a = b AS eq, a <> b AS ne, a >= b AS ge, a > b AS gt,
	vector_cmp(a, b) AS cmp
FROM (VALUES ('[1,2,3]'::vector, '[1,2,3]'::vector), ('[1,2,3]', '[1,2,4]'), ('[1,3]', '[1,2,4]'),
	('[1,2]', '[1,2,3]'), ('[2]', '[1,2,3]'), ('[-1]', '[1]'), ('[-2]', '[-1]'), ('[0,1]', '[-0,1]'),
	('[-0]', '[0,0]'), ('[3e38]', '[1e-45]'), ('[0]', '[-1e-45]')) t (a, b);
SELECT vector_lt('[1]', '[2]') AS lt, vector_le('[1]', '[1]') AS le, vector_eq('[1]', '[1]') AS eq,
	vector_ne('[1]', '[1]') AS ne, vector_ge('[2]', '[1]') AS ge, vector_gt('[1]', '[2]') AS gt;
SELECT '[1]'::vector != '[2]' AS ne;
-- as arrays are ordered
SELECT count(*) AS pairs, bool_and(sign(vector_cmp(a, b)) = sign(btarraycmp(a::real[], b::real[]))) AS agrees
FROM (
	SELECT ('[' || x || ',' || y || repeat(',1', z) || ']')::vector
	FROM generate_series(-1, 1) x, generate_series(-1, 1) y, generate_series(0, 2) z
) s (a), (
	SELECT ('[' || x || repeat(',' || y, z) || ']')::vector
	FROM generate_series(-1, 1) x, generate_series(-1, 1) y, generate_series(0, 3) z
) t (b);
-- one operator is another's commutator and negator
SELECT o.oprname, o.oprcode, c.oprname AS commutator, n.oprname AS negator, o.oprrest, o.oprjoin,
	o.oprcanhash AS hash, o.oprcanmerge AS merge
FROM pg_operator o JOIN pg_operator c ON c.oid = o.oprcom JOIN pg_operator n ON n.oid = o.oprnegate
WHERE o.oprleft = 'vector'::regtype AND o.oprright = 'vector'::regtype
ORDER BY o.oprname COLLATE "C";
SELECT NULL::vector = '[1]' AS eq, NULL::vector < '[1]' AS lt, vector_cmp('[1]', NULL) AS cmp,
	vector_hash(NULL) AS hash;

-- equal vectors hash equal, -0 as 0; others differ, zeros at the end included
SELECT vector_hash('[0,1,-0]') = vector_hash('[-0,1,0]') AS same,
	vector_hash_extended('[0,-0]', 7) = vector_hash_extended('[-0,0]', 7) AS same_seeded,
	vector_hash_extended('[0]', 1) <> vector_hash_extended('[0]', 2) AS seed_counts;
SELECT count(DISTINCT vector_hash(v)) AS hashes,
	bool_and(vector_hash(v) = (vector_hash_extended(v, 0)::bit(64) << 32)::bit(32)::int) AS low_half
FROM (
	SELECT array_fill(0, ARRAY[dim])::vector FROM unnest(ARRAY[1, 2, 3, 255, 256, 257, 512, 513, 16000]) dim
	UNION ALL VALUES ('[1]'::vector), ('[-1]'), ('[0,1]'), ('[1,0]')
) s (v);
SELECT count(DISTINCT vector_hash(array_fill(0, ARRAY[n])::vector || '[1]' || array_fill(0, ARRAY[599 - n])::vector))
FROM generate_series(1, 598) n;

-- the operator classes are sound
SELECT amname, opcname, opcdefault, amvalidate(c.oid)
FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE opcintype = 'vector'::regtype AND amname IN ('btree', 'hash') ORDER BY amname;

CREATE TABLE compared (id int, v vector);
INSERT INTO compared VALUES
	(1, '[1,2,3]'), (2, '[1,2]'), (3, NULL), (4, '[0,5]'), (5, '[-0,5]'), (6, '[1,2,3]'), (7, '[-1]'),
	(8, array_fill(1, ARRAY[5000])::vector), (9, array_fill(1, ARRAY[5000])::vector), (10, '[0,5,0]');
ANALYZE compared;

-- sorted
SELECT id, vector_dims(v) AS dims FROM compared ORDER BY v, id;
SELECT id FROM compared ORDER BY v DESC NULLS LAST, id LIMIT 3;

-- distinct by hash and by sort: of -0 and 0 one remains
SET enable_sort = off;
EXPLAIN (COSTS OFF) SELECT DISTINCT v FROM compared;
SELECT count(*) FROM (SELECT DISTINCT v FROM compared) s;
RESET enable_sort;
SET enable_hashagg = off;
EXPLAIN (COSTS OFF) SELECT DISTINCT v FROM compared;
SELECT count(*) FROM (SELECT DISTINCT v FROM compared) s;
RESET enable_hashagg;
SELECT count(DISTINCT v) FROM compared;
EXPLAIN (COSTS OFF) SELECT v, count(*) FROM compared GROUP BY v;
SELECT array_agg(id ORDER BY id) AS ids FROM compared GROUP BY v ORDER BY 1;
SELECT count(*) FROM (SELECT v FROM compared UNION SELECT v + v - v FROM compared) s;
SELECT count(*) FROM (SELECT v FROM compared INTERSECT SELECT '[-0,5]'::vector) s;

-- joined by hash, by merge
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT a.id, b.id FROM compared a JOIN compared b USING (v);
SELECT a.id, b.id FROM compared a JOIN compared b USING (v) WHERE a.id < b.id ORDER BY 1, 2;
SELECT count(*) FROM compared a JOIN compared b USING (v);
RESET enable_mergejoin;
SET enable_hashjoin = off;
EXPLAIN (COSTS OFF) SELECT a.id, b.id FROM compared a JOIN compared b USING (v);
SELECT count(*) FROM compared a JOIN compared b USING (v);
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT id FROM compared WHERE v IN ('[1,2]', '[0,5]') ORDER BY id;
SELECT id FROM compared WHERE v NOT IN ('[1,2]', '[0,5]') ORDER BY id;

-- a btree index
CREATE TABLE sorted AS SELECT * FROM compared WHERE vector_dims(v) < 5000 OR v IS NULL;
CREATE INDEX sorted_v ON sorted (v);
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT id FROM sorted WHERE v = '[0,5]';
SELECT id FROM sorted WHERE v = '[0,5]' ORDER BY id;
EXPLAIN (COSTS OFF) SELECT v FROM sorted ORDER BY v;
SELECT v FROM sorted ORDER BY v DESC NULLS LAST LIMIT 2;
SELECT v FROM sorted WHERE v > '[0,5]' AND v <= '[1,2,3]' ORDER BY v;
SELECT count(*) FROM sorted WHERE v < '[0,5]';
SELECT count(*) FROM sorted WHERE v >= '[0,5]';
-- equal values of other bytes are not merged into one
SELECT array_agg(v::text ORDER BY id) FROM sorted WHERE v = '[0,5]';
DROP INDEX sorted_v;
\set VERBOSITY sqlstate
CREATE UNIQUE INDEX ON sorted (v);
\set VERBOSITY default
DELETE FROM sorted WHERE id IN (5, 6);
CREATE UNIQUE INDEX sorted_v ON sorted (v);
INSERT INTO sorted VALUES (11, '[-0,5]');
INSERT INTO sorted VALUES (11, '[-0,5]') ON CONFLICT (v) DO UPDATE SET id = 11 RETURNING *;
DROP TABLE sorted;
-- an entry has room for some 670 dimensions
CREATE TABLE wide (v vector);
CREATE INDEX ON wide (v);
INSERT INTO wide SELECT array_agg(i)::vector FROM generate_series(1, 600) i;
\set VERBOSITY sqlstate
INSERT INTO wide SELECT array_agg(i)::vector FROM generate_series(1, 800) i;
\set VERBOSITY default
DROP TABLE wide;

-- a hash index keeps no vector, so it takes any number of dimensions
CREATE INDEX ON compared USING hash (v);
EXPLAIN (COSTS OFF) SELECT id FROM compared WHERE v = '[-0,5]';
SELECT id FROM compared WHERE v = '[-0,5]' ORDER BY id;
SELECT id FROM compared WHERE v = array_fill(1, ARRAY[5000])::vector ORDER BY id;
SELECT id FROM compared WHERE v = array_fill(1, ARRAY[4999])::vector || '[2]';
RESET enable_seqscan;
RESET enable_bitmapscan;
DROP TABLE compared;

-- hash partitions
CREATE TABLE spread (v vector) PARTITION BY HASH (v);
CREATE TABLE spread_0 PARTITION OF spread FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE spread_1 PARTITION OF spread FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO spread SELECT ARRAY[i, -i]::vector FROM generate_series(1, 100) i;
INSERT INTO spread VALUES ('[0,1]'), ('[-0,1]');
SELECT count(DISTINCT tableoid) AS partitions, count(DISTINCT tableoid) FILTER (WHERE v = '[0,1]') AS of_zero
FROM spread;
SELECT count(*) FROM spread WHERE v = '[-0,1]';
DROP TABLE spread;

-- compared as composite and array elements are
SELECT ARRAY['[1]', '[2]']::vector[] < ARRAY['[1]', '[3]']::vector[] AS arrays,
	ROW('[1]'::vector, 2) = ROW('[1]'::vector, 2) AS rows;

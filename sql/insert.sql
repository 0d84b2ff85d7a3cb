-- inserting: into untrained and trained indexes, NULLs, duplicates, long blocks, updates

SET client_min_messages = warning;
SET enable_seqscan = off;
SET enable_sort = off;

-- an index on an empty table
CREATE TABLE ins (id int, v vector(3), note text);
CREATE INDEX ins_i ON ins USING annivf (v);
CREATE FUNCTION found(q vector) RETURNS text LANGUAGE sql AS $$
	SELECT format('%s rows, %s distinct', count(*), count(DISTINCT id))
	FROM (SELECT id FROM ins ORDER BY v <-> q OFFSET 0) s
$$;
SELECT found('[1,1,1]');
INSERT INTO ins VALUES (1, '[1,2,3]'), (2, NULL), (3, '[1,2,3]'), (4, '[0,0,0]');
SELECT id, v <-> '[1,2,3]' AS distance FROM ins ORDER BY v <-> '[1,2,3]', id;
SELECT found('[1,1,1]');
-- a NULL query orders nothing and loses nothing
SELECT count(*) FROM (SELECT id FROM ins ORDER BY v <-> NULL::vector OFFSET 0) s;

-- a trained index: more rows than it was trained on, so that leaves get new blocks
TRUNCATE ins;
SELECT found('[1,1,1]');
INSERT INTO ins SELECT i, ARRAY[sin(i), cos(i), sin(i * 2)]::real[]::vector FROM generate_series(1, 300) i;
REINDEX INDEX ins_i;
CREATE INDEX ins_j ON ins USING annivf (v) WITH (num_leaves = 6);
DROP INDEX ins_i;
INSERT INTO ins SELECT i, ARRAY[sin(i), cos(i), sin(i * 2)]::real[]::vector FROM generate_series(301, 3000) i;
INSERT INTO ins SELECT i, NULL FROM generate_series(3001, 3100) i;
SELECT found('[1,0,0]');
-- every row is found by its own vector, at the index's own settings
SELECT count(*) FROM ins a
WHERE v IS NOT NULL AND id % 10 = 0
	AND id = (SELECT id FROM ins b ORDER BY b.v <-> a.v LIMIT 1);

-- updates: of the vector, of another column (HOT), and back
UPDATE ins SET v = '[5,5,5]' WHERE id = 77;
SELECT id FROM ins ORDER BY v <-> '[5,5,5]' LIMIT 1;
UPDATE ins SET note = 'a' WHERE id = 77;
UPDATE ins SET note = 'b' WHERE id = 77;
SELECT id, note FROM ins ORDER BY v <-> '[5,5,5]' LIMIT 1;
VACUUM ins;
SELECT id, note FROM ins ORDER BY v <-> '[5,5,5]' LIMIT 1;
UPDATE ins SET v = NULL WHERE id = 77;
SELECT found('[1,0,0]');

-- rolled back
BEGIN;
INSERT INTO ins SELECT i, '[9,9,9]' FROM generate_series(5001, 5100) i;
SELECT found('[9,9,9]');
ROLLBACK;
SELECT found('[9,9,9]');
BEGIN;
SAVEPOINT s;
INSERT INTO ins VALUES (5001, '[9,9,9]');
ROLLBACK TO s;
INSERT INTO ins VALUES (5002, '[9,9,9]');
COMMIT;
SELECT id FROM ins ORDER BY v <-> '[9,9,9]' LIMIT 1;

-- zero vectors and NULLs under cosine, which have no distance
CREATE TABLE cos (id int, v vector(3));
CREATE INDEX cos_i ON cos USING annivf (v vector_cosine_ops) WITH (num_leaves = 3);
INSERT INTO cos VALUES (1, '[1,0,0]'), (2, '[0,0,0]'), (3, NULL), (4, '[0,1,0]'), (5, '[1e-30,0,0]'),
	(6, '[1e30,0,0]');
REINDEX INDEX cos_i;
INSERT INTO cos VALUES (7, '[0,0,0]'), (8, NULL), (9, '[1,1,0]');
SELECT id, round((v <=> '[1,0,0]')::numeric, 4) FROM cos ORDER BY v <=> '[1,0,0]';
SELECT count(*) FROM (SELECT id FROM cos ORDER BY v <=> '[0,0,0]' OFFSET 0) s;

-- blocks that span pages
CREATE TABLE long (id int, v vector(1600));
CREATE INDEX long_i ON long USING annivf (v) WITH (num_leaves = 2, dimensions_per_block = 2);
INSERT INTO long SELECT i, array_agg(sin(i * k))::real[]::vector
FROM generate_series(1, 20) i, generate_series(1, 1600) k GROUP BY i;
SELECT ann_train('long_i');
INSERT INTO long SELECT i, array_agg(sin(i * k))::real[]::vector
FROM generate_series(21, 120) i, generate_series(1, 1600) k GROUP BY i;
SELECT count(*) FROM long a WHERE id = (SELECT id FROM long b ORDER BY b.v <-> a.v LIMIT 1);
DELETE FROM long WHERE id % 2 = 0;
VACUUM long;
INSERT INTO long SELECT i, array_agg(sin(i * k))::real[]::vector
FROM generate_series(121, 180) i, generate_series(1, 1600) k GROUP BY i;
SELECT count(*) FROM long a WHERE id = (SELECT id FROM long b ORDER BY b.v <-> a.v LIMIT 1);

DROP TABLE ins, cos, long;
DROP FUNCTION found;

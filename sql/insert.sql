-- Rows that come after the index: every kind of value and of statement

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

-- what is wrong with the index of a table, by the three metrics; nothing, one hopes
CREATE TABLE inserts (id int, v vector(10), note text);
CREATE INDEX inserts_l2 ON inserts USING annivf (v) WITH (num_leaves = 12);
CREATE INDEX inserts_ip ON inserts USING annivf (v vector_ip_ops) WITH (num_leaves = 12);
CREATE INDEX inserts_cosine ON inserts USING annivf (v vector_cosine_ops) WITH (num_leaves = 12);
CREATE FUNCTION faults() RETURNS SETOF text LANGUAGE sql AS $$
	SELECT op || ': ' || f FROM unnest(ARRAY['<->', '<#>', '<=>']) op, index_faults('inserts', op, 100) f
$$;
SELECT faults();

-- into an untrained index
INSERT INTO inserts VALUES (1, '[1,0,0,0,0,0,0,0,0,0]'), (2, NULL), (3, '[0,0,0,0,0,0,0,0,0,0]');
SELECT faults();
INSERT INTO inserts SELECT 10 + row_number() OVER (), x FROM clustered(600, 10) x;
SELECT faults();

-- into a trained one
SELECT ann_train('inserts_l2'), ann_train('inserts_ip'), ann_train('inserts_cosine');
SELECT faults();
INSERT INTO inserts SELECT 1000 + row_number() OVER (), x FROM clustered(600, 10, 0.2) x;
SELECT faults();

-- NULL, zero, tiny, huge, integers; far from all that was trained on
INSERT INTO inserts VALUES
	(2000, NULL), (2001, '[0,0,0,0,0,0,0,0,0,0]'), (2002, '[0,0,0,0,0,0,0,0,0,0]'),
	(2003, '[1e-30,0,0,0,0,0,0,0,0,0]'), (2004, '[1e-38,1e-38,0,0,0,0,0,0,0,0]'),
	(2005, '[1e-45,0,0,0,0,0,0,0,0,0]'), (2006, '[1e18,0,0,0,0,0,0,0,0,1]'),
	(2007, '[1e20,1e20,0,0,0,0,0,0,0,0]'), (2008, '[3e38,3e38,0,0,0,0,0,0,0,0]'),
	(2009, '[-3e38,3e38,0,0,0,0,0,0,0,0]'), (2010, '[100,200,300,400,500,600,700,800,900,1000]'),
	(2011, '[-1e6,1e6,-1e6,1e6,-1e6,1e6,-1e6,1e6,-1e6,1e6]');
SELECT faults();

-- many times the same: one leaf grows over many blocks and pages
INSERT INTO inserts SELECT 3000 + i, '[1,1,1,1,1,1,1,1,1,1]' FROM generate_series(1, 600) i;
SELECT faults();
SELECT count(*) FROM (SELECT v <-> '[1,1,1,1,1,1,1,1,1,1]' AS d FROM inserts
	ORDER BY v <-> '[1,1,1,1,1,1,1,1,1,1]' LIMIT 600) s WHERE d = 0;

-- updates: of the vector, of another column on the same page (HOT), to and from NULL
UPDATE inserts SET v = (SELECT array_agg(x * 2) FROM unnest(v::real[]) x)::vector WHERE id BETWEEN 100 AND 300;
UPDATE inserts SET note = 'hot' WHERE id % 7 = 0;
UPDATE inserts SET note = note || ' again' WHERE id % 14 = 0;
UPDATE inserts SET v = NULL WHERE id BETWEEN 400 AND 420;
UPDATE inserts SET v = '[1,2,3,4,5,6,7,8,9,10]' WHERE v IS NULL;
SELECT faults();
VACUUM inserts;
UPDATE inserts SET note = 'once more' WHERE id % 7 = 1;
SELECT faults();

-- rolled back, in part and in whole
BEGIN;
INSERT INTO inserts SELECT 6000 + row_number() OVER (), x FROM clustered(100, 10, 0.3) x;
SAVEPOINT one;
INSERT INTO inserts SELECT 7000 + row_number() OVER (), x FROM clustered(100, 10, 0.4) x;
SELECT faults();
ROLLBACK TO one;
INSERT INTO inserts SELECT 8000 + row_number() OVER (), x FROM clustered(100, 10, 0.5) x;
COMMIT;
BEGIN;
DELETE FROM inserts WHERE id > 3000;
INSERT INTO inserts SELECT 9000 + row_number() OVER (), x FROM clustered(100, 10, 0.6) x;
SELECT faults();
ROLLBACK;
SELECT faults();
SELECT count(*), min(id), max(id) FROM inserts;
-- an error in the middle of a statement
INSERT INTO inserts SELECT 10000 + i, ('[' || repeat('1,', 9 - i / 50) || '1]')::vector FROM generate_series(1, 60) i;
SELECT faults();

-- COPY, ON CONFLICT, MERGE, RETURNING, a rule's rewriting
COPY inserts (id, v) FROM stdin;
11000	[9,9,9,9,9,9,9,9,9,9]
11001	\N
11002	[0,0,0,0,0,0,0,0,0,0]
\.
CREATE UNIQUE INDEX inserts_id ON inserts (id);
INSERT INTO inserts VALUES (11000, '[8,8,8,8,8,8,8,8,8,8]') ON CONFLICT (id) DO NOTHING;
INSERT INTO inserts VALUES (11001, '[7,7,7,7,7,7,7,7,7,7]') ON CONFLICT (id) DO UPDATE SET v = excluded.v
	RETURNING v;
MERGE INTO inserts USING (VALUES (11002, '[6,6,6,6,6,6,6,6,6,6]'::vector), (11003, '[5,5,5,5,5,5,5,5,5,5]'))
	AS source (id, v) ON inserts.id = source.id
	WHEN MATCHED THEN UPDATE SET v = source.v WHEN NOT MATCHED THEN INSERT VALUES (source.id, source.v);
SELECT id, v FROM inserts WHERE id >= 11000 ORDER BY id;
DROP INDEX inserts_id;
SELECT faults();
DROP TABLE inserts;
DROP FUNCTION faults;

-- wide values, out of line: 384, 1,536 and 5,000 dimensions; the last in long blocks
CREATE TABLE inserts_wide (id int, v vector(384));
INSERT INTO inserts_wide SELECT row_number() OVER (), x FROM clustered(300, 384, 0.1, 10) x;
CREATE INDEX ON inserts_wide USING annivf (v vector_cosine_ops) WITH (num_leaves = 6);
INSERT INTO inserts_wide SELECT 1000 + row_number() OVER (), x FROM clustered(200, 384, 0.2, 10) x;
SELECT index_faults('inserts_wide', '<=>', 200);
DROP TABLE inserts_wide;
CREATE TABLE inserts_wide (id int, v vector(1536));
INSERT INTO inserts_wide SELECT row_number() OVER (), x FROM clustered(100, 1536, 0.1, 10) x;
CREATE INDEX ON inserts_wide USING annivf (v) WITH (num_leaves = 4);
INSERT INTO inserts_wide SELECT 1000 + row_number() OVER (), x FROM clustered(100, 1536, 0.2, 10) x;
SELECT index_faults('inserts_wide', '<->', 100);
DROP TABLE inserts_wide;
CREATE TABLE inserts_wide (id int, v vector(5000));
INSERT INTO inserts_wide SELECT row_number() OVER (), x FROM clustered(20, 5000, 0.1, 3) x;
CREATE INDEX ON inserts_wide USING annivf (v vector_ip_ops) WITH (num_leaves = 2, dimensions_per_block = 2);
INSERT INTO inserts_wide SELECT 1000 + row_number() OVER (), x FROM clustered(80, 5000, 0.2, 3) x;
SELECT index_faults('inserts_wide', '<#>', 100);
DROP TABLE inserts_wide;

-- storage of the column: in line as long as it fits, compressed, kept in line
CREATE TABLE inserts_stored (id int, v vector(500));
CREATE INDEX ON inserts_stored USING annivf (v) WITH (num_leaves = 2);
ALTER TABLE inserts_stored ALTER v SET STORAGE extended;
INSERT INTO inserts_stored SELECT i, array_fill(i % 3, ARRAY[500])::vector FROM generate_series(1, 50) i;
ALTER TABLE inserts_stored ALTER v SET STORAGE main;
INSERT INTO inserts_stored SELECT 100 + i, array_fill(i % 5, ARRAY[500])::vector FROM generate_series(1, 50) i;
ALTER TABLE inserts_stored ALTER v SET STORAGE plain;
INSERT INTO inserts_stored SELECT 200 + row_number() OVER (), x FROM clustered(50, 500) x;
SELECT ann_train('inserts_stored_v_idx');
SELECT index_faults('inserts_stored', '<->', 100);
REINDEX TABLE inserts_stored;
SELECT index_faults('inserts_stored', '<->', 100);
DROP TABLE inserts_stored;

-- an expression, and part of a table
CREATE TABLE inserts_part (id int, text text, kind int);
INSERT INTO inserts_part SELECT row_number() OVER (), x::text, row_number() OVER () % 3 FROM clustered(1500, 4) x;
CREATE INDEX inserts_part_v ON inserts_part USING annivf ((text::vector(4))) WHERE kind = 1;
INSERT INTO inserts_part SELECT 5000 + row_number() OVER (), x::text, row_number() OVER () % 3
	FROM clustered(300, 4, 0.9) x;
UPDATE inserts_part SET kind = 1 WHERE id % 50 = 0;
UPDATE inserts_part SET kind = 2 WHERE id % 49 = 0;
INSERT INTO inserts_part VALUES (6000, 'nothing', 0), (6001, NULL, 1);
INSERT INTO inserts_part VALUES (6002, 'nothing', 1);
CREATE VIEW inserts_seen AS SELECT id, text::vector(4) AS v FROM inserts_part WHERE kind = 1;
SELECT index_faults('inserts_seen', '<->', 300);
DROP TABLE inserts_part CASCADE;

-- a domain over the type, a column added later, a generated one
CREATE DOMAIN inserts_embedding AS vector(3) CHECK (vector_norm(VALUE) < 100);
CREATE TABLE inserts_domain (id int, v inserts_embedding);
CREATE INDEX ON inserts_domain USING annivf (v);
INSERT INTO inserts_domain VALUES (1, '[1,2,3]'), (2, NULL), (3, '[3,2,1]');
INSERT INTO inserts_domain VALUES (4, '[100,200,300]');
SELECT id, v FROM inserts_domain ORDER BY v <-> '[3,2,1]';
DROP TABLE inserts_domain;
DROP DOMAIN inserts_embedding;
CREATE TABLE inserts_later (id int, x real, y real);
INSERT INTO inserts_later SELECT i, i % 10, i / 10 FROM generate_series(0, 99) i;
ALTER TABLE inserts_later ADD v vector(2) DEFAULT '[4,4]';
CREATE INDEX ON inserts_later USING annivf (v) WITH (num_leaves = 3);
SELECT index_faults('inserts_later', '<->', 100);
ALTER TABLE inserts_later DROP v, ADD v vector(2) GENERATED ALWAYS AS (ARRAY[x, y]::vector) STORED;
CREATE INDEX ON inserts_later USING annivf (v) WITH (num_leaves = 3);
UPDATE inserts_later SET x = x + 0.5 WHERE id % 2 = 0;
SELECT index_faults('inserts_later', '<->', 100);
SELECT id FROM inserts_later ORDER BY v <-> '[4.5,4]' LIMIT 1;
DROP TABLE inserts_later;

-- triggers and foreign keys that act on the table
CREATE TABLE inserts_parent (id int PRIMARY KEY);
CREATE TABLE inserts_child (id int REFERENCES inserts_parent ON DELETE CASCADE, v vector(2));
CREATE INDEX ON inserts_child USING annivf (v) WITH (num_leaves = 2);
INSERT INTO inserts_parent SELECT generate_series(1, 50);
INSERT INTO inserts_child SELECT i, ARRAY[i, i % 7]::vector FROM generate_series(1, 50) i;
DELETE FROM inserts_parent WHERE id % 2 = 0;
SELECT index_faults('inserts_child', '<->', 100);
SELECT count(*) FROM inserts_child;
DROP TABLE inserts_child, inserts_parent;

-- Everything that makes an index anew, copies or renames it

\getenv abs_srcdir PG_ABS_SRCDIR
\set ECHO none
\set helpers :abs_srcdir '/test/helpers.sql'
\i :helpers
\set ECHO all
SET jit = off;
SET max_parallel_workers_per_gather = 0;

CREATE TABLE reindexes (id int, v vector(8), kind int);
INSERT INTO reindexes SELECT row_number() OVER (), x, row_number() OVER () % 5 FROM clustered(2000, 8) x;
INSERT INTO reindexes SELECT 3000 + i, CASE WHEN i % 2 = 0 THEN '[1e20,0,0,0,0,0,0,0]'::vector END, 0
	FROM generate_series(1, 100) i;
CREATE INDEX reindexes_v ON reindexes USING annivf (v) WITH (num_leaves = 20);
DELETE FROM reindexes WHERE id % 7 = 0;
INSERT INTO reindexes SELECT 4000 + row_number() OVER (), x, 1 FROM clustered(300, 8, 0.3) x;
REINDEX INDEX reindexes_v;
SELECT index_faults('reindexes', '<->', 100);
REINDEX TABLE reindexes;
SELECT index_faults('reindexes', '<->', 100);
REINDEX INDEX CONCURRENTLY reindexes_v;
SELECT index_faults('reindexes', '<->', 100);
REINDEX TABLE CONCURRENTLY reindexes;
SELECT index_faults('reindexes', '<->', 100);
CREATE INDEX CONCURRENTLY reindexes_c ON reindexes USING annivf (v vector_cosine_ops);
SELECT index_faults('reindexes', '<=>', 100);
DROP INDEX CONCURRENTLY reindexes_c;
SELECT relname, indisvalid, indisready FROM pg_index JOIN pg_class c ON c.oid = indexrelid
	WHERE indrelid = 'reindexes'::regclass;

-- rolled back
BEGIN;
REINDEX INDEX reindexes_v;
INSERT INTO reindexes VALUES (9000, '[1,1,1,1,1,1,1,1]', 0);
ROLLBACK;
SELECT index_faults('reindexes', '<->', 100);
BEGIN;
TRUNCATE reindexes;
INSERT INTO reindexes VALUES (9000, '[1,1,1,1,1,1,1,1]', 0);
SELECT index_faults('reindexes', '<->', 100);
ROLLBACK;
SELECT index_faults('reindexes', '<->', 100);
BEGIN;
DROP INDEX reindexes_v;
ROLLBACK;
SELECT index_faults('reindexes', '<->', 100);

-- the table is written anew: in another order, with another type, elsewhere, under another name
CREATE INDEX reindexes_id ON reindexes (id);
CLUSTER reindexes USING reindexes_id;
DROP INDEX reindexes_id;
SELECT index_faults('reindexes', '<->', 100);
ALTER TABLE reindexes ALTER id TYPE bigint;
ALTER TABLE reindexes ALTER id TYPE int;
SELECT index_faults('reindexes', '<->', 100);
ALTER TABLE reindexes ADD note text DEFAULT random()::text;
SELECT index_faults('reindexes', '<->', 100);
ALTER TABLE reindexes DROP note;
VACUUM FULL reindexes;
SELECT index_faults('reindexes', '<->', 100);
ALTER INDEX reindexes_v SET TABLESPACE pg_default;
ALTER INDEX reindexes_v RENAME TO reindexes_w;
ALTER TABLE reindexes RENAME v TO w;
ALTER TABLE reindexes RENAME w TO v;
CREATE SCHEMA reindexes_schema;
ALTER TABLE reindexes SET SCHEMA reindexes_schema;
SELECT index_faults('reindexes_schema.reindexes', '<->', 100);
ALTER TABLE reindexes_schema.reindexes SET SCHEMA public;
DROP SCHEMA reindexes_schema;
SELECT index_faults('reindexes', '<->', 100);
TRUNCATE reindexes;
SELECT index_faults('reindexes', '<->', 100);
INSERT INTO reindexes SELECT row_number() OVER (), x, 1 FROM clustered(100, 8, 0.3) x;
SELECT index_faults('reindexes', '<->', 100);

-- a copy of the definition
CREATE TABLE reindexes_like (LIKE reindexes INCLUDING ALL);
INSERT INTO reindexes_like SELECT * FROM reindexes;
SELECT index_faults('reindexes_like', '<->', 100);
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'reindexes_like'::regclass;
DROP TABLE reindexes_like;

-- an empty table, one row, a NULL alone; with and without a number of leaves
TRUNCATE reindexes;
REINDEX TABLE reindexes;
SELECT index_faults('reindexes', '<->', 100);
INSERT INTO reindexes VALUES (1, NULL, 0);
REINDEX TABLE reindexes;
SELECT index_faults('reindexes', '<->', 100);
INSERT INTO reindexes VALUES (2, '[1,2,3,4,5,6,7,8]', 0);
REINDEX TABLE reindexes;
SELECT index_faults('reindexes', '<->', 100);
ALTER INDEX reindexes_w RESET (num_leaves);
REINDEX TABLE reindexes;
SELECT index_faults('reindexes', '<->', 100);

-- within little memory
INSERT INTO reindexes SELECT 10 + row_number() OVER (), x, 1 FROM clustered(20000, 8, 0.3) x;
SET maintenance_work_mem = '1MB';
REINDEX INDEX reindexes_w;
SELECT index_faults('reindexes', '<->', 50);
RESET maintenance_work_mem;

DROP TABLE reindexes;
